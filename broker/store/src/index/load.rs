//! What the index thread finds in its folder.
//!
//! After a clean stop everything is taken as it is. Otherwise only what was durable at the last checkpoint counts: the
//! file of that moment is gone through entry by entry, and later ones are removed. Of files that Apache's broker
//! left behind uncleanly those count that are full and were flushed, as it does itself. A file that is damaged is
//! removed with all behind it. The log then tells the rest.

use std::{io, path::Path, sync::Arc};

use crate::{
    cast::to_usize,
    disk::list_or_empty,
    index::{
        file::{IndexFile, parse_name},
        follow::{Follower, Found, look},
        image::Image,
    },
    lookup,
    read::Reader,
};

/// Messages without keys in a row after which no file counts as missing.
const MAX_WITHOUT_KEYS: usize = 1_000;

impl Follower<'_> {
    /// Takes over the files of the folder and finds where to go on in the log.
    pub(super) fn load(&mut self) -> io::Result<()> {
        let mut files = self.find_files()?;
        self.newest = None;
        while let Some(last) = files.last() {
            if self.adopt(last)? {
                break;
            }
            self.remove(&last.path)?;
            files.pop();
        }
        self.position = self.inner.segments.start();
        self.put = 0;
        if let Some(last) = files.last() {
            let (end, count) = trailing(&files)?;
            // The last message with keys is looked at again, because some of them may be missing.
            if last.header.read().end >= self.position {
                (self.position, self.put) = (end, count);
            }
        }
        *self.index.files.write() = files;
        self.index.progress.lock().written = self.position;
        Ok(())
    }

    /// The files that may be kept, oldest first; the others are removed.
    fn find_files(&self) -> io::Result<Vec<Arc<IndexFile>>> {
        let (index, disk) = (self.index, &self.inner.disk);
        let mut files: Vec<Arc<IndexFile>> = Vec::new();
        let mut cut = false;
        for entry in list_or_empty(&**disk, &index.folder)? {
            let path = index.folder.join(&entry.name);
            let Some(name) = parse_name(&entry.name).filter(|_| !entry.folder) else {
                tracing::warn!(path = %path.display(), "not a file of the key index, left alone");
                continue;
            };
            let loaded = IndexFile::load(path.clone(), name, disk.open(&path)?, index.shape)?;
            let kept = loaded.filter(|file| !cut && self.counts(file, files.last().map(|last| &**last)));
            match kept {
                Some(file) => files.push(Arc::new(file)),
                None => {
                    cut = true;
                    self.remove(&path)?;
                }
            }
        }
        Ok(files)
    }

    /// Whether a file's content counts, at least in part.
    fn counts(&self, file: &IndexFile, before: Option<&IndexFile>) -> bool {
        let (found, header) = (self.index.opened, file.header.read());
        let behind = before.is_none_or(|before| before.header.read().end <= header.begin);
        let flushed = !found.unclean || found.mark.is_some() || header.end_timestamp <= found.full_to;
        behind && flushed && header.begin < self.limit() && !self.is_missing(before, header.begin)
    }

    /// Whether there is a message with keys between the end of a file and `begin`, where the next one begins: then a
    /// file has been there that is not any more.
    fn is_missing(&self, before: Option<&IndexFile>, begin: u64) -> bool {
        let mut reader = Reader::unmapped(self.inner);
        let start = self.inner.segments.start();
        let last = before.map(|before| before.header.read().end);
        let (mut position, mut hashes) = (last.unwrap_or(start).max(start), Vec::new());
        // The first message with keys decides, and nearly all have some.
        for _ in 0..MAX_WITHOUT_KEYS {
            if position >= begin {
                return false;
            }
            position = match look(self.inner, &mut reader, position, &mut hashes) {
                Ok(Found::Record { .. }) if !hashes.is_empty() && Some(position) != last => return true,
                Ok(Found::Record { next, .. } | Found::Nothing { next }) => next,
                Ok(Found::Damage) | Err(_) => return false,
            };
        }
        false
    }

    /// The position from which on nothing in the files counts.
    fn limit(&self) -> u64 {
        let found = self.index.opened;
        match found.mark {
            Some(mark) if found.unclean => mark.min(found.end),
            _ => found.end,
        }
    }

    /// Makes `file` the newest one; `false` when nothing of it is left.
    fn adopt(&mut self, file: &Arc<IndexFile>) -> io::Result<bool> {
        let (found, header) = (self.index.opened, *file.header.read());
        let marked = found.unclean && found.mark.is_some();
        let image = if marked || header.end >= self.limit() {
            let mut image = Image::replay(file, self.limit())?;
            if image.header.next == 1 {
                return Ok(false);
            }
            image.header.end_timestamp =
                self.stored_at(image.header.end)?.unwrap_or(header.end_timestamp).max(header.begin_timestamp);
            image.write(file)?;
            image
        } else if header.is_full(file.shape) {
            return Ok(true);
        } else {
            Image::load(file)?
        };
        if !image.is_full() {
            self.newest = Some((Arc::clone(file), image));
        }
        Ok(true)
    }

    fn stored_at(&self, position: u64) -> io::Result<Option<i64>> {
        let mut reader = Reader::unmapped(self.inner);
        Ok(reader.bytes(position, lookup::HEAD_BYTES)?.and_then(lookup::store_timestamp))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        tracing::info!(path = %path.display(), "this part of the key index is made again from the log");
        self.inner.disk.remove(path)
    }
}

/// The last message that the files have keys of, and how many.
fn trailing(files: &[Arc<IndexFile>]) -> io::Result<(u64, usize)> {
    let end = files.last().map_or(0, |last| last.header.read().end);
    let mut count = 0;
    for file in files.iter().rev() {
        let here = file.trailing(end)?;
        count += to_usize(u64::from(here));
        if here + 1 < file.header.read().next {
            break;
        }
    }
    Ok((end, count))
}
