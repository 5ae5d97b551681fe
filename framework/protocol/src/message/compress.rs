//! Compressed bodies: zlib, LZ4 frames and Zstandard, with bounded output.
//!
//! zlib is what every client knows; the other two exist since 4.9.4. A consumer unpacks what strangers sent, so
//! unpacking stops at a byte limit, and what claims to be an absurd gain is refused before the limit is reached.

use std::io::{self, Read, Write};

use thiserror::Error;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// RFC 1950 stream; understood by every RocketMQ client.
    #[default]
    Zlib,
    /// LZ4 in its frame format.
    Lz4,
    /// Zstandard frame.
    Zstd,
}

/// Below this many bytes any gain is believed.
const RATIO_FLOOR_BYTES: usize = 8 << 20;
/// Above the floor one byte may unpack to at most this many.
const MAX_RATIO: usize = 2048;
/// 16 MiB: more than any level up to 19 asks for, far less than a hostile header may demand.
const ZSTD_WINDOW_LOG: u32 = 24;

/// Why a body could not be packed or unpacked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompressError {
    /// The packed bytes are damaged or not of the kind that the flag says.
    #[error("body is not valid {kind:?} data: {source}")]
    Corrupt {
        /// What the flag says.
        kind: Compression,
        /// What the decoder found.
        source: io::Error,
    },
    /// The body would unpack to more than is allowed.
    #[error("{kind:?} body of {packed_bytes} bytes unpacks to more than {limit_bytes} bytes")]
    TooLarge {
        /// What the flag says.
        kind: Compression,
        /// Length of the packed body.
        packed_bytes: usize,
        /// How far it was allowed to unpack.
        limit_bytes: usize,
    },
}

/// Packs `body`; `level` 0-9 as in RocketMQ's producers, whose default is 5.
///
/// # Errors
/// Only when the encoder fails, which for memory it does not in practice.
pub fn compress(kind: Compression, body: &[u8], level: u32) -> Result<Vec<u8>, CompressError> {
    let corrupt = |source| CompressError::Corrupt { kind, source };
    match kind {
        Compression::Zlib => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level.min(9)));
            encoder.write_all(body).map_err(corrupt)?;
            encoder.finish().map_err(corrupt)
        }
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(body).map_err(corrupt)?;
            encoder.finish().map_err(|error| corrupt(io::Error::other(error)))
        }
        Compression::Zstd => {
            let level = i32::try_from(level.min(9)).unwrap_or(3);
            zstd::stream::encode_all(body, level).map_err(corrupt)
        }
    }
}

/// Unpacks `body` to at most `max_bytes`.
///
/// # Errors
/// [`CompressError::Corrupt`] for damaged data, [`CompressError::TooLarge`] for what would be larger than
/// `max_bytes` or gains more than any honest body does.
pub fn decompress(kind: Compression, body: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressError> {
    let limit_bytes = max_bytes.min(RATIO_FLOOR_BYTES.max(body.len().saturating_mul(MAX_RATIO)));
    let read = match kind {
        Compression::Zlib => read_bounded(flate2::read::ZlibDecoder::new(body), body.len(), limit_bytes),
        Compression::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(body), body.len(), limit_bytes),
        Compression::Zstd => zstd::stream::read::Decoder::new(body).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            read_bounded(decoder, body.len(), limit_bytes)
        }),
    };
    match read {
        Ok(Some(unpacked)) => Ok(unpacked),
        Ok(None) => Err(CompressError::TooLarge { kind, packed_bytes: body.len(), limit_bytes }),
        Err(source) => Err(CompressError::Corrupt { kind, source }),
    }
}

/// Reads to the end; `None` when there is more than `limit_bytes`.
fn read_bounded(reader: impl Read, packed_bytes: usize, limit_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::with_capacity(packed_bytes.saturating_mul(4).min(limit_bytes));
    let one_more = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(one_more).read_to_end(&mut unpacked)?;
    Ok((unpacked.len() <= limit_bytes).then_some(unpacked))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Compression; 3] = [Compression::Zlib, Compression::Lz4, Compression::Zstd];

    proptest! {
        #[test]
        fn every_kind_round_trips(body in prop::collection::vec(any::<u8>(), 0..5000), level in 0_u32..12) {
            for kind in KINDS {
                let packed = compress(kind, &body, level).unwrap();
                prop_assert_eq!(&decompress(kind, &packed, body.len()).unwrap(), &body);
            }
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in KINDS {
                drop(decompress(kind, &body, 1 << 16));
            }
        }
    }

    #[test]
    fn one_byte_over_the_limit_is_refused() {
        let body = vec![7; 10_000];
        for kind in KINDS {
            let packed = compress(kind, &body, 5).unwrap();
            assert!(
                matches!(decompress(kind, &packed, 9_999), Err(CompressError::TooLarge { .. })),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_before_the_limit() {
        let packed = compress(Compression::Zstd, &vec![0; 64 << 20], 5).unwrap();
        assert!(packed.len() < 10_000, "{} bytes", packed.len());
        let error = decompress(Compression::Zstd, &packed, usize::MAX).unwrap_err();
        assert!(matches!(error, CompressError::TooLarge { limit_bytes, .. } if limit_bytes < 64 << 20));
    }

    #[test]
    fn a_cut_body_is_corrupt_at_every_length() {
        let body: Vec<u8> = (0_u8..=255).cycle().take(600).collect();
        for kind in [Compression::Zlib, Compression::Zstd] {
            let packed = compress(kind, &body, 5).unwrap();
            for length in 1..packed.len() {
                let unpacked = decompress(kind, &packed[..length], 1 << 20);
                assert!(matches!(unpacked, Err(CompressError::Corrupt { .. })), "{kind:?} cut at {length}");
            }
        }
    }
}
