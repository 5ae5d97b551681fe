//! A disk in memory whose power can be cut. Test support, in the crate so that the broker's tests have it too.
//!
//! What is written is seen at once and durable only after a sync: a file's sectors after [`File::sync`], names
//! after [`Disk::sync_dir`]. [`SimDisk::cut_power`] gives the disk as it would be found after the power came back, with any
//! choice of unsynced sectors lost or torn. A sync can be made to fail the way Linux fails it: the pages count
//! as clean afterwards, so no later sync makes them durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};

use super::{Disk, Entry, File, Lock, Map, Space};
use crate::cast::{to_u64, to_usize};

/// Bytes that a disk writes or loses together.
const SECTOR: usize = 512;

/// What a power cut does to one unsynced sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sector {
    /// It had reached the disk.
    Kept,
    /// The disk still has what was synced before.
    Lost,
    /// The first half had reached the disk.
    Torn,
}

/// What a power cut does to everything unsynced.
pub struct Cut<'a> {
    /// Asked for each unsynced sector of each file, by path and number.
    pub sectors: &'a mut dyn FnMut(&Path, u64) -> Sector,
    /// Whether names that were made, changed or removed without a sync of their folder are as if they had been.
    pub names_kept: bool,
}

impl std::fmt::Debug for Cut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut").field("names_kept", &self.names_kept).finish_non_exhaustive()
    }
}

/// A disk in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    folders: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    unreadable: BTreeSet<PathBuf>,
    /// Bytes that may still be written before the disk is full.
    room: Option<u64>,
    /// What the disk says that it holds at most.
    capacity: Option<u64>,
    /// Files that are open now.
    open: usize,
    /// Syncs that still succeed before one fails.
    syncs_left: Option<u64>,
    syncs_held: bool,
    operations: u64,
}

#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ from what is durable and that a sync would write.
    dirty: BTreeSet<usize>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as it is found after a power cut. This one goes on as if nothing had happened.
    pub fn cut_power(&self, mut cut: Cut<'_>) -> Self {
        let state = self.shared.state.lock();
        let names = if cut.names_kept { &state.names } else { &state.durable_names };
        let names: BTreeMap<PathBuf, Arc<Mutex<Content>>> = names
            .iter()
            .map(|(path, content)| (path.clone(), Arc::new(Mutex::new(content.lock().after(path, &mut cut)))))
            .collect();
        let after =
            State { durable_names: names.clone(), names, folders: state.folders.clone(), ..State::default() };
        Self { shared: Arc::new(Shared { state: Mutex::new(after), released: Condvar::new() }) }
    }

    /// The disk after a crash of the process alone: everything that was written is there.
    pub fn kill(&self) -> Self {
        self.cut_power(Cut { sectors: &mut |_, _| Sector::Kept, names_kept: true })
    }

    /// Lets only `bytes` more be written before the disk is full; `None` for a disk without end.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.shared.state.lock().room = bytes;
    }

    /// Makes the disk say that it holds `bytes` at most; `None` for a disk without end.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.state.lock().capacity = bytes;
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.shared.state.lock().open
    }

    /// Lets `syncs` more file syncs succeed, the one after them fail, and all others succeed again.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.shared.state.lock().syncs_left = Some(syncs);
    }

    /// Makes every sync wait until it is called with `false`.
    pub fn hold_syncs(&self, hold: bool) {
        self.shared.state.lock().syncs_held = hold;
        self.shared.released.notify_all();
    }

    /// Makes reading `path` fail as a broken disk does.
    pub fn break_file(&self, path: &Path) {
        self.shared.state.lock().unreadable.insert(path.to_owned());
    }

    /// The content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.shared.state.lock().names.get(path).map(|content| content.lock().bytes.clone())
    }

    /// Puts a file there, durably.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let content = Content { bytes: bytes.to_vec(), durable: bytes.to_vec(), dirty: BTreeSet::new() };
        let content = Arc::new(Mutex::new(content));
        let mut state = self.shared.state.lock();
        state.add_folders(path.parent());
        state.names.insert(path.to_owned(), Arc::clone(&content));
        state.durable_names.insert(path.to_owned(), content);
    }

    /// Every file with its content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.shared.state.lock();
        state.names.iter().map(|(path, content)| (path.clone(), content.lock().bytes.clone())).collect()
    }

    /// How many writes, syncs and changes of names there were.
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations
    }
}

impl State {
    fn add_folders(&mut self, path: Option<&Path>) {
        for folder in path.into_iter().flat_map(Path::ancestors) {
            self.folders.insert(folder.to_owned());
        }
    }

    fn find(&self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        if self.folders.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.names.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes room for `bytes` and says how many of them fit.
    fn take_room(&mut self, bytes: u64) -> u64 {
        self.operations += 1;
        let Some(room) = &mut self.room else { return bytes };
        let fit = bytes.min(*room);
        *room -= fit;
        fit
    }
}

impl Content {
    fn resize(&mut self, bytes: usize) {
        let from = self.bytes.len().min(bytes);
        self.bytes.resize(bytes, 0);
        self.touch(from, bytes.max(from));
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.resize(end);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.touch(offset, end);
    }

    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
        }
    }

    /// Writes sector `number` to the durable content, `bytes` of it.
    fn persist(&mut self, number: usize, bytes: usize) {
        let from = number * SECTOR;
        let to = (from + bytes).min(self.bytes.len());
        if from < to {
            if self.durable.len() < to {
                self.durable.resize(to, 0);
            }
            self.durable[from..to].copy_from_slice(&self.bytes[from..to]);
        }
    }

    fn sync(&mut self) {
        for number in std::mem::take(&mut self.dirty) {
            self.persist(number, SECTOR);
        }
        self.durable.resize(self.bytes.len(), 0);
    }

    fn after(&self, path: &Path, cut: &mut Cut<'_>) -> Self {
        let mut after = self.clone();
        let mut grown = false;
        for number in std::mem::take(&mut after.dirty) {
            match (cut.sectors)(path, to_u64(number)) {
                Sector::Kept => after.persist(number, SECTOR),
                Sector::Torn => after.persist(number, SECTOR / 2),
                Sector::Lost => continue,
            }
            grown = true;
        }
        // Lengths are metadata: once one of the sectors behind the old end is there, so is the new length.
        if grown {
            let bytes = self.bytes.len();
            after.durable.resize(bytes, 0);
        }
        after.bytes.clone_from(&after.durable);
        after
    }
}

impl Disk for SimDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if path.ancestors().any(|folder| state.names.contains_key(folder)) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        state.add_folders(Some(path));
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.shared.state.lock();
        let content = state.find(path)?;
        state.open += 1;
        Ok(Arc::new(SimFile { path: path.to_owned(), shared: Arc::clone(&self.shared), content }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        let parent = path.parent().unwrap_or(Path::new("/"));
        if !state.folders.contains(parent) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let content = Arc::new(Mutex::new(Content::default()));
        state.names.insert(path.to_owned(), Arc::clone(&content));
        state.open += 1;
        Ok(Arc::new(SimFile { path: path.to_owned(), shared: Arc::clone(&self.shared), content }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.shared.state.lock();
        if !state.folders.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |child: &Path| -> Option<OsString> {
            (child.parent() == Some(path)).then(|| child.file_name().map(ToOwned::to_owned)).flatten()
        };
        let folders = state
            .folders
            .iter()
            .filter_map(|child| Some(Entry { name: name(child)?, folder: true, bytes: 0 }));
        let files = state.names.iter().filter_map(|(child, content)| {
            Some(Entry { name: name(child)?, folder: false, bytes: to_u64(content.lock().bytes.len()) })
        });
        let mut entries: Vec<Entry> = folders.chain(files).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        state.names.retain(|child, _| !child.starts_with(path));
        state.folders.retain(|child| !child.starts_with(path));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|child, _| child.parent() != Some(path));
        let synced = names.iter().filter(|(child, _)| child.parent() == Some(path));
        durable_names.extend(synced.map(|(child, content)| (child.clone(), Arc::clone(content))));
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.shared.state.lock();
        let used_bytes = state.names.values().map(|content| to_u64(content.lock().bytes.len())).sum();
        let free_bytes = state.capacity.map_or(u64::MAX / 2, |capacity| capacity.saturating_sub(used_bytes));
        Ok(Space { used_bytes, free_bytes })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.shared.state.lock();
        if !state.locked.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { path: path.to_owned(), shared: Arc::clone(&self.shared) })))
    }
}

#[derive(Debug)]
struct SimLock {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.shared.state.lock().locked.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    path: PathBuf,
    shared: Arc<Shared>,
    content: Arc<Mutex<Content>>,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.shared.state.lock().open -= 1;
    }
}

impl File for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(to_u64(self.content.lock().bytes.len()))
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.shared.state.lock().unreadable.contains(&self.path) {
            return Err(io::Error::other("simulated read error"));
        }
        let content = self.content.lock();
        let from = to_usize(offset).min(content.bytes.len());
        let read = out.len().min(content.bytes.len() - from);
        out[..read].copy_from_slice(&content.bytes[from..from + read]);
        Ok(read)
    }

    fn read_cached_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(out, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fit = to_usize(self.shared.state.lock().take_room(to_u64(bytes.len())));
        self.content.lock().write(&bytes[..fit], to_usize(offset));
        if fit < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        // Room is taken by the write, as on a file system without preallocation: the harder case.
        self.set_size(bytes)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        if state.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(state);
        self.content.lock().resize(to_usize(bytes));
        Ok(())
    }

    fn zero(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.shared.state.lock().operations += 1;
        self.content.lock().write(&vec![0; to_usize(bytes)], to_usize(offset));
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        let content = self.content.lock();
        let from = to_usize(offset).min(content.bytes.len());
        Ok(content.bytes[from..].iter().position(|byte| *byte != 0).map(|at| to_u64(from + at)))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        while state.syncs_held {
            self.shared.released.wait(&mut state);
        }
        if let Some(left) = &mut state.syncs_left {
            if *left == 0 {
                state.syncs_left = None;
                self.content.lock().dirty.clear();
                return Err(io::Error::other("simulated sync error"));
            }
            *left -= 1;
        }
        self.content.lock().sync();
        Ok(())
    }

    fn map(&self, _bytes: usize) -> io::Result<Option<Map>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with_file() -> (SimDisk, Arc<dyn File>) {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/d")).unwrap();
        let file = disk.create(Path::new("/d/f")).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        (disk, file)
    }

    #[test]
    fn a_cut_loses_exactly_the_chosen_unsynced_sectors() {
        let (disk, file) = disk_with_file();
        file.write_at(&[2; 1024], 512).unwrap();
        let after = disk.cut_power(Cut {
            sectors: &mut |_, number| if number == 1 { Sector::Torn } else { Sector::Lost },
            names_kept: true,
        });
        let content = after.content(Path::new("/d/f")).unwrap();
        assert_eq!((content[511], content[512], content[767], content[768]), (1, 2, 2, 1));
        assert_eq!(disk.kill().content(Path::new("/d/f")).unwrap()[1535], 2);
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let (disk, file) = disk_with_file();
        file.write_at(&[2; 512], 0).unwrap();
        disk.fail_sync_after(0);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        let after = disk.cut_power(Cut { sectors: &mut |_, _| Sector::Lost, names_kept: false });
        assert_eq!(after.content(Path::new("/d/f")).unwrap()[0], 1);
    }

    #[test]
    fn names_are_lost_until_their_folder_is_synced() {
        let (disk, _file) = disk_with_file();
        disk.rename(Path::new("/d/f"), Path::new("/d/g")).unwrap();
        let mut lost = |_: &Path, _| Sector::Lost;
        let after = disk.cut_power(Cut { sectors: &mut lost, names_kept: false });
        assert!(after.content(Path::new("/d/f")).is_some() && after.content(Path::new("/d/g")).is_none());
        disk.sync_dir(Path::new("/d")).unwrap();
        let after = disk.cut_power(Cut { sectors: &mut lost, names_kept: false });
        assert!(after.content(Path::new("/d/f")).is_none() && after.content(Path::new("/d/g")).is_some());
    }

    #[test]
    fn a_disk_says_how_full_it_is() {
        let (disk, _file) = disk_with_file();
        for (capacity, percent) in [(1024, 100), (2048, 50), (2047, 51), (1 << 40, 1), (100, 100)] {
            disk.set_capacity(Some(capacity));
            assert_eq!(disk.space(Path::new("/d")).unwrap().used_percent(), percent, "{capacity}");
        }
        assert_eq!(Space::default().used_percent(), 0);
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let (disk, file) = disk_with_file();
        disk.set_room(Some(3));
        assert_eq!(file.write_at(&[9; 5], 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(&disk.content(Path::new("/d/f")).unwrap()[..5], [9, 9, 9, 1, 1]);
    }
}
