//! How fast the whole broker works, from one sample a second.

use std::{collections::VecDeque, time::Duration};

use super::tally::Reading;

/// Samples at most: one a second for ten minutes, and the one before.
const MOST: usize = 601;

/// What was done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Messages stored.
    pub(crate) put: u64,
    /// Bytes of their records.
    pub(crate) put_bytes: u64,
    /// Looks into a queue that found messages.
    pub(crate) found: u64,
    /// Looks that found none.
    pub(crate) missed: u64,
    /// Messages handed out.
    pub(crate) transferred: u64,
    /// Messages stored in topics that are not the system's.
    pub(crate) put_by_users: u64,
    /// Messages handed out of topics that are not the system's.
    pub(crate) got_by_users: u64,
    /// Timer messages that were taken up.
    pub(crate) timed: u64,
    /// Timer messages that were delivered or put off.
    pub(crate) fired: u64,
}

impl Work {
    pub(super) fn put_reading(&self) -> Reading {
        Reading { events: self.put, amount: self.put, bytes: self.put_bytes }
    }

    pub(super) fn transferred_reading(&self) -> Reading {
        Reading { events: self.found, amount: self.transferred, bytes: 0 }
    }
}

/// What was done up to a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampled {
    pub(super) at_ms: i64,
    pub(super) work: Work,
}

/// The last ten minutes.
#[derive(Debug)]
pub(crate) struct Rates(VecDeque<Sampled>);

impl Rates {
    pub(super) fn new(first: Sampled) -> Self {
        Self(VecDeque::from([first]))
    }

    pub(super) fn sample(&mut self, now: Sampled, step_ms: i64) {
        if self.0.back().is_some_and(|last| now.at_ms - last.at_ms < step_ms) {
            return;
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// What was done a second over the last `span`, or since the start when that is less.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub(super) fn over(&self, now: Sampled, span: Duration, of: fn(&Work) -> u64) -> f64 {
        let begin = now.at_ms.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        let at = self.0.partition_point(|sample| sample.at_ms < begin);
        // The last sample before the span is as good as one at its beginning, unless the first is within it.
        let from = match self.0.get(at) {
            Some(sample) if sample.at_ms == begin => sample,
            _ => match at.checked_sub(1).and_then(|at| self.0.get(at)).or(self.0.front()) {
                Some(sample) => sample,
                None => return 0.0,
            },
        };
        let passed = now.at_ms.saturating_sub(from.at_ms);
        if passed <= 0 {
            return 0.0;
        }
        of(&now.work).saturating_sub(of(&from.work)) as f64 * 1_000.0 / passed as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_ms: i64, put: u64) -> Sampled {
        Sampled { at_ms, work: Work { put, ..Work::default() } }
    }

    #[test]
    fn each_span_has_its_own_rate() {
        let mut rates = Rates::new(at(0, 0));
        for second in 1..=700_i64 {
            rates.sample(at(second * 1_000, u64::try_from(second).unwrap() * 5), 1_000);
        }
        // Ten seconds of silence.
        for second in 701..=710 {
            rates.sample(at(second * 1_000, 3_500), 1_000);
        }
        let over = |seconds| rates.over(at(710_000, 3_500), Duration::from_secs(seconds), |work| work.put);
        assert_eq!((over(10), over(20)), (0.0, 2.5));
        assert!(over(600) > 4.8 && over(600) < 5.0, "{}", over(600));
    }

    #[test]
    fn a_young_broker_has_the_rate_of_its_life() {
        let rates = Rates::new(at(0, 0));
        let over = |at_ms, put| rates.over(at(at_ms, put), Duration::from_secs(60), |work| work.put);
        assert_eq!((over(0, 0), over(2_000, 10)), (0.0, 5.0));
    }
}
