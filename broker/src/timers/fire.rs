//! From the wheel to where the messages were meant to go.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use rocketmq_boot_protocol::{
    message::{
        property as keys,
        record::{Draft, Record},
    },
    topic,
};
use rocketmq_boot_store::{Append, AppendError, ReadError, SlotUnits, TimerUnit};

use super::{Fired, Running, counts::TimerCounts, enqueue::Stuck};
use crate::{
    properties::{Marks, replace},
    state::State,
    topics::{Topic, TopicQueue},
};

/// Messages and bytes that are delivered in one go.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 4 << 20;

/// How often a record is read that the disk does not give.
const READS: usize = 3;

/// A tick on its way out.
#[derive(Debug)]
pub(super) struct Firing {
    units: SlotUnits,
    /// Read from the wheel, not delivered yet.
    buffered: VecDeque<TimerUnit>,
    recalls: Recalls,
    /// The position behind the last message that this tick made.
    end: u64,
}

/// What the messages of a tick take back: by key, the topic and whether it was there.
type Recalls = HashMap<String, (String, bool)>;

/// A message that is about to be stored.
struct Prepared {
    bytes: Vec<u8>,
    properties: String,
    tags_code: i64,
    topic: Arc<Topic>,
    queue_id: i32,
    queue: Arc<TopicQueue>,
    rolls: bool,
    /// The topic whose count changes with it, and by how much.
    counted: Option<(String, i64)>,
}

impl Firing {
    pub(super) fn tick(&self) -> i64 {
        self.units.tick()
    }
}

impl State {
    /// Delivers some of what is due; tells whether there was something.
    pub(super) fn fire_timers(self: &Arc<Self>, running: &mut Running) -> Result<bool, Stuck> {
        if self.settings.timers.stop_dequeue {
            return Ok(false);
        }
        if !running.immediate.is_empty() {
            let mut immediate = std::mem::take(&mut running.immediate);
            let delivered = self.deliver_units(&mut immediate, &mut Recalls::new(), running);
            running.immediate = immediate;
            running.immediate_end = running.immediate_end.max(delivered?);
            return Ok(true);
        }
        let Some(mut firing) = self.begin_tick(running)? else { return Ok(false) };
        let fired = self.fire_some(&mut firing, running);
        match fired {
            Ok(true) => self.end_tick(firing, running),
            _ => running.firing = Some(firing),
        }
        fired.map(|_| true)
    }

    /// The tick that is being fired, or the next one when it is over.
    fn begin_tick(&self, running: &mut Running) -> Result<Option<Firing>, Stuck> {
        if let Some(firing) = running.firing.take() {
            return Ok(Some(firing));
        }
        let now_ms = self.clock.now_ms();
        let Some(tick) = running.next_tick().filter(|tick| running.wheel.due_ms(*tick) <= now_ms) else {
            return Ok(None);
        };
        let units = running.wheel.units(tick)?;
        let mut recalls = Recalls::new();
        for unit in units.recalls() {
            let Some(bytes) = self.timer_record(unit) else { continue };
            let Ok(record) = Record::decode(&bytes) else { continue };
            if let (Some(key), Some(topic)) =
                (record.property(keys::TIMER_DEL_UNIQKEY), record.property(keys::REAL_TOPIC))
            {
                recalls.insert(key.to_owned(), (topic.to_owned(), false));
            }
        }
        Ok(Some(Firing { units, buffered: VecDeque::new(), recalls, end: 0 }))
    }

    /// Delivers some messages of a tick; tells whether they were the last.
    fn fire_some(self: &Arc<Self>, firing: &mut Firing, running: &mut Running) -> Result<bool, Stuck> {
        if firing.buffered.is_empty() {
            firing.buffered = running.wheel.next_units(&mut firing.units)?.into();
        }
        if firing.buffered.is_empty() {
            return Ok(true);
        }
        let end = self.deliver_units(&mut firing.buffered, &mut firing.recalls, running)?;
        firing.end = firing.end.max(end);
        Ok(false)
    }

    fn end_tick(&self, firing: Firing, running: &mut Running) {
        let now_ms = self.clock.now_ms();
        for (topic, there) in firing.recalls.into_values() {
            if !there {
                // It was counted as one less, and there was none.
                running.counts.add(&topic, 1, now_ms);
            }
        }
        let tick = firing.units.tick();
        running.fired.insert(tick, Fired { end: firing.end, count: running.wheel.pending_in(tick) });
        running.cursor = running.cursor.max(tick.saturating_add(1));
        running.release(self.store.flushed());
    }

    /// Delivers units from the front, as many as go in one batch; answers the position behind them.
    ///
    /// Each is taken from `units` once it is stored, or known never to be.
    fn deliver_units(
        self: &Arc<Self>,
        units: &mut VecDeque<TimerUnit>,
        recalls: &mut Recalls,
        running: &mut Running,
    ) -> Result<u64, Stuck> {
        let (mut prepared, mut bytes, mut taken) = (Vec::new(), 0, 0);
        for unit in units.iter() {
            if prepared.len() == BATCH || bytes >= BATCH_BYTES {
                break;
            }
            taken += 1;
            if let Some(message) = self.prepare(unit, recalls, &mut running.counts) {
                bytes += message.bytes.len();
                prepared.push((taken, message));
            }
        }
        let mut appends = Vec::with_capacity(prepared.len());
        for (_, message) in &prepared {
            // It was decoded before; a record that is none is not prepared.
            if let Ok(record) = Record::decode(&message.bytes) {
                appends.push(self.append_of(message, &record));
            }
        }
        self.store.append(&mut appends);
        let outcomes: Vec<_> = appends.into_iter().map(|append| append.outcome).collect();
        let (mut end, mut stuck) = (0, None);
        for ((nth, message), outcome) in prepared.iter().zip(outcomes) {
            match outcome.unwrap_or(Err(AppendError::Closed)) {
                Ok(appended) => {
                    end = end.max(appended.end());
                    self.wake_when_readable(&message.queue, appended.end());
                    if message.rolls {
                        self.timers.added.notify_one();
                    }
                }
                Err(
                    error @ (AppendError::TooLarge { .. }
                    | AppendError::Record(_)
                    | AppendError::Topic { .. }),
                ) => {
                    tracing::error!(topic = message.topic.name(), %error, "a timer message can never be delivered; dropped");
                }
                Err(error) => {
                    // The store takes nothing, so those behind it were not stored either.
                    taken = nth - 1;
                    stuck = Some(error);
                    break;
                }
            }
            if let Some((topic, by)) = &message.counted {
                running.counts.add(topic, *by, self.clock.now_ms());
            }
        }
        units.drain(..taken);
        self.timers.shown.delivered.fetch_add(u64::try_from(taken).unwrap_or(0), Ordering::Relaxed);
        match stuck {
            Some(error) if end == 0 => Err(error.into()),
            _ => Ok(end),
        }
    }

    /// What becomes of a unit's record; `None` when that is nothing.
    fn prepare(&self, unit: &TimerUnit, recalls: &mut Recalls, counts: &mut TimerCounts) -> Option<Prepared> {
        let bytes = self.timer_record(unit)?;
        let record = Record::decode(&bytes).ok()?;
        let out_ms = record.property(keys::TIMER_OUT_MS).and_then(|text| text.parse::<i64>().ok());
        if record.topic != topic::TIMER_TOPIC
            || out_ms.is_none_or(|out_ms| out_ms > unit.due_ms && !unit.rolls)
        {
            tracing::warn!(
                position = unit.position,
                "a timer's place in the log was taken by another message"
            );
            return None;
        }
        if unit.recalls && !unit.rolls || is_recalled(&record, recalls) {
            return None;
        }
        // What goes round once more is counted again when it is found again.
        let by = if unit.recalls { 1 } else { -1 };
        let counted = record.property(keys::REAL_TOPIC).filter(|_| unit.enqueued_ms != i64::MAX);
        let destination = match unit.rolls {
            true => self.topics.find(topic::TIMER_TOPIC).map(|topic| (topic, 0)),
            false => self.real_destination(&record),
        };
        let Some((topic, queue_id)) = destination else {
            counted.inspect(|topic| counts.add(topic, by, self.clock.now_ms()));
            return None;
        };
        let counted = counted.map(|topic| (topic.to_owned(), by));
        let properties = delivered(&record, unit, self.clock.now_ms());
        let tags_code = Marks::of(&properties).tags_code();
        let queue = self.topics.queue(&topic, queue_id);
        Some(Prepared { properties, tags_code, topic, queue_id, queue, rolls: unit.rolls, counted, bytes })
    }

    fn append_of<'a>(&self, message: &'a Prepared, record: &Record<'a>) -> Append<'a> {
        Append {
            queue: &message.queue.stored,
            draft: Draft {
                queue_id: message.queue_id,
                flag: record.flag,
                sys_flag: record.sys_flag,
                born_timestamp: record.born_timestamp,
                born_host: record.born_host,
                store_host: self.store_host(),
                reconsume_times: record.reconsume_times,
                prepared_transaction_offset: 0,
                body: record.body,
                topic: message.topic.name().as_bytes(),
                properties: message.properties.as_bytes(),
                more_properties: &[],
            },
            tags_code: message.tags_code,
            joined: false,
            outcome: None,
        }
    }

    /// The record of a unit. One that cannot be had is given up, so that it does not stand in the way of the others.
    fn timer_record(&self, unit: &TimerUnit) -> Option<Vec<u8>> {
        let position = unit.position;
        for _ in 0..READS {
            match self.store.record(position) {
                Ok(Some(bytes)) => return Some(bytes),
                Ok(None) => {
                    tracing::warn!(position, "a timer message is gone from the log; dropped");
                    return None;
                }
                Err(error @ ReadError::Io { .. }) => {
                    tracing::warn!(position, %error, "a timer message cannot be read");
                }
                Err(error) => {
                    tracing::error!(position, %error, "a timer message is damaged; dropped");
                    return None;
                }
            }
        }
        tracing::error!(position, "a timer message could not be read; dropped");
        None
    }
}

/// Whether a message of this tick takes this one back. Recalls name the unique key, or the topic and it.
fn is_recalled(record: &Record<'_>, recalls: &mut Recalls) -> bool {
    let Some(key) = record.property(keys::UNIQ_KEY).filter(|_| !recalls.is_empty()) else { return false };
    let topic = record.property(keys::REAL_TOPIC).unwrap_or_default();
    let recalled = match recalls.get_mut(key) {
        Some(recall) => Some(recall),
        None => recalls.get_mut(&crate::recall::key_with_topic(topic, key)),
    };
    recalled.map(|recall| recall.1 = true).is_some()
}

/// The properties that a message is delivered with. Where it went stays among them, as Apache's consumers see it.
fn delivered(record: &Record<'_>, unit: &TimerUnit, now_ms: i64) -> String {
    let (enqueued, now) = (unit.enqueued_ms.to_string(), now_ms.to_string());
    let mut replaced =
        vec![(keys::TIMER_ENQUEUE_MS, Some(enqueued.as_str())), (keys::TIMER_DEQUEUE_MS, Some(now.as_str()))];
    let rounds = record.property(keys::TIMER_ROLL_TIMES).and_then(|text| text.parse::<u32>().ok());
    let rounds = rounds.unwrap_or(0).saturating_add(1).to_string();
    if unit.rolls {
        replaced.push((keys::TIMER_ROLL_TIMES, Some(&rounds)));
    }
    replace(&record.text(), &replaced)
}
