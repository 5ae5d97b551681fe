//! How a store is set up.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use rocketmq_boot_protocol::message::{hash, property, record::Record};

/// When appended messages are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// In the background: losing power may lose the last interval, losing the process loses nothing.
    #[doc(alias = "ASYNC_FLUSH")]
    Async {
        /// Time between two flushes **(default: 500 ms)**.
        interval: Duration,
    },
    /// Before a message becomes visible: each flush covers whatever arrived during the one before.
    #[doc(alias = "SYNC_FLUSH")]
    Sync {
        /// How long [`Store::when_flushed`](crate::Store::when_flushed) waits before it gives up.
        timeout: Duration,
    },
}

/// Gives the tags code of a record whose consume-queue entry is lost.
///
/// The store knows nothing about topics: whoever stores other codes than the hash of the tag (a delay level's
/// delivery time, say) must be able to compute them again from the record.
#[derive(Clone)]
pub struct TagsCode(Arc<dyn Fn(&Record<'_>) -> i64 + Send + Sync>);

impl TagsCode {
    /// Uses `code` for every record that is found without an entry.
    pub fn new(code: impl Fn(&Record<'_>) -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(code))
    }

    pub(crate) fn of(&self, record: &Record<'_>) -> i64 {
        (self.0)(record)
    }
}

impl Default for TagsCode {
    /// The hash of the tag, 0 without one.
    fn default() -> Self {
        Self::new(|record| record.property(property::TAGS).map_or(0, hash::tags_code))
    }
}

impl fmt::Debug for TagsCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagsCode")
    }
}

/// The size of the files of the key index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSize {
    /// Slots that keys are spread over **(default: 5 000 000)**.
    #[doc(alias = "maxHashSlotNum")]
    pub slots: u32,
    /// Entries, one of which is never used **(default: 20 000 000)**.
    #[doc(alias = "maxIndexNum")]
    pub entries: u32,
}

impl Default for IndexSize {
    fn default() -> Self {
        Self { slots: 5_000_000, entries: 20_000_000 }
    }
}

/// How a store is set up. [`Options::new`] has Apache's defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's folder.
    pub root: PathBuf,
    /// The folder of the commit log **(default: `commitlog` in the root)**.
    pub commit_log: PathBuf,
    /// Length of a commit-log file **(default: 1 GiB)**.
    pub commit_log_file_bytes: u64,
    /// Entries in a consume-queue file **(default: 300,000)**.
    pub consume_queue_file_entries: u32,
    /// When appended messages are made durable **(default: every 500 ms)**.
    pub flush: Flush,
    /// Longest record that is appended **(default: 4 MiB and 64 KiB for what surrounds the body)**.
    pub max_record_bytes: usize,
    /// How far behind the end of the log reads use its map **(default: 512 MiB)**.
    pub hot_bytes: u64,
    /// Time between two checkpoints, which bound what a recovery reads **(default: 10 s)**.
    pub checkpoint_interval: Duration,
    /// The size of the files of the key index; `None` for no index **(default: Apache's size)**.
    pub index: Option<IndexSize>,
    /// Consume-queue files that are open at a time **(default: 1,024)**.
    pub open_queue_files: usize,
    /// How tags codes are computed again **(default: the hash of the tag)**.
    pub tags_code: TagsCode,
}

impl Options {
    /// Apache's defaults, in `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            commit_log: root.join("commitlog"),
            root,
            commit_log_file_bytes: 1 << 30,
            consume_queue_file_entries: 300_000,
            flush: Flush::Async { interval: Duration::from_millis(500) },
            max_record_bytes: (4 << 20) + (64 << 10),
            hot_bytes: 512 << 20,
            checkpoint_interval: Duration::from_secs(10),
            index: Some(IndexSize::default()),
            open_queue_files: 1024,
            tags_code: TagsCode::default(),
        }
    }
}
