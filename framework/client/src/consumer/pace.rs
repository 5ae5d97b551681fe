//! When messages may go to the handler: a gate that can be shut, and a limit to how many pass in a second.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Stands open or shut.
#[derive(Debug)]
pub(super) struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Gate {
    pub(super) fn shut(&self) {
        self.0.send_replace(false);
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it stands open.
    pub(super) async fn pass(&self) {
        if !self.is_open() {
            // The sender is `self`, which outlives the wait.
            let _ = self.0.subscribe().wait_for(|open| *open).await;
        }
    }
}

/// Spreads messages evenly over each second.
#[derive(Debug)]
pub(super) struct Rate {
    limited: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    per_second: Option<NonZeroU32>,
    /// When the next message may pass.
    free_at: Instant,
}

impl Rate {
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        let state = State { per_second, free_at: Instant::now() };
        Self { limited: AtomicBool::new(per_second.is_some()), state: Mutex::new(state) }
    }

    pub(super) fn set(&self, per_second: Option<NonZeroU32>) {
        let mut state = self.state.lock();
        *state = State { per_second, free_at: Instant::now() };
        self.limited.store(per_second.is_some(), Ordering::Release);
    }

    /// Waits until so many messages may pass.
    pub(super) async fn take(&self, messages: usize) {
        if self.limited.load(Ordering::Acquire)
            && let Some(at) = self.reserve(messages, Instant::now())
        {
            sleep_until(at).await;
        }
    }

    /// Takes the next place in time, and says when that is.
    fn reserve(&self, messages: usize, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        let per_second = state.per_second?;
        let at = state.free_at.max(now);
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        state.free_at = at + (Duration::from_secs(1) / per_second.get()).saturating_mul(messages);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn messages_pass_evenly_and_a_pause_is_not_made_up_for() {
        let rate = Rate::new(NonZeroU32::new(10));
        let now = Instant::now() + Duration::from_secs(1);
        let tenth = Duration::from_millis(100);
        assert_eq!(rate.reserve(1, now), Some(now));
        assert_eq!(rate.reserve(2, now), Some(now + tenth));
        assert_eq!(rate.reserve(1, now), Some(now + 3 * tenth));
        let later = now + Duration::from_secs(60);
        assert_eq!(rate.reserve(1, later), Some(later));
        assert_eq!(rate.reserve(1, later), Some(later + tenth));
        rate.set(None);
        assert!(rate.take(1_000_000).now_or_never().is_some());
    }

    #[test]
    fn a_gate_holds_up_who_comes_while_it_is_shut() {
        let gate = Gate::default();
        assert!(gate.pass().now_or_never().is_some());
        gate.shut();
        let mut waiting = Box::pin(gate.pass());
        assert!(waiting.as_mut().now_or_never().is_none());
        gate.open();
        assert!(waiting.now_or_never().is_some());
    }
}
