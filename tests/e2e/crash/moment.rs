//! The moments at which a kill hurts most, recognised from the files that the broker leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rocketmq_boot_tests::process::Process;
use rustix::process::Signal;

/// Closes a segment that has no room for the next record.
const BLANK_MAGIC: u32 = 0xCBD4_3194;

/// When the broker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// After a number of messages, wherever it happens to be.
    Any,
    /// One segment is full and closed, and the next has no record yet.
    Roll,
    /// The new file of offsets is written, or written half, and has not taken the place of the old one.
    OffsetSave,
}

impl Moment {
    /// The rounds take turns.
    pub(super) fn of_round(round: u32) -> Self {
        match round % 4 {
            1 => Self::Roll,
            3 => Self::OffsetSave,
            _ => Self::Any,
        }
    }
}

/// Stops the broker with SIGSTOP; when it is not caught in the moment, it goes on.
pub(super) fn stopped_in(wanted: Moment, broker: &mut Process, store: &Path, since: SystemTime) -> bool {
    broker.signal(Signal::STOP);
    // Gone or a zombie, it will not stop any more, and its files tell the same.
    while !matches!(state(broker.id()), None | Some('T' | 'Z')) {
        thread::sleep(Duration::from_micros(10));
    }
    if found(store, since).contains(&wanted) {
        return true;
    }
    broker.signal(Signal::CONT);
    false
}

/// The moments that the files tell of; a dead broker's do not change any more.
pub(super) fn found(store: &Path, since: SystemTime) -> Vec<Moment> {
    let mut found = Vec::new();
    if between_segments(store) {
        found.push(Moment::Roll);
    }
    if between_generations(store, since) {
        found.push(Moment::OffsetSave);
    }
    found
}

/// The segments of the log, in order.
pub(super) fn segments(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join("commitlog")).into_iter().flatten().flatten();
    let is_segment = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 20);
    let mut segments: Vec<_> = entries.map(|entry| entry.path()).filter(is_segment).collect();
    segments.sort();
    segments
}

fn between_segments(store: &Path) -> bool {
    // The next segment may lie ready; what counts is the last one that has a record.
    let last_written = segments(store)
        .iter()
        .rev()
        .filter_map(|segment| filled(segment))
        .find(|each| *each != Filled::Empty);
    last_written == Some(Filled::Closed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    Empty,
    Open,
    Closed,
}

/// How far a segment is written.
fn filled(segment: &Path) -> Option<Filled> {
    let bytes = fs::read(segment).ok()?;
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 8) {
        let [size, magic] =
            [&head[..4], &head[4..]].map(|part| part.try_into().map(u32::from_be_bytes).unwrap_or_default());
        if magic == BLANK_MAGIC {
            return Some(Filled::Closed);
        }
        if size == 0 {
            return Some(if at == 0 { Filled::Empty } else { Filled::Open });
        }
        at += usize::try_from(size).ok()?;
    }
    Some(if bytes.is_empty() { Filled::Empty } else { Filled::Closed })
}

/// A leftover of an earlier kill is older than this life of the broker.
fn between_generations(store: &Path, since: SystemTime) -> bool {
    let steady = ["consumerOffset.json", "consumerOffset.json.bak"];
    fs::read_dir(store.join("config")).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let fresh =
            entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified >= since);
        fresh && name.starts_with(steady[0]) && !steady.contains(&name.as_str())
    })
}

/// The state letter of /proc; `None` when the process is gone.
fn state(process: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
