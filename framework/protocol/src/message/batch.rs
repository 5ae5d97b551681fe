//! The body of a batch send (request 320): several messages of one topic.
//!
//! ```text
//! repeated: i32 size, itself included | i32 magic 0 | i32 body crc 0 | i32 flag
//!           i32 length, body | i16 length, properties
//! ```
//!
//! The broker expands it into as many records, each with a checksum of its own.

use thiserror::Error;

use super::{record::MAX_PROPERTIES_BYTES, take, take_slice};

const SIZE: usize = 0;
const MAGIC: usize = SIZE + 4;
const BODY_CRC: usize = MAGIC + 4;
const FLAG: usize = BODY_CRC + 4;
const BODY_LENGTH: usize = FLAG + 4;
/// Length of a message with neither body nor properties.
pub const MIN_BYTES: usize = BODY_LENGTH + 4 + 2;

/// One message of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The application's own flag.
    pub flag: i32,
    /// The body; batches are never compressed.
    pub body: &'a [u8],
    /// The properties string.
    pub properties: &'a [u8],
}

/// Why a batch is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The body ends inside a message.
    #[error("batch ends inside message {index}")]
    Truncated {
        /// Which message, from 0.
        index: usize,
    },
    /// The lengths inside a message contradict each other.
    #[error("lengths of message {index} of the batch contradict each other")]
    Length {
        /// Which message, from 0.
        index: usize,
    },
    /// A message whose parts do not fit the length fields.
    #[error("message of {bytes} bytes does not fit into a batch")]
    TooLong {
        /// Length of its body and properties.
        bytes: usize,
    },
}

/// Appends one message to a batch body.
///
/// # Errors
/// [`BatchError::TooLong`] for properties over 32,767 bytes or a body over 2 GiB; `out` is left as it was.
pub fn encode(item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let bytes = item.body.len().saturating_add(item.properties.len());
    let too_long = BatchError::TooLong { bytes };
    let size = i32::try_from(bytes.saturating_add(MIN_BYTES)).map_err(|_| too_long.clone())?;
    let body = i32::try_from(item.body.len()).map_err(|_| too_long.clone())?;
    let properties = i16::try_from(item.properties.len()).map_err(|_| too_long)?;
    for field in [size, 0, 0, item.flag, body] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    out.extend_from_slice(item.body);
    out.extend_from_slice(&properties.to_be_bytes());
    out.extend_from_slice(item.properties);
    Ok(())
}

/// The messages of a batch body, borrowed from it; ends after the first error.
pub fn items(body: &[u8]) -> Items<'_> {
    Items { rest: body, index: 0 }
}

/// Iterator of [`items`].
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
    index: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let item = self.split().unwrap_or(Err(BatchError::Truncated { index }));
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

impl<'a> Items<'a> {
    fn split(&mut self) -> Option<Result<Item<'a>, BatchError>> {
        let length_error = || Some(Err(BatchError::Length { index: self.index - 1 }));
        let (size, _) = self.rest.split_first_chunk::<4>()?;
        let Some(size) = usize::try_from(i32::from_be_bytes(*size)).ok().filter(|size| *size >= MIN_BYTES)
        else {
            return length_error();
        };
        let (mut message, rest) = self.rest.split_at_checked(size)?;
        take_slice(&mut message, FLAG)?;
        let flag = i32::from_be_bytes(take(&mut message)?);
        let body = usize::try_from(i32::from_be_bytes(take(&mut message)?)).ok();
        let Some(body) = body.and_then(|length| take_slice(&mut message, length)) else {
            return length_error();
        };
        let Some((properties_length, properties)) = message.split_first_chunk::<2>() else {
            return length_error();
        };
        let length = usize::try_from(i16::from_be_bytes(*properties_length)).ok();
        if length != Some(properties.len()) {
            return length_error();
        }
        debug_assert!(properties.len() <= MAX_PROPERTIES_BYTES);
        self.rest = rest;
        Some(Ok(Item { flag, body, properties }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_the_documented_layout() {
        let mut out = Vec::new();
        encode(&Item { flag: 9, body: b"abc", properties: b"k\x01v" }, &mut out).unwrap();
        #[rustfmt::skip]
        let expected = [
            0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
            0, 0, 0, 3, b'a', b'b', b'c', 0, 3, b'k', 1, b'v',
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn a_batch_cut_at_any_length_ends_in_an_error() {
        let mut out = Vec::new();
        for body in [&b"one"[..], b"", b"three"] {
            encode(&Item { flag: 0, body, properties: b"a\x01b\x02" }, &mut out).unwrap();
        }
        let ends: Vec<usize> = vec![0, 29, 55, 86];
        assert_eq!(out.len(), 86);
        for length in 0..out.len() {
            let last = items(&out[..length]).last();
            assert_eq!(last.is_none_or(|item| item.is_ok()), ends.contains(&length), "cut at {length}");
        }
    }

    #[test]
    fn contradicting_lengths_are_errors() {
        let mut good = Vec::new();
        encode(&Item { flag: 0, body: b"abc", properties: b"kv" }, &mut good).unwrap();
        for (at, value) in [(3, 21), (0, 0x80), (19, 4), (19, 2), (16, 0xFF), (24, 3), (23, 0xFF)] {
            let mut bad = good.clone();
            bad[at] = value;
            bad.extend_from_slice(&good);
            assert!(items(&bad).next().is_some_and(|item| item.is_err()), "byte {at} = {value}");
        }
    }

    proptest! {
        #[test]
        fn batches_round_trip(messages in prop::collection::vec(
            (any::<i32>(), prop::collection::vec(any::<u8>(), 0..60), prop::collection::vec(any::<u8>(), 0..60)), 0..20,
        )) {
            let given: Vec<Item<'_>> =
                messages.iter().map(|(flag, body, properties)| Item { flag: *flag, body, properties }).collect();
            let mut out = Vec::new();
            for item in &given {
                encode(item, &mut out).unwrap();
            }
            prop_assert_eq!(items(&out).collect::<Result<Vec<_>, _>>().unwrap(), given);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(items(&bytes).count() <= bytes.len() / MIN_BYTES + 1);
        }
    }
}
