//! How many handler calls may run at a time; the number can change while some do.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// The calls of one consumer.
#[derive(Debug)]
pub(super) struct Calls {
    free: Semaphore,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// Calls that are running beyond the limit: so many permits are not given back.
    beyond: usize,
}

/// One call; dropping it makes room for the next.
#[derive(Debug)]
pub(super) struct Call(Arc<Calls>);

impl Calls {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self { free: Semaphore::new(limit), size: Mutex::new(Size { limit, beyond: 0 }) })
    }

    /// Waits for its turn.
    pub(super) async fn begin(self: &Arc<Self>) -> Call {
        // The semaphore is never closed, so there is no error to act on.
        if let Ok(permit) = self.free.acquire().await {
            permit.forget();
        }
        Call(Arc::clone(self))
    }

    /// How many may run.
    pub(super) fn limit(&self) -> usize {
        self.size.lock().limit
    }

    /// Sets how many may run. Calls that are running go on.
    pub(super) fn resize(&self, limit: usize) {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let mut size = self.size.lock();
        if limit >= size.limit {
            let more = limit - size.limit;
            let tolerated = more.min(size.beyond);
            size.beyond -= tolerated;
            self.free.add_permits(more - tolerated);
        } else {
            let fewer = size.limit - limit;
            size.beyond += fewer - self.free.forget_permits(fewer);
        }
        size.limit = limit;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut size = self.0.size.lock();
        match size.beyond {
            0 => self.0.free.add_permits(1),
            _ => size.beyond -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Begins as many calls as are let in now.
    fn fill(calls: &Arc<Calls>) -> Vec<Call> {
        std::iter::from_fn(|| calls.begin().now_or_never()).collect()
    }

    #[test]
    fn no_more_begin_than_allowed_whatever_the_limit_was_before() {
        let calls = Calls::new(3);
        let mut running = fill(&calls);
        assert_eq!(running.len(), 3);
        calls.resize(1);
        assert!(fill(&calls).is_empty());
        running.truncate(1);
        assert!(fill(&calls).is_empty(), "two went beyond the limit and one runs");
        calls.resize(2);
        running.extend(fill(&calls));
        assert_eq!(running.len(), 2);
        drop(running);
        assert_eq!(fill(&calls).len(), 2);
    }

    #[test]
    fn a_limit_that_falls_and_rises_while_calls_run_lets_none_in_too_early() {
        let calls = Calls::new(4);
        let running = fill(&calls);
        calls.resize(1);
        calls.resize(3);
        assert!(fill(&calls).is_empty());
        drop(running);
        assert_eq!(fill(&calls).len(), 3);
        calls.resize(0);
        assert_eq!(calls.limit(), 1);
    }
}
