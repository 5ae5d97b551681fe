//! Walking the log record by record, as a recovery does: through pread, checking everything.

use std::io;

use rocketmq_boot_protocol::message::record::{
    BLANK_BYTES, BLANK_MAGIC, MIN_BYTES, Record, V1_MAGIC, V2_MAGIC,
};

use crate::{
    cast::{position as file_position, to_u64, to_usize},
    error::OpenError,
    segment::{Segment, Segments},
};

/// Read at a time.
const WINDOW_BYTES: usize = 1 << 20;
/// A size field beyond this is damage: no broker is configured to store such a record.
const MAX_RECORD_BYTES: u64 = 128 << 20;
/// A record's size is written with leading zeros: it may begin this much before its first byte that is not one.
const LEADING_ZEROS: u64 = 3;

/// What lies at a position of the log.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A sound record.
    Record(Record<'a>),
    /// The rest of the file is unused on purpose.
    Blank,
    /// Neither.
    Nothing,
}

/// Reads a log through a window.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    segments: &'a Segments,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(segments: &'a Segments) -> Self {
        Self { segments, window: Vec::new(), window_start: 0 }
    }

    /// What lies at `position`, which is inside `segment`.
    pub(crate) fn at(&mut self, segment: &Segment, position: u64) -> Result<Found<'_>, OpenError> {
        let left = segment.end() - position;
        let Some(head) = self.bytes(segment, position, to_u64(BLANK_BYTES))?.first_chunk::<BLANK_BYTES>()
        else {
            return Ok(Found::Blank);
        };
        let [s0, s1, s2, s3, magic @ ..] = *head;
        let (size, magic) = (u64::from(u32::from_be_bytes([s0, s1, s2, s3])), u32::from_be_bytes(magic));
        if magic == BLANK_MAGIC && size == left {
            return Ok(Found::Blank);
        }
        let possible = to_u64(MIN_BYTES)..=left.min(MAX_RECORD_BYTES);
        if !matches!(magic, V1_MAGIC | V2_MAGIC) || !possible.contains(&size) {
            return Ok(Found::Nothing);
        }
        let sound =
            |record: &Record<'_>| file_position(record.physical_offset) == position && record.check_crc();
        match Record::decode(self.bytes(segment, position, size)?) {
            Ok(record) if sound(&record) => Ok(Found::Record(record)),
            _ => Ok(Found::Nothing),
        }
    }

    /// `length` bytes at `position`, or as many as the file has.
    fn bytes(&mut self, segment: &Segment, position: u64, length: u64) -> Result<&[u8], OpenError> {
        let length = to_usize(length.min(segment.end() - position));
        let inside = position
            .checked_sub(self.window_start)
            .map(to_usize)
            .filter(|from| from.saturating_add(length) <= self.window.len());
        let from = match inside {
            Some(from) => from,
            None => {
                let wanted = to_usize(window_end(segment, position, to_u64(length)) - position);
                self.window.resize(wanted, 0);
                self.window_start = position;
                let read = segment
                    .file
                    .read_at(&mut self.window, position - segment.start)
                    .map_err(OpenError::io("read", &segment.path))?;
                self.window.truncate(read);
                0
            }
        };
        let end = from.saturating_add(length).min(self.window.len());
        Ok(&self.window[from..end])
    }

    /// The first sound record behind `position`, anywhere in the log.
    pub(crate) fn next_sound(&mut self, position: u64) -> Result<Option<u64>, OpenError> {
        let mut at = position + 1;
        while let Some(segment) = self.segments.at(at) {
            while at < segment.end() {
                let Some(data) = self.next_data(&segment, at)? else { break };
                at = at.max(data.saturating_sub(LEADING_ZEROS));
                let end = window_end(&segment, at, to_u64(BLANK_BYTES));
                let candidates = magics(self.bytes(&segment, at, end - at)?);
                for offset in candidates {
                    if let Found::Record(_) = self.at(&segment, at + to_u64(offset))? {
                        return Ok(Some(at + to_u64(offset)));
                    }
                }
                if end == segment.end() {
                    break;
                }
                at = match self.next_data(&segment, end)? {
                    // A record may begin in this window and have its magic in the next.
                    Some(data) if data == end => end - to_u64(BLANK_BYTES) + 1,
                    Some(data) => data - LEADING_ZEROS,
                    None => break,
                };
            }
            at = segment.end();
        }
        Ok(None)
    }

    /// The position behind the last byte of the log that is not zero; `position` when there is none behind it.
    pub(crate) fn data_end(&mut self, position: u64) -> Result<u64, OpenError> {
        let (mut at, mut end) = (position, position);
        while let Some(segment) = self.segments.at(at) {
            while at < segment.end() {
                let Some(data) = self.next_data(&segment, at)? else { break };
                at = at.max(data);
                let window = window_end(&segment, at, 1);
                let chunk = self.bytes(&segment, at, window - at)?;
                if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
                    end = at + to_u64(last) + 1;
                }
                at = window;
            }
            at = segment.end();
        }
        Ok(end)
    }

    fn next_data(&self, segment: &Segment, at: u64) -> Result<Option<u64>, OpenError> {
        let data =
            segment.file.next_data(at - segment.start).map_err(OpenError::io("read", &segment.path))?;
        Ok(data.map(|offset| segment.start + offset))
    }

    /// Hands `[from, end)` of the log to `each`, piece by piece with the distance from `from`.
    pub(crate) fn copy(
        &mut self,
        from: u64,
        end: u64,
        mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<io::Result<()>, OpenError> {
        let mut at = from;
        while at < end
            && let Some(segment) = self.segments.at(at)
        {
            let chunk = self.bytes(&segment, at, to_u64(WINDOW_BYTES).min(end - at))?;
            if chunk.is_empty() {
                break;
            }
            if let Err(error) = each(at - from, chunk) {
                return Ok(Err(error));
            }
            at += to_u64(chunk.len());
        }
        Ok(Ok(()))
    }
}

/// Where a read at `position` ends that wants at least `length` bytes.
///
/// Windows end where pages do: a page that was read in part is cached whole, counts as data from then on, and would
/// lead from one empty window to the next.
fn window_end(segment: &Segment, position: u64, length: u64) -> u64 {
    let wanted = (position - segment.start).saturating_add(length).next_multiple_of(to_u64(WINDOW_BYTES));
    segment.end().min(segment.start + wanted)
}

/// Where in `chunk` a record may begin: four bytes before each magic.
fn magics(chunk: &[u8]) -> Vec<usize> {
    let is_magic = |bytes: &[u8]| [V1_MAGIC, V2_MAGIC].iter().any(|magic| bytes == magic.to_be_bytes());
    chunk
        .windows(BLANK_BYTES)
        .enumerate()
        .filter(|(_, head)| is_magic(&head[4..]))
        .map(|(at, _)| at)
        .collect()
}
