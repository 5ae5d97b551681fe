//! Reading messages.
//!
//! Consume-queue entries say where records lie; whole records are copied out. What was appended lately is copied from
//! the map of its file. Everything else goes through pread: with [`Heat::HotOnly`] only as far as the page cache has
//! it, so that no thread that serves sockets ever waits for a disk.

use std::{fmt, io, sync::Arc};

use rocketmq_boot_protocol::message::record::{Record, RecordError, V1_MAGIC, V2_MAGIC};

use crate::{
    cast::{position as file_position, to_i64, to_u64, to_usize},
    entry::Entry,
    error::ReadError,
    queue::Queue,
    segment::{Segment, read_exact},
    store::{Inner, Store},
};

/// Entries that are fetched at a time.
const ENTRIES: usize = 32;
/// How much is read ahead of a record that is not mapped: its neighbours are wanted next.
const WINDOW_BYTES: usize = 64 << 10;
/// From the start of a record to behind its physical offset.
const PLACED_BYTES: usize = 36;

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heat {
    /// Never: what is not in memory is answered with [`ReadStatus::Cold`].
    HotOnly,
    /// It may.
    Any,
    /// It may, and maps nothing: what is read only once shall not count as memory of the process.
    Unmapped,
}

/// How much one read gives at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Messages.
    pub max_messages: usize,
    /// Bytes of records; the first record is given even when it is larger.
    pub max_bytes: usize,
    /// Entries that are looked at, matching or not.
    pub max_scan: usize,
}

/// What becomes of a record that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is given.
    Give,
    /// It is passed over.
    PassOver,
    /// It is not decided on, and the read ends in front of it. Only once another record has been decided on.
    Stop,
}

/// Asked what becomes of a record.
pub type RecordFilter<'a> = dyn FnMut(&[u8]) -> Verdict + 'a;

/// Which messages a read gives.
pub struct Wanted<'a> {
    /// Asked with the tags code of each entry.
    pub codes: &'a mut dyn FnMut(i64) -> bool,
    /// Asked with each record whose entry has passed.
    pub records: Option<&'a mut RecordFilter<'a>>,
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").finish_non_exhaustive()
    }
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "GetMessageStatus")]
pub enum ReadStatus {
    /// Messages were copied.
    Found,
    /// Messages are there, none of them matches.
    NoMatch,
    /// The records are gone from the log.
    Removing,
    /// There is no such queue.
    NoQueue,
    /// The queue has never held a message.
    Empty,
    /// Exactly at the end: wait for the next message.
    OverflowOne,
    /// Beyond the end.
    OverflowBadly,
    /// Before the first offset.
    TooSmall,
    /// Entries are there, but what they point at is no sound record.
    FoundNull,
    /// It is not in memory: ask again with [`Heat::Any`] on a thread that may wait.
    Cold,
}

/// What a read came to, and where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOutcome {
    /// What it came to.
    pub status: ReadStatus,
    /// The offset to read from next.
    pub next_offset: i64,
    /// The first offset of the queue.
    pub min_offset: i64,
    /// The offset behind the last readable message of the queue.
    pub max_offset: i64,
    /// Messages that were copied.
    pub count: usize,
    /// Bytes that were copied.
    pub bytes: usize,
    /// How far the last message lies behind the end of the log.
    pub behind_bytes: u64,
}

impl Store {
    /// Copies whole records of `queue`, from `offset` on, behind what `out` holds.
    ///
    /// `filter` is asked with the tags code of each entry. Damaged or missing records are skipped.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails; `out` may hold the records before that.
    pub fn read(
        &self,
        queue: &Queue,
        offset: i64,
        limit: ReadLimit,
        filter: &mut dyn FnMut(i64) -> bool,
        out: &mut Vec<u8>,
        heat: Heat,
    ) -> Result<ReadOutcome, ReadError> {
        self.read_wanted(queue, offset, limit, Wanted { codes: filter, records: None }, out, heat)
    }

    /// [`read`](Self::read) with a filter that may look at records too.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails; `out` may hold the records before that.
    pub fn read_wanted(
        &self,
        queue: &Queue,
        offset: i64,
        limit: ReadLimit,
        mut wanted: Wanted<'_>,
        out: &mut Vec<u8>,
        heat: Heat,
    ) -> Result<ReadOutcome, ReadError> {
        let (min_offset, max_offset) = (queue.min_offset(), self.readable_end(queue));
        let outcome = |status, next_offset| {
            let (count, bytes, behind_bytes) = (0, 0, 0);
            ReadOutcome { status, next_offset, min_offset, max_offset, count, bytes, behind_bytes }
        };
        Ok(match offset {
            _ if max_offset == 0 => outcome(ReadStatus::Empty, 0),
            _ if offset < min_offset => outcome(ReadStatus::TooSmall, min_offset),
            _ if offset == max_offset => outcome(ReadStatus::OverflowOne, offset),
            _ if offset > max_offset => outcome(ReadStatus::OverflowBadly, max_offset),
            _ => {
                let mut reader = Reader::new(self.inner(), heat);
                reader.collect(queue, limit, &mut wanted, out, outcome(ReadStatus::NoMatch, offset))?
            }
        })
    }

    /// The record that lies at a position of the log; `None` where the log does not reach.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when no sound record begins there.
    pub fn record(&self, physical_offset: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let inner = self.inner();
        if physical_offset >= inner.flusher.readable() {
            return Ok(None);
        }
        let Some(segment) = inner.segments.at(physical_offset) else { return Ok(None) };
        let damaged = |reason: String| ReadError::Damaged { position: physical_offset, reason };
        let failed = |source| ReadError::Io { path: segment.path.clone(), source };
        let left = segment.end() - physical_offset;
        let mut size = [0; 4];
        if left < to_u64(PLACED_BYTES) {
            return Err(damaged("the file ends".to_owned()));
        }
        read_exact(&segment, physical_offset, &mut size).map_err(failed)?;
        let size = u64::from(u32::from_be_bytes(size));
        if size > left.min(to_u64(inner.options.max_record_bytes)) {
            return Err(damaged(format!("a size of {size} is impossible")));
        }
        let mut bytes = vec![0; to_usize(size)];
        read_exact(&segment, physical_offset, &mut bytes).map_err(failed)?;
        let record = Record::decode(&bytes).map_err(|error: RecordError| damaged(error.to_string()))?;
        if file_position(record.physical_offset) != physical_offset {
            return Err(damaged(format!("it says that it lies at {}", record.physical_offset)));
        }
        if !record.check_crc() {
            return Err(damaged("its checksum does not match its body".to_owned()));
        }
        Ok(Some(bytes))
    }
}

/// Where the bytes of a record come from.
enum Copy {
    Done,
    Unwanted,
    Stopped,
    Cold,
    Missing,
}

/// Reads records for one call.
pub(crate) struct Reader<'a> {
    inner: &'a Inner,
    heat: Heat,
    readable: u64,
    hot_from: u64,
    segment: Option<Arc<Segment>>,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(inner: &'a Inner, heat: Heat) -> Self {
        let readable = inner.flusher.readable();
        let hot_from = match heat {
            Heat::Unmapped => u64::MAX,
            _ => readable.saturating_sub(inner.options.hot_bytes).max(inner.opened_at),
        };
        Self { inner, heat, readable, hot_from, segment: None, window: Vec::new(), window_start: 0 }
    }

    /// For a walk over the log: maps nothing, so that the log does not count as memory of the process.
    pub(crate) fn unmapped(inner: &'a Inner) -> Self {
        Self::new(inner, Heat::Unmapped)
    }

    fn collect(
        &mut self,
        queue: &Queue,
        limit: ReadLimit,
        wanted: &mut Wanted<'_>,
        out: &mut Vec<u8>,
        mut outcome: ReadOutcome,
    ) -> Result<ReadOutcome, ReadError> {
        let mut entries = [Entry::default(); ENTRIES];
        let mut scanned = 0;
        let mut last_position = self.readable;
        while outcome.next_offset < outcome.max_offset && scanned < limit.max_scan {
            let left = to_usize((outcome.max_offset - outcome.next_offset).unsigned_abs());
            let fetched = ENTRIES.min(limit.max_scan - scanned).min(left).min(limit.max_messages.max(1));
            let Some(count) = self.entries(queue, outcome.next_offset, &mut entries[..fetched])? else {
                return Ok(outcome.or(ReadStatus::Cold));
            };
            if count == 0 {
                break;
            }
            for entry in &entries[..count] {
                if entry.end() > self.readable {
                    return Ok(outcome.finish(self.readable, last_position));
                }
                if entry.is_blank() || !(wanted.codes)(entry.tags_code) {
                    outcome.next_offset += 1;
                    scanned += 1;
                    continue;
                }
                let size = to_usize(u64::from(entry.size));
                let full = outcome.count >= limit.max_messages
                    || (outcome.count > 0 && outcome.bytes + size > limit.max_bytes);
                if full {
                    return Ok(outcome.finish(self.readable, last_position));
                }
                match self.copy(entry, wanted, out)? {
                    Copy::Stopped => return Ok(outcome.finish(self.readable, last_position)),
                    Copy::Cold => {
                        return Ok(outcome.or(ReadStatus::Cold).finish(self.readable, last_position));
                    }
                    Copy::Missing if outcome.count == 0 => {
                        let gone = entry.position < self.inner.segments.start();
                        outcome.status = if gone { ReadStatus::Removing } else { ReadStatus::FoundNull };
                    }
                    Copy::Missing | Copy::Unwanted => {}
                    Copy::Done => {
                        outcome.status = ReadStatus::Found;
                        outcome.count += 1;
                        outcome.bytes += size;
                        last_position = entry.position;
                    }
                }
                outcome.next_offset += 1;
                scanned += 1;
            }
        }
        Ok(outcome.finish(self.readable, last_position))
    }

    /// Fetches entries; `None` when the disk would have to be waited for.
    pub(crate) fn entries(
        &self,
        queue: &Queue,
        offset: i64,
        out: &mut [Entry],
    ) -> Result<Option<usize>, ReadError> {
        queue
            .entries(offset, out, self.heat == Heat::HotOnly)
            .map_err(|source| ReadError::Io { path: queue.files.path(offset), source })
    }

    /// Copies the record of `entry` behind `out` if it is wanted, checking that it is the one that should be there.
    fn copy(&mut self, entry: &Entry, wanted: &mut Wanted<'_>, out: &mut Vec<u8>) -> Result<Copy, ReadError> {
        let (inner, size) = (self.inner, to_usize(u64::from(entry.size)));
        let found = match self.bytes(entry.position, size) {
            Ok(Some(bytes)) if is_placed(bytes, entry) => {
                match wanted.records.as_mut().map(|records| records(bytes)) {
                    None | Some(Verdict::Give) => {}
                    Some(Verdict::PassOver) => return Ok(Copy::Unwanted),
                    Some(Verdict::Stop) => return Ok(Copy::Stopped),
                }
                out.extend_from_slice(bytes);
                Copy::Done
            }
            Ok(Some(_)) => {
                tracing::warn!(
                    position = entry.position,
                    size,
                    "an entry points at no sound record, skipped"
                );
                Copy::Missing
            }
            Ok(None) if inner.segments.at(entry.position).is_some() => Copy::Cold,
            Ok(None) => Copy::Missing,
            Err(source) => return Err(self.failed(entry.position, source)),
        };
        Ok(found)
    }

    pub(crate) fn failed(&self, position: u64, source: io::Error) -> ReadError {
        let path = self.inner.segments.at(position).map(|segment| segment.path.clone());
        ReadError::Io { path: path.unwrap_or_else(|| self.inner.options.commit_log.clone()), source }
    }

    /// Bytes of the log; `None` when the log has none there, or none in memory and it may not wait.
    pub(crate) fn bytes(&mut self, position: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if !self.segment.as_ref().is_some_and(|segment| (segment.start..segment.end()).contains(&position)) {
            self.segment = self.inner.segments.at(position);
        }
        let Some(segment) = &self.segment else { return Ok(None) };
        let left = to_usize(segment.end() - position);
        if length > left {
            // An entry that reaches over the end of a file is damaged; an empty slice is no sound record.
            return Ok(Some(&[]));
        }
        if position >= self.hot_from
            && let Some(bytes) = segment.mapped(position, length)
        {
            return Ok(Some(bytes));
        }
        let inside = position.checked_sub(self.window_start).map(to_usize);
        if let Some(from) = inside.filter(|from| from.saturating_add(length) <= self.window.len()) {
            return Ok(Some(&self.window[from..from + length]));
        }
        let readable_left = to_usize(self.readable.saturating_sub(position));
        let wanted = WINDOW_BYTES.min(left).min(readable_left).max(length);
        self.window.resize(wanted, 0);
        self.window_start = position;
        let offset = position - segment.start;
        let read = match self.heat {
            Heat::Any | Heat::Unmapped => segment.file.read_at(&mut self.window, offset)?,
            Heat::HotOnly => segment.file.read_cached_at(&mut self.window, offset)?,
        };
        self.window.truncate(read);
        Ok(self.window.get(..length))
    }
}

/// Whether `bytes` are a record that lies where `entry` says, as far as its first fields tell.
fn is_placed(bytes: &[u8], entry: &Entry) -> bool {
    let Some(head) = bytes.first_chunk::<PLACED_BYTES>() else { return false };
    let size = [head[0], head[1], head[2], head[3]];
    let magic = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    u32::from_be_bytes(size) == entry.size
        && matches!(magic, V1_MAGIC | V2_MAGIC)
        && head[28..] == to_i64(entry.position).to_be_bytes()
}

impl ReadOutcome {
    fn or(mut self, status: ReadStatus) -> Self {
        if self.count == 0 {
            self.status = status;
        }
        self
    }

    fn finish(mut self, end: u64, last_position: u64) -> Self {
        self.behind_bytes = if self.count > 0 { end.saturating_sub(last_position) } else { 0 };
        self
    }
}
