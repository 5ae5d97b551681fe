//! The files of the commit log.
//!
//! Each has exactly the configured length from the moment it has a name, and is called after the position of its
//! first byte. The next one is made ready before the last is full, so that rolling over costs an append nothing.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use parking_lot::{Mutex, RwLock};

use crate::{
    cast::{to_u64, to_usize},
    disk::{Disk, File, Map},
    error::OpenError,
};

/// One file of the commit log.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    map: OnceLock<Option<Map>>,
}

impl Segment {
    fn new(start: u64, bytes: u64, path: PathBuf, file: Arc<dyn File>) -> Arc<Self> {
        Arc::new(Self { start, bytes, path, file, map: OnceLock::new() })
    }

    /// Makes a file of full length whose name is durable.
    fn create(disk: &dyn Disk, folder: &Path, start: u64, bytes: u64) -> io::Result<Arc<Self>> {
        let path = folder.join(file_name(start));
        let file = disk.create(&path)?;
        let ready = file.allocate(bytes).and_then(|()| file.sync()).and_then(|()| disk.sync_dir(folder));
        if let Err(error) = ready {
            // An unusable file must not stay: its wrong length would stop the next start.
            let removed = disk.remove(&path);
            tracing::warn!(path = %path.display(), %error, ?removed, "cannot make a commit-log file");
            return Err(error);
        }
        Ok(Self::new(start, bytes, path, file))
    }

    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// The map of the whole file, made at the first call; `None` where the disk has none.
    fn map(&self) -> Option<&Map> {
        let make = || {
            self.file.map(to_usize(self.bytes)).unwrap_or_else(|error| {
                tracing::warn!(path = %self.path.display(), %error, "cannot map a commit-log file, reading it instead");
                None
            })
        };
        self.map.get_or_init(make).as_ref()
    }

    /// Mapped bytes at `position` of the log, which lie below the watermark of written bytes.
    pub(crate) fn mapped(&self, position: u64, length: usize) -> Option<&[u8]> {
        let from = to_usize(position.checked_sub(self.start)?);
        self.map()?.get(from..from.checked_add(length)?)
    }
}

/// The name of the file that begins at `start`.
pub(crate) fn file_name(start: u64) -> String {
    format!("{start:020}")
}

/// The position that a file name stands for; `None` for a name that is not 20 digits.
pub(crate) fn parse_file_name(name: &std::ffi::OsStr) -> Option<u64> {
    let name = name.to_str()?;
    (name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

/// All files of the log, in order and without gaps.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    segment_bytes: u64,
    list: RwLock<Vec<Arc<Segment>>>,
    ready: Mutex<Option<Arc<Segment>>>,
    /// Held while a file is removed: one at a time keeps the log without gaps.
    removing: Mutex<()>,
}

impl Segments {
    /// Finds the files of a log and checks their names and lengths.
    pub(crate) fn load(disk: Arc<dyn Disk>, folder: &Path, segment_bytes: u64) -> Result<Self, OpenError> {
        let entries = disk.list(folder).map_err(OpenError::io("list", folder))?;
        let mut files: Vec<_> =
            entries.iter().filter_map(|entry| Some((parse_file_name(&entry.name)?, entry))).collect();
        files.sort_by_key(|(start, _)| *start);
        let mut list: Vec<Arc<Segment>> = Vec::with_capacity(files.len());
        let last = files.len().saturating_sub(1);
        for (index, (start, entry)) in files.into_iter().enumerate() {
            let path = folder.join(&entry.name);
            if index == last && entry.bytes == 0 && !entry.folder {
                // A crash between making the file and giving it its length.
                disk.remove(&path).map_err(OpenError::io("remove", &path))?;
                disk.sync_dir(folder).map_err(OpenError::io("sync", folder))?;
                break;
            }
            let file = disk.open(&path).map_err(OpenError::io("open", &path))?;
            if entry.bytes != segment_bytes {
                return Err(OpenError::Length { path, expected: segment_bytes, actual: entry.bytes });
            }
            if let Some(before) = list.last()
                && before.end() != start
            {
                return Err(OpenError::Missing { path: folder.join(file_name(before.end())) });
            }
            list.push(Segment::new(start, segment_bytes, path, file));
        }
        let folder = folder.to_owned();
        let (list, ready, removing) = (RwLock::new(list), Mutex::default(), Mutex::default());
        Ok(Self { disk, folder, segment_bytes, list, ready, removing })
    }

    /// The file that holds `position`.
    pub(crate) fn at(&self, position: u64) -> Option<Arc<Segment>> {
        let list = self.list.read();
        let index = position.checked_sub(list.first()?.start)? / self.segment_bytes;
        list.get(to_usize(index)).cloned()
    }

    /// The first position of the log.
    pub(crate) fn start(&self) -> u64 {
        self.list.read().first().map_or(0, |first| first.start)
    }

    /// The position behind the last file.
    pub(crate) fn end(&self) -> u64 {
        self.list.read().last().map_or(0, |last| last.end())
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.list.read().clone()
    }

    /// Makes the file behind the last one ready, unless it is.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let mut ready = self.ready.lock();
        if ready.is_none() {
            *ready = Some(Segment::create(&*self.disk, &self.folder, self.end(), self.segment_bytes)?);
        }
        Ok(())
    }

    /// Appends the next file to the log, waiting for it when nobody has made it ready.
    pub(crate) fn roll(&self) -> io::Result<Arc<Segment>> {
        self.prepare()?;
        let next = self.ready.lock().take().ok_or(io::ErrorKind::NotFound)?;
        self.list.write().push(Arc::clone(&next));
        Ok(next)
    }

    /// Removes the first file, durably, provided that it ends at `limit` or before; `None` when it does not.
    ///
    /// Whoever is reading it holds it, and with it the file and its map, until done: only the name is gone.
    pub(crate) fn remove_first(&self, limit: u64) -> io::Result<Option<Arc<Segment>>> {
        let _removing = self.removing.lock();
        let first = match self.list.read().as_slice() {
            [first, _, ..] if first.end() <= limit => Arc::clone(first),
            _ => return Ok(None),
        };
        self.disk.remove(&first.path)?;
        self.list.write().remove(0);
        // The next name may not go before this one is gone for good.
        self.disk.sync_dir(&self.folder)?;
        Ok(Some(first))
    }

    /// Gives up the maps of files that end below `hot_from`, and says how many there were.
    ///
    /// Readers that use one keep it until they are done.
    pub(crate) fn cool(&self, hot_from: u64) -> usize {
        let is_mapped = |segment: &Segment| segment.end() <= hot_from && segment.map.get().is_some();
        if !self.list.read().iter().any(|segment| is_mapped(segment)) {
            return 0;
        }
        let mut cooled = 0;
        for slot in self.list.write().iter_mut().filter(|slot| is_mapped(slot)) {
            *slot = Segment::new(slot.start, slot.bytes, slot.path.clone(), Arc::clone(&slot.file));
            cooled += 1;
        }
        cooled
    }

    /// Drops the files behind the one that holds `end`, durably; one that was made ready is kept so.
    ///
    /// Only a recovery does this.
    pub(crate) fn cut(&self, end: u64) -> Result<(), OpenError> {
        let mut list = self.list.write();
        // The first stays in any case: its name says where the log begins.
        let kept = list.iter().take_while(|segment| segment.start < end).count().max(list.len().min(1));
        let dropped: Vec<_> = list.drain(kept..).collect();
        let kept_end = list.last().map_or(0, |last| last.end());
        // From the back, so that a crash in between leaves no gap.
        for segment in dropped.iter().rev() {
            let untouched =
                segment.file.next_data(0).map_err(OpenError::io("read", &segment.path))?.is_none();
            if untouched && segment.start == kept_end {
                *self.ready.lock() = Some(Arc::clone(segment));
                continue;
            }
            self.disk.remove(&segment.path).map_err(OpenError::io("remove", &segment.path))?;
            self.disk.sync_dir(&self.folder).map_err(OpenError::io("sync", &self.folder))?;
        }
        Ok(())
    }
}

/// Fills `out` from `position` of one segment.
pub(crate) fn read_exact(segment: &Segment, position: u64, out: &mut [u8]) -> io::Result<()> {
    let read = segment.file.read_at(out, position - segment.start)?;
    if read < out.len() {
        let short = format!("{} bytes at {position} end after {read}", to_u64(out.len()));
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, short));
    }
    Ok(())
}
