//! The bits of a record's `sysFlag`.
//!
//! ```text
//! 0x001 body compressed      0x010 born host is IPv6     0x300 compression: 1 LZ4, 2 Zstd, 3 zlib
//! 0x002 several tags         0x020 store host is IPv6          (0 with 0x001 set means zlib: what 4.x sends)
//! 0x00C transaction type     0x040 unwrap, 0x080 inner batch
//! ```

use super::compress::Compression;

/// The body is compressed.
pub const COMPRESSED: i32 = 0x1;
/// Several tags; reserved by RocketMQ and never used.
pub const MULTI_TAGS: i32 = 0x2;
/// The two bits of the transaction type.
pub const TRANSACTION_MASK: i32 = 0xC;
/// The born host is written with 16 address bytes.
pub const BORN_HOST_V6: i32 = 0x10;
/// The store host is written with 16 address bytes.
pub const STORE_HOST_V6: i32 = 0x20;
/// The body wraps another message.
pub const NEED_UNWRAP: i32 = 0x40;
/// The body is a batch that was stored as one record.
pub const INNER_BATCH: i32 = 0x80;
/// The bits that name the compression.
pub const COMPRESSION_MASK: i32 = 0x700;
/// Compressed with LZ4.
pub const COMPRESSION_LZ4: i32 = 0x100;
/// Compressed with Zstandard.
pub const COMPRESSION_ZSTD: i32 = 0x200;
/// Compressed with zlib, said explicitly.
pub const COMPRESSION_ZLIB: i32 = 0x300;

/// What a record is in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// Not a part of one.
    None,
    /// A half message.
    Prepared,
    /// The message that a commit made visible.
    Commit,
    /// The end of a transaction that was rolled back.
    Rollback,
}

impl Transaction {
    /// Reads the transaction type out of a system flag.
    pub fn of(sys_flag: i32) -> Self {
        match sys_flag & TRANSACTION_MASK {
            0 => Self::None,
            0x4 => Self::Prepared,
            0x8 => Self::Commit,
            _ => Self::Rollback,
        }
    }

    /// Returns `sys_flag` with this transaction type in it.
    #[must_use]
    pub fn set(self, sys_flag: i32) -> i32 {
        let bits = match self {
            Self::None => 0,
            Self::Prepared => 0x4,
            Self::Commit => 0x8,
            Self::Rollback => 0xC,
        };
        (sys_flag & !TRANSACTION_MASK) | bits
    }
}

/// Whether the body is compressed.
pub fn is_compressed(sys_flag: i32) -> bool {
    sys_flag & COMPRESSED != 0
}

/// How the body is compressed; `None` when it is not, an unknown kind is given back as its bits.
///
/// # Errors
/// Gives the bits of a compression that RocketMQ has not defined.
pub fn compression(sys_flag: i32) -> Result<Option<Compression>, i32> {
    if !is_compressed(sys_flag) {
        return Ok(None);
    }
    match sys_flag & COMPRESSION_MASK {
        0 | COMPRESSION_ZLIB => Ok(Some(Compression::Zlib)),
        COMPRESSION_LZ4 => Ok(Some(Compression::Lz4)),
        COMPRESSION_ZSTD => Ok(Some(Compression::Zstd)),
        unknown => Err(unknown),
    }
}

/// Returns `sys_flag` saying that the body is compressed with `compression`.
#[must_use]
pub fn set_compression(sys_flag: i32, compression: Compression) -> i32 {
    let bits = match compression {
        Compression::Zlib => COMPRESSION_ZLIB,
        Compression::Lz4 => COMPRESSION_LZ4,
        Compression::Zstd => COMPRESSION_ZSTD,
    };
    (sys_flag & !COMPRESSION_MASK) | COMPRESSED | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_compressed_bit_means_zlib() {
        assert_eq!(compression(COMPRESSED), Ok(Some(Compression::Zlib)));
        assert_eq!(compression(COMPRESSION_LZ4), Ok(None), "the kind alone does not say compressed");
        assert_eq!(compression(COMPRESSED | 0x500), Err(0x500));
    }

    #[test]
    fn kinds_and_transactions_round_trip_and_leave_other_bits() {
        for kind in [Compression::Zlib, Compression::Lz4, Compression::Zstd] {
            let flag = set_compression(BORN_HOST_V6 | COMPRESSION_MASK, kind);
            assert_eq!((compression(flag), flag & BORN_HOST_V6), (Ok(Some(kind)), BORN_HOST_V6));
        }
        for kind in [Transaction::None, Transaction::Prepared, Transaction::Commit, Transaction::Rollback] {
            let flag = kind.set(COMPRESSED | TRANSACTION_MASK);
            assert_eq!((Transaction::of(flag), flag & COMPRESSED), (kind, COMPRESSED));
        }
    }
}
