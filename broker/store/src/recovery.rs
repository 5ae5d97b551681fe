//! What happens between opening a folder and the first append.
//!
//! The log is walked from the last point that is known to be good. Where no sound record follows, the log ends: a torn
//! tail is cut, and the cut is durable before anything is appended. Where sound records follow, it depends on
//! whether the place had been durable. Beyond that mark a power cut has lost some sectors and kept later ones:
//! nothing there was ever promised, so the log ends at the hole. Below it something was damaged that had been
//! kept: the records behind stay, the damaged bytes are set aside and reported. Nothing that held a sound record
//! is dropped without a copy.
//!
//! Consume queues are derived: their entries from that point on are made again from the records.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rocketmq_boot_protocol::message::{record::Record, sys_flag::Transaction};

use crate::{
    cast::{position as file_position, to_u64},
    checkpoint::{Checkpoint, Durable, Marks},
    disk::{Disk, list_or_empty},
    entry::Entry,
    error::OpenError,
    options::Options,
    queue::Queue,
    queues::Queues,
    scan::{Found, Scanner},
    segment::Segments,
};

/// Entries that gather in memory before they are written.
const DRAIN_ENTRIES: usize = 64 << 10;
/// How much Apache allows its two timestamps to be ahead of the truth.
const TIMESTAMP_SLACK_MS: i64 = 3_000;
/// How many files of a log that Apache left cleanly are checked.
const CLEAN_FILES: usize = 3;

/// What a recovery found and did.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// Whether the store had not been closed.
    pub unclean: bool,
    /// Records that were looked at.
    pub records: u64,
    /// Bytes that were cut off the end of the log.
    pub truncated_bytes: u64,
    /// What was damaged and is set aside.
    pub quarantined: Vec<Quarantined>,
    /// Whether all consume queues were made again.
    pub rebuilt_queues: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// Bytes of the log that are no record although sound records lie behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where they begin in the log.
    pub position: u64,
    /// How many there are.
    pub bytes: u64,
    /// The copy.
    pub copy: PathBuf,
    /// Whether the log now ends in front of them; otherwise the records behind them are still there.
    pub cut: bool,
}

/// A log and its queues, ready for appends.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) segments: Segments,
    pub(crate) queues: Queues,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) end: u64,
    pub(crate) timestamp: i64,
    pub(crate) report: Recovered,
}

pub(crate) fn recover(options: &Options, disk: &Arc<dyn Disk>) -> Result<State, OpenError> {
    let started = Instant::now();
    let root = &options.root;
    let names = disk.list(root).map_err(OpenError::io("list", root))?;
    let unclean = names.iter().any(|entry| entry.name == "abort");
    let path = root.join("checkpoint");
    let (mut checkpoint, marks) = Checkpoint::open(disk, root).map_err(OpenError::io("read", &path))?;
    let segments = Segments::load(Arc::clone(disk), &options.commit_log, options.commit_log_file_bytes)?;

    let queue_folder = root.join("consumequeue");
    let no_queues =
        list_or_empty(&**disk, &queue_folder).map_err(OpenError::io("list", &queue_folder))?.is_empty();
    let mut whole = no_queues;
    let (queues, walk) = loop {
        let (entries, open) = (options.consume_queue_file_entries, options.open_queue_files);
        let queues = Queues::new(Arc::clone(disk), queue_folder.clone(), entries, open);
        queues.load()?;
        let mut walk = Walk::new(options, disk, &segments, &queues, marks, unclean || whole);
        let from = if whole { segments.start() } else { walk.start(unclean, marks)? };
        if whole && !no_queues {
            // Until they are complete again, the queues must not pass for durable.
            let durable = Durable { log: walk.durable_log, queues: from };
            let timestamp = marks.map_or(0, |marks| marks.timestamp);
            checkpoint.save(durable, timestamp).map_err(OpenError::io("write", checkpoint.path()))?;
        }
        walk.settle_queues(from)?;
        if walk.run(from, whole)? {
            let walk = walk.finish();
            break (queues, walk);
        }
        whole = true;
    };
    let Outcome { end, timestamp, mut report } = walk;
    let timestamp = timestamp.max(marks.map_or(0, |marks| marks.timestamp));
    segments.cut(end)?;
    if unclean {
        // What the page cache kept over a crash is not on the disk yet, but is about to count as flushed.
        for segment in segments.all() {
            segment.file.sync().map_err(OpenError::io("sync", &segment.path))?;
        }
    }
    report.unclean = unclean;
    report.rebuilt_queues = whole && report.records > 0;
    report.elapsed = started.elapsed();
    Ok(State { segments, queues, checkpoint, end, timestamp, report })
}

/// One walk over the log.
struct Walk<'a> {
    options: &'a Options,
    disk: &'a Arc<dyn Disk>,
    segments: &'a Segments,
    queues: &'a Queues,
    scanner: Scanner<'a>,
    /// Below this the log was durable; everything, in a log that is not known to be ours.
    durable_log: u64,
    /// Whether queue entries from the start of the walk on are made again instead of trusted.
    remake: bool,
    outcome: Outcome,
}

#[derive(Debug, Default)]
struct Outcome {
    end: u64,
    timestamp: i64,
    report: Recovered,
}

impl<'a> Walk<'a> {
    fn new(
        options: &'a Options,
        disk: &'a Arc<dyn Disk>,
        segments: &'a Segments,
        queues: &'a Queues,
        marks: Option<Marks>,
        remake: bool,
    ) -> Self {
        let durable_log = marks.and_then(|marks| marks.durable).map_or(u64::MAX, |durable| durable.log);
        let scanner = Scanner::new(segments);
        Self { options, disk, segments, queues, scanner, durable_log, remake, outcome: Outcome::default() }
    }

    fn finish(self) -> Outcome {
        self.outcome
    }

    /// Where the walk begins: before it, the log and its queues are known to be good.
    fn start(&mut self, unclean: bool, marks: Option<Marks>) -> Result<u64, OpenError> {
        let all = self.segments.all();
        let first = self.segments.start();
        if let Some(durable) = marks.and_then(|marks| marks.durable) {
            let mark = durable.queues.min(durable.log).max(first);
            let Some(segment) = self.segments.at(mark) else {
                return Ok(if mark == self.segments.end() { mark } else { first });
            };
            // Another broker may have cut the log since: then the mark can be inside a record.
            let sound = !matches!(self.scanner.at(&segment, mark)?, Found::Nothing);
            return Ok(if sound || self.scanner.data_end(mark)? == mark { mark } else { segment.start });
        }
        if !unclean {
            return Ok(all[all.len().saturating_sub(CLEAN_FILES)..]
                .first()
                .map_or(first, |segment| segment.start));
        }
        let newest = marks.map_or(0, |marks| marks.timestamp.saturating_sub(TIMESTAMP_SLACK_MS));
        for segment in all.iter().rev() {
            if let Found::Record(record) = self.scanner.at(segment, segment.start)?
                && (1..=newest).contains(&record.store_timestamp)
            {
                return Ok(segment.start);
            }
        }
        Ok(first)
    }

    /// Finds where each queue ends, and drops the entries that this walk makes again.
    fn settle_queues(&self, from: u64) -> Result<(), OpenError> {
        let limit = if self.remake { from } else { u64::MAX };
        for queue in self.queues.all() {
            let io = |action| OpenError::io(action, queue.files.folder());
            let end = queue.files.end(limit).map_err(io("read"))?;
            if self.remake {
                queue.files.cut(end).map_err(io("cut"))?;
            }
            let min = queue.files.first_from(self.segments.start()).map_err(io("read"))?;
            queue.reset(min, end);
        }
        Ok(())
    }

    /// Walks to the end of the log; `false` when queues turn out to lack older entries.
    fn run(&mut self, from: u64, whole: bool) -> Result<bool, OpenError> {
        let mut position = from;
        while let Some(segment) = self.segments.at(position) {
            match self.scanner.at(&segment, position)? {
                Found::Blank => position = segment.end(),
                Found::Record(record) if position < self.durable_log || !is_torn(&record) => {
                    let older = position > self.segments.start() && !whole;
                    let (size, timestamp) = (u64::from(record.total_size), record.store_timestamp);
                    if !dispatch(self.queues, self.options, &record, self.remake, older)? {
                        return Ok(false);
                    }
                    self.outcome.timestamp = self.outcome.timestamp.max(timestamp);
                    self.outcome.report.records += 1;
                    position += size;
                    if self.queues.pending() > DRAIN_ENTRIES {
                        self.write_entries()?;
                    }
                }
                _ => match self.scanner.next_sound(position)? {
                    Some(next) if position < self.durable_log => {
                        self.set_aside(position, next, false)?;
                        position = next;
                    }
                    sound => {
                        self.cut(position, sound.is_some())?;
                        break;
                    }
                },
            }
        }
        self.outcome.end = position;
        self.write_entries()?;
        if !self.remake {
            self.cut_queues(position)?;
        }
        Ok(true)
    }

    fn write_entries(&self) -> Result<(), OpenError> {
        self.queues.drain(u64::MAX).map_err(OpenError::io("write", self.options.root.join("consumequeue")))
    }

    /// Ends the log at `position`, durably.
    fn cut(&mut self, position: u64, sound_behind: bool) -> Result<(), OpenError> {
        let data_end = self.scanner.data_end(position)?;
        if data_end == position {
            return Ok(());
        }
        if sound_behind {
            self.set_aside(position, data_end, true)?;
        }
        self.outcome.report.truncated_bytes = data_end - position;
        tracing::warn!(position, bytes = data_end - position, "cut the torn end of the commit log");
        if let Some(segment) = self.segments.at(position) {
            let (offset, bytes) = (position - segment.start, segment.end() - position);
            segment
                .file
                .zero(offset, bytes)
                .and_then(|()| segment.file.sync())
                .map_err(OpenError::io("cut", &segment.path))?;
        }
        Ok(())
    }

    /// Copies `[from, end)` of the log to a file of its own and reports it.
    fn set_aside(&mut self, from: u64, end: u64, cut: bool) -> Result<(), OpenError> {
        let folder = quarantine_folder(&self.options.root);
        let copy = folder.join(format!("{from:020}-{end:020}"));
        self.disk.create_dirs(&folder).map_err(OpenError::io("make", &folder))?;
        let file = self.disk.create(&copy).map_err(OpenError::io("make", &copy))?;
        let copied = self.scanner.copy(from, end, |offset, bytes| file.write_at(bytes, offset))?;
        copied
            .and_then(|()| file.sync())
            .and_then(|()| self.disk.sync_dir(&folder))
            .map_err(OpenError::io("write", &copy))?;
        let bytes = end - from;
        tracing::error!(position = from, bytes, copy = %copy.display(), cut, "commit log is damaged");
        self.outcome.report.quarantined.push(Quarantined { position: from, bytes, copy, cut });
        Ok(())
    }

    /// Drops entries of records that the log does not have.
    fn cut_queues(&self, end: u64) -> Result<(), OpenError> {
        for queue in self.queues.all() {
            let io = |action| OpenError::io(action, queue.files.folder());
            let kept = queue.files.end(end).map_err(io("read"))?;
            if kept < queue.max_offset() {
                queue.files.cut(kept).map_err(io("cut"))?;
                queue.reset(queue.min_offset(), kept);
            }
        }
        Ok(())
    }
}

/// Makes the entry of one record; `false` when its queue lacks entries that `older` records would have made.
fn dispatch(
    queues: &Queues,
    options: &Options,
    record: &Record<'_>,
    remake: bool,
    older: bool,
) -> Result<bool, OpenError> {
    if matches!(Transaction::of(record.sys_flag), Transaction::Prepared | Transaction::Rollback) {
        return Ok(true);
    }
    let position = file_position(record.physical_offset);
    let (Ok(id), offset @ 0..) = (u32::try_from(record.queue_id), record.queue_offset) else {
        tracing::warn!(position, record.queue_id, record.queue_offset, "a record without a place in a queue");
        return Ok(true);
    };
    let queue = queues.get(record.topic, id);
    if !queue.is_storable() {
        tracing::warn!(position, topic = record.topic, "a record of a topic that cannot be stored");
        return Ok(true);
    }
    let next = queue.max_offset();
    if offset < next && !remake {
        return Ok(true);
    }
    if offset > next && older {
        return Ok(false);
    }
    if offset != next {
        place(queues, &queue, offset).map_err(OpenError::io("write", queue.files.folder()))?;
    }
    let entry = Entry { position, size: record.total_size, tags_code: options.tags_code.of(record) };
    queues.push(&queue, 1, std::iter::once(entry));
    queue.return_offset(offset + 1);
    Ok(true)
}

/// Whether the end of a record was lost: no checksum covers what follows its body, but none of ours ends in a zero.
fn is_torn(record: &Record<'_>) -> bool {
    record.properties.last() == Some(&0) || record.topic.contains('\0')
}

/// Makes `offset` the next one of a queue that is at another.
fn place(queues: &Queues, queue: &Arc<Queue>, offset: i64) -> io::Result<()> {
    let next = queue.max_offset();
    let (topic, id) = (queue.topic(), queue.id());
    if next == queue.min_offset() && queue.files.first().is_none() {
        queue.reset(offset, offset);
        return Ok(());
    }
    let gap = to_u64(usize::try_from(offset.saturating_sub(next)).unwrap_or(0));
    if (1..=to_u64(DRAIN_ENTRIES)).contains(&gap) {
        // Damage has taken the records that belong here.
        tracing::warn!(topic, id, from = next, to = offset, "a queue has a gap");
        queues.push(queue, crate::cast::to_usize(gap), (0..gap).map(|_| Entry::BLANK));
        return Ok(());
    }
    // The topic was deleted and made again: only its newer life counts.
    tracing::warn!(topic, id, next, offset, "a queue begins again");
    queues.drain(u64::MAX)?;
    if offset < next {
        queue.files.cut(offset)?;
        queue.reset(queue.min_offset(), offset);
    } else {
        queue.files.remove()?;
        queue.reset(offset, offset);
    }
    Ok(())
}

/// The folder of damaged bytes, below the root of a store.
pub fn quarantine_folder(root: &Path) -> PathBuf {
    root.join("quarantine")
}
