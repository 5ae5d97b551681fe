//! The key index: where the messages lie that have a key, in the files of Apache's `IndexService`.
//!
//! It is derived from the log and written behind it by a thread of its own, so a send knows nothing of it. Files are
//! kept in a folder `index`; whatever of them is missing or damaged is made again from the log. Searches wait until
//! the thread has come to where the log was readable when they began.
//!
//! | module | what it holds |
//! |---|---|
//! | `keys` | the keys of a record, and their hashes |
//! | `file` | a file's layout, and searching in it |
//! | `image` | the newest file, as it is written |
//! | `follow`, `load` | the thread: following the log; what it finds in the folder when it starts |

mod file;
mod follow;
mod image;
mod keys;
mod load;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};
use rocketmq_boot_protocol::message::record::Record;

pub use keys::KeyKind;

use crate::{
    cast::to_i64,
    error::ReadError,
    index::file::{IndexFile, Lookup, Search, Shape},
    options::IndexSize,
    store::{Inner, Store},
};

/// How long a search waits for the index to come to the end of the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// What messages are looked for by.
#[derive(Debug, Clone, Copy)]
pub struct KeyQuery<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key.
    pub key: &'a str,
    /// What kind of key it is.
    pub kind: KeyKind,
    /// Messages at most.
    pub max_messages: usize,
    /// Bytes of records at most; the first one is given even when it is larger.
    pub max_bytes: usize,
    /// Stored at this time or later, ms since 1970, as precise as the index is: seconds.
    pub begin: i64,
    /// Stored at this time or earlier.
    pub end: i64,
}

/// What a search by key found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundByKey {
    /// The newest records that match, in the order of the log.
    pub records: Vec<u8>,
    /// How many there are.
    pub count: usize,
    /// When the last message of the index was stored, ms since 1970; 0 when nothing was found.
    pub last_timestamp: i64,
    /// Where that message lies in the log.
    pub last_position: i64,
}

/// How far the index is known to be durable, for the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IndexMark {
    /// Every key of the messages below this position is in its file, durably.
    pub(crate) position: u64,
    /// Store timestamp of the last message of the newest file that is full.
    pub(crate) full_to: i64,
}

/// What the store knew of the index when it was opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// Whether the store had not been closed.
    pub(crate) unclean: bool,
    /// The mark of the checkpoint; without a position when this store has not written it.
    pub(crate) mark: Option<u64>,
    pub(crate) full_to: i64,
    /// Where the log ends.
    pub(crate) end: u64,
}

/// The index of a store.
#[derive(Debug)]
pub(crate) struct Index {
    folder: PathBuf,
    shape: Shape,
    opened: Opened,
    files: RwLock<Vec<Arc<IndexFile>>>,
    progress: Mutex<Progress>,
    /// Told when there is something to do for the thread.
    work: Condvar,
    /// Told when the thread has written something.
    written: Condvar,
    idle: AtomicBool,
}

#[derive(Debug, Default)]
struct Progress {
    /// Every key of the messages below this position is in its file.
    written: u64,
    /// Somebody waits for this position.
    wanted: u64,
    mark: IndexMark,
    stop: bool,
    ended: bool,
}

impl Index {
    pub(crate) fn new(folder: PathBuf, size: IndexSize, opened: Opened) -> Self {
        let shape = Shape { slots: size.slots, entries: size.entries };
        let position = opened.mark.unwrap_or(0).min(opened.end);
        let mark = IndexMark { position, full_to: opened.full_to };
        Self {
            folder,
            shape,
            opened,
            files: RwLock::default(),
            progress: Mutex::new(Progress { mark, ..Progress::default() }),
            work: Condvar::new(),
            written: Condvar::new(),
            idle: AtomicBool::new(false),
        }
    }

    /// Tells the thread that the log may have grown.
    pub(crate) fn wake(&self) {
        if self.idle.load(Ordering::SeqCst) {
            let _progress = self.progress.lock();
            self.work.notify_one();
        }
    }

    pub(crate) fn mark(&self) -> IndexMark {
        self.progress.lock().mark
    }

    /// Ends the thread, which writes what it has.
    pub(crate) fn stop(&self) {
        self.progress.lock().stop = true;
        self.work.notify_all();
    }

    /// Waits until the index has come to `position`, or for a while.
    fn catch_up(&self, position: u64) {
        let mut progress = self.progress.lock();
        if progress.written >= position || progress.ended {
            return;
        }
        progress.wanted = progress.wanted.max(position);
        self.work.notify_all();
        let until = Instant::now() + PATIENCE;
        while progress.written < position && !progress.ended {
            if self.written.wait_until(&mut progress, until).timed_out() {
                tracing::warn!(position, written = progress.written, "the key index is behind the log");
                return;
            }
        }
    }

    /// Hands the positions of a key to `each`, the newest first.
    fn find(
        &self,
        query: &KeyQuery<'_>,
        each: &mut dyn FnMut(u64) -> io::Result<Search>,
    ) -> Result<(), ReadError> {
        let files = self.files.read().clone();
        let hash = keys::hash(query.topic, query.key, query.kind);
        let lookup = Lookup { hash, begin: query.begin, end: query.end };
        for file in files.iter().rev() {
            let searched = file
                .find(lookup, each)
                .map_err(|source| ReadError::Io { path: file.path.clone(), source })?;
            if searched == Search::Enough || file.header.read().begin_timestamp < query.begin {
                break;
            }
        }
        Ok(())
    }
}

impl Store {
    /// The newest messages with a key. Without an index nothing is found.
    ///
    /// May block: on the disk, and for up to ten seconds on the index, when that is behind the log.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn find_by_key(&self, query: &KeyQuery<'_>) -> Result<FoundByKey, ReadError> {
        let inner = self.inner();
        let Some(index) = inner.index.as_ref().filter(|_| query.max_messages > 0) else {
            return Ok(FoundByKey::default());
        };
        index.catch_up(inner.flusher.readable());
        let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
        let (mut bytes, mut failed) = (0, None);
        index.find(query, &mut |position| {
            if found.iter().any(|(known, _)| *known == position) {
                return Ok(Search::Further);
            }
            let record = match self.record(position) {
                Ok(Some(record)) => record,
                // The log no longer has it, or has something else there: the index is not to be trusted.
                Ok(None) | Err(ReadError::Damaged { .. }) => return Ok(Search::Further),
                Err(error) => {
                    failed = Some(error);
                    return Ok(Search::Enough);
                }
            };
            if !Record::decode(&record)
                .is_ok_and(|record| keys::has(&record, query.topic, query.key, query.kind))
            {
                return Ok(Search::Further);
            }
            if !found.is_empty() && bytes + record.len() > query.max_bytes {
                return Ok(Search::Enough);
            }
            bytes += record.len();
            found.push((position, record));
            Ok(if found.len() < query.max_messages { Search::Further } else { Search::Enough })
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if found.is_empty() {
            return Ok(FoundByKey::default());
        }
        found.sort_unstable_by_key(|(position, _)| *position);
        let last = index.files.read().last().map(|file| *file.header.read());
        Ok(FoundByKey {
            count: found.len(),
            records: found.iter().map(|(_, record)| &record[..]).collect::<Vec<_>>().concat(),
            last_timestamp: last.map_or(0, |last| last.end_timestamp),
            last_position: last.map_or(0, |last| to_i64(last.end)),
        })
    }
}

impl Inner {
    /// The index thread.
    pub(crate) fn follow_log(&self) {
        if let Some(index) = &self.index {
            follow::run(self, index);
            let mut progress = index.progress.lock();
            progress.ended = true;
            index.written.notify_all();
        }
    }
}
