//! Appending messages.
//!
//! Records are encoded before the lock. Under it there is one look at the clock, offsets are patched in, the records
//! of the whole call are written with one positioned write (one more where a file ends), and the consume-queue
//! entries go to memory. Nothing is visible before the write has returned.

use std::{ops::Range, sync::Arc};

use parking_lot::MutexGuard;
use rocketmq_boot_protocol::message::record::{BLANK_BYTES, BLANK_MAGIC, Draft, patch_offsets};

use crate::{
    cast::{to_i64, to_u64, to_usize},
    entry::Entry,
    error::AppendError,
    queue::Queue,
    segment::Segment,
    store::{Inner, Store},
};

/// Unwritten consume-queue entries above which appends help writing them.
const MANY_ENTRIES: usize = 2 << 20;
/// Unwritten consume-queue entries above which appends are refused: 100 MB or so.
const TOO_MANY_ENTRIES: usize = 4 << 20;

/// A message to append, and what became of it.
#[derive(Debug)]
pub struct Append<'a> {
    /// Where it goes; of the same topic and number as the draft.
    pub queue: &'a Arc<Queue>,
    /// The record but for what the log knows.
    pub draft: Draft<'a>,
    /// The tags code of its consume-queue entry.
    pub tags_code: i64,
    /// Whether it must stand right behind the one before it, in the same file, or not at all.
    pub joined: bool,
    /// What became of it; filled in by [`Store::append`].
    pub outcome: Option<Result<Appended, AppendError>>,
}

/// Where a message was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its offset in the queue.
    pub queue_offset: i64,
    /// Its position in the commit log.
    pub physical_offset: u64,
    /// Length of its record.
    pub size: u32,
    /// When it was stored, ms since 1970.
    pub store_timestamp: i64,
}

impl Appended {
    /// The position behind it, which [`Store::when_flushed`] waits for.
    pub fn end(&self) -> u64 {
        self.physical_offset + u64::from(self.size)
    }
}

/// What the append lock guards.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) segment: Arc<Segment>,
    pub(crate) position: u64,
    pub(crate) timestamp: i64,
    pub(crate) closed: bool,
    /// To how many percent the disk is used while it counts as full: nothing is taken then.
    pub(crate) full: Option<u64>,
    /// What the keeper fills with zeros right now; nothing may be written there meanwhile.
    pub(crate) claim: Option<Range<u64>>,
    /// How far the keeper has filled the log with zeros.
    pub(crate) blocks_to: u64,
}

impl Tail {
    pub(crate) fn new(segment: Arc<Segment>, position: u64, timestamp: i64) -> Self {
        Self { segment, position, timestamp, closed: false, full: None, claim: None, blocks_to: 0 }
    }
}

impl Store {
    /// Appends messages, in order, and fills in what became of each.
    ///
    /// What is refused leaves no trace; the others of the call are appended all the same, except for those
    /// that are [joined](Append::joined) to it.
    pub fn append(&self, batch: &mut [Append<'_>]) {
        let inner = self.inner();
        if inner.queues.pending() > MANY_ENTRIES && inner.make_room().is_err() {
            return refuse(batch, &AppendError::Busy);
        }
        let limit_bytes = to_usize(inner.options.commit_log_file_bytes).saturating_sub(BLANK_BYTES);
        let mut staged = inner.take_buffer();
        stage(batch, inner.options.max_record_bytes, limit_bytes, &mut staged);
        inner.place(&mut inner.tail.lock(), batch, &mut staged);
        inner.return_buffer(staged);
        if inner.flusher.is_broken() {
            inner.flusher.release();
        }
        inner.flusher.wake();
        inner.keeper.wake();
    }
}

/// Encodes every message that can be encoded; their outcomes hold nothing but the size so far.
fn stage(batch: &mut [Append<'_>], max_record_bytes: usize, limit_bytes: usize, staged: &mut Vec<u8>) {
    let mut rest = batch;
    while !rest.is_empty() {
        let (group, behind) = rest.split_at_mut(group_length(rest));
        let start = staged.len();
        let mut refused = None;
        for (index, append) in group.iter_mut().enumerate() {
            match stage_one(append, max_record_bytes, staged) {
                Ok(appended) => append.outcome = Some(Ok(appended)),
                Err(error) => {
                    refused = Some((index, error));
                    break;
                }
            }
        }
        let bytes = staged.len() - start;
        if refused.is_none() && bytes > limit_bytes {
            refused = Some((0, AppendError::TooLarge { bytes, limit_bytes }));
        }
        if let Some((index, error)) = refused {
            staged.truncate(start);
            refuse(group, &AppendError::Joined);
            group[index].outcome = Some(Err(error));
        }
        rest = behind;
    }
}

fn stage_one(
    append: &Append<'_>,
    max_record_bytes: usize,
    staged: &mut Vec<u8>,
) -> Result<Appended, AppendError> {
    if !append.queue.is_storable() {
        return Err(AppendError::Topic { topic: Arc::clone(append.queue.shared_topic()) });
    }
    let bytes = append.draft.encoded_len()?;
    if bytes > max_record_bytes {
        return Err(AppendError::TooLarge { bytes, limit_bytes: max_record_bytes });
    }
    append.draft.encode(0, 0, 0, staged)?;
    let size = u32::try_from(bytes).unwrap_or(u32::MAX);
    Ok(Appended { queue_offset: 0, physical_offset: 0, size, store_timestamp: 0 })
}

/// How many messages from the front must stand together.
fn group_length(batch: &[Append<'_>]) -> usize {
    1 + batch.iter().skip(1).take_while(|append| append.joined).count()
}

fn refuse(batch: &mut [Append<'_>], error: &AppendError) {
    for append in batch {
        append.outcome = Some(Err(error.clone()));
    }
}

/// Staged bytes of a few messages.
fn staged_bytes(batch: &[Append<'_>]) -> u64 {
    batch.iter().filter_map(|append| append.outcome.as_ref()?.as_ref().ok()).map(|a| u64::from(a.size)).sum()
}

impl Inner {
    /// Places staged messages in the log. The caller holds the append lock.
    fn place(&self, tail: &mut MutexGuard<'_, Tail>, batch: &mut [Append<'_>], staged: &mut [u8]) {
        if tail.closed {
            return refuse_staged(batch, &AppendError::Closed);
        }
        if let Some(used_percent) = tail.full {
            return refuse_staged(batch, &AppendError::Full { used_percent });
        }
        tail.timestamp = tail.timestamp.max(self.clock.now_ms());
        let (mut rest, mut bytes) = (batch, staged);
        while !rest.is_empty() {
            if self.flusher.is_broken() {
                return refuse_staged(rest, &AppendError::ReadOnly);
            }
            // Each append leaves room for the blank that ends the file.
            let room = (tail.segment.end() - tail.position).saturating_sub(to_u64(BLANK_BYTES));
            let (count, run_bytes) = fitting(rest, room);
            let end = tail.position + run_bytes.max(to_u64(BLANK_BYTES));
            if tail.claim.as_ref().is_some_and(|claim| claim.start < end && tail.position < claim.end) {
                // Rare: appends have caught up with the keeper. Others may append meanwhile.
                self.unclaimed.wait(tail);
                continue;
            }
            let placed = if count == 0 {
                self.roll(tail)
            } else {
                let (run, behind) = std::mem::take(&mut rest).split_at_mut(count);
                let (run_staged, staged_behind) =
                    std::mem::take(&mut bytes).split_at_mut(to_usize(run_bytes));
                let written = self.write_run(tail, run, run_staged);
                if let Err(error) = &written {
                    refuse_staged(run, error);
                }
                (rest, bytes) = (behind, staged_behind);
                written
            };
            if let Err(error) = placed {
                return refuse_staged(rest, &error);
            }
        }
    }

    /// Writes messages that fit into the current file, and makes them visible.
    fn write_run(
        &self,
        tail: &mut Tail,
        run: &mut [Append<'_>],
        bytes: &mut [u8],
    ) -> Result<(), AppendError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (mut position, mut rest) = (tail.position, &mut *bytes);
        for append in run.iter_mut() {
            let Some(Ok(appended)) = &mut append.outcome else { continue };
            appended.queue_offset = append.queue.take_offset();
            appended.physical_offset = position;
            appended.store_timestamp = tail.timestamp;
            let (record, behind) = rest.split_at_mut(to_usize(u64::from(appended.size)));
            patch_offsets(record, appended.queue_offset, to_i64(position), tail.timestamp);
            position += u64::from(appended.size);
            rest = behind;
        }
        if let Err(error) = tail.segment.file.write_at(bytes, tail.position - tail.segment.start) {
            for append in run.iter().rev() {
                if let Some(Ok(appended)) = &append.outcome {
                    append.queue.return_offset(appended.queue_offset);
                }
            }
            self.clear(tail, position);
            return Err(AppendError::Io(Arc::new(error)));
        }
        tail.position = position;
        self.flusher.publish(position);
        for same_queue in run.chunk_by(|a, b| Arc::ptr_eq(a.queue, b.queue)) {
            let entries = same_queue.iter().filter_map(|append| {
                let appended = append.outcome.as_ref()?.as_ref().ok()?;
                let (position, size) = (appended.physical_offset, appended.size);
                Some(Entry { position, size, tags_code: append.tags_code })
            });
            self.queues.push(same_queue[0].queue, entries.clone().count(), entries);
        }
        Ok(())
    }

    /// Takes back what a failed write may have left: whole records among it would come up in a recovery.
    fn clear(&self, tail: &Tail, end: u64) {
        let cleared = tail.segment.file.zero(tail.position - tail.segment.start, end - tail.position);
        if let Err(error) = cleared {
            tracing::error!(%error, "cannot take back a failed write, the store is read-only from now on");
            // Waiters are told once the append lock is free: what they do may need it.
            self.flusher.poison();
        }
    }

    /// Ends the current file with a blank and goes on in the next.
    fn roll(&self, tail: &mut Tail) -> Result<(), AppendError> {
        let io = |error| AppendError::Io(Arc::new(error));
        // First the new file: without it, nothing may change.
        self.segments.prepare().map_err(io)?;
        let left = tail.segment.end() - tail.position;
        if left >= to_u64(BLANK_BYTES) {
            let mut blank = [0; BLANK_BYTES];
            blank[..4].copy_from_slice(&u32::try_from(left).unwrap_or(u32::MAX).to_be_bytes());
            blank[4..].copy_from_slice(&BLANK_MAGIC.to_be_bytes());
            if let Err(error) = tail.segment.file.write_at(&blank, tail.position - tail.segment.start) {
                self.clear(tail, tail.position + to_u64(BLANK_BYTES));
                return Err(io(error));
            }
        }
        tail.segment = self.segments.roll().map_err(io)?;
        tail.position = tail.segment.start;
        self.flusher.publish(tail.position);
        Ok(())
    }

    /// Writes consume-queue entries that have piled up.
    fn make_room(&self) -> Result<(), AppendError> {
        if let Err(error) = self.queues.drain(self.flusher.readable()) {
            tracing::warn!(%error, "cannot write consume queues");
        }
        if self.queues.pending() > TOO_MANY_ENTRIES { Err(AppendError::Busy) } else { Ok(()) }
    }
}

/// How many messages of the batch fit into `room`, and their bytes; groups are not split.
fn fitting(batch: &[Append<'_>], room: u64) -> (usize, u64) {
    let (mut count, mut bytes) = (0, 0);
    while count < batch.len() {
        let group = group_length(&batch[count..]);
        let group_bytes = staged_bytes(&batch[count..count + group]);
        if bytes + group_bytes > room {
            break;
        }
        count += group;
        bytes += group_bytes;
    }
    (count, bytes)
}

/// Refuses those that had not been refused before for reasons of their own.
fn refuse_staged(batch: &mut [Append<'_>], error: &AppendError) {
    for append in batch.iter_mut().filter(|append| !matches!(append.outcome, Some(Err(_)))) {
        append.outcome = Some(Err(error.clone()));
    }
}
