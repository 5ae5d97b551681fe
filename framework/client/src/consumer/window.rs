//! The messages of one queue that were pulled and are not settled: what bounds pulling, and what may be committed.
//!
//! Handlers finish in any order, but an offset says "everything below is done". So the window keeps the offsets
//! that are still out, and commits the smallest of them.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// When a queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    state: Mutex<State>,
    room: Notify,
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    /// Bytes by offset.
    out: BTreeMap<i64, u64>,
    bytes: u64,
    /// The offset behind everything that was pulled.
    next: i64,
}

/// What a window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
    /// The smallest and the largest offset.
    pub(crate) span: Option<(i64, i64)>,
}

impl Window {
    /// An empty window in front of `next`.
    pub(crate) fn new(next: i64, limits: Limits) -> Self {
        let state = State { limits, out: BTreeMap::new(), bytes: 0, next };
        Self { state: Mutex::new(state), room: Notify::new(), closed: CancellationToken::new() }
    }

    /// Sets when it is full from now on.
    pub(crate) fn limit(&self, limits: Limits) {
        self.state.lock().limits = limits;
        self.room.notify_one();
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
        let room = !state.is_full();
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

    /// What is out.
    pub(crate) fn held(&self) -> Held {
        let state = self.state.lock();
        let first = state.out.first_key_value().map(|(offset, _)| *offset);
        let last = state.out.last_key_value().map(|(offset, _)| *offset);
        Held { count: state.out.len(), bytes: state.bytes, span: first.zip(last) }
    }

    /// Waits until another pull fits, but no longer than `limit`; tells whether one fits.
    pub(crate) async fn room(&self, limit: Duration) -> bool {
        let wait = async {
            while self.state.lock().is_full() {
                self.room.notified().await;
            }
        };
        timeout(limit, wait).await.is_ok()
    }

    /// Gives the queue up: what is out is somebody else's now and must not be settled here.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Whether the queue was given up.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Waits for `wait`, or until the queue is given up; tells whether it is still held.
    pub(crate) async fn outlives(&self, wait: impl Future<Output = ()>) -> bool {
        self.closed.run_until_cancelled(wait).await.is_some()
    }
}

impl State {
    fn is_full(&self) -> bool {
        let span = match (self.out.first_key_value(), self.out.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last.abs_diff(*first),
            _ => 0,
        };
        let limits = &self.limits;
        self.out.len() >= limits.count || self.bytes >= limits.bytes || span >= limits.span
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { count: 4, bytes: 100, span: 10 };

    fn full(window: &Window) -> bool {
        window.state.lock().is_full()
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
                prop_assert_eq!(window.held().count, out.len());
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
        assert_eq!((window.held().count, window.committed()), (0, 1));
    }

    #[test]
    fn what_is_held_is_told() {
        let window = Window::new(0, LIMITS);
        assert_eq!(window.held(), Held::default());
        window.add([(3, 10), (5, 20)], 6);
        assert_eq!(window.held(), Held { count: 2, bytes: 30, span: Some((3, 5)) });
    }

    #[tokio::test]
    async fn a_larger_limit_makes_room() {
        let window = Window::new(0, LIMITS);
        window.add((0..4).map(|offset| (offset, 1)), 4);
        assert!(!window.room(Duration::ZERO).await);
        window.limit(Limits { count: 5, ..LIMITS });
        assert!(window.room(Duration::ZERO).await);
        assert!(window.outlives(std::future::ready(())).await);
        window.close();
        assert!(!window.outlives(std::future::pending()).await);
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
