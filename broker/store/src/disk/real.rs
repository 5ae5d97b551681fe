//! The machine's file system.

use std::{fs, io, io::IoSliceMut, os::unix::fs::FileExt, path::Path, sync::Arc};

use rustix::{
    fs::{Advice, FallocateFlags, SeekFrom, fadvise, fallocate, seek, statvfs},
    io::{Errno, ReadWriteFlags, preadv2},
};

use super::{Disk, Entry, File, Lock, Map, Space};

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.create_dirs(parent)?;
        }
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }?;
        path.parent().map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        // Pages that the kernel reads ahead count as data for SEEK_DATA even where nothing was ever written, and a walk
        // that then reads them makes it read further ahead: it would go through every empty gigabyte.
        fadvise(&file, 0, None, Advice::Random)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            entries.push(Entry { name: entry.file_name(), folder: metadata.is_dir(), bytes: metadata.len() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space {
            used_bytes: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
            free_bytes: bytes(found.f_bavail),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.write_all_at(b"lock", 0)?;
                Ok(Some(Box::new(RealLock { _file: file })))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The lock goes with the descriptor.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}

#[derive(Debug)]
struct RealFile(fs::File);

/// How much is written at a time where the file system cannot zero a range by itself.
const ZERO_CHUNK: usize = 1 << 20;

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.0.read_at(&mut out[filled..], offset + crate::cast::to_u64(filled)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_cached_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match preadv2(&self.0, &mut [IoSliceMut::new(out)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            // A file system that cannot promise not to wait says NOTSUP: then nothing counts as cached.
            Err(Errno::AGAIN | Errno::NOTSUP | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            // Without it a full disk is found out by the write, which reports it just as well.
            Err(Errno::NOTSUP) => self.set_size(bytes),
            allocated => Ok(allocated?),
        }
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn zero(&self, offset: u64, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        match fallocate(&self.0, FallocateFlags::ZERO_RANGE, offset, bytes) {
            Err(Errno::NOTSUP) => {
                let (zeros, end) = (vec![0; ZERO_CHUNK], offset + bytes);
                let mut at = offset;
                while at < end {
                    let chunk = crate::cast::to_usize(end - at).min(ZERO_CHUNK);
                    self.0.write_all_at(&zeros[..chunk], at)?;
                    at += crate::cast::to_u64(chunk);
                }
                Ok(())
            }
            zeroed => Ok(zeroed?),
        }
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match seek(&self.0, SeekFrom::Data(offset)) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::NOTSUP) => Ok((offset < self.size()?).then_some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn map(&self, bytes: usize) -> io::Result<Option<Map>> {
        Map::new(&self.0, bytes).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = RealDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(RealDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(RealDisk.lock(&path).unwrap().is_some());
    }

    #[test]
    fn reading_what_is_written_makes_no_data_of_what_is_not() {
        const MIB: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let made = RealDisk.create(&path).unwrap();
        made.allocate(64 * MIB).unwrap();
        made.write_at(b"hello", 0).unwrap();
        made.sync().unwrap();
        drop(made);
        let file = RealDisk.open(&path).unwrap();
        let mut window = vec![0; 1 << 20];
        file.read_at(&mut window, 0).unwrap();
        assert_eq!(file.next_data(MIB).unwrap(), None);
    }

    #[test]
    fn what_is_written_is_mapped_zeroed_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = RealDisk.create(&folder.path().join("f")).unwrap();
        file.allocate(1 << 16).unwrap();
        let map = file.map(1 << 16).unwrap().unwrap();
        file.write_at(b"hello", 40_000).unwrap();
        assert_eq!(map.get(40_000..40_005), Some(&b"hello"[..]));
        assert!(file.next_data(0).unwrap().is_some_and(|at| at <= 40_000));
        file.zero(39_000, 2_000).unwrap();
        assert_eq!(map.get(40_000..40_005), Some(&[0; 5][..]));
        assert_eq!(file.size().unwrap(), 1 << 16);
        let mut out = [1; 10];
        assert_eq!(file.read_at(&mut out, (1 << 16) - 4).unwrap(), 4);
    }
}
