//! The messages of one queue that were pulled and are not settled: what bounds pulling, and what may be committed.
//!
//! Handlers finish in any order, but an offset says "everything below is done". So the window keeps the offsets
//! that are still out, and commits the smallest of them.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

/// When a queue is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Messages.
    pub(crate) count: usize,
    /// Bytes of stored records.
    pub(crate) bytes: u64,
    /// Distance between the smallest and the largest offset: one stuck message must not leave a thousand
    /// settled ones behind it uncommitted.
    pub(crate) span: u64,
}

/// One queue's messages in flight.
#[doc(alias = "ProcessQueue")]
#[derive(Debug)]
pub(crate) struct Window {
    limits: Limits,
    state: Mutex<State>,
    room: Notify,
}

#[derive(Debug)]
struct State {
    /// Bytes by offset.
    out: BTreeMap<i64, u64>,
    bytes: u64,
    /// The offset behind everything that was pulled.
    next: i64,
    closed: bool,
}

impl Window {
    /// An empty window in front of `next`.
    pub(crate) fn new(next: i64, limits: Limits) -> Self {
        let state = State { out: BTreeMap::new(), bytes: 0, next, closed: false };
        Self { limits, state: Mutex::new(state), room: Notify::new() }
    }

    /// Takes in what a pull brought; `next` is where the following pull begins.
    pub(crate) fn add(&self, messages: impl IntoIterator<Item = (i64, u64)>, next: i64) {
        let mut state = self.state.lock();
        for (offset, bytes) in messages {
            // A broker that sends an offset twice must not have it counted twice.
            let before = state.out.insert(offset, bytes).unwrap_or(0);
            state.bytes = state.bytes - before + bytes;
        }
        state.next = state.next.max(next);
    }

    /// Settles a message. Settling one that is not out changes nothing.
    pub(crate) fn settle(&self, offset: i64) {
        let mut state = self.state.lock();
        if let Some(bytes) = state.out.remove(&offset) {
            state.bytes -= bytes;
        }
        let room = !self.is_full(&state);
        drop(state);
        if room {
            self.room.notify_one();
        }
    }

    /// Everything below this offset is settled.
    pub(crate) fn committed(&self) -> i64 {
        let state = self.state.lock();
        state.out.first_key_value().map_or(state.next, |(offset, _)| *offset)
    }

    /// How many messages are out.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.state.lock().out.len()
    }

    /// Waits until another pull fits, but no longer than `limit`; tells whether one fits.
    pub(crate) async fn room(&self, limit: Duration) -> bool {
        let wait = async {
            while self.is_full(&self.state.lock()) {
                self.room.notified().await;
            }
        };
        timeout(limit, wait).await.is_ok()
    }

    /// Gives the queue up: what is out is somebody else's now and must not be settled here.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Whether the queue was given up.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    fn is_full(&self, state: &State) -> bool {
        let span = match (state.out.first_key_value(), state.out.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last.abs_diff(*first),
            _ => 0,
        };
        state.out.len() >= self.limits.count || state.bytes >= self.limits.bytes || span >= self.limits.span
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { count: 4, bytes: 100, span: 10 };

    fn full(window: &Window) -> bool {
        window.is_full(&window.state.lock())
    }

    proptest! {
        /// Whatever the order, the committed offset is the smallest one that is out, and never goes back.
        #[test]
        fn the_smallest_unsettled_offset_is_committed(
            steps in prop::collection::vec((any::<bool>(), 1_i64..5, any::<prop::sample::Index>()), 0..60),
        ) {
            let window = Window::new(7, LIMITS);
            let (mut out, mut next, mut last) = (BTreeSet::new(), 7, 7);
            for (pull, count, pick) in steps {
                if pull {
                    window.add((next..next + count).map(|offset| (offset, 1)), next + count);
                    out.extend(next..next + count);
                    next += count;
                } else if !out.is_empty() {
                    let offset = *pick.get(&out.iter().copied().collect::<Vec<_>>());
                    window.settle(offset);
                    out.remove(&offset);
                }
                let committed = window.committed();
                prop_assert_eq!(committed, out.first().copied().unwrap_or(next));
                prop_assert!(committed >= last);
                last = committed;
                prop_assert_eq!(window.len(), out.len());
            }
        }
    }

    #[test]
    fn count_bytes_and_span_each_fill_it() {
        for messages in [vec![(0, 1), (1, 1), (2, 1), (3, 1)], vec![(0, 60), (1, 40)], vec![(0, 1), (10, 1)]]
        {
            let window = Window::new(0, LIMITS);
            window.add(messages.iter().copied(), 11);
            assert!(full(&window), "{messages:?}");
            window.settle(0);
            assert!(!full(&window), "{messages:?}");
        }
    }

    #[test]
    fn an_empty_pull_moves_the_commit_on() {
        let window = Window::new(5, LIMITS);
        window.add([], 90);
        assert_eq!(window.committed(), 90);
    }

    #[test]
    fn an_offset_that_comes_twice_counts_once() {
        let window = Window::new(0, LIMITS);
        window.add([(0, 99)], 1);
        window.add([(0, 99)], 1);
        assert!(!full(&window));
        window.settle(0);
        window.settle(0);
        assert_eq!((window.len(), window.committed()), (0, 1));
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken_by_settling() {
        let window = std::sync::Arc::new(Window::new(0, LIMITS));
        window.add((0..4).map(|offset| (offset, 1)), 4);
        assert!(!window.room(Duration::ZERO).await);
        let waiting = tokio::spawn({
            let window = std::sync::Arc::clone(&window);
            async move { window.room(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        window.settle(2);
        assert!(waiting.await.unwrap());
    }
}
