//! One frame on the wire: where it ends, how its header is encoded, what is header and what is body.
//!
//! ```text
//!  0  i32  total    bytes behind this field: 4 + header + body
//!  4  u8   encoding 0 = JSON, 1 = ROCKETMQ binary
//!  5  u24  header length
//!  8  header, then body
//! ```
//!
//! Splitting borrows: nothing is copied and nothing is decoded here.

use std::fmt;

/// Bytes of the two length words in front of every header.
pub const PREFIX_BYTES: usize = 8;

/// The most that `total` may say: 16 MiB, as Netty's decoder in Apache RocketMQ allows.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// The longest header accepted: 256 KiB. Apache sets no bound; a property string has at most 32 767 bytes, of which
/// JSON escaping makes six times that.
pub const MAX_HEADER_BYTES: usize = 256 * 1024;

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// JSON text, what most clients send.
    #[default]
    Json,
    /// RocketMQ's own binary layout.
    Binary,
}

impl Encoding {
    /// The byte in front of the header length.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Binary => 1,
        }
    }
}

/// A whole frame, borrowed from the read buffer.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// How [`Frame::header`] is encoded.
    pub encoding: Encoding,
    /// The header's bytes.
    pub header: &'a [u8],
    /// The body's bytes; empty when there is none.
    pub body: &'a [u8],
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("encoding", &self.encoding)
            .field("header_bytes", &self.header.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What makes a stream of frames unreadable. The connection has to be closed: the next frame cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length word is negative, below 4 or above [`MAX_FRAME_BYTES`].
    #[error("frame length {0} is outside 4..={MAX_FRAME_BYTES}")]
    Length(i32),
    /// The header is longer than its frame or than [`MAX_HEADER_BYTES`].
    #[error("header length {header} does not fit a frame of {total} bytes")]
    Header {
        /// What the frame says of its header.
        header: usize,
        /// What the frame says of itself.
        total: usize,
    },
    /// Neither JSON nor ROCKETMQ binary.
    #[error("unknown header encoding {0}")]
    Encoding(u8),
}

impl<'a> Frame<'a> {
    /// Finds the first frame of `buffer` and how many bytes it takes; `None` when it is not whole yet.
    ///
    /// # Errors
    /// A prefix that no frame can have, as soon as it is seen: a hostile length never makes the caller wait for
    /// or allocate that much.
    pub fn split(buffer: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(length) = frame_len(buffer)? else { return Ok(None) };
        let Some(whole) = buffer.get(..length) else { return Ok(None) };
        let (header, encoding) = header_of(whole)?;
        let (header, body) = whole[PREFIX_BYTES..].split_at(header);
        Ok(Some((Self { encoding, header, body }, length)))
    }
}

/// Bytes that the first frame of `buffer` takes, its length word included; `None` below 4 bytes.
///
/// # Errors
/// As [`Frame::split`]; the header's length is checked as soon as it can be read.
pub fn frame_len(buffer: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(word) = buffer.first_chunk::<4>() else { return Ok(None) };
    let declared = i32::from_be_bytes(*word);
    let total = match usize::try_from(declared) {
        Ok(total) if (4..=MAX_FRAME_BYTES).contains(&total) => total,
        _ => return Err(FrameError::Length(declared)),
    };
    if buffer.len() >= PREFIX_BYTES {
        let (header, _) = header_of(buffer)?;
        if header > total - 4 || header > MAX_HEADER_BYTES {
            return Err(FrameError::Header { header, total });
        }
    }
    Ok(Some(total + 4))
}

fn header_of(buffer: &[u8]) -> Result<(usize, Encoding), FrameError> {
    let encoding = match buffer[4] {
        0 => Encoding::Json,
        1 => Encoding::Binary,
        other => return Err(FrameError::Encoding(other)),
    };
    let header = (usize::from(buffer[5]) << 16) | (usize::from(buffer[6]) << 8) | usize::from(buffer[7]);
    Ok((header, encoding))
}

/// Writes a frame whose header `header` appends to the buffer.
pub fn write(out: &mut Vec<u8>, encoding: Encoding, body: &[u8], header: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    header(out);
    finish(out, start, encoding, body);
}

/// Completes a frame that began at `start` with eight spare bytes and whose header has been written behind them.
pub fn finish(out: &mut Vec<u8>, start: usize, encoding: Encoding, body: &[u8]) {
    let header = out.len() - start - PREFIX_BYTES;
    out.extend_from_slice(body);
    seal(out, start, header, encoding);
}

/// Fills in the two words of a frame that began at `start` and whose header and body are in place.
pub fn seal(out: &mut [u8], start: usize, header: usize, encoding: Encoding) {
    let total = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    let header = u32::try_from(header).unwrap_or(u32::MAX) & 0x00FF_FFFF;
    let mark = (u32::from(encoding.to_byte()) << 24) | header;
    out[start..start + 4].copy_from_slice(&total.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&mark.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(encoding: Encoding, header: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, encoding, body, |out| out.extend_from_slice(header));
        out
    }

    #[test]
    fn splits_at_every_length() {
        let bytes = frame(Encoding::Binary, b"head", b"body");
        for cut in 0..bytes.len() {
            assert!(Frame::split(&bytes[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        let (frame, taken) = Frame::split(&bytes).unwrap().unwrap();
        assert_eq!(
            (frame.encoding, frame.header, frame.body),
            (Encoding::Binary, &b"head"[..], &b"body"[..])
        );
        assert_eq!(taken, bytes.len());
    }

    #[test]
    fn leaves_the_next_frame_alone() {
        let mut bytes = frame(Encoding::Json, b"{}", b"");
        let first = bytes.len();
        bytes.extend(frame(Encoding::Json, b"{ }", b"x"));
        assert_eq!(Frame::split(&bytes).unwrap().unwrap().1, first);
    }

    #[test]
    fn refuses_lengths_no_frame_can_have() {
        for length in [-1, i32::MIN, 0, 3, i32::MAX, 16 * 1024 * 1024 + 1] {
            assert_eq!(Frame::split(&length.to_be_bytes()).unwrap_err(), FrameError::Length(length));
        }
    }

    #[test]
    fn refuses_a_header_longer_than_its_frame() {
        let mut bytes = 10_i32.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0, 7]);
        assert_eq!(Frame::split(&bytes).unwrap_err(), FrameError::Header { header: 7, total: 10 });
    }

    #[test]
    fn refuses_an_unknown_encoding() {
        let mut bytes = 10_i32.to_be_bytes().to_vec();
        bytes.extend([9, 0, 0, 2]);
        assert_eq!(Frame::split(&bytes).unwrap_err(), FrameError::Encoding(9));
    }
}
