//! How far each group has consumed each queue: `config/consumerOffset.json` in Apache's shape.
//!
//! A committed offset never goes back, whoever commits late: a member that lost a queue in a rebalance may still
//! commit what it had, and must not undo what the new owner did. The way back is [`Offsets::reset`].
//!
//! A reset also waits for the group's next pull of the queue, which is told where to go on. Until then commits for the
//! queue mean nothing. Java's consumers commit the new offset up to ten seconds after they were told, and may commit the
//! old one in between: for a while after the pull a lower offset is therefore taken, down to where the reset went.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
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

/// Resets that are remembered at most; with more, the oldest that were taken go.
const MAX_RESETS: usize = 100_000;

/// How long a group may go back to where a reset sent it.
const GRACE: Duration = Duration::from_secs(60);

/// The table of committed offsets.
#[derive(Debug)]
pub(crate) struct Offsets {
    table: RwLock<HashMap<String, Queues>>,
    resets: Mutex<HashMap<(String, i32), Reset>>,
    /// How many resets there are, so that a pull learns with one look that there is none.
    reset_count: AtomicUsize,
    version: Mutex<DataVersion>,
    dirty: AtomicBool,
    file: StateFile,
}

/// A queue that was set to an offset.
#[derive(Debug, Clone, Copy)]
struct Reset {
    offset: i64,
    /// When a pull was told of it, on the monotonic hand.
    taken: Option<Duration>,
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
            resets: Mutex::default(),
            reset_count: AtomicUsize::new(0),
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

    /// [`Offsets::reset`], of which the group's next pull is told.
    pub(crate) fn reset_and_tell(&self, group: &str, topic: &str, queue_id: i32, offset: i64) {
        let mut resets = self.resets.lock();
        if resets.len() >= MAX_RESETS {
            resets.retain(|_, reset| reset.taken.is_none());
        }
        // Beyond the limit the offset is set all the same; consumers that run just are not told.
        if resets.len() < MAX_RESETS {
            resets.insert((key(topic, group), queue_id), Reset { offset, taken: None });
        }
        self.reset(group, topic, queue_id, offset);
        self.reset_count.store(resets.len(), Ordering::Release);
    }

    /// The offset at which a pull has to go on instead, once.
    pub(crate) fn take_reset(&self, group: &str, topic: &str, queue_id: i32, now: Duration) -> Option<i64> {
        if self.reset_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut resets = self.resets.lock();
        let reset = resets.get_mut(&(key(topic, group), queue_id)).filter(|reset| reset.taken.is_none())?;
        reset.taken = Some(now);
        Some(reset.offset)
    }

    /// Whether a reset waits for the group's next pull.
    pub(crate) fn awaits_pull(&self, group: &str, topic: &str, queue_id: i32) -> bool {
        self.reset_count.load(Ordering::Acquire) > 0
            && self
                .resets
                .lock()
                .get(&(key(topic, group), queue_id))
                .is_some_and(|reset| reset.taken.is_none())
    }

    /// Whether the group may go back to `offset`, because a reset sent it there a moment ago.
    pub(crate) fn may_go_back(
        &self,
        group: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
        now: Duration,
    ) -> bool {
        if self.reset_count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut resets = self.resets.lock();
        resets.retain(|_, reset| reset.taken.is_none_or(|taken| now.saturating_sub(taken) <= GRACE));
        self.reset_count.store(resets.len(), Ordering::Release);
        resets.get(&(key(topic, group), queue_id)).is_some_and(|reset| offset >= reset.offset)
    }

    /// Forgets every group's offsets of a topic.
    pub(crate) fn remove_topic(&self, topic: &str) {
        self.retain(|of, _| of != topic);
    }

    /// Forgets a group's offsets.
    pub(crate) fn remove_group(&self, group: &str) {
        self.retain(|_, of| of != group);
    }

    /// The topics of which a group has offsets, in order.
    pub(crate) fn topics_of(&self, group: &str) -> Vec<String> {
        let topics: BTreeSet<_> =
            self.names().filter(|(_, of)| of == group).map(|(topic, _)| topic).collect();
        topics.into_iter().collect()
    }

    /// The groups that have offsets of a topic, in order.
    pub(crate) fn groups_of(&self, topic: &str) -> Vec<String> {
        let groups: BTreeSet<_> =
            self.names().filter(|(of, _)| of == topic).map(|(_, group)| group).collect();
        groups.into_iter().collect()
    }

    /// A group's offsets of a topic, by queue.
    pub(crate) fn queues_of(&self, group: &str, topic: &str) -> BTreeMap<i64, i64> {
        let queues = self.table.read().get(&key(topic, group)).cloned();
        queues.map(|queues| queues.lock().clone()).unwrap_or_default()
    }

    /// Gives `to` all the offsets that `from` has of a topic.
    pub(crate) fn copy(&self, from: &str, to: &str, topic: &str) {
        let queues = self.queues_of(from, topic);
        if !queues.is_empty() {
            *self.queues(key(topic, to)).lock() = queues;
            self.dirty.store(true, Ordering::Release);
        }
    }

    /// How many pairs of a topic and a group there are.
    pub(crate) fn len(&self) -> usize {
        self.table.read().len()
    }

    /// The table as it is kept, for 43.
    pub(crate) fn encode(&self) -> Vec<u8> {
        write(&self.table_at(*self.version.lock()), Dialect::Fastjson)
    }

    fn names(&self) -> impl Iterator<Item = (String, String)> {
        let keys: Vec<String> = self.table.read().keys().cloned().collect();
        keys.into_iter().filter_map(|key| {
            key.split_once(SEPARATOR).map(|(topic, group)| (topic.to_owned(), group.to_owned()))
        })
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
        let version = {
            let mut version = self.version.lock();
            version.next(now_ms);
            *version
        };
        self.table_at(version)
    }

    fn table_at(&self, data_version: DataVersion) -> ConsumerOffsets {
        let entry = |(key, queues): (&String, &Queues)| (key.clone(), IdMap(queues.lock().clone()));
        ConsumerOffsets { data_version, offset_table: self.table.read().iter().map(entry).collect() }
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
        let keeps = |key: &str| key.split_once(SEPARATOR).is_none_or(|(topic, group)| keep(topic, group));
        table.retain(|key, _| keeps(key));
        let mut resets = self.resets.lock();
        resets.retain(|(key, _), _| keeps(key));
        self.reset_count.store(resets.len(), Ordering::Release);
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
