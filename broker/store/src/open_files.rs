//! How many files of consume queues are open at a time, over all queues.
//!
//! A broker may have more queues than a process may have files. Each queue keeps the handles that it uses; when all
//! of them together have too many, the queue that was longest without a use gives its handles back and opens its
//! files again when it needs them. It is a clock: a second use sets a mark, the hand clears
//! marks and takes what has none.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use crate::disk::File;

/// How many files of one queue stay open: the one that is written and one that is read.
const OPEN_OF_QUEUE: usize = 2;

/// The open files of one queue, by their first entry.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    used: AtomicBool,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<i64, Arc<dyn File>>,
    /// Whether the clock's hand will come by.
    listed: bool,
}

impl Handles {
    /// The file that begins at `start`, when it is open.
    pub(crate) fn find(&self, start: i64) -> Option<Arc<dyn File>> {
        let file = self.open.lock().files.get(&start).map(Arc::clone)?;
        self.used.store(true, Ordering::Relaxed);
        Some(file)
    }
}

/// The bound on the handles of all queues.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    limit: usize,
    open: AtomicUsize,
    turn: Mutex<VecDeque<Weak<Handles>>>,
}

impl OpenFiles {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(OPEN_OF_QUEUE), open: AtomicUsize::new(0), turn: Mutex::default() }
    }

    /// Keeps a file open that begins at `start`; others may be closed for it.
    pub(crate) fn keep(&self, of: &Arc<Handles>, start: i64, file: Arc<dyn File>) {
        let list = {
            let mut open = of.open.lock();
            if open.files.len() >= OPEN_OF_QUEUE && !open.files.contains_key(&start) {
                // The newest is being written; the other was read before.
                open.files.pop_first();
                self.open.fetch_sub(1, Ordering::Relaxed);
            }
            if open.files.insert(start, file).is_none() {
                self.open.fetch_add(1, Ordering::Relaxed);
            }
            !std::mem::replace(&mut open.listed, true)
        };
        if list {
            let mut turn = self.turn.lock();
            if turn.len() >= 2 * self.limit {
                turn.retain(|queue| queue.strong_count() > 0);
            }
            turn.push_back(Arc::downgrade(of));
        }
        if self.open.load(Ordering::Relaxed) > self.limit {
            self.make_room();
        }
    }

    /// Closes the file that begins at `start`.
    pub(crate) fn close(&self, of: &Handles, start: i64) {
        if of.open.lock().files.remove(&start).is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Closes all files of a queue.
    pub(crate) fn close_all(&self, of: &Handles) {
        let files = std::mem::take(&mut of.open.lock().files);
        self.open.fetch_sub(files.len(), Ordering::Relaxed);
    }

    fn make_room(&self) {
        let mut turn = self.turn.lock();
        // Twice around: the first time clears every mark.
        for _ in 0..turn.len() * 2 {
            if self.open.load(Ordering::Relaxed) <= self.limit {
                return;
            }
            let Some(next) = turn.pop_front() else { return };
            let Some(handles) = next.upgrade() else { continue };
            if handles.used.swap(false, Ordering::Relaxed) {
                turn.push_back(next);
                continue;
            }
            handles.open.lock().listed = false;
            self.close_all(&handles);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, SimDisk};

    fn file(disk: &SimDisk) -> Arc<dyn File> {
        disk.create_dirs(Path::new("/d")).unwrap();
        disk.create(Path::new("/d/f")).unwrap()
    }

    #[test]
    fn no_more_are_open_than_the_limit_and_those_in_use_stay() {
        let (disk, open) = (SimDisk::new(), OpenFiles::new(8));
        let queues: Vec<Arc<Handles>> = (0..100).map(|_| Arc::default()).collect();
        for queue in &queues {
            open.keep(queue, 0, file(&disk));
            assert!(disk.open_files() <= 8);
            // One queue is read all the time.
            assert!(queues[0].find(0).is_some());
        }
        assert_eq!(queues.iter().filter(|queue| queue.find(0).is_some()).count(), 8);
    }

    #[test]
    fn a_queue_keeps_its_newest_file_and_one_more() {
        let (disk, open) = (SimDisk::new(), OpenFiles::new(8));
        let queue = Arc::default();
        for start in [50, 0, 100, 10] {
            open.keep(&queue, start, file(&disk));
        }
        assert!(queue.find(100).is_some() && queue.find(10).is_some());
        assert_eq!(disk.open_files(), 2);
        open.close(&queue, 100);
        open.close(&queue, 100);
        open.close_all(&queue);
        assert_eq!((disk.open_files(), open.open.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn queues_that_are_gone_leave_nothing_behind() {
        let (disk, open) = (SimDisk::new(), OpenFiles::new(4));
        for _ in 0..100 {
            let queue: Arc<Handles> = Arc::default();
            open.keep(&queue, 0, file(&disk));
            open.close_all(&queue);
        }
        assert_eq!((disk.open_files(), open.open.load(Ordering::Relaxed)), (0, 0));
        assert!(open.turn.lock().len() <= 8, "{}", open.turn.lock().len());
    }
}
