//! Delay levels: messages wait in `SCHEDULE_TOPIC_XXXX`, one queue a level, until they are due.
//!
//! All messages of a level wait equally long, so its queue is in the order of due times and only its head matters.
//! The task sleeps until the first head is due; nothing is polled. Progress is kept in `config/delayOffset.json`:
//! after a crash what was delivered since the last save is delivered again, as with Apache's broker.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Clock, DecodeError,
    body::{
        DataVersion,
        dialect::{Dialect, IdMap, write},
        lenient,
    },
    clock::Wait,
    message::{property as keys, record::Record},
    topic,
};
use rocketmq_boot_store::{Heat, ReadLimit, ReadStatus, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    error::StartError,
    files::{self, StateFile},
    state::{Own, State},
    topics::Topic,
};

/// Messages delivered in one go before others get their turn.
const BATCH: usize = 64;

/// How long a level waits after its messages could not be read or stored.
const PAUSE_MS: i64 = 1_000;

/// The levels and how far each has been delivered.
#[derive(Debug)]
pub(crate) struct Schedule {
    levels: Vec<Duration>,
    progress: Mutex<Progress>,
    file: StateFile,
    clock: Clock,
    /// Told when a message was put into a level's queue.
    pub(crate) added: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The next offset of each level, from level 1.
    next: BTreeMap<usize, i64>,
    version: DataVersion,
    dirty: bool,
}

/// `config/delayOffset.json`; 4.9 has no version in it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DelayOffsets {
    data_version: DataVersion,
    offset_table: IdMap<i64>,
}

/// What a look at the head of a level found.
enum Head {
    /// Delivered some; look again.
    Moved,
    /// Nothing waits.
    Empty,
    /// The head is due at this time, in ms since 1970.
    Due(i64),
}

impl Schedule {
    pub(crate) fn load(store: &Store, levels: Vec<Duration>, clock: &Clock) -> Result<Self, StartError> {
        let file = StateFile::new(store, files::DELAY_OFFSET);
        let read =
            |bytes: &[u8]| -> Result<DelayOffsets, DecodeError> { lenient::read(files::DELAY_OFFSET, bytes) };
        let loaded: DelayOffsets = file.load(read)?;
        let level = |(level, next): (i64, i64)| Some((usize::try_from(level).ok()?, next));
        Ok(Self {
            levels,
            progress: Mutex::new(Progress {
                next: loaded.offset_table.0.into_iter().filter_map(level).collect(),
                version: loaded.data_version,
                dirty: false,
            }),
            file,
            clock: clock.clone(),
            added: Arc::default(),
        })
    }

    /// When a message of `level` that is stored at `now_ms` is due.
    pub(crate) fn due(&self, level: usize, now_ms: i64) -> i64 {
        let delay = level.checked_sub(1).and_then(|at| self.levels.get(at)).copied().unwrap_or_default();
        now_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
    }

    /// The highest level.
    pub(crate) fn max_level(&self) -> usize {
        self.levels.len()
    }

    /// The levels that have delivered something, with the offset that each delivers next.
    pub(crate) fn delivered(&self) -> Vec<(usize, i64)> {
        self.progress.lock().next.iter().map(|(level, next)| (*level, *next)).collect()
    }

    /// The progress as it is kept, for 45.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let progress = self.progress.lock();
        write(&progress.table(), Dialect::Fastjson)
    }

    /// Writes the progress when it changed.
    pub(crate) fn save(&self) -> Result<(), files::SaveError> {
        if !std::mem::take(&mut self.progress.lock().dirty) {
            return Ok(());
        }
        let snapshot = || {
            let mut progress = self.progress.lock();
            progress.version.next(self.clock.now_ms());
            progress.table()
        };
        self.file
            .save(|| write(&snapshot(), Dialect::Fastjson))
            .inspect_err(|_| self.progress.lock().dirty = true)
    }

    /// The offset that each level delivers next.
    pub(crate) fn all(&self) -> Vec<(i64, i64)> {
        let entry = |(level, next): (&usize, &i64)| (i64::try_from(*level).unwrap_or(0), *next);
        self.progress.lock().next.iter().map(entry).collect()
    }

    fn next(&self, level: usize) -> i64 {
        self.progress.lock().next.get(&level).copied().unwrap_or(0)
    }

    fn advance(&self, level: usize, next: i64) {
        let mut progress = self.progress.lock();
        progress.next.insert(level, next);
        progress.dirty = true;
    }
}

impl Progress {
    fn table(&self) -> DelayOffsets {
        let entry = |(level, next): (&usize, &i64)| (i64::try_from(*level).unwrap_or(0), *next);
        DelayOffsets { data_version: self.version, offset_table: self.next.iter().map(entry).collect() }
    }
}

impl State {
    /// Delivers what is due, for as long as the broker runs.
    pub(crate) async fn deliver_delayed(self: Arc<Self>) {
        loop {
            let added = self.schedule.added.notified();
            let broker = Arc::clone(&self);
            // Reading may touch the disk.
            let next = tokio::task::spawn_blocking(move || broker.deliver_due()).await.unwrap_or(None);
            tokio::select! {
                () = added => {}
                () = until(&self.clock, next) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// Delivers everything that is due; answers when the next message is.
    fn deliver_due(self: &Arc<Self>) -> Option<i64> {
        let mut next: Option<i64> = None;
        for level in 1..=self.schedule.max_level() {
            loop {
                if self.stopping.is_cancelled() {
                    return None;
                }
                match self.deliver_head(level) {
                    Head::Moved => {}
                    Head::Empty => break,
                    Head::Due(at) => {
                        next = Some(next.map_or(at, |earlier| earlier.min(at)));
                        break;
                    }
                }
            }
        }
        next
    }

    fn deliver_head(self: &Arc<Self>, level: usize) -> Head {
        let Some(topic) = self.topics.find(topic::SCHEDULE_TOPIC) else { return Head::Empty };
        let queue = self.topics.queue(&topic, i32::try_from(level - 1).unwrap_or(0));
        let from = self.schedule.next(level);
        let limit = ReadLimit { max_messages: BATCH, max_bytes: 1 << 20, max_scan: BATCH };
        let mut bytes = Vec::new();
        let outcome = self.store.read(&queue.stored, from, limit, &mut |_| true, &mut bytes, Heat::Any);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(level, offset = from, %error, "cannot read delayed messages, trying again");
                return Head::Due(self.clock.now_ms() + PAUSE_MS);
            }
        };
        match outcome.status {
            ReadStatus::Found => {}
            ReadStatus::TooSmall
            | ReadStatus::OverflowBadly
            | ReadStatus::Removing
            | ReadStatus::FoundNull
                if outcome.next_offset != from =>
            {
                tracing::warn!(
                    level,
                    from,
                    next = outcome.next_offset,
                    "delayed messages are gone from the log"
                );
                self.schedule.advance(level, outcome.next_offset);
                return Head::Moved;
            }
            ReadStatus::Cold => return Head::Due(self.clock.now_ms() + PAUSE_MS),
            _ => return Head::Empty,
        }
        for record in rocketmq_boot_protocol::message::record::records(&bytes) {
            let Ok(record) = record else { return Head::Due(self.clock.now_ms() + PAUSE_MS) };
            let due = self.schedule.due(level, record.store_timestamp);
            if due > self.clock.now_ms() {
                return Head::Due(due);
            }
            if let Err(reject) = self.deliver(&record) {
                tracing::warn!(level, offset = record.queue_offset, why = %reject.remark, "cannot deliver, trying again");
                return Head::Due(self.clock.now_ms() + PAUSE_MS);
            }
            self.schedule.advance(level, record.queue_offset + 1);
        }
        self.schedule.advance(level, outcome.next_offset);
        Head::Moved
    }

    /// Stores a delayed message where it was meant to go. Its properties stay as they are, level and all, because
    /// consumers of Apache's broker see them so.
    fn deliver(self: &Arc<Self>, record: &Record<'_>) -> Result<(), crate::reject::Reject> {
        let Some((target, queue_id)) = self.real_destination(record) else { return Ok(()) };
        let text = record.text();
        self.append_own(
            &target,
            queue_id,
            &Own {
                properties: &text,
                reconsume_times: record.reconsume_times,
                level: 0,
                record,
                committed: None,
            },
        )?;
        Ok(())
    }

    /// Where a message goes that has waited; `None` when there is no such place any more.
    pub(crate) fn real_destination(&self, record: &Record<'_>) -> Option<(Arc<Topic>, i32)> {
        let name = record.property(keys::REAL_TOPIC);
        let queue_id = record.property(keys::REAL_QID).and_then(|id| id.parse::<i32>().ok());
        let (Some(name), Some(queue_id)) = (name, queue_id) else {
            tracing::error!(
                offset = record.physical_offset,
                "a delayed message does not say where it goes; dropped"
            );
            return None;
        };
        let target = match self.topics.find(name) {
            Some(target) => target,
            None if name.starts_with(topic::RETRY_PREFIX) => {
                let made = self.topics.find_or_create_derived(name, 1);
                made.inspect_err(|reject| {
                    tracing::error!(topic = name, why = %reject.remark, "a delayed message is dropped");
                })
                .ok()?
            }
            None => {
                tracing::warn!(topic = name, "a delayed message's topic was deleted; dropped");
                return None;
            }
        };
        let queue_id = target.queue_to_write(queue_id, || 0).unwrap_or(0);
        Some((target, queue_id))
    }
}

/// Waits until the wall hand shows `at_ms`, for ever without one.
pub(crate) async fn until(clock: &Clock, at_ms: Option<i64>) {
    let Some(at_ms) = at_ms else { return std::future::pending().await };
    match clock.until(at_ms) {
        Wait::Due => {}
        Wait::Real(duration) => tokio::time::sleep(duration).await,
        Wait::Manual => {
            let rung = Arc::new(Notify::new());
            let ring = Arc::clone(&rung);
            clock.alarm(at_ms, move || ring.notify_one());
            rung.notified().await;
        }
    }
}
