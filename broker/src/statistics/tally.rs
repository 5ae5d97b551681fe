//! Counters of one topic, and of one group on it, with their last minute, hour and day.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::body::stats::{BrokerStats, Stats};

/// Groups on topics that are counted at most. Those that come later are served and not counted.
const MAX_READERS: usize = 32_768;

/// Queues of a topic of which the place is kept.
const MAX_QUEUES: usize = 1_024;

/// A span shorter than this makes no rate: a single message is not a thousand a second.
const LEAST_SPAN_MS: i64 = 10_000;

const MINUTE_STEP_MS: i64 = 10_000;
const HOUR_STEP_MS: i64 = 600_000;
const DAY_STEP_MS: i64 = 3_600_000;

/// What goes in and out of a topic.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Messages that were stored.
    pub(crate) puts: Tally,
    /// Whether the topic is the system's.
    pub(crate) system: bool,
    readers: RwLock<HashMap<Box<str>, Arc<Reader>>>,
    counted: Arc<AtomicUsize>,
}

/// What one group reads of a topic.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Messages that were handed out.
    pub(crate) gets: Tally,
    /// How long handing them out took in ms, of one pull in sixteen.
    pub(crate) latency: Tally,
    /// Messages that came back.
    pub(crate) returns: Tally,
    /// Where the group looks next, by queue.
    next: RwLock<Vec<AtomicI64>>,
}

impl Traffic {
    /// Nothing so far; `counted` is how many readers all topics have together.
    pub(crate) fn new(system: bool, counted: &Arc<AtomicUsize>) -> Self {
        Self { puts: Tally::default(), system, readers: RwLock::default(), counted: Arc::clone(counted) }
    }

    /// The counters of a group, made when this is its first message. `None` when too many are counted already.
    pub(crate) fn reader(&self, group: &str) -> Option<Arc<Reader>> {
        if let Some(reader) = self.find_reader(group) {
            return Some(reader);
        }
        let mut readers = self.readers.write();
        if let Some(reader) = readers.get(group) {
            return Some(Arc::clone(reader));
        }
        if self.counted.fetch_add(1, Ordering::Relaxed) >= MAX_READERS {
            self.counted.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let reader = Arc::<Reader>::default();
        readers.insert(group.into(), Arc::clone(&reader));
        Some(reader)
    }

    /// The counters of a group that has read something.
    pub(crate) fn find_reader(&self, group: &str) -> Option<Arc<Reader>> {
        self.readers.read().get(group).cloned()
    }

    /// Forgets a group.
    pub(crate) fn forget(&self, group: &str) {
        if self.readers.write().remove(group).is_some() {
            self.counted.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes the samples that are due.
    pub(crate) fn sample(&self, now_ms: i64) {
        self.puts.sample(now_ms);
        for reader in self.readers.read().values() {
            reader.gets.sample(now_ms);
            reader.latency.sample(now_ms);
            reader.returns.sample(now_ms);
        }
    }
}

impl Reader {
    /// The group has everything of a queue below `next_offset`, though it may not have consumed it.
    pub(crate) fn moved(&self, queue_id: u32, next_offset: i64) {
        let at = usize::try_from(queue_id).unwrap_or(usize::MAX);
        if let Some(next) = self.next.read().get(at) {
            return next.store(next_offset, Ordering::Relaxed);
        }
        let mut next = self.next.write();
        if next.len() <= at {
            next.resize_with(at.saturating_add(1).min(MAX_QUEUES), || AtomicI64::new(-1));
        }
        if let Some(next) = next.get(at) {
            next.store(next_offset, Ordering::Relaxed);
        }
    }

    /// Where the group looks next in a queue; `None` when it has read nothing of it since the start.
    pub(crate) fn next(&self, queue_id: i32) -> Option<i64> {
        let next = self.next.read();
        let next = next.get(usize::try_from(queue_id).ok()?)?.load(Ordering::Relaxed);
        (next >= 0).then_some(next)
    }

    /// Messages were handed out; `took` is how long the look for them took, if it was measured.
    pub(crate) fn got(&self, messages: usize, bytes: usize, took: Option<Duration>) {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.gets.add(1, count(messages), count(bytes));
        if let Some(took) = took {
            self.latency.add(1, u64::try_from(took.as_millis()).unwrap_or(u64::MAX), 0);
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.counted.fetch_sub(self.readers.get_mut().len(), Ordering::Relaxed);
    }
}

/// Something that is counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    events: AtomicU64,
    amount: AtomicU64,
    bytes: AtomicU64,
    windows: Mutex<Option<Box<Windows>>>,
}

/// A tally at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// How often something happened.
    pub(crate) events: u64,
    /// What it came to.
    pub(crate) amount: u64,
    /// And in bytes.
    pub(crate) bytes: u64,
}

impl Tally {
    /// Counts `events` that come to `amount` and to `bytes` together.
    pub(crate) fn add(&self, events: u64, amount: u64, bytes: u64) {
        self.amount.fetch_add(amount, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// Whether the next event is one of those that are worth measuring: one in sixteen.
    pub(crate) fn is_sixteenth(&self) -> bool {
        self.events.load(Ordering::Relaxed).is_multiple_of(16)
    }

    fn read(&self) -> Reading {
        Reading {
            events: self.events.load(Ordering::Relaxed),
            amount: self.amount.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    fn sample(&self, now_ms: i64) {
        let reading = self.read();
        if reading.events > 0 {
            self.windows.lock().get_or_insert_default().sample(now_ms, reading);
        }
    }

    /// The windows; `None` when nothing was counted.
    pub(crate) fn stats(&self, now_ms: i64, of: fn(&Reading) -> u64) -> Option<BrokerStats> {
        let reading = self.read();
        let windows = self.windows.lock();
        let stats = match &*windows {
            Some(windows) => windows.stats(now_ms, reading, of),
            None => Windows::default().stats(now_ms, reading, of),
        };
        (reading.events > 0).then_some(stats)
    }

    /// The rate of the last minute.
    pub(crate) fn tps(&self, now_ms: i64) -> f64 {
        self.stats(now_ms, |reading| reading.amount).map_or(0.0, |stats| stats.stats_minute.tps)
    }
}

/// Samples of the last minute, hour and day.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    minute: Window,
    hour: Window,
    day: Window,
}

#[derive(Debug, Default)]
struct Window(VecDeque<(i64, Reading)>);

impl Windows {
    /// Keeps what was counted up to now in each window whose step has passed.
    pub(crate) fn sample(&mut self, now_ms: i64, reading: Reading) {
        self.minute.sample(now_ms, reading, MINUTE_STEP_MS, 7);
        self.hour.sample(now_ms, reading, HOUR_STEP_MS, 7);
        self.day.sample(now_ms, reading, DAY_STEP_MS, 25);
    }

    /// What was counted in each window, of which `now` is the end.
    pub(crate) fn stats(&self, now_ms: i64, now: Reading, of: fn(&Reading) -> u64) -> BrokerStats {
        let minute = self.minute.stats(now_ms, now, of);
        BrokerStats {
            stats_day: self.day.stats(now_ms, now, of),
            stats_hour: self.hour.stats(now_ms, now, of),
            stats_minute: minute,
        }
    }
}

impl Window {
    fn sample(&mut self, now_ms: i64, reading: Reading, step_ms: i64, most: usize) {
        match self.0.back() {
            // It began to count at some time since the last look, when there was nothing.
            None => self.0.push_back((now_ms - LEAST_SPAN_MS, Reading::default())),
            Some((last, _)) if now_ms - last < step_ms => return,
            Some(_) => {}
        }
        self.0.push_back((now_ms, reading));
        let span = step_ms * i64::try_from(most - 1).unwrap_or(i64::MAX);
        while self.0.len() > most || self.0.get(1).is_some_and(|(next, _)| now_ms - next >= span) {
            self.0.pop_front();
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    fn stats(&self, now_ms: i64, now: Reading, of: fn(&Reading) -> u64) -> Stats {
        let (from_ms, from) = self.0.front().copied().unwrap_or((now_ms, Reading::default()));
        let sum = of(&now).saturating_sub(of(&from));
        let events = now.events.saturating_sub(from.events);
        let span_ms = (now_ms - from_ms).max(LEAST_SPAN_MS);
        Stats {
            avgpt: if events == 0 { 0.0 } else { sum as f64 / events as f64 },
            sum: i64::try_from(sum).unwrap_or(i64::MAX),
            tps: sum as f64 * 1_000.0 / span_ms as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tally: &Tally, now_ms: i64) -> [i64; 3] {
        let stats = tally.stats(now_ms, |reading| reading.amount).unwrap();
        [stats.stats_minute, stats.stats_hour, stats.stats_day].map(|stats| stats.sum)
    }

    #[test]
    fn each_window_forgets_what_is_older() {
        let tally = Tally::default();
        let mut now_ms = 0;
        assert!(tally.stats(now_ms, |reading| reading.amount).is_none());
        tally.add(2, 10, 100);
        assert_eq!(amount(&tally, now_ms), [10; 3]);
        let mut pass = |seconds: i64| {
            for _ in 0..seconds / 10 {
                now_ms += 10_000;
                tally.sample(now_ms);
            }
            amount(&tally, now_ms)
        };
        assert_eq!(pass(30), [10; 3]);
        assert_eq!(pass(60), [0, 10, 10]);
        assert_eq!(pass(3_600), [0, 0, 10]);
        assert_eq!(pass(25 * 3_600), [0, 0, 0]);
    }

    #[test]
    fn rates_are_of_the_time_that_has_passed() {
        let tally = Tally::default();
        tally.add(3, 30, 300);
        let minute = |now_ms| tally.stats(now_ms, |reading| reading.amount).unwrap().stats_minute;
        assert_eq!(minute(0), Stats { avgpt: 10.0, sum: 30, tps: 3.0 });
        tally.sample(0);
        tally.sample(10_000);
        assert_eq!(minute(20_000), Stats { avgpt: 10.0, sum: 30, tps: 1.0 });
    }

    #[test]
    fn a_clock_that_leaps_leaves_no_old_samples() {
        let tally = Tally::default();
        tally.add(1, 1, 1);
        tally.sample(0);
        tally.sample(100 * DAY_STEP_MS);
        assert_eq!(amount(&tally, 100 * DAY_STEP_MS), [0; 3]);
    }

    #[test]
    fn counted_readers_are_limited() {
        let counted = Arc::default();
        let traffic = Traffic::new(false, &counted);
        for number in 0..MAX_READERS {
            assert!(traffic.reader(&number.to_string()).is_some());
        }
        let other = Traffic::new(false, &counted);
        assert!(other.reader("late").is_none());
        traffic.forget("7");
        assert!(other.reader("late").is_some());
        drop(traffic);
        assert_eq!(counted.load(Ordering::Relaxed), 1);
    }
}
