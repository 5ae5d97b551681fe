//! All consume queues, and which of them have entries to write.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use crate::{
    disk::{Disk, list_or_empty},
    entry::Entry,
    error::OpenError,
    open_files::OpenFiles,
    queue::Queue,
    queue_files::QueueFiles,
};

type Table = HashMap<Arc<str>, BTreeMap<u32, Arc<Queue>>>;

#[derive(Debug)]
pub(crate) struct Queues {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file_entries: u32,
    open_files: Arc<OpenFiles>,
    table: RwLock<Table>,
    /// Queues with entries that are not in files yet.
    listed: Mutex<Vec<Arc<Queue>>>,
    /// Entries that are not in files yet.
    pending: AtomicUsize,
    /// Held while entries are written: one thread at a time keeps them in order.
    draining: Mutex<Vec<Arc<Queue>>>,
}

impl Queues {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: PathBuf, file_entries: u32, open_files: usize) -> Self {
        Self {
            disk,
            folder,
            file_entries,
            open_files: Arc::new(OpenFiles::new(open_files)),
            table: RwLock::default(),
            listed: Mutex::default(),
            pending: AtomicUsize::new(0),
            draining: Mutex::default(),
        }
    }

    /// Finds the queues on disk.
    pub(crate) fn load(&self) -> Result<(), OpenError> {
        let list = |path: &PathBuf| list_or_empty(&*self.disk, path).map_err(OpenError::io("list", path));
        for topic in list(&self.folder)?.into_iter().filter(|entry| entry.folder) {
            let folder = self.folder.join(&topic.name);
            for id in list(&folder)?.into_iter().filter(|entry| entry.folder) {
                let names = (topic.name.to_str(), id.name.to_str().and_then(|id| id.parse::<u32>().ok()));
                let (Some(topic), Some(id)) = names else {
                    tracing::warn!(folder = %folder.display(), name = ?id.name, "not a consume queue, left alone");
                    continue;
                };
                self.get(topic, id).files.load()?;
            }
        }
        Ok(())
    }

    /// The queue, made when it is missing.
    pub(crate) fn get(&self, topic: &str, id: u32) -> Arc<Queue> {
        if let Some(queue) = self.find(topic, id) {
            return queue;
        }
        let mut table = self.table.write();
        let topic: Arc<str> =
            table.get_key_value(topic).map_or_else(|| topic.into(), |(key, _)| Arc::clone(key));
        let queue = table.entry(Arc::clone(&topic)).or_default().entry(id).or_insert_with(|| {
            let folder = self.folder.join(&*topic).join(id.to_string());
            let (disk, open_files) = (Arc::clone(&self.disk), Arc::clone(&self.open_files));
            Arc::new(Queue::new(topic, id, QueueFiles::new(disk, folder, self.file_entries, open_files)))
        });
        Arc::clone(queue)
    }

    pub(crate) fn find(&self, topic: &str, id: u32) -> Option<Arc<Queue>> {
        self.table.read().get(topic)?.get(&id).cloned()
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.table.read().get(topic).map(|queues| queues.values().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        self.table.read().keys().cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.table.read().values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Takes a topic's queues out and removes their files.
    pub(crate) fn delete(&self, topic: &str) -> io::Result<()> {
        // Nobody may be writing to files while they go.
        let _writing = self.draining.lock();
        let Some(queues) = self.table.write().remove(topic) else { return Ok(()) };
        for queue in queues.values() {
            self.pending.fetch_sub(queue.remove()?, Ordering::Relaxed);
        }
        if let Some(folder) = queues.values().next().and_then(|queue| queue.files.folder().parent()) {
            match self.disk.remove_dirs(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Appends `count` entries to `queue`.
    pub(crate) fn push(&self, queue: &Arc<Queue>, count: usize, entries: impl Iterator<Item = Entry>) {
        // Counted first: the keeper may write and subtract them before this thread goes on.
        self.pending.fetch_add(count, Ordering::Relaxed);
        if queue.push(entries) {
            self.listed.lock().push(Arc::clone(queue));
        }
    }

    /// Entries that are not in files yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Writes entries of records below `limit` to files.
    ///
    /// Queues that cannot be written stay listed; the first error is given back after all were tried.
    pub(crate) fn drain(&self, limit: u64) -> io::Result<()> {
        let mut work = self.draining.lock();
        work.append(&mut self.listed.lock());
        let mut result = Ok(());
        let mut again = Vec::new();
        for queue in work.drain(..) {
            loop {
                match queue.drain(limit) {
                    Ok(drained) => {
                        self.pending.fetch_sub(drained.entries, Ordering::Relaxed);
                        if drained.more && drained.entries > 0 {
                            continue;
                        }
                        if drained.more {
                            again.push(queue);
                        }
                    }
                    Err(error) => {
                        let named = format!("{}: {error}", queue.files.folder().display());
                        result = result.and(Err(io::Error::new(error.kind(), named)));
                        again.push(queue);
                    }
                }
                break;
            }
        }
        self.listed.lock().append(&mut again);
        result
    }

    /// Moves the first offset of every queue to the first record that the log, which begins at `log_start`, still
    /// has, and removes the files that hold nothing else; how many there were.
    pub(crate) fn trim(&self, log_start: u64) -> io::Result<usize> {
        let mut removed = 0;
        for queue in self.all() {
            queue.trim(log_start)?;
            // Nobody may be writing to files while they go.
            let _writing = self.draining.lock();
            removed += queue.files.remove_before(queue.min_offset())?;
        }
        Ok(removed)
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let _writing = self.draining.lock();
        self.all().iter().try_for_each(|queue| queue.files.sync())
    }
}
