//! How far timers have come: `config/timercheck`.
//!
//! ```text
//!  0 i64 everything before this instant has been delivered, ms
//!  8 i64 position in the timer log up to which the wheel's file knows it
//! 16 i64 offset in the queue of the timer topic up to which records are in the timer log
//! 24 i64 the same of the master, which this is
//! 32 i64 state machine version | i64 ms | i64 changes
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::disk::{Disk, read_file};

const FILE_BYTES: usize = 4096;
/// What a slave asks its master for.
pub const TIMER_PROGRESS_BYTES: usize = 56;

/// How far timers have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[doc(alias = "TimerCheckpoint")]
pub struct TimerProgress {
    /// Everything that was due before this instant has been delivered, ms since 1970.
    pub read_ms: i64,
    /// Up to where in the timer log the wheel's file knows it.
    pub log_position: i64,
    /// The offset in the timer topic's queue to go on reading at.
    pub queue_offset: i64,
    /// When this last changed, ms since 1970.
    pub changed_ms: i64,
    /// How often.
    pub changes: i64,
}

impl TimerProgress {
    /// The bytes of the file that mean something.
    pub fn encode(&self) -> [u8; TIMER_PROGRESS_BYTES] {
        let fields = [
            self.read_ms,
            self.log_position,
            self.queue_offset,
            self.queue_offset,
            0,
            self.changed_ms,
            self.changes,
        ];
        let mut bytes = [0; TIMER_PROGRESS_BYTES];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// Reads the file; `None` when there is none, or none of use.
    pub(super) fn load(disk: &dyn Disk, root: &Path) -> io::Result<Option<Self>> {
        let Some(bytes) = read_file(disk, &path(root))? else { return Ok(None) };
        let Some(bytes) = bytes.first_chunk::<TIMER_PROGRESS_BYTES>() else { return Ok(None) };
        let long =
            |at: usize| i64::from_be_bytes(bytes[at..].first_chunk().copied().unwrap_or_default()).max(0);
        Ok(Some(Self {
            read_ms: long(0),
            log_position: long(8),
            // A slave may be ahead of its master in reading, never in what counts.
            queue_offset: long(16).min(long(24)),
            changed_ms: long(40),
            changes: long(48),
        }))
    }

    /// Writes the file durably. It is smaller than a sector, so a crash leaves the old or the new one.
    pub(super) fn save(&self, disk: &Arc<dyn Disk>, root: &Path) -> io::Result<()> {
        let path = path(root);
        let file = match disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(root);
                disk.create_dirs(folder)?;
                let file = disk.create(&path)?;
                file.set_size(u64::try_from(FILE_BYTES).unwrap_or(0))?;
                disk.sync_dir(folder)?;
                file
            }
            opened => opened?,
        };
        file.write_at(&self.encode(), 0)?;
        file.sync()
    }
}

pub(super) fn path(root: &Path) -> PathBuf {
    root.join("config").join("timercheck")
}
