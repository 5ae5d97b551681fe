//! The store: one handle to a folder.

use std::{
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex};
use rocketmq_boot_protocol::Clock;

use crate::{
    append::Tail,
    checkpoint::{Checkpoint, Durable},
    disk::{Disk, Lock},
    error::{FlushFailure, OpenError},
    flush::Flusher,
    index::{Index, Opened},
    keeper::Keeper,
    options::{Flush, Options},
    queue::Queue,
    queues::Queues,
    recovery::{self, Recovered},
    segment::Segments,
};

/// Buffers that wait for the next append, and the largest that is worth keeping.
const KEPT_BUFFERS: usize = 8;
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// A commit log and its consume queues. Clones share it.
///
/// Dropping the last handle stops the threads and leaves the folder as a crash would: the next start recovers.
/// [`Store::close`] is the clean way.
#[derive(Debug, Clone)]
#[doc(alias = "MessageStore")]
pub struct Store {
    threads: Arc<Threads>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segments: Segments,
    pub(crate) queues: Queues,
    /// The append lock.
    pub(crate) tail: Mutex<Tail>,
    /// Told when the keeper gives up its claim on a piece of the log.
    pub(crate) unclaimed: Condvar,
    pub(crate) flusher: Flusher,
    pub(crate) keeper: Keeper,
    pub(crate) index: Option<Index>,
    pub(crate) checkpoint: Mutex<SavedCheckpoint>,
    /// Where the log ended when it was opened: what lies below may not be in memory.
    pub(crate) opened_at: u64,
    buffers: Mutex<Vec<Vec<u8>>>,
    _lock: Box<dyn Lock>,
}

#[derive(Debug)]
pub(crate) struct SavedCheckpoint {
    pub(crate) file: Checkpoint,
    pub(crate) durable: Durable,
}

#[derive(Debug)]
struct Threads {
    inner: Arc<Inner>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens a folder, making it when it is missing, and recovers what is there.
    ///
    /// # Errors
    /// [`OpenError`] naming the file that stands in the way.
    pub fn open(options: Options, clock: Clock, disk: Arc<dyn Disk>) -> Result<(Self, Recovered), OpenError> {
        check(&options)?;
        for folder in [&options.root, &options.commit_log, &options.root.join("config")] {
            disk.create_dirs(folder).map_err(OpenError::io("make", folder))?;
        }
        let path = options.root.join("lock");
        let lock =
            disk.lock(&path).map_err(OpenError::io("lock", &path))?.ok_or(OpenError::Locked { path })?;
        let found = recovery::recover(&options, &disk)?;

        let end = found.segments.end();
        let segment = match found.segments.at(found.end) {
            Some(segment) => segment,
            None => {
                let path = options.commit_log.clone();
                debug_assert_eq!(found.end, end);
                found.segments.roll().map_err(OpenError::io("make a file in", path))?
            }
        };
        let index = options.index.map(|size| {
            let (mark, full_to) = found.checkpoint.index();
            let opened = Opened { unclean: found.report.unclean, mark, full_to, end: found.end };
            Index::new(options.root.join("index"), size, opened)
        });
        let inner = Arc::new(Inner {
            flusher: Flusher::new(options.flush, found.end),
            keeper: Keeper::default(),
            index,
            tail: Mutex::new(Tail::new(segment, found.end, found.timestamp)),
            unclaimed: Condvar::new(),
            checkpoint: Mutex::new(SavedCheckpoint { file: found.checkpoint, durable: Durable::default() }),
            opened_at: found.end,
            segments: found.segments,
            queues: found.queues,
            buffers: Mutex::default(),
            _lock: lock,
            options,
            clock,
            disk,
        });
        let checkpoint = inner.options.root.join("checkpoint");
        inner.save_checkpoint(true).map_err(OpenError::io("write", checkpoint))?;
        let abort = inner.abort_path();
        inner.mark_running().map_err(OpenError::io("write", abort))?;
        Ok((Self { threads: Threads::start(inner)? }, found.report))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.threads.inner
    }

    /// The queue `queue_id` of a topic, made when it is missing. It costs nothing on disk until it is used.
    pub fn queue(&self, topic: &str, queue_id: u32) -> Arc<Queue> {
        self.inner().queues.get(topic, queue_id)
    }

    /// The queue `queue_id` of a topic, unless it was never used.
    pub fn find_queue(&self, topic: &str, queue_id: u32) -> Option<Arc<Queue>> {
        self.inner().queues.find(topic, queue_id)
    }

    /// The queues of a topic, by number.
    pub fn queues(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.inner().queues.of_topic(topic)
    }

    /// Every topic that has queues.
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.inner().queues.topics()
    }

    /// Removes a topic's queues. Its records stay in the log.
    ///
    /// # Errors
    /// What the disk says; queues are gone from memory in any case.
    pub fn delete_topic(&self, topic: &str) -> io::Result<()> {
        self.inner().queues.delete(topic)
    }

    /// The position behind the last record.
    pub fn appended(&self) -> u64 {
        self.inner().flusher.appended()
    }

    /// The position below which everything is durable.
    pub fn flushed(&self) -> u64 {
        self.inner().flusher.flushed()
    }

    /// The position below which messages can be read: with [`Flush::Sync`] nothing above [`flushed`](Self::flushed).
    pub fn readable(&self) -> u64 {
        self.inner().flusher.readable()
    }

    /// The first position of the log.
    pub fn min_position(&self) -> u64 {
        self.inner().segments.start()
    }

    /// Whether the store accepts messages: not since a sync has failed.
    pub fn is_writable(&self) -> bool {
        !self.inner().flusher.is_broken()
    }

    /// The offset behind the last message of `queue` that can be read.
    pub fn readable_end(&self, queue: &Queue) -> i64 {
        match self.inner().options.flush {
            Flush::Async { .. } => queue.max_offset(),
            Flush::Sync { .. } => queue.end_below(self.readable()),
        }
    }

    /// Calls `done` once everything below `end` is durable, or is known not to become so in time.
    ///
    /// It is called on the flush thread, or here when the answer is known already; it must not block.
    pub fn when_flushed(&self, end: u64, done: Box<dyn FnOnce(Result<(), FlushFailure>) + Send>) {
        self.inner().flusher.when_flushed(end, done);
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.inner().options.root
    }

    /// The folder for the broker's own tables.
    pub fn config_dir(&self) -> PathBuf {
        self.root().join("config")
    }

    /// The disk that the store uses, for the broker's own tables.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.inner().disk
    }

    /// Flushes everything and marks the folder as cleanly left. Appends are refused from now on; reads go on.
    ///
    /// # Errors
    /// What the disk says; the next start then recovers as after a crash.
    pub fn close(&self) -> io::Result<()> {
        let inner = self.inner();
        if mem::replace(&mut inner.tail.lock().closed, true) {
            return Ok(());
        }
        // What SYNC_FLUSH has not shown yet is to be indexed too, and how far the index came is to be noted.
        let flushed = inner.flusher.flush(&inner.segments);
        self.threads.stop();
        flushed?;
        inner.save_checkpoint(true)?;
        inner.disk.remove(&inner.abort_path())?;
        inner.disk.sync_dir(&inner.options.root)
    }
}

fn check(options: &Options) -> Result<(), OpenError> {
    let refuse = |option, value| Err(OpenError::Option { option, value });
    if options.commit_log_file_bytes < 1024 || options.commit_log_file_bytes > 1 << 31 {
        return refuse("commit_log_file_bytes", options.commit_log_file_bytes);
    }
    if let Some(index) = options.index {
        if index.slots == 0 {
            return refuse("index.slots", 0);
        }
        if index.entries < 2 || index.entries > i32::MAX.unsigned_abs() {
            return refuse("index.entries", index.entries.into());
        }
    }
    if options.consume_queue_file_entries == 0 {
        return refuse("consume_queue_file_entries", 0);
    }
    Ok(())
}

impl Inner {
    fn abort_path(&self) -> PathBuf {
        self.options.root.join("abort")
    }

    /// Leaves the mark that a clean stop takes away.
    fn mark_running(&self) -> io::Result<()> {
        let file = self.disk.create(&self.abort_path())?;
        file.write_at(std::process::id().to_string().as_bytes(), 0)?;
        file.sync()?;
        self.disk.sync_dir(&self.options.root)
    }

    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.buffers.lock().pop().unwrap_or_default()
    }

    pub(crate) fn return_buffer(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > KEPT_BUFFER_BYTES {
            return;
        }
        buffer.clear();
        let mut buffers = self.buffers.lock();
        if buffers.len() < KEPT_BUFFERS {
            buffers.push(buffer);
        }
    }
}

impl Threads {
    fn start(inner: Arc<Inner>) -> Result<Arc<Self>, OpenError> {
        let threads = Arc::new(Self { inner, handles: Mutex::default() });
        threads.spawn("store-flush", |inner| inner.flusher.run(&inner.segments))?;
        threads.spawn("store-keeper", Inner::keep)?;
        if threads.inner.index.is_some() {
            threads.spawn("store-index", Inner::follow_log)?;
        }
        if matches!(threads.inner.options.flush, Flush::Sync { .. }) {
            threads.spawn("store-watch", |inner| {
                if let Flush::Sync { timeout } = inner.options.flush {
                    inner.flusher.watch(timeout);
                }
            })?;
        }
        Ok(threads)
    }

    fn spawn(&self, name: &str, run: fn(&Inner)) -> Result<(), OpenError> {
        let inner = Arc::clone(&self.inner);
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&inner))
            .map_err(OpenError::io("start a thread for", &self.inner.options.root))?;
        self.handles.lock().push(handle);
        Ok(())
    }

    fn stop(&self) {
        self.inner.flusher.stop();
        self.inner.keeper.stop();
        if let Some(index) = &self.inner.index {
            index.stop();
        }
        let handles = mem::take(&mut *self.handles.lock());
        for handle in handles {
            // The last handle may be dropped by a callback on one of the threads themselves.
            if handle.thread().id() != thread::current().id() && handle.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        self.inner.flusher.release();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}
