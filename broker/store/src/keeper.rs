//! The thread that keeps things ready and tidy behind the appends.
//!
//! It makes the next file of the log before the last is full, writes consume-queue entries to their files, and saves
//! checkpoints. While nothing is appended it sleeps without a timer.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{checkpoint::Durable, store::Inner};

/// How long entries gather before they are written.
const GATHER: Duration = Duration::from_millis(20);
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
        loop {
            let busy = seen != saved || self.queues.pending() > 0;
            if !self.keeper.wait(busy, || self.flusher.appended() == seen) {
                return;
            }
            seen = self.flusher.appended();
            self.prepare_segment(seen);
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
        }
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
        checkpoint.file.save(durable, timestamp)?;
        checkpoint.durable = durable;
        Ok(())
    }
}
