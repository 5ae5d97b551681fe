//! What is counted of a topic: for metrics, and for tools that ask a consumer how it is.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::meters::Meters;

/// How often the counters are looked at.
pub(super) const SAMPLE: Duration = Duration::from_secs(10);

/// Samples that are kept: an hour.
const SAMPLES: usize = 360;

/// Samples that rates are made of: a minute.
const MINUTE: usize = 6;

/// The messages of one topic that a consumer pulled and handled.
#[derive(Debug)]
pub(crate) struct Lane {
    done: AtomicU64,
    failed: AtomicU64,
    handled_micros: AtomicU64,
    pulls: AtomicU64,
    pulled: AtomicU64,
    pull_micros: AtomicU64,
    samples: Mutex<VecDeque<Sample>>,
    meters: Meters,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    done: u64,
    failed: u64,
    handled_micros: u64,
    pulls: u64,
    pulled: u64,
    pull_micros: u64,
}

/// Rates over the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) pull_ms: f64,
    pub(crate) pulled_per_second: f64,
    pub(crate) handle_ms: f64,
    pub(crate) done_per_second: f64,
    pub(crate) failed_per_second: f64,
    /// In the last hour.
    pub(crate) failed: u64,
}

impl Lane {
    pub(super) fn new(client_id: &str, group: &str, topic: &str) -> Arc<Self> {
        Arc::new(Self {
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            handled_micros: AtomicU64::new(0),
            pulls: AtomicU64::new(0),
            pulled: AtomicU64::new(0),
            pull_micros: AtomicU64::new(0),
            samples: Mutex::default(),
            meters: Meters::new(client_id, group, topic),
        })
    }

    /// Counts a pull that took so long and brought messages that were stored at these times.
    pub(super) fn pulled(&self, stored: impl Iterator<Item = i64>, now_ms: i64, took: Duration) {
        let mut messages = 0;
        for stored in stored {
            let latency = u64::try_from(now_ms.saturating_sub(stored)).unwrap_or(0);
            self.meters.arrived(latency);
            messages += 1;
        }
        self.pulls.fetch_add(1, Ordering::Relaxed);
        self.pulled.fetch_add(messages, Ordering::Relaxed);
        self.pull_micros.fetch_add(micros(took), Ordering::Relaxed);
    }

    /// Counts a handler call that begins so long after its messages arrived.
    pub(super) fn begins(&self, awaited: Duration) {
        self.meters.begins(awaited);
    }

    /// Counts a handler call.
    pub(super) fn handled(&self, done: usize, failed: usize, took: Duration) {
        self.done.fetch_add(count(done), Ordering::Relaxed);
        self.failed.fetch_add(count(failed), Ordering::Relaxed);
        self.handled_micros.fetch_add(micros(took), Ordering::Relaxed);
        self.meters.handled(failed == 0, took);
    }

    fn look(&self, at: Instant) -> Sample {
        Sample {
            at,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            handled_micros: self.handled_micros.load(Ordering::Relaxed),
            pulls: self.pulls.load(Ordering::Relaxed),
            pulled: self.pulled.load(Ordering::Relaxed),
            pull_micros: self.pull_micros.load(Ordering::Relaxed),
        }
    }

    /// Remembers where the counters are, and tells the recorder what is in memory.
    fn sample(&self, at: Instant, cached_messages: usize, cached_bytes: u64) {
        let mut samples = self.samples.lock();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(self.look(at));
        self.meters.cached(cached_messages, cached_bytes);
    }

    /// What the last minute was like.
    pub(crate) fn rates(&self, now: Instant) -> Rates {
        let now = self.look(now);
        let samples = self.samples.lock();
        let hour = samples.front().map_or(0, |sample| sample.failed);
        let Some(then) = samples.get(samples.len().saturating_sub(MINUTE)) else {
            return Rates { failed: now.failed, ..Rates::default() };
        };
        let seconds = (now.at - then.at).as_secs_f64().max(1.0);
        let per_second = |now: u64, then: u64| ratio(now - then, 1) / seconds;
        let handled = (now.done - then.done) + (now.failed - then.failed);
        Rates {
            pull_ms: ratio(now.pull_micros - then.pull_micros, now.pulls - then.pulls) / 1e3,
            pulled_per_second: per_second(now.pulled, then.pulled),
            handle_ms: ratio(now.handled_micros - then.handled_micros, handled) / 1e3,
            done_per_second: per_second(now.done, then.done),
            failed_per_second: per_second(now.failed, then.failed),
            failed: now.failed - if samples.len() == SAMPLES { hour } else { 0 },
        }
    }
}

/// The lanes of one consumer, by topic.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<String, Arc<Lane>>>);

impl Lanes {
    /// The lane of a topic, made when it is first asked for.
    pub(super) fn of(&self, client_id: &str, group: &str, topic: &str) -> Arc<Lane> {
        let mut lanes = self.0.lock();
        if let Some(lane) = lanes.get(topic) {
            return Arc::clone(lane);
        }
        let lane = Lane::new(client_id, group, topic);
        lanes.insert(topic.to_owned(), Arc::clone(&lane));
        lane
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Lane>)> {
        self.0.lock().iter().map(|(topic, lane)| (topic.clone(), Arc::clone(lane))).collect()
    }

    /// Remembers where the counters of every topic are; `cached` says what is in memory of it.
    pub(super) fn sample(&self, cached: &HashMap<String, (usize, u64)>) {
        let now = Instant::now();
        for (topic, lane) in self.all() {
            let (messages, bytes) = cached.get(&topic).copied().unwrap_or_default();
            lane.sample(now, messages, bytes);
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A quotient for people to read; 0 over nothing.
#[expect(clippy::cast_precision_loss, reason = "a number over 2^53 is not read to its last digit")]
fn ratio(number: u64, over: u64) -> f64 {
    if over == 0 { 0.0 } else { number as f64 / over as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let lane = Lane::new("id", "g", "t");
        let mut now = Instant::now();
        assert_eq!(lane.rates(now), Rates::default());
        lane.handled(1_000, 1_000, Duration::from_secs(1));
        for _ in 0..20 {
            lane.sample(now, 0, 0);
            now += SAMPLE;
            lane.handled(20, 10, Duration::from_millis(60));
            lane.pulled(std::iter::repeat_n(0, 30), 7, Duration::from_millis(5));
        }
        let rates = lane.rates(now);
        assert!((rates.done_per_second - 2.0).abs() < 0.01, "{rates:?}");
        assert!((rates.failed_per_second - 1.0).abs() < 0.01, "{rates:?}");
        assert!((rates.handle_ms - 2.0).abs() < 0.01, "{rates:?}");
        assert!((rates.pull_ms - 5.0).abs() < 0.01, "{rates:?}");
        assert_eq!(rates.failed, 1_200);
    }
}
