//! How far each group has consumed each queue: `config/consumerOffset.json` in Apache's shape.
//!
//! A committed offset never goes back, whoever commits late: a member that lost a queue in a rebalance may still
//! commit what it had, and must not undo what the new owner did. The one way back is [`Offsets::reset`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::body::{
    ConsumerOffsets, DataVersion,
    dialect::{Dialect, IdMap, write},
    lenient,
};
use rocketmq_boot_store::Store;

use crate::{
    error::StartError,
    files::{self, StateFile},
};

/// Between topic and group in the table's keys.
const SEPARATOR: char = '@';

type Queues = Arc<Mutex<BTreeMap<i64, i64>>>;

/// The table of committed offsets.
#[derive(Debug)]
pub(crate) struct Offsets {
    table: RwLock<HashMap<String, Queues>>,
    version: Mutex<DataVersion>,
    dirty: AtomicBool,
    file: StateFile,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The offset is the group's now.
    Stored,
    /// The group is further already.
    Behind {
        /// Where the group is.
        stored: i64,
    },
}

impl Offsets {
    /// Reads the file, or starts empty when there is none.
    pub(crate) fn load(store: &Store) -> Result<Self, StartError> {
        let file = StateFile::new(store, files::CONSUMER_OFFSET);
        let loaded: ConsumerOffsets = file.load(|bytes| lenient::read(files::CONSUMER_OFFSET, bytes))?;
        let table =
            loaded.offset_table.into_iter().map(|(key, queues)| (key, Arc::new(Mutex::new(queues.0))));
        Ok(Self {
            table: RwLock::new(table.collect()),
            version: Mutex::new(loaded.data_version),
            dirty: AtomicBool::new(false),
            file,
        })
    }

    /// The offset that `group` consumes next.
    pub(crate) fn of(&self, group: &str, topic: &str, queue_id: i32) -> Option<i64> {
        let queues = self.table.read().get(&key(topic, group)).cloned()?;
        queues.lock().get(&i64::from(queue_id)).copied()
    }

    /// Every topic and group with the offsets of their queues.
    pub(crate) fn all(&self) -> Vec<(String, String, BTreeMap<i64, i64>)> {
        let entry = |(key, queues): (&String, &Queues)| {
            let (topic, group) = key.split_once(SEPARATOR)?;
            Some((topic.to_owned(), group.to_owned(), queues.lock().clone()))
        };
        self.table.read().iter().filter_map(entry).collect()
    }

    /// Commits an offset unless the group is further already.
    pub(crate) fn commit(&self, group: &str, topic: &str, queue_id: i32, offset: i64) -> Commit {
        let queues = self.queues(key(topic, group));
        let mut queues = queues.lock();
        match queues.get(&i64::from(queue_id)) {
            Some(stored) if *stored > offset => Commit::Behind { stored: *stored },
            Some(stored) if *stored == offset => Commit::Stored,
            _ => {
                queues.insert(i64::from(queue_id), offset);
                self.dirty.store(true, Ordering::Release);
                Commit::Stored
            }
        }
    }

    /// Sets an offset, forwards or back.
    pub(crate) fn reset(&self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        self.queues(key(topic, group)).lock().insert(i64::from(queue_id), offset);
        self.dirty.store(true, Ordering::Release);
    }

    /// Forgets every group's offsets of a topic.
    pub(crate) fn remove_topic(&self, topic: &str) {
        self.retain(|of, _| of != topic);
    }

    /// Writes the file when something changed since the last time; `now_ms` dates the version.
    ///
    /// # Errors
    /// The file could not be written; it is tried again the next time.
    pub(crate) fn save(&self, now_ms: i64) -> Result<(), files::SaveError> {
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.file
            .save(|| write(&self.snapshot(now_ms), Dialect::Fastjson))
            .inspect_err(|_| self.dirty.store(true, Ordering::Release))
    }

    fn snapshot(&self, now_ms: i64) -> ConsumerOffsets {
        let mut version = self.version.lock();
        version.next(now_ms);
        let entry = |(key, queues): (&String, &Queues)| (key.clone(), IdMap(queues.lock().clone()));
        ConsumerOffsets {
            data_version: *version,
            offset_table: self.table.read().iter().map(entry).collect(),
        }
    }

    fn queues(&self, key: String) -> Queues {
        if let Some(queues) = self.table.read().get(&key) {
            return Arc::clone(queues);
        }
        Arc::clone(self.table.write().entry(key).or_default())
    }

    fn retain(&self, keep: impl Fn(&str, &str) -> bool) {
        let mut table = self.table.write();
        let before = table.len();
        table.retain(|key, _| key.split_once(SEPARATOR).is_none_or(|(topic, group)| keep(topic, group)));
        if table.len() != before {
            self.dirty.store(true, Ordering::Release);
        }
    }
}

fn key(topic: &str, group: &str) -> String {
    let mut key = String::with_capacity(topic.len() + group.len() + 1);
    key.push_str(topic);
    key.push(SEPARATOR);
    key.push_str(group);
    key
}
