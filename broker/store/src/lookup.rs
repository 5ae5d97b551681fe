//! Finding messages by the time they were stored.

use rocketmq_boot_protocol::message::{record, sys_flag};

use crate::{
    cast::{to_i64, to_u64, to_usize},
    entry::Entry,
    error::ReadError,
    queue::Queue,
    read::{Heat, Reader},
    store::Store,
};

/// Which neighbour a lookup between two messages gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// The first message stored at the time or after it; the end of the queue when there is none.
    #[default]
    Lower,
    /// The last message stored at the time or before it; the first one when all are later.
    Upper,
}

/// An entry of a consume queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEntry {
    /// Where the record lies in the log.
    pub physical_offset: u64,
    /// Its length.
    pub size: u32,
    /// The tags code.
    pub tags_code: i64,
}

const SYS_FLAG: usize = 36;
const STORE_TIMESTAMP: usize = 56;
const HOST_V6_EXTRA: usize = 12;
/// Enough of a record to hold its store timestamp, whatever the hosts are.
pub(crate) const HEAD_BYTES: usize = STORE_TIMESTAMP + HOST_V6_EXTRA + 8;
const _: () = assert!(HEAD_BYTES <= record::MIN_BYTES);

impl Store {
    /// The offset of the message of `queue` that was stored at `timestamp_ms`, or of its neighbour.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn offset_by_time(
        &self,
        queue: &Queue,
        timestamp_ms: i64,
        boundary: Boundary,
    ) -> Result<i64, ReadError> {
        let min = queue.min_offset();
        let (mut low, mut high) = (min, self.readable_end(queue));
        // Times never decrease along a queue: everything below `low` is earlier, nothing from `high` on is.
        while low < high {
            let middle = low + (high - low) / 2;
            let earlier = match self.store_time(queue, middle)? {
                Some(time) => match boundary {
                    Boundary::Lower => time < timestamp_ms,
                    Boundary::Upper => time <= timestamp_ms,
                },
                // A message that is lost counts as earlier than any that is there.
                None => true,
            };
            if earlier {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(match boundary {
            Boundary::Lower => low,
            Boundary::Upper => (low - 1).max(min),
        })
    }

    /// Entries of `queue` from `offset` on, `max` at most and as far as they can be read.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn entries(&self, queue: &Queue, offset: i64, max: usize) -> Result<Vec<QueueEntry>, ReadError> {
        let left = to_usize(self.readable_end(queue).saturating_sub(offset).max(0).unsigned_abs());
        let mut entries = vec![Entry::default(); max.min(left)];
        if offset < queue.min_offset() || entries.is_empty() {
            return Ok(Vec::new());
        }
        let reader = Reader::new(self.inner(), Heat::Any);
        let (mut filled, mut next) = (0, offset);
        while filled < entries.len()
            && let Some(count @ 1..) = reader.entries(queue, next, &mut entries[filled..])?
        {
            filled += count;
            next += to_i64(to_u64(count));
        }
        let entry = |Entry { position, size, tags_code }: &Entry| QueueEntry {
            physical_offset: *position,
            size: *size,
            tags_code: *tags_code,
        };
        Ok(entries[..filled].iter().map(entry).collect())
    }

    /// When the message at `offset` was stored, ms since 1970.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn store_time(&self, queue: &Queue, offset: i64) -> Result<Option<i64>, ReadError> {
        if offset < queue.min_offset() || offset >= self.readable_end(queue) {
            return Ok(None);
        }
        let mut reader = Reader::new(self.inner(), Heat::Any);
        let mut entry = [Entry::default()];
        if reader.entries(queue, offset, &mut entry)? != Some(1) || entry[0].is_blank() {
            return Ok(None);
        }
        let position = entry[0].position;
        if u64::from(entry[0].size) < to_u64(HEAD_BYTES) {
            return Ok(None);
        }
        match reader.bytes(position, HEAD_BYTES) {
            Ok(head) => Ok(head.and_then(store_timestamp)),
            Err(source) => Err(reader.failed(position, source)),
        }
    }

    /// When the first message of `queue` was stored, ms since 1970; `None` for an empty queue.
    ///
    /// # Errors
    /// [`ReadError`] when the disk fails.
    pub fn earliest_time(&self, queue: &Queue) -> Result<Option<i64>, ReadError> {
        self.store_time(queue, queue.min_offset())
    }
}

pub(crate) fn store_timestamp(head: &[u8]) -> Option<i64> {
    let flags = i32::from_be_bytes(*head.get(SYS_FLAG..)?.first_chunk()?);
    let at = STORE_TIMESTAMP + if flags & sys_flag::BORN_HOST_V6 != 0 { HOST_V6_EXTRA } else { 0 };
    Some(i64::from_be_bytes(*head.get(at..)?.first_chunk()?))
}
