//! The only way to the disk.
//!
//! Every file that the store touches goes through [`Disk`], so that a test can put [`SimDisk`] underneath, cut its
//! power and look at what a recovery makes of the rest. [`RealDisk`] is the machine's file system.

mod map;
mod real;
mod sim;

use std::{ffi::OsString, fmt, io, path::Path, sync::Arc};

pub use map::Map;
pub use real::RealDisk;
pub use sim::{Cut, Sector, SimDisk};

/// A file system, as much of one as a store needs.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes a folder and those above it, durably.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Makes an empty file, in place of one that is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// What is in a folder, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Renames a file over another; durable after [`Disk::sync_dir`] of the folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all that is in it.
    fn remove_dirs(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// How full the file system of a folder is.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Locks a file against every other holder, here or in another process, until the lock is dropped.
    ///
    /// `None` when somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A lock on a file, held until it is dropped.
pub trait Lock: fmt::Debug + Send + Sync {}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes that can still be written, without what is reserved for the superuser.
    pub free_bytes: u64,
}

impl Space {
    /// How much of what can be used is in use, in whole percent, rounded up as Apache rounds.
    pub fn used_percent(self) -> u64 {
        let (used, whole) =
            (u128::from(self.used_bytes), u128::from(self.used_bytes) + u128::from(self.free_bytes));
        if whole == 0 { 0 } else { u64::try_from((used * 100).div_ceil(whole)).unwrap_or(100) }
    }
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name within the folder.
    pub name: OsString,
    /// Whether it is a folder.
    pub folder: bool,
    /// The length, of a file.
    pub bytes: u64,
}

/// An open file. All methods take positions; there is no cursor.
pub trait File: fmt::Debug + Send + Sync {
    /// Its length.
    fn size(&self) -> io::Result<u64>;
    /// Fills `out` from `offset` on, less only where the file ends.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    /// As [`read_at`](File::read_at), but only the first bytes that are in memory already; never waits.
    fn read_cached_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file `bytes` long with room for all of them, so that writing within cannot run out of space.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Makes the file `bytes` long without taking room.
    fn set_size(&self, bytes: u64) -> io::Result<()>;
    /// Turns a range into zeros.
    fn zero(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// The first position from `offset` on that may hold something else than zeros.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;
    /// Makes the content durable, and the length.
    fn sync(&self) -> io::Result<()>;
    /// Maps the first `bytes` for reading; `None` when this disk has no maps.
    fn map(&self, bytes: usize) -> io::Result<Option<Map>>;
}

/// Reads a whole file; `None` when there is none.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; crate::cast::to_usize(file.size()?)];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Lists a folder; an absent one is empty.
pub(crate) fn list_or_empty(disk: &dyn Disk, path: &Path) -> io::Result<Vec<Entry>> {
    match disk.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}
