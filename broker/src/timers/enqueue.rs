//! From the timer topic into the wheel.

use std::sync::atomic::Ordering;

use rocketmq_boot_protocol::{
    message::{
        hash::java_hash,
        property as keys,
        record::{Record, records},
    },
    topic,
};
use rocketmq_boot_store::{Heat, ReadLimit, ReadStatus, TimerUnit, Timers as Wheel};

use super::Running;
use crate::{config::Settings, state::State};

/// How much is read before others get their turn.
const LIMIT: ReadLimit = ReadLimit { max_messages: 256, max_bytes: 1 << 20, max_scan: 256 };

/// Why the wheel could not be filled or emptied. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    #[error(transparent)]
    Read(#[from] rocketmq_boot_store::ReadError),
    #[error("the timer log: {0}")]
    Log(#[from] std::io::Error),
    #[error(transparent)]
    Append(#[from] rocketmq_boot_store::AppendError),
}

impl State {
    /// Puts what came into the timer topic into the wheel; tells whether there was something.
    pub(super) fn enqueue_timers(&self, running: &mut Running) -> Result<bool, Stuck> {
        let settings = &self.settings;
        // What has to be delivered at once is held in memory, so it is delivered first.
        if settings.timers.stop_enqueue || !running.immediate.is_empty() {
            return Ok(false);
        }
        let Some(topic) = self.topics.find(topic::TIMER_TOPIC) else { return Ok(false) };
        if running.refill.is_some_and(|refill| running.next_offset >= refill.below) {
            running.end_refill();
        }
        let queue = self.topics.queue(&topic, 0);
        let (from, mut bytes) = (running.next_offset, Vec::new());
        let outcome =
            self.store.read(&queue.stored, from, LIMIT, &mut |_| true, &mut bytes, Heat::Unmapped)?;
        if outcome.status != ReadStatus::Found {
            if outcome.next_offset == from || outcome.status == ReadStatus::Cold {
                running.end_refill();
                return Ok(false);
            }
            tracing::warn!(from, next = outcome.next_offset, "timer messages are gone from the log");
            running.next_offset = outcome.next_offset;
            return Ok(true);
        }
        let now_ms = self.clock.now_ms();
        let mut found = Found::default();
        for record in records(&bytes) {
            let Ok(record) = record else {
                tracing::error!(from, "a timer message is damaged; dropped");
                break;
            };
            found.add(&record, running, settings, now_ms);
        }
        let count = found.units.len();
        found.put(running, now_ms)?;
        self.timers.shown.enqueued.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        running.next_offset = outcome.next_offset;
        Ok(true)
    }
}

/// Units of one read, with the topics that they are for.
#[derive(Debug, Default)]
struct Found<'a> {
    units: Vec<TimerUnit>,
    topics: Vec<&'a str>,
}

impl<'a> Found<'a> {
    fn add(&mut self, record: &Record<'a>, running: &Running, settings: &Settings, now_ms: i64) {
        let Some((unit, topic)) = unit_of(record, &running.wheel, settings, now_ms) else {
            tracing::error!(
                offset = record.queue_offset,
                position = record.physical_offset,
                "a timer message does not say when or where it goes; dropped"
            );
            return;
        };
        let delivered = running
            .refill
            .is_some_and(|refill| record.queue_offset < refill.below && unit.due_ms < refill.read_ms);
        if !delivered {
            self.units.push(unit);
            self.topics.push(topic);
        }
    }

    fn put(self, running: &mut Running, now_ms: i64) -> Result<(), Stuck> {
        let now_tick = running.wheel.tick(now_ms);
        let (precision_ms, fired) = (running.wheel.precision_ms(), &running.fired);
        let tick = |unit: &TimerUnit| unit.due_ms.div_euclid(precision_ms);
        // A tick that was fired is never fired again, should the clock have been set back to before it.
        let waits = |unit: &TimerUnit| {
            let tick = tick(unit);
            tick >= now_tick
                && !fired.contains_key(&tick)
                && running.firing.as_ref().is_none_or(|firing| firing.tick() != tick)
        };
        let waiting: Vec<bool> = self.units.iter().map(waits).collect();
        let mut each = waiting.iter();
        running.wheel.put(&self.units, |_| each.next().copied().unwrap_or(false))?;
        for ((unit, topic), waits) in self.units.into_iter().zip(self.topics).zip(waiting) {
            if waits {
                running.cursor = running.cursor.min(tick(&unit));
                running.counts.add(topic, if unit.recalls { -1 } else { 1 }, now_ms);
            } else {
                running.immediate.push_back(TimerUnit { enqueued_ms: i64::MAX, ..unit });
            }
        }
        Ok(())
    }
}

/// The unit of a record, and the topic that the record is for.
fn unit_of<'a>(
    record: &Record<'a>,
    wheel: &Wheel,
    settings: &Settings,
    now_ms: i64,
) -> Option<(TimerUnit, &'a str)> {
    let out_ms: i64 = record.property(keys::TIMER_OUT_MS)?.parse().ok()?;
    let topic = record.property(keys::REAL_TOPIC)?;
    let precision_ms = settings.timers.precision_ms();
    let enqueued_ms = wheel.tick(now_ms).saturating_mul(precision_ms);
    let window_ticks = window_ticks(settings);
    let window_ms = window_ticks.saturating_mul(precision_ms);
    let beyond_ms = out_ms.saturating_sub(enqueued_ms).saturating_sub(window_ms);
    let rolls = beyond_ms >= 0;
    let due_ms = match rolls {
        false => out_ms,
        // Little would be left for the next round: this one is made shorter.
        true if beyond_ms < window_ticks / 3 * precision_ms => {
            enqueued_ms.saturating_add(window_ticks / 2 * precision_ms)
        }
        true => enqueued_ms.saturating_add(window_ms),
    };
    let unit = TimerUnit {
        position: u64::try_from(record.physical_offset).ok()?,
        size: record.total_size,
        due_ms,
        enqueued_ms,
        rolls,
        recalls: record.property(keys::TIMER_DEL_UNIQKEY).is_some(),
        topic_hash: java_hash(topic),
    };
    Some((unit, topic))
}

/// Ticks that a message waits at most before it is written anew: well before its file of the log expires.
fn window_ticks(settings: &Settings) -> i64 {
    let kept_ms = i64::try_from(settings.file_reserved.as_millis()).unwrap_or(i64::MAX);
    let kept_ticks = kept_ms / 3 * 2 / settings.timers.precision_ms();
    settings.timers.roll_window_ticks.min(kept_ticks).max(2)
}
