//! The entry of a consume queue.
//!
//! ```text
//! 0 i64 position of the record in the commit log
//! 8 i32 length of the record
//! 12 i64 tags code
//! ```

use crate::cast::{position, to_i64};

pub(crate) const ENTRY_BYTES: usize = TAGS_CODE + 8;
const POSITION: usize = 0;
const SIZE: usize = POSITION + 8;
const TAGS_CODE: usize = SIZE + 4;

/// Length in an entry that stands for no record.
const BLANK_SIZE: u32 = 0x7FFF_FFFF;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) size: u32,
    pub(crate) tags_code: i64,
}

impl Entry {
    /// Stands at places before a queue's first message, and where the message is lost.
    pub(crate) const BLANK: Self = Self { position: 0, size: BLANK_SIZE, tags_code: 0 };

    pub(crate) fn is_blank(&self) -> bool {
        self.size == BLANK_SIZE
    }

    /// Whether anything has been written here.
    pub(crate) fn is_set(&self) -> bool {
        self.size > 0
    }

    /// The position behind the record.
    pub(crate) fn end(&self) -> u64 {
        if self.is_blank() { 0 } else { self.position.saturating_add(u64::from(self.size)) }
    }

    pub(crate) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[POSITION..SIZE].copy_from_slice(&to_i64(self.position).to_be_bytes());
        bytes[SIZE..TAGS_CODE].copy_from_slice(&self.size.to_be_bytes());
        bytes[TAGS_CODE..].copy_from_slice(&self.tags_code.to_be_bytes());
        bytes
    }

    /// Reads an entry; a negative length counts as nothing written.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [p0, p1, p2, p3, p4, p5, p6, p7, s0, s1, s2, s3, tags_code @ ..] = *bytes;
        let size = i32::from_be_bytes([s0, s1, s2, s3]);
        Self {
            position: position(i64::from_be_bytes([p0, p1, p2, p3, p4, p5, p6, p7])),
            size: u32::try_from(size).unwrap_or(0),
            tags_code: i64::from_be_bytes(tags_code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_apaches_bytes() {
        let entry = Entry { position: 0x0102, size: 0x0304, tags_code: -2 };
        let bytes = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 255, 255, 255, 255, 255, 255, 255, 254];
        assert_eq!((entry.encode(), Entry::decode(&bytes)), (bytes, entry));
    }

    #[test]
    fn damaged_entries_are_unset_or_out_of_reach() {
        assert!(!Entry::decode(&[0; 20]).is_set());
        assert!(!Entry::decode(&[255; 20]).is_set());
        assert_eq!(Entry::decode(&[255; 20]).position, u64::MAX);
        assert_eq!(Entry::BLANK.end(), 0);
    }
}
