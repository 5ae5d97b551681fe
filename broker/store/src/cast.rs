//! Conversions between the integer types of files, slices and records.
//!
//! Positions in a log stay far below 2^63 and slices below `usize::MAX`, so none of these loses anything in
//! practice; a value from a damaged file saturates and fails the range check behind it.

pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

pub(crate) fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

pub(crate) fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A position from a file; a negative one becomes a position that no log reaches.
pub(crate) fn position(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
