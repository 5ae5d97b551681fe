//! The timer wheel: for each tick of the next days, the first and last unit that waits for it.
//!
//! ```text
//!  0 i64 the instant, in ticks since 1970
//!  8 i64 position of its first unit in the timer log
//! 16 i64 position of its last unit; each unit says where the one before it lies
//! 24 i32 units in it, recalls counted as minus one
//! 28 i32 0
//! ```
//!
//! The file is a ring of two weeks of ticks (at a second each), sparse. In memory are only the slots in which something
//! waits, in the order of their instants, so that nobody has to turn the wheel to find the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    cast::{position, to_i64, to_u64},
    disk::{Disk, File},
};

const SLOT_BYTES: usize = 32;
/// Seven days of seconds, twice: a slot is used again after that many ticks.
const SLOTS: i64 = 2 * 7 * 86_400;
const READ_BYTES: usize = 1 << 20;

/// The units of one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Apache's count, which a recall lowers.
    pub(super) count: i32,
}

/// The wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    /// By tick.
    slots: BTreeMap<i64, Slot>,
    /// Ticks whose slot in the file is not what memory says.
    unwritten: BTreeSet<i64>,
    unsynced: bool,
    /// Sum of all counts.
    pending: i64,
}

/// What the file of a wheel was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loaded {
    /// Its slots were read.
    Whole,
    /// There is none, or it does not fit the log or the precision.
    Unusable,
}

impl Wheel {
    pub(super) fn new(disk: &Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk: Arc::clone(disk),
            path: root.join("timerwheel"),
            file: None,
            slots: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            unsynced: false,
            pending: 0,
        }
    }

    /// Reads the slots from tick `from` on, of a log that ends at `log_end`.
    pub(super) fn load(&mut self, from: i64, log_end: u64) -> io::Result<Loaded> {
        let file = match self.disk.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Unusable),
            opened => opened?,
        };
        if file.size()? != file_bytes() {
            return Ok(Loaded::Unusable);
        }
        let mut bytes = vec![0; READ_BYTES];
        let mut next = 0;
        while let Some(at) = file.next_data(next)?.filter(|at| *at < file_bytes()) {
            let start = at - at % to_u64(SLOT_BYTES);
            let read = file.read_at(&mut bytes, start)?;
            for slot in bytes[..read].chunks_exact(SLOT_BYTES) {
                let (tick, slot) = decode(slot);
                if tick <= 0 {
                    continue;
                }
                // Precisions differ by a factor of two at least, so slots of another one lie decades away.
                let other_precision = from > 0 && (tick < from / 3 * 2 || tick / 3 * 2 > from);
                let other_log = tick >= from && (slot.last >= log_end || slot.first > slot.last);
                if other_precision || other_log {
                    self.slots.clear();
                    return Ok(Loaded::Unusable);
                }
                if tick < from {
                    continue;
                }
                self.slots.insert(tick, slot);
            }
            next = start + to_u64(read.max(SLOT_BYTES));
        }
        self.pending = self.slots.values().map(|slot| i64::from(slot.count)).sum();
        self.file = Some(file);
        Ok(Loaded::Whole)
    }

    /// Starts with an empty file.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        (self.slots, self.pending, self.file) = (BTreeMap::new(), 0, None);
        self.unwritten.clear();
        match self.disk.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn slot(&self, tick: i64) -> Option<Slot> {
        self.slots.get(&tick).copied()
    }

    pub(super) fn put(&mut self, tick: i64, slot: Slot) {
        let before = self.slots.insert(tick, slot).map_or(0, |before| i64::from(before.count));
        self.pending += i64::from(slot.count) - before;
        self.unwritten.insert(tick);
    }

    pub(super) fn take(&mut self, tick: i64) {
        if let Some(slot) = self.slots.remove(&tick) {
            self.pending -= i64::from(slot.count);
            self.unwritten.insert(tick);
        }
    }

    pub(super) fn first_from(&self, tick: i64) -> Option<i64> {
        self.slots.range(tick..).next().map(|(tick, _)| *tick)
    }

    /// Position of the oldest unit that waits.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.slots.values().map(|slot| slot.first).min()
    }

    /// Units that wait, recalls counted as minus one.
    pub(super) fn pending(&self) -> i64 {
        self.pending
    }

    /// Writes what changed to the file and makes it durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() && !self.unsynced {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.disk.create(&self.path)?;
                file.set_size(file_bytes())?;
                self.path.parent().map_or(Ok(()), |root| self.disk.sync_dir(root))?;
                Arc::clone(self.file.insert(file))
            }
        };
        self.unsynced = true;
        for tick in &self.unwritten {
            // After weeks without a broker an old tick and a new one share a place; the old one is delivered first.
            let owner =
                [tick.saturating_add(SLOTS), *tick].into_iter().find(|tick| self.slots.contains_key(tick));
            let bytes = owner
                .and_then(|owner| Some(encode(owner, self.slots.get(&owner)?)))
                .unwrap_or([0; SLOT_BYTES]);
            file.write_at(&bytes, to_u64(SLOT_BYTES) * tick.rem_euclid(SLOTS).unsigned_abs())?;
        }
        self.unwritten.clear();
        file.sync()?;
        self.unsynced = false;
        Ok(())
    }
}

fn file_bytes() -> u64 {
    to_u64(SLOT_BYTES) * SLOTS.unsigned_abs()
}

fn encode(tick: i64, slot: &Slot) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(&tick.to_be_bytes());
    bytes[8..16].copy_from_slice(&to_i64(slot.first).to_be_bytes());
    bytes[16..24].copy_from_slice(&to_i64(slot.last).to_be_bytes());
    bytes[24..28].copy_from_slice(&slot.count.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> (i64, Slot) {
    let long = |at: usize| i64::from_be_bytes(bytes[at..].first_chunk().copied().unwrap_or_default());
    let count = i32::from_be_bytes(bytes[24..].first_chunk().copied().unwrap_or_default());
    (long(0), Slot { first: position(long(8)), last: position(long(16)), count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn wheel(disk: &SimDisk) -> Wheel {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        shared.create_dirs(Path::new("/s")).unwrap();
        Wheel::new(&shared, Path::new("/s"))
    }

    #[test]
    fn slots_come_back_but_those_of_the_past() {
        let disk = SimDisk::new();
        let mut written = wheel(&disk);
        let slot = |at| Slot { first: at, last: at + 52, count: 2 };
        let now = 1_790_000_000;
        for tick in [now - 1, now, now + 5] {
            written.put(tick, slot(104));
        }
        written.sync().unwrap();
        written.take(now + 5);
        written.put(now + 9, slot(520));
        written.sync().unwrap();
        let mut read = wheel(&disk);
        assert_eq!(read.load(now, 1_000).unwrap(), Loaded::Whole);
        assert_eq!(read.slots.keys().copied().collect::<Vec<_>>(), [now, now + 9]);
        assert_eq!((read.slot(now + 9), read.pending()), (Some(slot(520)), 4));
    }

    #[test]
    fn a_file_of_another_length_precision_or_log_is_not_used() {
        let disk = SimDisk::new();
        let mut written = wheel(&disk);
        written.put(17_900_000_000, Slot { first: 0, last: 0, count: 1 });
        written.sync().unwrap();
        assert_eq!(wheel(&disk).load(1_790_000_000, 1_000).unwrap(), Loaded::Unusable);
        assert_eq!(wheel(&disk).load(17_900_000_000, 0).unwrap(), Loaded::Unusable);
        assert_eq!(wheel(&disk).load(17_900_000_000, 1).unwrap(), Loaded::Whole);
        disk.put(Path::new("/s/timerwheel"), &[0; 64]);
        assert_eq!(wheel(&disk).load(0, 0).unwrap(), Loaded::Unusable);
        assert_eq!(file_bytes(), 38_707_200);
    }
}
