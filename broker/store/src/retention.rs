//! Giving space back: whole files leave the front of the log, and the queues follow.
//!
//! When a file may go is the broker's decision; this is how it goes. The name is removed first, and durably; whoever is
//! reading the file holds it, and with it its map, until done. The first offsets of the queues move behind what is gone
//! before their files are removed, so a reader is told where the queue begins and never finds a hole.

use std::{io, path::Path};

use rocketmq_boot_protocol::message::record::Record;

use crate::{
    entry::Entry,
    error::ReadError,
    queue::Queue,
    segment::Segment,
    store::{Inner, Store},
};

/// The oldest file of the log that could be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldestFile {
    /// Its first position.
    pub start: u64,
    /// The position behind it.
    pub end: u64,
    /// When the message behind it was stored, ms since 1970: nothing in the file is younger. `None` when no sound
    /// message says so.
    pub over_at_ms: Option<i64>,
}

impl Store {
    /// The oldest file of the log; `None` when it holds messages that are not on disk yet or is still written.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn oldest_file(&self) -> Result<Option<OldestFile>, ReadError> {
        let inner = self.inner();
        let all = inner.segments.all();
        let Some((first, behind)) = all.split_first() else { return Ok(None) };
        if first.end() > inner.removable() {
            return Ok(None);
        }
        let over_at_ms =
            behind.iter().find_map(|segment| self.first_time(segment).transpose()).transpose()?;
        Ok(Some(OldestFile { start: first.start, end: first.end(), over_at_ms }))
    }

    /// Removes the oldest file of the log when it begins at `start`, and says whether it did.
    ///
    /// The queues still begin where they did until [`trim_queues`](Self::trim_queues).
    ///
    /// # Errors
    /// What the disk says. The log has no gap in any case.
    pub fn remove_oldest_file(&self, start: u64) -> io::Result<bool> {
        let inner = self.inner();
        let end = start.saturating_add(inner.options.commit_log_file_bytes);
        if inner.segments.start() != start || end > inner.removable() {
            return Ok(false);
        }
        // A recovery can no longer make the entries of what goes: they must be on disk before.
        if inner.checkpoint.lock().durable.queues < end {
            inner.save_checkpoint(true)?;
        }
        Ok(inner.segments.remove_first(end)?.is_some())
    }

    /// Lets every queue begin where the log does, removes queue files that hold nothing else, and says how many.
    ///
    /// A queue's last file stays, however old: it says which offset comes next.
    ///
    /// # Errors
    /// What the disk says; the queues that were not reached yet can be trimmed again.
    pub fn trim_queues(&self) -> io::Result<usize> {
        let inner = self.inner();
        inner.queues.trim(inner.segments.start())
    }

    /// Where in the log the message at `offset` of a queue lies, or the first one behind it that is still there;
    /// `None` at the end of the queue.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn position_of(&self, queue: &Queue, offset: i64) -> Result<Option<u64>, ReadError> {
        let mut offset = offset.max(queue.min_offset());
        let mut out = [Entry::default(); 32];
        while offset < queue.max_offset() {
            let read = queue.entries(offset, &mut out, false);
            let count = read.map_err(|source| ReadError::Io { path: queue.files.path(offset), source })?;
            let Some(count @ 1..) = count else { return Ok(None) };
            if let Some(entry) = out[..count].iter().find(|entry| !entry.is_blank()) {
                return Ok(Some(entry.position));
            }
            offset = offset.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
        }
        Ok(None)
    }

    /// Refuses all appends with [`AppendError::Full`](crate::AppendError::Full) while the disk is used to so many
    /// percent, or takes them again; says whether they were refused before.
    pub fn set_full(&self, used_percent: Option<u64>) -> bool {
        std::mem::replace(&mut self.inner().tail.lock().full, used_percent).is_some()
    }

    /// The folders that grow with what is stored: that of the log and the root.
    pub fn folders(&self) -> [&Path; 2] {
        let options = &self.inner().options;
        [&options.commit_log, &options.root]
    }

    /// When the first message of a file was stored; `None` when no sound one begins there, or none yet.
    fn first_time(&self, segment: &Segment) -> Result<Option<i64>, ReadError> {
        let bytes = match self.record(segment.start) {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(ReadError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Record::decode(&bytes).ok().map(|record| record.store_timestamp))
    }
}

impl Inner {
    /// The position below which whole files may be removed: they are durable and nobody writes to them.
    fn removable(&self) -> u64 {
        self.tail.lock().segment.start.min(self.flusher.flushed())
    }
}
