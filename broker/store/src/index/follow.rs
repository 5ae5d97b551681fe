//! The thread that follows the log.
//!
//! It reads records up to where the log is readable, puts their keys into the image of the newest file, and writes that
//! out every half second, when a lot has gathered, or when somebody waits for it. While nothing is appended it sleeps
//! without a timer.

use std::{
    io,
    sync::Arc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use rocketmq_boot_protocol::message::record::{BLANK_BYTES, BLANK_MAGIC, Record};

use crate::{
    cast::{position as file_position, to_usize},
    index::{
        Index, IndexMark,
        file::{Header, IndexFile, name_of},
        image::Image,
        keys,
    },
    read::Reader,
    scan::Scanner,
    store::Inner,
};

/// How long entries gather before they are written.
const GATHER: Duration = Duration::from_millis(500);
/// How many bytes of them gather.
const GATHER_BYTES: usize = 8 << 20;
/// Records that are looked at before anything else is.
const STEP: usize = 1024;
/// How long a thread that could not write rests.
const REST: Duration = Duration::from_secs(1);
/// So near the end of the log the thread comes to it before it stops.
const LAST_STRETCH_BYTES: u64 = 64 << 20;

/// What lies at a position of the log.
pub(super) enum Found {
    /// A record; its keys were taken down.
    Record { next: u64, timestamp: i64 },
    /// The end of a file, or a file that is gone.
    Nothing { next: u64 },
    /// Bytes that are no record.
    Damage,
}

/// Looks at a position of the log and takes down the keys of the record there.
pub(super) fn look(
    inner: &Inner,
    reader: &mut Reader<'_>,
    position: u64,
    hashes: &mut Vec<u32>,
) -> io::Result<Found> {
    hashes.clear();
    let Some(segment) = inner.segments.at(position) else {
        // The log begins later by now.
        return Ok(Found::Nothing { next: inner.segments.start().max(position + 1) });
    };
    let end = segment.end();
    let left = to_usize(end - position);
    let head = reader.bytes(position, BLANK_BYTES.min(left))?;
    let Some([s0, s1, s2, s3, magic @ ..]) = head.and_then(|head| head.first_chunk::<BLANK_BYTES>()) else {
        return Ok(Found::Nothing { next: end });
    };
    let size = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
    if u32::from_be_bytes(*magic) == BLANK_MAGIC {
        return Ok(Found::Nothing { next: end });
    }
    let bytes = reader.bytes(position, to_usize(u64::from(size)).min(left))?;
    let record = bytes.and_then(|bytes| Record::decode(bytes).ok());
    let Some(record) = record.filter(|record| file_position(record.physical_offset) == position) else {
        return Ok(Found::Damage);
    };
    keys::hashes(&record, hashes);
    Ok(Found::Record { next: position + u64::from(size), timestamp: record.store_timestamp })
}

/// The thread's own state.
pub(super) struct Follower<'a> {
    pub(super) inner: &'a Inner,
    pub(super) index: &'a Index,
    /// The newest file, unless it is full.
    pub(super) newest: Option<(Arc<IndexFile>, Image)>,
    /// The next record to look at.
    pub(super) position: u64,
    /// How many of its keys have been put already.
    pub(super) put: usize,
    pub(super) full_to: i64,
    hashes: Vec<u32>,
    gathering_since: Option<Instant>,
    /// Since when what was written is not durable.
    unsynced_since: Option<Instant>,
    names_unsynced: bool,
    failing: bool,
}

/// The index thread.
pub(super) fn run(inner: &Inner, index: &Index) {
    let mut follower = Follower::new(inner, index);
    while let Err(error) = follower.load() {
        if !follower.failing {
            tracing::error!(%error, folder = %index.folder.display(), "cannot read the key index");
        }
        follower.failing = true;
        if !follower.wait(Some(Instant::now() + REST)) {
            return;
        }
    }
    loop {
        let round = follower.round();
        let next = match &round {
            Ok(()) => follower.due(),
            Err(_) => Some(Instant::now() + REST),
        };
        if let Err(error) = &round
            && !follower.failing
        {
            tracing::error!(%error, folder = %index.folder.display(), "cannot write the key index");
        }
        follower.failing = round.is_err();
        if !follower.wait(next) {
            break;
        }
    }
    let left = inner.flusher.readable().saturating_sub(follower.position);
    let settled = follower.advance(|| left > LAST_STRETCH_BYTES).and_then(|()| follower.sync());
    if let Err(error) = settled {
        tracing::warn!(%error, "the rest of the key index is made at the next start");
    }
}

impl<'a> Follower<'a> {
    fn new(inner: &'a Inner, index: &'a Index) -> Self {
        Self {
            inner,
            index,
            newest: None,
            position: 0,
            put: 0,
            full_to: index.opened.full_to,
            hashes: Vec::new(),
            gathering_since: None,
            unsynced_since: None,
            names_unsynced: false,
            failing: false,
        }
    }

    /// Waits until the log has grown, somebody waits for the index, or the time has come; `false` when the store
    /// stops.
    fn wait(&self, due: Option<Instant>) -> bool {
        let mut progress = self.index.progress.lock();
        self.index.idle.store(true, Ordering::SeqCst);
        // After a failure only the time counts.
        let resting = self.failing;
        while !progress.stop {
            let grown = self.inner.flusher.readable() > self.position;
            if !resting && (grown || progress.wanted > progress.written) {
                break;
            }
            match due {
                None => self.index.work.wait(&mut progress),
                Some(due) if self.index.work.wait_until(&mut progress, due).timed_out() => break,
                Some(_) => {}
            }
        }
        self.index.idle.store(false, Ordering::SeqCst);
        !progress.stop
    }

    /// When the next round must be.
    fn due(&self) -> Option<Instant> {
        let gathered = self.gathering_since.map(|since| since + GATHER);
        let synced = self.unsynced_since.map(|since| since + self.inner.options.checkpoint_interval);
        gathered.into_iter().chain(synced).min()
    }

    fn round(&mut self) -> io::Result<()> {
        let index = self.index;
        self.advance(|| index.progress.lock().stop)?;
        let wanted = {
            let progress = index.progress.lock();
            progress.wanted > progress.written
        };
        if wanted || self.gathering_since.is_none_or(|since| since.elapsed() >= GATHER) {
            self.write()?;
        }
        if self.unsynced_since.is_some_and(|since| since.elapsed() >= self.inner.options.checkpoint_interval)
        {
            self.sync()?;
        }
        self.drop_expired()
    }

    /// Puts the keys of all records up to where the log is readable, unless `enough`.
    fn advance(&mut self, enough: impl Fn() -> bool) -> io::Result<()> {
        loop {
            if self.newest.as_ref().is_some_and(|(_, image)| image.staged_bytes() >= GATHER_BYTES) {
                self.write()?;
            }
            let readable = self.inner.flusher.readable();
            if self.position >= readable || enough() {
                return Ok(());
            }
            self.step(readable)?;
        }
    }

    /// Puts the keys of some records.
    fn step(&mut self, readable: u64) -> io::Result<()> {
        let mut reader = Reader::unmapped(self.inner);
        for _ in 0..STEP {
            if self.position >= readable {
                break;
            }
            let (next, timestamp) = match look(self.inner, &mut reader, self.position, &mut self.hashes)? {
                Found::Record { next, timestamp } => (next, timestamp),
                Found::Nothing { next } => {
                    (self.position, self.put) = (next, 0);
                    continue;
                }
                Found::Damage => {
                    self.skip_damage(readable)?;
                    continue;
                }
            };
            while let Some(hash) = self.hashes.get(self.put).copied() {
                self.put(hash, timestamp)?;
                self.put += 1;
            }
            (self.position, self.put) = (next, 0);
        }
        Ok(())
    }

    /// Goes on behind bytes that are no record, which a recovery has left in their place.
    fn skip_damage(&mut self, readable: u64) -> io::Result<()> {
        let next = Scanner::new(&self.inner.segments).next_sound(self.position).map_err(io::Error::other)?;
        let next = next.filter(|next| *next < readable).unwrap_or(readable);
        tracing::warn!(position = self.position, next, "no record to index here");
        (self.position, self.put) = (next, 0);
        Ok(())
    }

    /// Puts a key of the record that is looked at into the newest file, or into one behind it.
    fn put(&mut self, hash: u32, timestamp: i64) -> io::Result<()> {
        if self.newest.as_ref().is_some_and(|(_, image)| image.is_full()) {
            self.sync()?;
            self.newest = None;
        }
        let newest = match &mut self.newest {
            Some((_, image)) => image,
            None => {
                let made = self.make_file()?;
                &mut self.newest.insert(made).1
            }
        };
        newest.put(hash, self.position, timestamp);
        self.gathering_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Makes the next file.
    fn make_file(&mut self) -> io::Result<(Arc<IndexFile>, Image)> {
        let (index, disk) = (self.index, &self.inner.disk);
        let before = index.files.read().last().map(|file| (file.name, *file.header.read()));
        let header = match before {
            Some((_, before)) => Header::behind(before.end_timestamp, before.end),
            None => Header::behind(0, 0),
        };
        let now = name_of(self.inner.clock.now_ms());
        let name = before.map_or(now, |(name, _)| now.max(name + 1));
        let path = index.folder.join(format!("{name:017}"));
        disk.create_dirs(&index.folder)?;
        let file = disk.create(&path)?;
        file.set_size(index.shape.bytes())?;
        self.names_unsynced = true;
        let image = Image::new(index.shape, header);
        let made = Arc::new(IndexFile { path, name, file, shape: index.shape, header: RwLock::new(header) });
        index.files.write().push(Arc::clone(&made));
        Ok((made, image))
    }

    /// Writes what has gathered, and tells those who wait.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.gathering_since.is_some()
            && let Some((file, image)) = &mut self.newest
        {
            image.write(file)?;
            self.gathering_since = None;
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        // Of the record that is looked at some keys may be missing: it is not below its own position.
        self.index.progress.lock().written = self.position;
        self.index.written.notify_all();
        Ok(())
    }

    /// Makes everything durable and remembers how far that is.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if let Some((file, image)) = &self.newest {
            file.file.sync()?;
            if image.is_full() {
                self.full_to = self.full_to.max(image.header.end_timestamp);
            }
        }
        if self.names_unsynced {
            self.inner.disk.sync_dir(&self.index.folder)?;
            self.names_unsynced = false;
        }
        self.unsynced_since = None;
        self.index.progress.lock().mark = IndexMark { position: self.position, full_to: self.full_to };
        Ok(())
    }

    /// Removes files whose messages the log no longer has.
    fn drop_expired(&mut self) -> io::Result<()> {
        let start = self.inner.segments.start();
        loop {
            let oldest = {
                let files = self.index.files.read();
                match &files[..] {
                    [oldest, _, ..] if oldest.header.read().end < start => Arc::clone(oldest),
                    _ => return Ok(()),
                }
            };
            self.inner.disk.remove(&oldest.path)?;
            self.index.files.write().remove(0);
            self.names_unsynced = true;
        }
    }
}
