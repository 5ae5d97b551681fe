//! How long storing takes, in the buckets that RocketMQ shows.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

/// How long a distribution is gathered before it is shown and the next one begins.
const TURN_MS: i64 = 60_000;

/// The upper ends of the buckets in ms, and what Apache calls them.
const BUCKETS: [(u64, &str); 13] = [
    (0, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1_000, "[500ms~1s]"),
    (2_000, "[1~2s]"),
    (3_000, "[2~3s]"),
    (4_000, "[3~4s]"),
    (5_000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];

/// Steps of the finer buckets that the 99th percentile is found with: how wide in ms, and how many.
const FINE: [(u64, usize); 7] = [(1, 20), (2, 15), (5, 10), (10, 10), (50, 6), (100, 5), (1_000, 9)];
const FINE_BUCKETS: usize = 76;

/// The distribution of the minute that is running, and that of the one before.
#[derive(Debug)]
pub(crate) struct PutTimes {
    coarse: [AtomicU64; BUCKETS.len()],
    fine: [AtomicU64; FINE_BUCKETS],
    longest_ms: AtomicU64,
    turned_at: AtomicI64,
    last: Mutex<Distribution>,
}

#[derive(Debug)]
struct Distribution {
    coarse: [u64; BUCKETS.len()],
    fine: [u64; FINE_BUCKETS],
}

impl Default for PutTimes {
    fn default() -> Self {
        Self {
            coarse: std::array::from_fn(|_| AtomicU64::new(0)),
            fine: std::array::from_fn(|_| AtomicU64::new(0)),
            longest_ms: AtomicU64::new(0),
            turned_at: AtomicI64::new(i64::MIN),
            last: Mutex::new(Distribution { coarse: [0; BUCKETS.len()], fine: [0; FINE_BUCKETS] }),
        }
    }
}

impl PutTimes {
    /// `messages` were stored together, in this time.
    pub(crate) fn add(&self, messages: u64, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.coarse[coarse(ms)].fetch_add(messages, Ordering::Relaxed);
        self.fine[fine(ms)].fetch_add(messages, Ordering::Relaxed);
        if ms > 0 {
            self.longest_ms.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// The longest since the start, in ms.
    pub(crate) fn longest_ms(&self) -> u64 {
        self.longest_ms.load(Ordering::Relaxed)
    }

    /// Ends the running minute when it is over.
    pub(super) fn turn(&self, now_ms: i64) {
        let since = self.turned_at.load(Ordering::Relaxed);
        if now_ms.saturating_sub(since) < TURN_MS {
            return;
        }
        self.turned_at.store(now_ms, Ordering::Relaxed);
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let mut last = self.last.lock();
        last.coarse = std::array::from_fn(|at| take(&self.coarse[at]));
        last.fine = std::array::from_fn(|at| take(&self.fine[at]));
    }

    /// The distribution of the last whole minute, as text.
    pub(crate) fn distribution(&self) -> String {
        let last = self.last.lock();
        BUCKETS.iter().zip(last.coarse).map(|((_, name), count)| format!("{name}:{count} ")).collect()
    }

    /// The time in ms within which a share of the last whole minute's messages was stored.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of a minute, and a share of them"
    )]
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.last.lock();
        let wanted = (last.fine.iter().sum::<u64>() as f64 * share) as u64;
        let (mut passed, mut floor) = (0, 0);
        for (count, ceiling) in last.fine.iter().zip(ceilings()) {
            if *count > 0 && passed + count >= wanted {
                let within = (wanted - passed) as f64 / *count as f64;
                return floor as f64 + (ceiling - floor) as f64 * within;
            }
            (passed, floor) = (passed + count, ceiling);
        }
        0.0
    }
}

fn coarse(ms: u64) -> usize {
    // The first bucket holds what took no time; the others end before their upper end.
    if ms == 0 {
        0
    } else {
        1 + BUCKETS[1..].iter().take_while(|(end, _)| ms >= *end && *end < u64::MAX).count()
    }
}

/// The upper ends of the finer buckets; the last one counts as its lower end, for it has none.
fn ceilings() -> impl Iterator<Item = u64> {
    let steps = FINE.iter().flat_map(|(width, count)| std::iter::repeat_n(*width, *count));
    steps.chain([0]).scan(0, |end, width| {
        *end += width;
        Some(*end)
    })
}

fn fine(ms: u64) -> usize {
    ceilings().take(FINE_BUCKETS - 1).position(|ceiling| ms <= ceiling).unwrap_or(FINE_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_buckets_that_are_named_after_them() {
        for (ms, name) in [
            (0, "[<=0ms]"),
            (1, "[0~10ms]"),
            (9, "[0~10ms]"),
            (10, "[10~50ms]"),
            (999, "[500ms~1s]"),
            (10_000, "[10s~]"),
            (u64::MAX, "[10s~]"),
        ] {
            assert_eq!(BUCKETS[coarse(ms)].1, name, "{ms}");
        }
        assert_eq!(ceilings().count(), FINE_BUCKETS);
        assert_eq!(ceilings().last(), Some(10_000));
        assert_eq!((fine(0), fine(1), fine(2), fine(10_001)), (0, 0, 1, FINE_BUCKETS - 1));
    }

    #[test]
    fn the_last_minute_is_shown_when_it_is_over() {
        let times = PutTimes::default();
        times.turn(0);
        times.add(99, Duration::from_micros(20));
        times.add(1, Duration::from_millis(150));
        times.turn(59_999);
        assert!(times.distribution().starts_with("[<=0ms]:0 "), "{}", times.distribution());
        times.turn(60_000);
        let shown = times.distribution();
        assert!(shown.starts_with("[<=0ms]:99 [0~10ms]:0 ") && shown.contains("[100~200ms]:1 "), "{shown}");
        assert_eq!((times.longest_ms(), times.percentile(0.99)), (150, 1.0));
        assert!(times.percentile(0.999) <= 1.0 && times.percentile(1.0) > 140.0);
        times.turn(120_000);
        assert_eq!(times.percentile(0.99), 0.0);
    }
}
