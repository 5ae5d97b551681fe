//! What the broker measures of its own work: how much goes in and out, of which topic and for which group, how fast.
//!
//! Requests only add to counters, once a batch where they can. Everything that needs a table of times is made by
//! [`State::sample`]: once a second for the rates of the whole broker, every ten seconds for topics and groups. Whoever
//! asks gets what was counted up to this moment, compared with the oldest sample that its window still holds.

mod put_times;
mod rates;
mod tally;

use std::{sync::Arc, time::Duration};

use jiff::civil::Date;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{body::stats::BrokerStats, topic};

pub(crate) use self::{
    put_times::PutTimes,
    rates::{Rates, Work},
    tally::{Reader, Traffic},
};
use self::{rates::Sampled, tally::Windows};
use crate::{schedule::until, state::State};

/// Between two samples of the whole broker.
const SECOND_MS: i64 = 1_000;

/// Between two samples of topics and groups.
const TALLIES_MS: i64 = 10_000;

/// The measurements of the whole broker.
#[derive(Debug)]
pub(crate) struct Statistics {
    /// When the broker started, in ms since 1970.
    pub(crate) started_ms: i64,
    pub(crate) put_times: PutTimes,
    state: Mutex<Samples>,
}

#[derive(Debug)]
struct Samples {
    rates: Rates,
    puts: Windows,
    gets: Windows,
    tallies_at: i64,
    days: Days,
}

/// Totals at the last two midnights, as clocks on the wall have them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Days {
    date: Date,
    pub(crate) put_yesterday: u64,
    pub(crate) put_today: u64,
    pub(crate) got_yesterday: u64,
    pub(crate) got_today: u64,
}

impl Statistics {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            started_ms: now_ms,
            put_times: PutTimes::default(),
            state: Mutex::new(Samples {
                rates: Rates::new(Sampled { at_ms: now_ms, work: Work::default() }),
                puts: Windows::default(),
                gets: Windows::default(),
                tallies_at: now_ms,
                days: Days { date: date(now_ms), ..Days::default() },
            }),
        }
    }
}

impl State {
    /// Takes samples for as long as the broker runs.
    pub(crate) async fn keep_statistics(self: Arc<Self>) {
        loop {
            let next = self.sample() + SECOND_MS;
            tokio::select! {
                () = until(&self.clock, Some(next)) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// What was done since the start.
    pub(crate) fn work(&self) -> Work {
        let timed = self.store.find_queue(topic::TIMER_TOPIC, 0).map_or(0, |queue| queue.max_offset());
        Work { timed: u64::try_from(timed).unwrap_or(0), fired: self.timers.fired(), ..self.counters.work() }
    }

    /// Takes the samples that are due and answers when it was.
    pub(crate) fn sample(&self) -> i64 {
        let now_ms = self.clock.now_ms();
        let work = self.work();
        let mut samples = self.statistics.state.lock();
        samples.rates.sample(Sampled { at_ms: now_ms, work }, SECOND_MS);
        samples.days.turn(now_ms, &work);
        if now_ms - samples.tallies_at >= TALLIES_MS {
            samples.tallies_at = now_ms;
            samples.puts.sample(now_ms, work.put_reading());
            samples.gets.sample(now_ms, work.transferred_reading());
            self.statistics.put_times.turn(now_ms);
            drop(samples);
            self.topics.for_each(|topic| topic.sample(now_ms));
        }
        now_ms
    }

    /// Messages a second over the last 10, 60 and 600 seconds, in Apache's form: three numbers apart by blanks.
    pub(crate) fn rate(&self, of: fn(&Work) -> u64) -> String {
        let now = Sampled { at_ms: self.sample(), work: self.work() };
        let samples = self.statistics.state.lock();
        let over = |seconds| format!("{:?}", samples.rates.over(now, Duration::from_secs(seconds), of));
        format!("{} {} {}", over(10), over(60), over(600))
    }

    /// The totals at the last midnights.
    pub(crate) fn days(&self) -> Days {
        self.sample();
        self.statistics.state.lock().days
    }

    /// One measurement by Apache's names; `None` when nothing was counted.
    pub(crate) fn stats(&self, name: &str, key: &str) -> Option<BrokerStats> {
        let now_ms = self.sample();
        match name {
            "TOPIC_PUT_NUMS" => self.topics.find(key)?.traffic.puts.stats(now_ms, |read| read.amount),
            "TOPIC_PUT_SIZE" => self.topics.find(key)?.traffic.puts.stats(now_ms, |read| read.bytes),
            "GROUP_GET_NUMS" => self.reader(key)?.gets.stats(now_ms, |read| read.amount),
            "GROUP_GET_SIZE" => self.reader(key)?.gets.stats(now_ms, |read| read.bytes),
            "GROUP_GET_LATENCY" => self.reader(key)?.latency.stats(now_ms, |read| read.amount),
            "SNDBCK_PUT_NUMS" => self.reader(key)?.returns.stats(now_ms, |read| read.amount),
            "BROKER_PUT_NUMS" | "BROKER_GET_NUMS" if key == self.settings.cluster_name => {
                let work = self.work();
                let samples = self.statistics.state.lock();
                let (windows, reading) = match name {
                    "BROKER_PUT_NUMS" => (&samples.puts, work.put_reading()),
                    _ => (&samples.gets, work.transferred_reading()),
                };
                (reading.events > 0).then(|| windows.stats(now_ms, reading, |read| read.amount))
            }
            _ => None,
        }
    }

    /// What a group reads, by Apache's key `topic@group`.
    fn reader(&self, key: &str) -> Option<Arc<Reader>> {
        let (topic, group) = key.split_once('@')?;
        self.topics.find(topic)?.traffic.find_reader(group)
    }
}

impl Days {
    fn turn(&mut self, now_ms: i64, work: &Work) {
        let date = date(now_ms);
        if date != self.date {
            self.date = date;
            (self.put_yesterday, self.got_yesterday) = (self.put_today, self.got_today);
            (self.put_today, self.got_today) = (work.put_by_users, work.got_by_users);
        }
    }
}

/// The date that calendars on the wall show.
fn date(now_ms: i64) -> Date {
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    now.to_zoned(jiff::tz::TimeZone::system()).date()
}
