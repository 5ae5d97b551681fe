//! Compressed bodies: whatever they promise, no more comes out than was allowed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_protocol::message::compress::{Compression, compress, decompress};

const MAX_BYTES: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    for kind in [Compression::Zlib, Compression::Lz4, Compression::Zstd] {
        if let Ok(body) = decompress(kind, bytes, MAX_BYTES) {
            assert!(body.len() <= MAX_BYTES);
        }
        let packed = compress(kind, bytes, 5).expect("bytes in memory can be compressed");
        let body = decompress(kind, &packed, bytes.len());
        // Bombs are told by their ratio, which bytes that repeat themselves may reach.
        if let Ok(body) = body {
            assert_eq!(body, bytes);
        }
    }
});
