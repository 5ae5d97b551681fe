//! Making the log durable, and telling those who wait for it.
//!
//! One named thread syncs. With [`Flush::Sync`] it needs no timer: while one sync runs, appends and their waiters pile
//! up, and the next sync covers them all. A sync that fails is final: the kernel may have dropped the pages and
//! would report the next sync of them as a success, so the store turns read-only and every waiter is told.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{error::FlushFailure, options::Flush, segment::Segments};

type Done = Box<dyn FnOnce(Result<(), FlushFailure>) + Send>;

/// How often waiters are checked for having waited too long, as a part of the time-out.
const WATCHES_PER_TIMEOUT: u32 = 8;

struct Waiter {
    end: u64,
    since: Instant,
    done: Done,
}

#[derive(Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    stop: bool,
}

pub(crate) struct Flusher {
    mode: Flush,
    appended: AtomicU64,
    flushed: AtomicU64,
    broken: AtomicBool,
    /// The flush thread has nothing to do and must be woken.
    idle: AtomicBool,
    waiting: Mutex<Waiting>,
    work: Condvar,
    watch: Condvar,
    /// Held during a sync: the flush thread and a checkpoint must not report each other's half-done work.
    syncing: Mutex<()>,
}

impl std::fmt::Debug for Flusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flusher").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Flusher {
    pub(crate) fn new(mode: Flush, end: u64) -> Self {
        Self {
            mode,
            appended: AtomicU64::new(end),
            flushed: AtomicU64::new(end),
            broken: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            waiting: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
            syncing: Mutex::new(()),
        }
    }

    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// The position below which messages may be shown.
    pub(crate) fn readable(&self) -> u64 {
        match self.mode {
            Flush::Async { .. } => self.appended(),
            Flush::Sync { .. } => self.flushed(),
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Turns the store read-only for good.
    pub(crate) fn poison(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// Turns the store read-only for good and tells every waiter.
    pub(crate) fn break_down(&self) {
        self.poison();
        self.release();
    }

    /// Tells those who still wait that nobody will flush for them.
    pub(crate) fn release(&self) {
        let waiters = std::mem::take(&mut self.waiting.lock().waiters);
        for waiter in waiters {
            (waiter.done)(Err(FlushFailure::Broken));
        }
    }

    /// Publishes that everything below `end` is written. Only the holder of the append lock calls this.
    pub(crate) fn publish(&self, end: u64) {
        self.appended.store(end, Ordering::SeqCst);
    }

    /// Wakes the flush thread when it must act on an append.
    pub(crate) fn wake(&self) {
        if matches!(self.mode, Flush::Sync { .. }) && self.idle.load(Ordering::SeqCst) {
            let _waiting = self.waiting.lock();
            self.work.notify_one();
        }
    }

    /// Calls `done` once everything below `end` is durable.
    pub(crate) fn when_flushed(&self, end: u64, done: Done) {
        let mut waiting = self.waiting.lock();
        // Both are set before the flush thread takes the lock to collect waiters.
        let outcome = if self.flushed.load(Ordering::SeqCst) >= end {
            Ok(())
        } else if self.broken.load(Ordering::SeqCst) || waiting.stop {
            Err(FlushFailure::Broken)
        } else {
            waiting.waiters.push(Waiter { end, since: Instant::now(), done });
            self.work.notify_one();
            return;
        };
        drop(waiting);
        done(outcome);
    }

    /// The flush thread.
    pub(crate) fn run(&self, segments: &Segments) {
        while self.wait_for_work() {
            if self.is_broken() {
                self.release();
            } else if let Err(error) = self.flush(segments) {
                tracing::error!(%error, "cannot make the commit log durable, the store is read-only from now on");
            }
        }
    }

    /// Waits until there is something to flush; `false` when the store stops.
    fn wait_for_work(&self) -> bool {
        let mut waiting = self.waiting.lock();
        let Flush::Async { interval } = self.mode else {
            self.idle.store(true, Ordering::SeqCst);
            while !waiting.stop
                && (self.is_broken() || self.appended.load(Ordering::SeqCst) <= self.flushed())
            {
                self.work.wait(&mut waiting);
            }
            self.idle.store(false, Ordering::SeqCst);
            return !waiting.stop;
        };
        let due = Instant::now() + interval;
        let wanted = |waiting: &Waiting| waiting.waiters.iter().any(|waiter| waiter.end <= self.appended());
        while !waiting.stop && !wanted(&waiting) {
            if self.work.wait_until(&mut waiting, due).timed_out() {
                break;
            }
        }
        !waiting.stop
    }

    /// Syncs what was appended so far and tells those who waited for it.
    pub(crate) fn flush(&self, segments: &Segments) -> io::Result<u64> {
        let syncing = self.syncing.lock();
        if self.is_broken() {
            return Err(io::Error::other("an earlier sync failed"));
        }
        let (from, end) = (self.flushed(), self.appended());
        let mut position = from;
        while position < end {
            let Some(segment) = segments.at(position) else { break };
            if let Err(error) = segment.file.sync() {
                self.break_down();
                return Err(error);
            }
            position = segment.end();
        }
        self.flushed.store(end, Ordering::SeqCst);
        drop(syncing);

        let mut ready = Vec::new();
        {
            let mut waiting = self.waiting.lock();
            if waiting.waiters.iter().all(|waiter| waiter.end <= end) {
                ready.append(&mut waiting.waiters);
            } else {
                let (done, left) =
                    std::mem::take(&mut waiting.waiters).into_iter().partition(|waiter| waiter.end <= end);
                (ready, waiting.waiters) = (done, left);
            }
        }
        for waiter in ready {
            (waiter.done)(Ok(()));
        }
        Ok(end)
    }

    /// The watch thread of [`Flush::Sync`]: tells those that the disk keeps waiting for too long.
    pub(crate) fn watch(&self, timeout: Duration) {
        let tick = (timeout / WATCHES_PER_TIMEOUT).max(Duration::from_millis(1));
        let mut waiting = self.waiting.lock();
        while !waiting.stop {
            self.watch.wait_for(&mut waiting, tick);
            let (late, left): (Vec<_>, Vec<_>) = std::mem::take(&mut waiting.waiters)
                .into_iter()
                .partition(|waiter| waiter.since.elapsed() >= timeout);
            waiting.waiters = left;
            if !late.is_empty() {
                tracing::warn!(messages = late.len(), "the disk takes longer than the flush time-out");
                parking_lot::MutexGuard::unlocked(&mut waiting, || {
                    for waiter in late {
                        (waiter.done)(Err(FlushFailure::Timeout));
                    }
                });
            }
        }
    }

    /// Ends the threads. Whoever still waits is told by the last flush, or that there is none.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.work.notify_all();
        self.watch.notify_all();
    }
}
