//! One file of the key index.
//!
//! ```text
//!   0 i64 store timestamp of the first message    40       i32 x slots: the newest entry of each, 0 for none
//!   8 i64 store timestamp of the last message      .       20 bytes x entries, of which the first is never used:
//!  16 i64 position of the first message                      0 i32 hash of the key
//!  24 i64 position of the last message                       4 i64 position of the message
//!  32 i32 slots in use                                      12 i32 seconds after the file's first timestamp
//!  36 i32 number of the next entry                          16 i32 the entry of the same slot before this, 0 for none
//! ```
//!
//! The file has its full length from the start, sparse. It is called after the time when it was made.

use std::{ffi::OsStr, io, path::PathBuf, sync::Arc};

use parking_lot::RwLock;

use crate::{
    cast::{position, to_i64, to_u64, to_usize},
    disk::File,
};

pub(super) const HEADER_BYTES: usize = COUNT + 4;
pub(super) const SLOT_BYTES: usize = 4;
pub(super) const ENTRY_BYTES: usize = PREVIOUS + 4;

const BEGIN_TIMESTAMP: usize = 0;
const END_TIMESTAMP: usize = BEGIN_TIMESTAMP + 8;
const BEGIN_POSITION: usize = END_TIMESTAMP + 8;
const END_POSITION: usize = BEGIN_POSITION + 8;
const USED_SLOTS: usize = END_POSITION + 8;
const COUNT: usize = USED_SLOTS + 4;

const HASH: usize = 0;
const POSITION: usize = HASH + 4;
const SECONDS: usize = POSITION + 8;
const PREVIOUS: usize = SECONDS + 4;

/// Entries that are read together. The entries of a chain that is followed far lie close to each other.
const WINDOW_ENTRIES: u32 = 200;

/// How large the parts of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) slots: u32,
    /// Entries, the unused first one among them.
    pub(super) entries: u32,
}

impl Shape {
    pub(super) fn bytes(self) -> u64 {
        self.entry_at(self.entries)
    }

    pub(super) fn slots_bytes(self) -> u64 {
        u64::from(self.slots) * to_u64(SLOT_BYTES)
    }

    pub(super) fn entry_at(self, number: u32) -> u64 {
        to_u64(HEADER_BYTES) + self.slots_bytes() + u64::from(number) * to_u64(ENTRY_BYTES)
    }
}

/// The first bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) begin_timestamp: i64,
    pub(super) end_timestamp: i64,
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) used_slots: u32,
    /// Number of the next entry.
    pub(super) next: u32,
}

impl Header {
    /// Of a file that follows one that ends with the message at `end`, stored at `end_timestamp`.
    pub(super) fn behind(end_timestamp: i64, end: u64) -> Self {
        let (begin_timestamp, begin) = (end_timestamp, end);
        Self { begin_timestamp, end_timestamp, begin, end, used_slots: 0, next: 1 }
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[BEGIN_TIMESTAMP..END_TIMESTAMP].copy_from_slice(&self.begin_timestamp.to_be_bytes());
        bytes[END_TIMESTAMP..BEGIN_POSITION].copy_from_slice(&self.end_timestamp.to_be_bytes());
        bytes[BEGIN_POSITION..END_POSITION].copy_from_slice(&to_i64(self.begin).to_be_bytes());
        bytes[END_POSITION..USED_SLOTS].copy_from_slice(&to_i64(self.end).to_be_bytes());
        bytes[USED_SLOTS..COUNT].copy_from_slice(&self.used_slots.to_be_bytes());
        bytes[COUNT..].copy_from_slice(&self.next.to_be_bytes());
        bytes
    }

    /// Reads a header; `None` for one that cannot be of a file with entries.
    fn decode(bytes: &[u8; HEADER_BYTES], shape: Shape) -> Option<Self> {
        let long = |at: usize| bytes[at..].first_chunk().copied().map(i64::from_be_bytes);
        let number = |at: usize| bytes[at..].first_chunk().copied().map(u32::from_be_bytes);
        let header = Self {
            begin_timestamp: long(BEGIN_TIMESTAMP)?,
            end_timestamp: long(END_TIMESTAMP)?,
            begin: position(long(BEGIN_POSITION)?),
            end: position(long(END_POSITION)?),
            used_slots: number(USED_SLOTS)?,
            next: number(COUNT)?,
        };
        let sound = (2..=shape.entries).contains(&header.next)
            && header.used_slots < header.next
            && header.begin <= header.end
            && header.end < u64::MAX
            && (0..=header.end_timestamp).contains(&header.begin_timestamp);
        sound.then_some(header)
    }

    pub(super) fn is_full(&self, shape: Shape) -> bool {
        self.next >= shape.entries
    }

    /// Whether messages of this time may be here.
    fn covers(&self, begin: i64, end: i64) -> bool {
        begin <= self.end_timestamp && end >= self.begin_timestamp
    }
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct KeyEntry {
    pub(super) hash: u32,
    pub(super) position: u64,
    pub(super) seconds: i32,
    pub(super) previous: u32,
}

impl KeyEntry {
    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[HASH..POSITION].copy_from_slice(&self.hash.to_be_bytes());
        bytes[POSITION..SECONDS].copy_from_slice(&to_i64(self.position).to_be_bytes());
        bytes[SECONDS..PREVIOUS].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[PREVIOUS..].copy_from_slice(&self.previous.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [h0, h1, h2, h3, p0, p1, p2, p3, p4, p5, p6, p7, s0, s1, s2, s3, previous @ ..] = *bytes;
        Self {
            hash: u32::from_be_bytes([h0, h1, h2, h3]),
            position: position(i64::from_be_bytes([p0, p1, p2, p3, p4, p5, p6, p7])),
            seconds: i32::from_be_bytes([s0, s1, s2, s3]),
            previous: u32::from_be_bytes(previous),
        }
    }
}

/// A file, as those who look for keys see it. The lock on its header guards all of its content.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) path: PathBuf,
    /// The number that its name is.
    pub(super) name: u64,
    pub(super) file: Arc<dyn File>,
    pub(super) shape: Shape,
    pub(super) header: RwLock<Header>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup {
    pub(super) hash: u32,
    pub(super) begin: i64,
    pub(super) end: i64,
}

/// Whether a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Further,
    Enough,
}

impl IndexFile {
    /// Takes a file that lies in the folder; `None` when its length or its header cannot be.
    pub(super) fn load(
        path: PathBuf,
        name: u64,
        file: Arc<dyn File>,
        shape: Shape,
    ) -> io::Result<Option<Self>> {
        let mut head = [0; HEADER_BYTES];
        if file.size()? != shape.bytes() || file.read_at(&mut head, 0)? < HEADER_BYTES {
            return Ok(None);
        }
        let header = Header::decode(&head, shape);
        Ok(header.map(|header| Self { path, name, file, shape, header: RwLock::new(header) }))
    }

    /// Hands the positions of a hash to `each`, the newest first.
    pub(super) fn find(
        &self,
        lookup: Lookup,
        each: &mut dyn FnMut(u64) -> Result<Search, io::Error>,
    ) -> io::Result<Search> {
        let header = self.header.read();
        if !header.covers(lookup.begin, lookup.end) {
            return Ok(Search::Further);
        }
        let mut slot = [0; SLOT_BYTES];
        let slot_at = u64::from(lookup.hash % self.shape.slots) * to_u64(SLOT_BYTES);
        self.file.read_at(&mut slot, to_u64(HEADER_BYTES) + slot_at)?;
        let mut number = u32::from_be_bytes(slot);
        let mut window = Window::default();
        while (1..header.next).contains(&number) {
            let Some(entry) = window.entry(self, number)? else { break };
            if entry.seconds < 0 {
                break;
            }
            let time = header.begin_timestamp.saturating_add(i64::from(entry.seconds) * 1000);
            let matches = entry.hash == lookup.hash && (lookup.begin..=lookup.end).contains(&time);
            if matches && each(entry.position)? == Search::Enough {
                return Ok(Search::Enough);
            }
            // Chains lead backwards; one that does not is damaged, and would not end.
            if time < lookup.begin || entry.previous >= number {
                break;
            }
            number = entry.previous;
        }
        Ok(Search::Further)
    }

    /// How many of the last entries, but none before `first`, are of the message at `position`.
    pub(super) fn trailing(&self, position: u64) -> io::Result<u32> {
        let header = self.header.read();
        let (mut number, mut window) = (header.next, Window::default());
        while number > 1 && window.entry(self, number - 1)?.is_some_and(|entry| entry.position == position) {
            number -= 1;
        }
        Ok(header.next - number)
    }
}

/// A few entries around the last one that was asked for.
#[derive(Debug, Default)]
struct Window {
    first: u32,
    bytes: Vec<u8>,
}

impl Window {
    /// An entry; most of the window lies before it, because searches go backwards.
    fn entry(&mut self, file: &IndexFile, number: u32) -> io::Result<Option<KeyEntry>> {
        let inside = |window: &Self| {
            let from = to_usize(u64::from(number.checked_sub(window.first)?)) * ENTRY_BYTES;
            window.bytes.get(from..)?.first_chunk().map(KeyEntry::decode)
        };
        if let Some(entry) = inside(self) {
            return Ok(Some(entry));
        }
        self.first = number.saturating_sub(WINDOW_ENTRIES - 1);
        self.bytes.resize(to_usize(u64::from(number - self.first + 1)) * ENTRY_BYTES, 0);
        let read = file.file.read_at(&mut self.bytes, file.shape.entry_at(self.first))?;
        self.bytes.truncate(read);
        Ok(inside(self))
    }
}

/// The number that a file's name is; `None` for a name that is no time.
pub(super) fn parse_name(name: &OsStr) -> Option<u64> {
    let name = name.to_str()?;
    (name.len() == 17 && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

/// A time as `yyyyMMddHHmmssSSS`, in UTC. Apache writes local time; names only have to grow, and whoever makes a file
/// sees to that.
pub(super) fn name_of(time_ms: i64) -> u64 {
    let days = time_ms.div_euclid(86_400_000);
    let in_day = time_ms.rem_euclid(86_400_000);
    // Years begin in March here, so that the day that not every year has is their last.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = [
        year + era * 400 + i64::from(month >= 10),
        if month < 10 { month + 3 } else { month - 9 },
        day - (153 * month + 2) / 5 + 1,
        in_day / 3_600_000,
        in_day / 60_000 % 60,
        in_day / 1_000 % 60,
    ];
    let digits = date.iter().fold(0, |number, part| number * 100 + part);
    u64::try_from(digits * 1_000 + in_day % 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_times_that_grow() {
        for (time_ms, name) in [
            (0, 19_700_101_000_000_000),
            (951_827_696_789, 20_000_229_123_456_789),
            (1_790_000_000_000, 20_260_921_141_320_000),
            (1_798_761_599_999, 20_261_231_235_959_999),
        ] {
            assert_eq!(name_of(time_ms), name);
        }
        assert_eq!(parse_name(OsStr::new("20261231235959999")), Some(20_261_231_235_959_999));
        assert_eq!(parse_name(OsStr::new("2026123123595999x")), None);
    }

    #[test]
    fn damaged_headers_are_none() {
        let shape = Shape { slots: 100, entries: 200 };
        let sound = Header { next: 7, used_slots: 3, ..Header::behind(1_000, 50) };
        assert_eq!(Header::decode(&sound.encode(), shape), Some(sound));
        for damaged in [
            Header { next: 201, ..sound },
            Header { next: 0, ..sound },
            Header { used_slots: 9, ..sound },
            Header { end: 49, ..sound },
            Header { end_timestamp: 999, ..sound },
        ] {
            assert_eq!(Header::decode(&damaged.encode(), shape), None, "{damaged:?}");
        }
    }
}
