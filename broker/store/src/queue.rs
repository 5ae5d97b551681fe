//! A consume queue: where each message of one queue lies in the log.
//!
//! Entries are made under the append lock into a tail in memory, so a message can be read when its send is answered.
//! The keeper thread writes them to the queue's files later; the last few stay in memory for consumers that keep up.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{
    cast::{to_i64, to_u64, to_usize},
    entry::Entry,
    queue_files::QueueFiles,
};

/// Entries that stay in memory after they were written.
const KEPT_ENTRIES: usize = 128;
/// Most entries that are written in one go.
const DRAIN_ENTRIES: usize = 64 << 10;
/// A tail that once grew beyond this gives its memory back.
const SHRINK_ABOVE: usize = 4096;

/// One queue of one topic.
#[derive(Debug)]
#[doc(alias = "ConsumeQueue")]
pub struct Queue {
    topic: Arc<str>,
    id: u32,
    /// Whether the topic can be the name of a folder.
    storable: bool,
    /// The next offset to hand out; only the holder of the append lock changes it.
    next: AtomicI64,
    /// Behind the last entry in the tail.
    end: AtomicI64,
    min: AtomicI64,
    removed: AtomicBool,
    tail: Mutex<Tail>,
    pub(crate) files: QueueFiles,
}

#[derive(Debug, Default)]
struct Tail {
    /// Offset of the first entry in memory.
    start: i64,
    entries: VecDeque<Entry>,
    /// Offset of the first entry that is not in the files yet.
    unwritten: i64,
    /// Whether the queue is on the list of those that have something to write.
    listed: bool,
}

/// How much of a queue was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drained {
    pub(crate) entries: usize,
    /// Whether entries are left that may not or could not be written yet.
    pub(crate) more: bool,
}

impl Queue {
    pub(crate) fn new(topic: Arc<str>, id: u32, files: QueueFiles) -> Self {
        Self {
            storable: is_folder_name(&topic),
            topic,
            id,
            next: AtomicI64::new(0),
            end: AtomicI64::new(0),
            min: AtomicI64::new(0),
            removed: AtomicBool::new(false),
            tail: Mutex::default(),
            files,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The number of the queue within the topic.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The first offset that can be read.
    pub fn min_offset(&self) -> i64 {
        self.min.load(Ordering::Acquire)
    }

    /// The offset that the next message will have.
    pub fn max_offset(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn shared_topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn is_storable(&self) -> bool {
        self.storable
    }

    /// Takes the next offset. Only the holder of the append lock calls this.
    pub(crate) fn take_offset(&self) -> i64 {
        let offset = self.next.load(Ordering::Relaxed);
        self.next.store(offset + 1, Ordering::Relaxed);
        offset
    }

    /// Gives offsets back, down to `offset`. Only the holder of the append lock calls this.
    pub(crate) fn return_offset(&self, offset: i64) {
        self.next.store(offset, Ordering::Relaxed);
    }

    /// Appends entries; tells whether the queue has just got something to write.
    pub(crate) fn push(&self, entries: impl Iterator<Item = Entry>) -> bool {
        let mut tail = self.tail.lock();
        tail.entries.extend(entries);
        self.end.store(tail.end(), Ordering::SeqCst);
        !std::mem::replace(&mut tail.listed, true)
    }

    /// Sets where the queue ends, forgetting what is in memory. Only a recovery does this.
    pub(crate) fn reset(&self, min: i64, end: i64) {
        let mut tail = self.tail.lock();
        *tail = Tail { start: end, unwritten: end, listed: tail.listed, entries: VecDeque::new() };
        self.min.store(min.min(end), Ordering::Release);
        self.next.store(end, Ordering::Relaxed);
        self.end.store(end, Ordering::SeqCst);
    }

    /// Moves the first offset behind the entries of records below `log_start`. It never moves back.
    pub(crate) fn trim(&self, log_start: u64) -> io::Result<()> {
        let is_gone = |entry: &Entry| entry.is_blank() || entry.position < log_start;
        let mut first = [Entry::default()];
        let min = self.min_offset();
        let found = self.entries(min, &mut first, false)?.unwrap_or(0);
        if found == 0 || !is_gone(&first[0]) {
            return Ok(());
        }
        let (gone, in_memory) = {
            let tail = self.tail.lock();
            (tail.entries.iter().take_while(|entry| is_gone(entry)).count(), tail.start)
        };
        let min = if gone > 0 {
            in_memory + to_i64(to_u64(gone))
        } else {
            self.files.first_from(log_start)?.min(in_memory)
        };
        self.min.fetch_max(min, Ordering::AcqRel);
        Ok(())
    }

    /// The offset behind the last message that lies below `readable` in the log.
    pub(crate) fn end_below(&self, readable: u64) -> i64 {
        let tail = self.tail.lock();
        // Entries that are not readable yet are never dropped from memory, and they are few.
        let hidden = tail.entries.iter().rev().take_while(|entry| entry.end() > readable).count();
        tail.end() - to_i64(to_u64(hidden))
    }

    /// Copies entries from `offset` on into `out` and says how many; at least one unless it is at the end.
    ///
    /// `None` with `cached` when a file would have to be waited for.
    pub(crate) fn entries(&self, offset: i64, out: &mut [Entry], cached: bool) -> io::Result<Option<usize>> {
        let in_files = {
            let tail = self.tail.lock();
            if offset >= tail.start {
                let from = to_usize((offset - tail.start).unsigned_abs()).min(tail.entries.len());
                let count = out.len().min(tail.entries.len() - from);
                for (slot, entry) in out.iter_mut().zip(tail.entries.range(from..from + count)) {
                    *slot = *entry;
                }
                return Ok(Some(count));
            }
            to_usize((tail.start - offset).unsigned_abs())
        };
        let wanted = out.len().min(in_files);
        let read = self.files.read(offset, &mut out[..wanted], cached)?;
        Ok((read > 0 || !cached).then_some(read))
    }

    /// Writes entries of records below `limit` to the files. One thread at a time.
    pub(crate) fn drain(&self, limit: u64) -> io::Result<Drained> {
        let (from, batch, more) = {
            let mut tail = self.tail.lock();
            if self.removed.load(Ordering::Acquire) {
                tail.listed = false;
                return Ok(Drained { entries: tail.give_up(), more: false });
            }
            let skip = to_usize((tail.unwritten - tail.start).unsigned_abs());
            let ready = tail.entries.range(skip..).take_while(|entry| entry.end() <= limit);
            let batch: Vec<Entry> = ready.take(DRAIN_ENTRIES).copied().collect();
            (tail.unwritten, batch, skip + DRAIN_ENTRIES < tail.entries.len())
        };
        let written = if batch.is_empty() { Ok(()) } else { self.files.write(from, &batch) };
        let mut tail = self.tail.lock();
        if written.is_ok() {
            tail.unwritten = from + to_i64(to_u64(batch.len()));
            tail.forget_written();
        }
        tail.listed = more || tail.unwritten < tail.end();
        let more = tail.listed;
        drop(tail);
        written.map(|()| Drained { entries: batch.len(), more })
    }

    /// Marks the queue as deleted and gives how many entries will never be written.
    pub(crate) fn remove(&self) -> io::Result<usize> {
        self.removed.store(true, Ordering::Release);
        let unwritten = self.tail.lock().give_up();
        self.files.remove()?;
        Ok(unwritten)
    }
}

impl Tail {
    fn end(&self) -> i64 {
        self.start + to_i64(to_u64(self.entries.len()))
    }

    /// Drops all entries of a deleted queue and says how many were not written.
    fn give_up(&mut self) -> usize {
        let unwritten = to_usize((self.end() - self.unwritten).unsigned_abs());
        (self.start, self.unwritten) = (self.end(), self.end());
        self.entries = VecDeque::new();
        unwritten
    }

    /// Drops written entries from memory, except for the last few.
    fn forget_written(&mut self) {
        let written = to_usize((self.unwritten - self.start).unsigned_abs());
        let surplus = self.entries.len().saturating_sub(KEPT_ENTRIES).min(written);
        self.entries.drain(..surplus);
        self.start += to_i64(to_u64(surplus));
        if self.entries.capacity() > SHRINK_ABOVE && self.entries.len() < SHRINK_ABOVE / 4 {
            self.entries.shrink_to(SHRINK_ABOVE / 4);
        }
    }
}

/// Whether a topic is one ordinary name in a folder. Brokers check topics far more strictly; this is the last door.
fn is_folder_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= 255 && topic != "." && topic != ".." && !topic.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        disk::{Disk, SimDisk},
        open_files::OpenFiles,
    };

    fn queue(disk: &SimDisk) -> Queue {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let open_files = Arc::new(OpenFiles::new(4));
        Queue::new("t".into(), 0, QueueFiles::new(disk, PathBuf::from("/q/t/0"), 50, open_files))
    }

    fn entry(number: u64) -> Entry {
        Entry { position: number * 100, size: 100, tags_code: -1 }
    }

    fn read_all(queue: &Queue, from: i64) -> Vec<u64> {
        let (mut offset, mut positions) = (from, Vec::new());
        let mut out = [Entry::default(); 7];
        while let Some(count @ 1..) = queue.entries(offset, &mut out, false).unwrap() {
            positions.extend(out[..count].iter().map(|entry| entry.position));
            offset += to_i64(to_u64(count));
        }
        positions
    }

    #[test]
    fn entries_read_the_same_from_memory_and_from_files() {
        let disk = SimDisk::new();
        let queue = queue(&disk);
        assert!(queue.push((0..300).map(entry)));
        assert!(!queue.push((300..420).map(entry)), "it is on the list already");
        let expected: Vec<u64> = (0..420).map(|number| number * 100).collect();
        assert_eq!(read_all(&queue, 0), expected);
        assert_eq!(queue.drain(u64::MAX).unwrap(), Drained { entries: 420, more: false });
        assert_eq!(read_all(&queue, 0), expected);
        assert_eq!(disk.files().len(), 9, "50 entries a file");
        assert!(disk.files().values().all(|file| file.len() == 1000));
    }

    #[test]
    fn a_queue_that_starts_past_zero_has_blanks_in_front() {
        let disk = SimDisk::new();
        let queue = queue(&disk);
        queue.reset(73, 73);
        queue.push(std::iter::once(entry(9)));
        queue.drain(u64::MAX).unwrap();
        let file = disk.content(&PathBuf::from("/q/t/0/00000000000000001000")).unwrap();
        let (units, _) = file.as_chunks::<20>();
        assert!(units[..23].iter().all(|unit| Entry::decode(unit) == Entry::BLANK));
        assert_eq!((Entry::decode(&units[23]), Entry::decode(&units[24])), (entry(9), Entry::default()));
    }

    #[test]
    fn entries_above_the_limit_are_hidden_and_not_written() {
        let queue = queue(&SimDisk::new());
        queue.push((0..10).map(entry));
        assert_eq!(queue.end_below(550), 5);
        assert_eq!(queue.drain(550).unwrap(), Drained { entries: 5, more: true });
        assert_eq!((queue.end_below(u64::MAX), queue.max_offset()), (10, 10));
    }

    #[test]
    fn entries_that_cannot_be_written_stay_in_memory() {
        let disk = SimDisk::new();
        let queue = queue(&disk);
        queue.push((0..10).map(entry));
        disk.set_room(Some(0));
        assert!(queue.drain(u64::MAX).is_err());
        assert_eq!(read_all(&queue, 0).len(), 10);
        disk.set_room(None);
        assert_eq!(queue.drain(u64::MAX).unwrap().entries, 10);
    }

    #[test]
    fn the_end_on_disk_is_found_by_position_and_can_be_cut() {
        let disk = SimDisk::new();
        let written = queue(&disk);
        written.push((0..420).map(entry));
        written.drain(u64::MAX).unwrap();
        let found = queue(&disk);
        found.files.load().unwrap();
        for (limit, end) in [(u64::MAX, 420), (0, 0), (1, 1), (5_000, 50), (5_001, 51), (41_900, 419)] {
            assert_eq!(found.files.end(limit).unwrap(), end, "limit {limit}");
        }
        found.files.cut(51).unwrap();
        assert_eq!((found.files.end(u64::MAX).unwrap(), disk.files().len()), (51, 2));
    }

    #[test]
    fn trimming_moves_the_first_offset_and_removes_whole_files() {
        let disk = SimDisk::new();
        let queue = queue(&disk);
        queue.push((0..300).map(entry));
        queue.drain(u64::MAX).unwrap();
        queue.push((300..420).map(entry));
        let trim = |log_start| {
            queue.trim(log_start).unwrap();
            (queue.min_offset(), queue.files.remove_before(queue.min_offset()).unwrap())
        };
        assert_eq!(trim(0), (0, 0));
        assert_eq!(trim(4_900), (49, 0));
        assert_eq!(trim(5_000), (50, 1), "in the files");
        assert_eq!(trim(1_000), (50, 0), "it never goes back");
        assert_eq!(trim(17_250), (173, 2), "between files and memory");
        assert_eq!(trim(31_001), (311, 2), "in memory; the last file stays");
        assert_eq!(read_all(&queue, 311).len(), 109);
        queue.drain(u64::MAX).unwrap();
        assert_eq!(trim(u64::MAX), (420, 3), "nothing is left but the place to go on");
        assert_eq!((disk.files().len(), queue.max_offset()), (1, 420));
    }

    #[test]
    fn names_that_leave_the_folder_are_not_storable() {
        for (topic, storable) in
            [("%RETRY%g", true), ("..", false), ("a/b", false), ("", false), ("a\0", false)]
        {
            assert_eq!(is_folder_name(topic), storable, "{topic:?}");
        }
    }
}
