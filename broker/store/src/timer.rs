//! Timers: which records of the commit log wait for which instant.
//!
//! The files are Apache's, and stay valid while the broker runs: a log of units ([`TimerUnit`], 52 bytes each) in the order
//! in which they were enqueued; a wheel that knows the last unit of each tick, from which the ones before it are found; and
//! the progress. Memory holds no more than the ticks in which something waits, a few MiB for any number of timers.
//!
//! Units are written when they are put in; the wheel's file and the progress follow with [`Timers::sync`]. What the wheel's
//! file does not know yet is found again in the log, as is everything should the file be lost. Should the log be lost,
//! whoever owns the records has to put them in again: [`TimersFound::lost`].

mod log;
mod progress;
mod slot;
mod unit;
mod wheel;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{
    log::TimerLog,
    progress::path as progress_path,
    unit::UNIT_BYTES,
    wheel::{Loaded, Slot, Wheel},
};
pub use self::{
    progress::{TIMER_PROGRESS_BYTES, TimerProgress},
    slot::SlotUnits,
    unit::TimerUnit,
};
use crate::{
    cast::{position, to_i64, to_u64},
    disk::Disk,
    error::OpenError,
};

/// How timers are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerOptions {
    /// Length of a tick **(RocketMQ: 1000 ms)**.
    pub precision_ms: i64,
    /// Bytes of a file of the timer log, where there is none yet **(RocketMQ: 100 MiB)**.
    pub log_file_bytes: u64,
}

/// Timers of one store's folder. One thread at a time owns them.
#[derive(Debug)]
#[doc(alias("TimerMessageStore", "TimerWheel", "TimerLog"))]
pub struct Timers {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    precision_ms: i64,
    log: TimerLog,
    wheel: Wheel,
    saved: TimerProgress,
}

/// What was there when timers were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimersFound {
    /// How far they had come when that was last saved.
    pub progress: TimerProgress,
    /// The last unit of the log: its record is the last one that was read from the timer topic, whatever the progress says.
    pub last: Option<TimerUnit>,
    /// Whether the log was lost: every record that is not due before the progress has to be put in again.
    pub lost: bool,
}

impl Timers {
    /// Opens the timers under `root` and brings the wheel up to date with the log.
    ///
    /// # Errors
    /// A file cannot be read, or is no file of a timer log.
    pub fn open(
        disk: &Arc<dyn Disk>,
        root: &Path,
        options: TimerOptions,
    ) -> Result<(Self, TimersFound), OpenError> {
        let progress = TimerProgress::load(&**disk, root)
            .map_err(OpenError::io("read", progress_path(root)))?
            .unwrap_or_default();
        let log = TimerLog::load(disk, root, options.log_file_bytes)?;
        let mut timers = Self {
            disk: Arc::clone(disk),
            root: root.to_owned(),
            precision_ms: options.precision_ms.max(1),
            log,
            wheel: Wheel::new(disk, root),
            saved: progress,
        };
        let (last, lost) =
            timers.recover(progress).map_err(OpenError::io("recover", root.join("timerlog")))?;
        Ok((timers, TimersFound { progress, last, lost }))
    }

    fn recover(&mut self, progress: TimerProgress) -> io::Result<(Option<TimerUnit>, bool)> {
        let known = position(progress.log_position);
        let from = self.tick(progress.read_ms);
        let mut last = None;
        // First only to find the end: what the wheel says is judged by it.
        self.log.recover(known.saturating_sub(to_u64(UNIT_BYTES)), |_, unit| last = Some(*unit))?;
        if self.log.end() < known {
            self.log.clear()?;
            self.wheel.clear()?;
            return Ok((None, true));
        }
        let usable = self.wheel.load(from, self.log.end())?;
        let replay_from = match usable {
            Loaded::Whole => known,
            Loaded::Unusable => {
                self.wheel.clear()?;
                self.log.start()
            }
        };
        let (wheel, precision_ms) = (&mut self.wheel, self.precision_ms);
        self.log.recover(replay_from, |at, unit| {
            last = Some(*unit);
            let tick = unit.due_ms.div_euclid(precision_ms);
            if tick < from {
                return;
            }
            let before = wheel.slot(tick);
            if before.is_none_or(|slot| slot.last < at) {
                wheel.put(tick, with(before, at, unit));
            }
        })?;
        Ok((last, false))
    }

    /// Length of a tick in ms.
    pub fn precision_ms(&self) -> i64 {
        self.precision_ms
    }

    /// The tick in which an instant lies.
    pub fn tick(&self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.precision_ms)
    }

    /// When the units of a tick are due: at its end, so that none is early.
    pub fn due_ms(&self, tick: i64) -> i64 {
        tick.saturating_add(1).saturating_mul(self.precision_ms)
    }

    /// Puts units in. Those that are not `waiting` are only noted: they have been dealt with.
    ///
    /// # Errors
    /// The log could not be written; nothing was put in.
    pub fn put(
        &mut self,
        units: &[TimerUnit],
        mut waiting: impl FnMut(&TimerUnit) -> bool,
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(units.len() * UNIT_BYTES);
        let mut changed: HashMap<i64, Slot> = HashMap::new();
        let places: Vec<u64> = self.log.places(units.len()).collect();
        for (unit, at) in units.iter().zip(places) {
            if !waiting(unit) {
                unit.encode(None, &mut bytes);
                continue;
            }
            let tick = self.tick(unit.due_ms);
            let before = changed.get(&tick).copied().or_else(|| self.wheel.slot(tick));
            unit.encode(before.map(|slot| slot.last), &mut bytes);
            changed.insert(tick, with(before, at, unit));
        }
        self.log.append(&bytes)?;
        for (tick, slot) in changed {
            self.wheel.put(tick, slot);
        }
        Ok(())
    }

    /// The first tick in which something waits.
    pub fn first_tick(&self) -> Option<i64> {
        self.first_tick_from(i64::MIN)
    }

    /// The first tick from this one on in which something waits.
    pub fn first_tick_from(&self, tick: i64) -> Option<i64> {
        self.wheel.first_from(tick)
    }

    /// Timers that wait. A recall counts as minus one, as it and what it recalls come to nothing.
    pub fn pending(&self) -> i64 {
        self.wheel.pending()
    }

    /// Timers that wait in a tick, counted likewise.
    pub fn pending_in(&self, tick: i64) -> i32 {
        self.wheel.slot(tick).map_or(0, |slot| slot.count)
    }

    /// Position of the oldest record that waits.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn oldest_record(&mut self) -> io::Result<Option<u64>> {
        // Units are in the order of their records.
        let Some(first) = self.wheel.oldest() else { return Ok(None) };
        self.log.record_at(first)
    }

    /// Begins to read the units of a tick.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn units(&mut self, tick: i64) -> io::Result<SlotUnits> {
        SlotUnits::begin(&mut self.log, tick, self.precision_ms, self.wheel.slot(tick).map(|slot| slot.last))
    }

    /// The next units of a tick, oldest first; none when all were given.
    ///
    /// # Errors
    /// The log could not be read; asking again goes on where this failed.
    pub fn next_units(&mut self, reading: &mut SlotUnits) -> io::Result<Vec<TimerUnit>> {
        reading.next(&mut self.log)
    }

    /// Takes a tick out: all of its units were dealt with.
    pub fn done(&mut self, tick: i64) {
        self.wheel.take(tick);
    }

    /// How far timers had come when that was last saved.
    pub fn saved(&self) -> TimerProgress {
        self.saved
    }

    /// Makes everything durable, the progress last.
    ///
    /// # Errors
    /// What the disk says; the progress is then the one of before.
    pub fn sync(&mut self, read_ms: i64, queue_offset: i64, now_ms: i64) -> io::Result<()> {
        let log_position = to_i64(self.log.end());
        self.log.sync()?;
        self.wheel.sync()?;
        let same = self.saved;
        if (same.read_ms, same.log_position, same.queue_offset) == (read_ms, log_position, queue_offset) {
            return Ok(());
        }
        let changes = same.changes.saturating_add(1);
        let next = TimerProgress { read_ms, log_position, queue_offset, changed_ms: now_ms, changes };
        next.save(&self.disk, &self.root)?;
        self.saved = next;
        Ok(())
    }

    /// Removes files of the log none of whose records are in the commit log any more, which begins at `min_record`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_before(&mut self, min_record: u64) -> io::Result<()> {
        self.log.remove_before(min_record)
    }
}

/// A slot with one more unit.
fn with(before: Option<Slot>, at: u64, unit: &TimerUnit) -> Slot {
    let (first, count) = before.map_or((at, 0), |slot| (slot.first, slot.count));
    Slot { first, last: at, count: count.saturating_add(if unit.recalls { -1 } else { 1 }) }
}
