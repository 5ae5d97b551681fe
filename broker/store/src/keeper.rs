//! The thread that keeps things ready and tidy behind the appends.
//!
//! It makes the next file of the log before the last is full, gives up the maps of files that reads no longer use,
//! writes consume-queue entries to their files, and saves checkpoints. For [`Flush::Sync`] it writes zeros ahead of the appends: syncing into blocks that were written
//! before takes about half the time of the first write to an allocated one, which must also journal that the block
//! is in use. While nothing is appended it sleeps without a timer.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    cast::{to_u64, to_usize},
    checkpoint::Durable,
    index::IndexMark,
    options::Flush,
    store::Inner,
};

/// How long entries gather before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// Zeros are written this far ahead of the appends, in pieces, and never nearer than the last constant.
const AHEAD_BYTES: u64 = 16 << 20;
const PIECE_BYTES: usize = 2 << 20;
const DISTANCE_BYTES: u64 = 1 << 20;
/// Log written since consume queues were last synced, above which a checkpoint syncs them again.
const QUEUE_SYNC_BYTES: u64 = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct Keeper {
    idle: AtomicBool,
    stop: Mutex<bool>,
    work: Condvar,
}

impl Keeper {
    /// Tells the thread that something was appended.
    pub(crate) fn wake(&self) {
        if self.idle.load(Ordering::SeqCst) {
            let _stop = self.stop.lock();
            self.work.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        *self.stop.lock() = true;
        self.work.notify_all();
    }

    /// Waits for the next round; `false` when the store stops.
    fn wait(&self, busy: bool, is_quiet: impl Fn() -> bool) -> bool {
        let mut stop = self.stop.lock();
        if !busy {
            self.idle.store(true, Ordering::SeqCst);
            while !*stop && is_quiet() {
                self.work.wait(&mut stop);
            }
            self.idle.store(false, Ordering::SeqCst);
        }
        if !*stop {
            self.work.wait_for(&mut stop, GATHER);
        }
        !*stop
    }
}

impl Inner {
    /// The keeper thread.
    pub(crate) fn keep(&self) {
        let mut saved_at = Instant::now();
        let mut seen = self.flusher.appended();
        let mut saved = seen;
        let mut failing = false;
        let zeros = match self.options.flush {
            Flush::Sync { .. } => vec![0; PIECE_BYTES],
            Flush::Async { .. } => Vec::new(),
        };
        loop {
            while !zeros.is_empty() && self.write_ahead(&zeros) {}
            let busy = seen != saved || self.queues.pending() > 0;
            if !self.keeper.wait(busy, || self.flusher.appended() == seen) {
                return;
            }
            seen = self.flusher.appended();
            self.prepare_segment(seen);
            self.segments.cool(self.flusher.readable().saturating_sub(self.options.hot_bytes));
            let drained = self.queues.drain(self.flusher.readable());
            if let Err(error) = &drained
                && !failing
            {
                tracing::error!(%error, "cannot write consume queues, their entries stay in memory");
            }
            failing = drained.is_err();
            if seen != saved && saved_at.elapsed() >= self.options.checkpoint_interval {
                if let Err(error) = self.save_checkpoint(false) {
                    tracing::warn!(%error, "cannot save the checkpoint");
                }
                (saved, saved_at) = (seen, Instant::now());
            }
            if let Some(index) = &self.index {
                index.wake();
            }
        }
    }

    /// Fills the next piece of the log with zeros; `false` when it is far enough ahead.
    fn write_ahead(&self, zeros: &[u8]) -> bool {
        let (segment, claim) = {
            let mut tail = self.tail.lock();
            let from = tail.blocks_to.max(tail.position + DISTANCE_BYTES);
            let limit = tail.segment.end().min(tail.position + AHEAD_BYTES);
            if tail.closed || self.flusher.is_broken() || from >= limit {
                return false;
            }
            let claim = from..tail.segment.end().min(from + to_u64(zeros.len()));
            tail.claim = Some(claim.clone());
            (Arc::clone(&tail.segment), claim)
        };
        let piece = &zeros[..to_usize(claim.end - claim.start)];
        let written = segment.file.write_at(piece, claim.start - segment.start);
        let synced = segment.file.sync();
        let mut tail = self.tail.lock();
        tail.claim = None;
        tail.blocks_to = claim.end;
        drop(tail);
        self.unclaimed.notify_all();
        if let Err(error) = &written {
            tracing::warn!(%error, "cannot write ahead of the commit log");
        }
        if let Err(error) = &synced {
            // The kernel reports a lost page once: the flush thread would not hear of it again.
            tracing::error!(%error, "cannot make the commit log durable, the store is read-only from now on");
            self.flusher.break_down();
        }
        written.is_ok() && synced.is_ok()
    }

    fn prepare_segment(&self, appended: u64) {
        let bytes = self.options.commit_log_file_bytes;
        if self.segments.end().saturating_sub(appended) < bytes / 2
            && let Err(error) = self.segments.prepare()
        {
            tracing::warn!(%error, "cannot make the next commit-log file ready");
        }
    }

    /// Flushes the log and notes how far it and the consume queues are durable.
    pub(crate) fn save_checkpoint(&self, with_queues: bool) -> std::io::Result<()> {
        let (end, timestamp) = {
            // Under the lock every entry of a record below the end is in its queue.
            let tail = self.tail.lock();
            (tail.position, tail.timestamp)
        };
        self.flusher.flush(&self.segments)?;
        let mut checkpoint = self.checkpoint.lock();
        let mut durable = Durable { log: end, ..checkpoint.durable };
        if with_queues || end.saturating_sub(durable.queues) >= QUEUE_SYNC_BYTES {
            self.queues.drain(end)?;
            self.queues.sync()?;
            durable.queues = end;
        }
        if let Some(index) = &self.index {
            // What the log has lost with the power must not be in the index.
            let mark = index.mark();
            checkpoint.file.note_index(IndexMark { position: mark.position.min(end), ..mark });
        }
        checkpoint.file.save(durable, timestamp)?;
        checkpoint.durable = durable;
        Ok(())
    }
}
