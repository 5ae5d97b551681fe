//! One line of the timer log: which record waits for which instant.
//!
//! ```text
//!  0 i32 52                              the unit's own length
//!  4 i64 position of the unit before it in the same slot, -1 for none
//! 12 i32 1 | 2 rolls over | 4 recalls another
//! 16 i64 when it was enqueued, ms        always a multiple of the precision
//! 24 i32 instant - that, ms
//! 28 i64 position of the record in the commit log
//! 36 i32 length of the record
//! 40 i32 hash of the topic it is for
//! 44 i64 0
//! ```

use rocketmq_boot_protocol::message::record::BLANK_MAGIC;

/// Length of a unit.
pub(super) const UNIT_BYTES: usize = 52;
/// Length of what ends a file: `i32 rest of the file | i64 0 | i32 magic`.
pub(super) const BLANK_BYTES: usize = 16;

const DEFAULT: i32 = 1;
const ROLLS: i32 = 1 << 1;
const RECALLS: i32 = 1 << 2;
const KNOWN: i32 = 0xF;

/// A timer in the timer log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimerUnit {
    /// Position of the record in the commit log.
    pub position: u64,
    /// Length of the record.
    pub size: u32,
    /// Its instant, in ms since 1970.
    pub due_ms: i64,
    /// When it was put into the log, in ms since 1970, rounded down to the precision.
    pub enqueued_ms: i64,
    /// Whether the record waits longer than the wheel reaches: at the instant it goes round once more.
    pub rolls: bool,
    /// Whether the record takes another one back.
    pub recalls: bool,
    /// Hash of the topic that the record is for.
    pub topic_hash: i32,
}

/// What a place of the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A unit, and where the one before it in the same slot lies.
    Unit(TimerUnit, Option<u64>),
    /// The file ends here.
    Blank,
    /// Nothing that was ever written whole.
    Nothing,
}

impl TimerUnit {
    /// Appends the unit's bytes.
    pub(super) fn encode(&self, previous: Option<u64>, out: &mut Vec<u8>) {
        let mut magic = DEFAULT;
        if self.rolls {
            magic |= ROLLS;
        }
        if self.recalls {
            magic |= RECALLS;
        }
        // The instant has to be right; when the unit was enqueued is only told to whoever asks.
        let enqueued_ms = self.enqueued_ms.max(self.due_ms.saturating_sub(i64::from(i32::MAX)));
        let delay = i32::try_from(self.due_ms.saturating_sub(enqueued_ms)).unwrap_or(i32::MIN);
        let signed = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
        out.extend_from_slice(&i32::try_from(UNIT_BYTES).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&previous.map_or(-1, signed).to_be_bytes());
        out.extend_from_slice(&magic.to_be_bytes());
        out.extend_from_slice(&enqueued_ms.to_be_bytes());
        out.extend_from_slice(&delay.to_be_bytes());
        out.extend_from_slice(&signed(self.position).to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&self.topic_hash.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
    }
}

impl Line {
    /// Reads what lies at the start of `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let Some(head) = bytes.first_chunk::<BLANK_BYTES>() else { return Self::Nothing };
        let magic = int(head, 12);
        if magic.to_be_bytes() == BLANK_MAGIC.to_be_bytes() {
            return Self::Blank;
        }
        let Some(unit) = bytes.first_chunk::<UNIT_BYTES>() else { return Self::Nothing };
        let whole = usize::try_from(int(unit, 0)) == Ok(UNIT_BYTES);
        let (Ok(position), Ok(size)) = (u64::try_from(long(unit, 28)), u32::try_from(int(unit, 36))) else {
            return Self::Nothing;
        };
        if !whole || magic & DEFAULT == 0 || magic & !KNOWN != 0 {
            return Self::Nothing;
        }
        let enqueued_ms = long(unit, 16);
        let found = TimerUnit {
            position,
            size,
            due_ms: enqueued_ms.saturating_add(i64::from(int(unit, 24))),
            enqueued_ms,
            rolls: magic & ROLLS != 0,
            recalls: magic & RECALLS != 0,
            topic_hash: int(unit, 40),
        };
        Self::Unit(found, u64::try_from(long(unit, 4)).ok())
    }
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..].first_chunk().copied().unwrap_or_default())
}

fn long(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..].first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by RocketMQ 5.5.0 for a message that waits a day: 1 = default, no unit before it.
    const APACHES: [u8; UNIT_BYTES] = [
        0, 0, 0, 52, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 1, 161, 253, 200, 100, 120, 5,
        38, 92, 0, 0, 0, 0, 0, 0, 1, 37, 82, 0, 0, 1, 118, 247, 117, 135, 156, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn apaches_units_are_read_and_written() {
        let Line::Unit(unit, previous) = Line::decode(&APACHES) else { panic!("no unit") };
        assert_eq!((unit.position, unit.size, previous), (75_090, 374, None));
        assert_eq!(unit.due_ms - unit.enqueued_ms, 86_400_000);
        assert!(!unit.rolls && !unit.recalls);
        let mut out = Vec::new();
        unit.encode(previous, &mut out);
        assert_eq!(out, APACHES);
    }

    #[test]
    fn every_field_comes_back() {
        let unit = TimerUnit {
            position: 1 << 40,
            size: 99,
            due_ms: 1_790_000_060_000,
            enqueued_ms: 1_790_000_000_000,
            rolls: true,
            recalls: true,
            topic_hash: -7,
        };
        let mut out = Vec::new();
        unit.encode(Some(104), &mut out);
        assert_eq!(Line::decode(&out), Line::Unit(unit, Some(104)));
    }

    #[test]
    fn what_was_not_written_whole_is_nothing() {
        assert_eq!(Line::decode(&[0; UNIT_BYTES]), Line::Nothing);
        assert_eq!(Line::decode(&APACHES[..40]), Line::Nothing);
        for (at, value) in [(3, 51), (15, 0), (15, 0x11), (28, 0x80), (36, 0x80)] {
            let mut bytes = APACHES;
            bytes[at] = value;
            assert_eq!(Line::decode(&bytes), Line::Nothing, "byte {at}");
        }
    }
}
