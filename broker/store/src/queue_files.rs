//! The files of one consume queue.
//!
//! Entry `i` of the queue lies at byte `20 i` of the sequence of files; a file is called after its first byte and has
//! its full length from the start, sparse. Where the first file begins before the queue does, the places in
//! front hold blank entries. All of it is derived from the log: only checkpoints sync it.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    cast::{to_i64, to_u64, to_usize},
    disk::{Disk, File, list_or_empty},
    entry::{ENTRY_BYTES, Entry},
    error::OpenError,
    open_files::{Handles, OpenFiles},
    segment::{file_name, parse_file_name},
};

/// Entries that are read at a time.
const CHUNK: usize = 64;

#[derive(Debug)]
pub(crate) struct QueueFiles {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Entries in a file.
    file_entries: i64,
    state: Mutex<State>,
    handles: Arc<Handles>,
    open_files: Arc<OpenFiles>,
}

#[derive(Debug, Default)]
struct State {
    /// First entry of each file that exists.
    files: BTreeSet<i64>,
    /// Those that were written since the last sync.
    unsynced: BTreeSet<i64>,
    names_unsynced: bool,
}

impl QueueFiles {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        file_entries: u32,
        open_files: Arc<OpenFiles>,
    ) -> Self {
        let (state, handles) = (Mutex::default(), Arc::default());
        Self { disk, folder, file_entries: i64::from(file_entries), state, handles, open_files }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Finds the files on disk and checks their lengths.
    pub(crate) fn load(&self) -> Result<(), OpenError> {
        let file_bytes = self.file_bytes();
        let entries =
            list_or_empty(&*self.disk, &self.folder).map_err(OpenError::io("list", &self.folder))?;
        let mut found: Vec<_> =
            entries.iter().filter_map(|entry| Some((parse_file_name(&entry.name)?, entry))).collect();
        found.sort_by_key(|(start, _)| *start);
        // A crash can leave a file without its length. It and those behind it hold nothing that was durable, and
        // the recovery makes their entries again.
        let whole = found.iter().position(|(_, entry)| entry.bytes == 0 && !entry.folder);
        for (_, entry) in found.drain(whole.unwrap_or(found.len())..).rev() {
            let path = self.folder.join(&entry.name);
            self.disk.remove(&path).map_err(OpenError::io("remove", &path))?;
        }
        let mut state = self.state.lock();
        for (start, entry) in found {
            let path = self.folder.join(&entry.name);
            if entry.bytes != file_bytes || start % file_bytes != 0 {
                return Err(OpenError::Length { path, expected: file_bytes, actual: entry.bytes });
            }
            let first = to_i64(start / to_u64(ENTRY_BYTES));
            if let Some(before) = state.files.last()
                && before + self.file_entries != first
            {
                let missing = to_u64(ENTRY_BYTES) * (before + self.file_entries).unsigned_abs();
                return Err(OpenError::Missing { path: self.folder.join(file_name(missing)) });
            }
            state.files.insert(first);
        }
        Ok(())
    }

    /// The first entry that the files have a place for.
    pub(crate) fn first(&self) -> Option<i64> {
        self.state.lock().files.first().copied()
    }

    /// The place behind the last entry whose record begins before `limit`.
    ///
    /// Entries are in the order of the log, so the places that hold one are a prefix.
    pub(crate) fn end(&self, limit: u64) -> io::Result<i64> {
        self.boundary(|entry| entry.is_set() && (entry.is_blank() || entry.position < limit))
    }

    /// The first place whose record begins at `start` of the log or behind it.
    pub(crate) fn first_from(&self, start: u64) -> io::Result<i64> {
        self.boundary(|entry| entry.is_set() && (entry.is_blank() || entry.position < start))
    }

    /// The first place for which `before` does not hold; it holds for a prefix of all places.
    fn boundary(&self, before: impl Fn(&Entry) -> bool) -> io::Result<i64> {
        let starts: Vec<i64> = self.state.lock().files.iter().copied().collect();
        let Some(&first) = starts.first() else { return Ok(0) };
        for &start in starts.iter().rev() {
            if !before(&self.read_one(start)?) {
                continue;
            }
            // Most queues of a broker with many are short: one read finds where they end.
            let mut chunk = [Entry::default(); CHUNK];
            let read = self.read(start, &mut chunk, false)?;
            let found = chunk[..read].iter().take_while(|entry| before(entry)).count();
            if found < read {
                return Ok(start + to_i64(to_u64(found)));
            }
            let (mut low, mut high) = (start + to_i64(to_u64(found)) - 1, start + self.file_entries);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if before(&self.read_one(middle)?) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            return Ok(high);
        }
        Ok(first)
    }

    fn read_one(&self, index: i64) -> io::Result<Entry> {
        let mut one = [Entry::default()];
        self.read(index, &mut one, false)?;
        Ok(one[0])
    }

    /// Reads entries from `index` on, as many as `out` takes and one file holds.
    ///
    /// With `cached`, only those that are in memory: none means that the disk would have to be asked.
    pub(crate) fn read(&self, index: i64, out: &mut [Entry], cached: bool) -> io::Result<usize> {
        let start = index - index.rem_euclid(self.file_entries);
        let wanted = out.len().min(CHUNK).min(to_usize((start + self.file_entries - index).unsigned_abs()));
        let Some(file) = self.file(start)? else { return Ok(0) };
        let mut bytes = [0; CHUNK * ENTRY_BYTES];
        let bytes = &mut bytes[..wanted * ENTRY_BYTES];
        let offset = to_u64(ENTRY_BYTES) * (index - start).unsigned_abs();
        let read = if cached { file.read_cached_at(bytes, offset)? } else { file.read_at(bytes, offset)? };
        let (entries, _) = bytes[..read].as_chunks::<ENTRY_BYTES>();
        for (entry, slot) in entries.iter().zip(out) {
            *slot = Entry::decode(entry);
        }
        Ok(entries.len())
    }

    /// Writes entries from `index` on, making files as they are needed.
    pub(crate) fn write(&self, index: i64, entries: &[Entry]) -> io::Result<()> {
        let (mut index, mut rest) = (index, entries);
        let mut bytes = Vec::new();
        while !rest.is_empty() {
            let start = index - index.rem_euclid(self.file_entries);
            let fit = to_usize((start + self.file_entries - index).unsigned_abs()).min(rest.len());
            let (now, later) = rest.split_at(fit);
            let file = match self.file(start)? {
                Some(file) => file,
                None => self.make(start, index)?,
            };
            bytes.clear();
            bytes.extend(now.iter().flat_map(Entry::encode));
            file.write_at(&bytes, to_u64(ENTRY_BYTES) * (index - start).unsigned_abs())?;
            self.state.lock().unsynced.insert(start);
            index += to_i64(to_u64(fit));
            rest = later;
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let (files, names) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.unsynced), std::mem::take(&mut state.names_unsynced))
        };
        let synced = files
            .iter()
            // One that was removed since needs no sync.
            .try_for_each(|start| self.file(*start)?.map_or(Ok(()), |file| file.sync()))
            .and_then(|()| if names { self.disk.sync_dir(&self.folder) } else { Ok(()) });
        if synced.is_err() {
            let mut state = self.state.lock();
            state.unsynced.extend(files);
            state.names_unsynced |= names;
        }
        synced
    }

    /// Clears every place from `end` on. Only a recovery does this.
    pub(crate) fn cut(&self, end: i64) -> io::Result<()> {
        let mut state = self.state.lock();
        let dropped: Vec<i64> = state.files.range(end..).copied().collect();
        for start in dropped.into_iter().rev() {
            self.remove_file(&mut state, start)?;
        }
        drop(state);
        let start = end - end.rem_euclid(self.file_entries);
        let used = to_u64(ENTRY_BYTES) * (end - start).unsigned_abs();
        if let Some(file) = self.file(start)?
            && file.next_data(used)?.is_some()
        {
            file.zero(used, self.file_bytes() - used)?;
            self.state.lock().unsynced.insert(start);
        }
        Ok(())
    }

    /// Removes the files of which every place lies before `min`, and says how many; the last one stays in any case,
    /// because its name and entries say where the queue goes on.
    pub(crate) fn remove_before(&self, min: i64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let last = state.files.last().copied().unwrap_or(0);
        let gone = |start: &&i64| **start + self.file_entries <= min && **start < last;
        let gone: Vec<i64> = state.files.iter().take_while(gone).copied().collect();
        for start in &gone {
            self.remove_file(&mut state, *start)?;
        }
        Ok(gone.len())
    }

    fn remove_file(&self, state: &mut State, start: i64) -> io::Result<()> {
        self.disk.remove(&self.path(start))?;
        self.open_files.close(&self.handles, start);
        state.files.remove(&start);
        state.unsynced.remove(&start);
        state.names_unsynced = true;
        Ok(())
    }

    /// Removes all files.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        *state = State::default();
        self.open_files.close_all(&self.handles);
        match self.disk.remove_dirs(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn file_bytes(&self) -> u64 {
        to_u64(ENTRY_BYTES) * self.file_entries.unsigned_abs()
    }

    pub(crate) fn path(&self, start: i64) -> PathBuf {
        let start = start - start.rem_euclid(self.file_entries);
        self.folder.join(file_name(to_u64(ENTRY_BYTES) * start.unsigned_abs()))
    }

    /// The file that begins at entry `start`, opened when it is not; `None` when there is none.
    fn file(&self, start: i64) -> io::Result<Option<Arc<dyn File>>> {
        if let Some(file) = self.handles.find(start) {
            return Ok(Some(file));
        }
        // Held, so that a file that is removed meanwhile is not kept open.
        let state = self.state.lock();
        if !state.files.contains(&start) {
            return Ok(None);
        }
        let file = self.disk.open(&self.path(start))?;
        self.open_files.keep(&self.handles, start, Arc::clone(&file));
        Ok(Some(file))
    }

    /// Makes the file that begins at entry `start`, in which the queue begins or goes on at `index`.
    fn make(&self, start: i64, index: i64) -> io::Result<Arc<dyn File>> {
        self.disk.create_dirs(&self.folder)?;
        let path = self.path(start);
        let file = self.disk.create(&path)?;
        let blanks = to_usize((index - start).unsigned_abs());
        let blank_bytes: Vec<u8> = Entry::BLANK.encode().repeat(blanks);
        let filled = file.set_size(self.file_bytes()).and_then(|()| file.write_at(&blank_bytes, 0));
        if let Err(error) = filled {
            self.disk.remove(&path)?;
            return Err(error);
        }
        let mut state = self.state.lock();
        state.names_unsynced = true;
        state.files.insert(start);
        self.open_files.keep(&self.handles, start, Arc::clone(&file));
        Ok(file)
    }
}

impl Drop for QueueFiles {
    fn drop(&mut self) {
        self.open_files.close_all(&self.handles);
    }
}
