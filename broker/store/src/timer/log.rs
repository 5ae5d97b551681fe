//! The timer log: units in the order in which their records were enqueued, never changed afterwards.
//!
//! A file is called after its first byte and has its full length from the start, sparse. Where no unit and no blank
//! behind it fits any more, a blank ends it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rocketmq_boot_protocol::message::record::BLANK_MAGIC;

use super::unit::{BLANK_BYTES, Line, TimerUnit, UNIT_BYTES};
use crate::{
    cast::{to_u64, to_usize},
    disk::{Disk, File, list_or_empty},
    error::OpenError,
    segment::{file_name, parse_file_name},
};

/// How much of the log is read at a time.
const WINDOW_BYTES: usize = 64 << 10;
/// Files that stay open.
const OPEN_FILES: usize = 4;
const UNIT: u64 = UNIT_BYTES as u64;
const BLANK: u64 = BLANK_BYTES as u64;

/// The files.
#[derive(Debug)]
pub(super) struct TimerLog {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    file_bytes: u64,
    /// First position of each file.
    files: BTreeSet<u64>,
    open: BTreeMap<u64, Arc<dyn File>>,
    unsynced: BTreeSet<u64>,
    names_unsynced: bool,
    /// Where the next unit goes.
    end: u64,
}

/// What was read last: neighbours are wanted next.
#[derive(Debug, Default)]
pub(super) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl TimerLog {
    /// Finds the files. Those of another length than the configured one keep theirs, and so do those behind them.
    pub(super) fn load(disk: &Arc<dyn Disk>, root: &Path, file_bytes: u64) -> Result<Self, OpenError> {
        let folder = root.join("timerlog");
        let listed = list_or_empty(&**disk, &folder).map_err(OpenError::io("list", &folder))?;
        let mut found: Vec<_> =
            listed.iter().filter_map(|entry| Some((parse_file_name(&entry.name)?, entry))).collect();
        found.sort_by_key(|(start, _)| *start);
        let file_bytes =
            found.iter().map(|(_, entry)| entry.bytes).find(|bytes| *bytes > 0).unwrap_or(file_bytes);
        let mut files = BTreeSet::new();
        for (start, entry) in found {
            let path = folder.join(&entry.name);
            if entry.bytes == 0 {
                // A crash left it between its creation and its first use.
                disk.remove(&path).map_err(OpenError::io("remove", &path))?;
                continue;
            }
            if entry.bytes != file_bytes || start % file_bytes != 0 {
                return Err(OpenError::Length { path, expected: file_bytes, actual: entry.bytes });
            }
            files.insert(start);
        }
        Ok(Self {
            disk: Arc::clone(disk),
            folder,
            file_bytes,
            end: files.last().copied().unwrap_or(0),
            files,
            open: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            names_unsynced: false,
        })
    }

    /// Where the next unit goes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The first position of the first file.
    pub(super) fn start(&self) -> u64 {
        self.files.first().copied().unwrap_or(0)
    }

    /// Calls `each` for every unit from `from` on, finds the end by that, and clears what lies behind it.
    ///
    /// Between files nothing may be missing: the log ends in front of a gap.
    pub(super) fn recover(&mut self, from: u64, mut each: impl FnMut(u64, &TimerUnit)) -> io::Result<()> {
        let mut window = Window::default();
        let mut position = self.boundary(from);
        while let Some(&start) =
            self.files.range(..=position).next_back().filter(|start| self.holds(**start, position))
        {
            match self.line(position, &mut window)? {
                Line::Unit(unit, _) => {
                    each(position, &unit);
                    position += UNIT;
                }
                Line::Blank => position = start + self.file_bytes,
                Line::Nothing => break,
            }
        }
        self.end = position;
        self.clear_tail()
    }

    /// The unit boundary at `position`, or the start of its file where there is none.
    fn boundary(&self, position: u64) -> u64 {
        let Some(&start) = self.files.range(..=position).next_back() else { return self.start() };
        let inside = position - start;
        if inside >= self.file_bytes || !inside.is_multiple_of(UNIT) { start } else { position }
    }

    fn holds(&self, start: u64, position: u64) -> bool {
        position < start + self.file_bytes
    }

    /// Leaves nothing behind the end that a later recovery could take for a unit.
    fn clear_tail(&mut self) -> io::Result<()> {
        let behind: Vec<u64> = self.files.range(self.end + 1..).copied().collect();
        for start in behind {
            self.remove(start)?;
        }
        if let Some(&start) = self.files.last().filter(|start| self.holds(**start, self.end)) {
            let (file, inside) = (self.file(start)?, self.end - start);
            if file.next_data(inside)?.is_some_and(|at| at < self.file_bytes) {
                file.zero(inside, self.file_bytes - inside)?;
                self.unsynced.insert(start);
            }
        }
        Ok(())
    }

    /// Where the units of a batch will lie, in order.
    pub(super) fn places(&self, count: usize) -> impl Iterator<Item = u64> + use<> {
        let (file_bytes, mut next) = (self.file_bytes, self.end);
        std::iter::repeat_with(move || {
            let left = file_bytes - next % file_bytes;
            if left < UNIT + BLANK {
                next += left;
            }
            let place = next;
            next += UNIT;
            place
        })
        .take(count)
    }

    /// Writes encoded units where [`places`](Self::places) said. After an error the end is where it was.
    pub(super) fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut end = self.end;
        while !bytes.is_empty() {
            let start = end - end % self.file_bytes;
            let left = self.file_bytes - (end - start);
            if !self.files.contains(&start) {
                self.create(start)?;
            }
            let file = self.file(start)?;
            self.unsynced.insert(start);
            if left < UNIT + BLANK {
                let mut blank = [0; BLANK_BYTES];
                blank[..4].copy_from_slice(&u32::try_from(left).unwrap_or(0).to_be_bytes());
                blank[12..].copy_from_slice(&BLANK_MAGIC.to_be_bytes());
                file.write_at(&blank, end - start)?;
                end = start + self.file_bytes;
                continue;
            }
            let fitting = to_usize((left - BLANK) / UNIT) * UNIT_BYTES;
            let (now, behind) = bytes.split_at(fitting.min(bytes.len()));
            file.write_at(now, end - start)?;
            end += to_u64(now.len());
            bytes = behind;
        }
        self.end = end;
        Ok(())
    }

    /// What lies at a position.
    pub(super) fn line(&mut self, position: u64, window: &mut Window) -> io::Result<Line> {
        let Some(&start) =
            self.files.range(..=position).next_back().filter(|start| self.holds(**start, position))
        else {
            return Ok(Line::Nothing);
        };
        if window.at(position).is_none() {
            let file = self.file(start)?;
            // Slots are walked backwards and recoveries go forwards: the window reaches both ways.
            let half = to_u64(WINDOW_BYTES) / 2;
            window.start = position.saturating_sub(half).max(start);
            window.bytes.resize(WINDOW_BYTES, 0);
            let read = file.read_at(&mut window.bytes, window.start - start)?;
            window.bytes.truncate(read);
        }
        Ok(window.at(position).map_or(Line::Nothing, Line::decode))
    }

    /// Position of the record of a unit.
    pub(super) fn record_at(&mut self, position: u64) -> io::Result<Option<u64>> {
        Ok(match self.line(position, &mut Window::default())? {
            Line::Unit(unit, _) => Some(unit.position),
            _ => None,
        })
    }

    /// Removes files none of whose records are in the commit log any more.
    pub(super) fn remove_before(&mut self, min_record: u64) -> io::Result<()> {
        let last_unit = ((self.file_bytes - BLANK) / UNIT).saturating_sub(1) * UNIT;
        let mut window = Window::default();
        while self.files.len() > 1 {
            let start = self.start();
            match self.line(start + last_unit, &mut window)? {
                Line::Unit(unit, _) if unit.position < min_record => self.remove(start)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        while let Some(&start) = self.files.first() {
            self.remove(start)?;
        }
        self.end = 0;
        Ok(())
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.names_unsynced) {
            self.disk.sync_dir(&self.folder).inspect_err(|_| self.names_unsynced = true)?;
        }
        while let Some(&start) = self.unsynced.first() {
            self.file(start)?.sync()?;
            self.unsynced.remove(&start);
        }
        Ok(())
    }

    fn create(&mut self, start: u64) -> io::Result<()> {
        self.disk.create_dirs(&self.folder)?;
        let path = self.folder.join(file_name(start));
        let file = self.disk.create(&path)?;
        if let Err(error) = file.set_size(self.file_bytes) {
            // A wrong length would stop the next start.
            self.disk.remove(&path)?;
            return Err(error);
        }
        self.files.insert(start);
        self.keep_open(start, file);
        self.names_unsynced = true;
        Ok(())
    }

    fn remove(&mut self, start: u64) -> io::Result<()> {
        self.open.remove(&start);
        self.unsynced.remove(&start);
        self.disk.remove(&self.folder.join(file_name(start)))?;
        self.files.remove(&start);
        self.names_unsynced = true;
        Ok(())
    }

    fn file(&mut self, start: u64) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open.get(&start) {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.folder.join(file_name(start)))?;
        self.keep_open(start, Arc::clone(&file));
        Ok(file)
    }

    fn keep_open(&mut self, start: u64, file: Arc<dyn File>) {
        if self.open.len() >= OPEN_FILES {
            // The newest is written; any of the others can be opened again.
            self.open.pop_first();
        }
        self.open.insert(start, file);
    }
}

impl Window {
    fn at(&self, position: u64) -> Option<&[u8]> {
        let from = to_usize(position.checked_sub(self.start)?);
        // At the end of a file less than a unit is left; elsewhere a unit that is cut has to be read again.
        let whole = self.bytes.len() < WINDOW_BYTES || self.bytes.len().saturating_sub(from) >= UNIT_BYTES;
        if whole { self.bytes.get(from..).filter(|bytes| !bytes.is_empty()) } else { None }
    }
}
