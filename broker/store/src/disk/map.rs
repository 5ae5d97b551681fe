//! A read-only view of a file's pages: the only unsafe code of the project.
//!
//! The invariant that makes it sound: **a byte that is read through a map never changes again, and the file never
//! gets shorter.** Segments are allocated to their full length before they are mapped and are never truncated.
//! The log is append-only: readers touch only bytes below a watermark that was published after they were
//! written, and everything that rewrites bytes (cutting a torn tail, clearing a failed append) works above it.
//! Another program that truncates a segment under a running broker breaks this, as it breaks Apache's.
#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe because the compiler cannot see who else writes it"
)]

use std::{fmt, fs, io, ops::Range};

/// The mapped pages of a file.
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the first `bytes` of `file`, which must be that long and stay so.
    pub(super) fn new(file: &fs::File, bytes: usize) -> io::Result<Self> {
        if file.metadata()?.len() < crate::cast::to_u64(bytes) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file is shorter than its map"));
        }
        // SAFETY: the file is at least `bytes` long and is never truncated while the store runs, so every page
        // exists; bytes that are borrowed from the map lie below a published watermark and never change again.
        let map = unsafe { memmap2::MmapOptions::new().len(bytes).map(file)? };
        Ok(Self(map))
    }

    /// The bytes of `range`. The caller has checked that they lie below the watermark of written bytes.
    pub(crate) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        self.0.get(range)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("bytes", &self.0.len()).finish()
    }
}
