//! Messages that come at an instant: they wait in the timer topic, and the store's timers know which is due when.
//!
//! One task does it all. It reads the timer topic behind whoever writes to it and puts what it finds into the wheel
//! ([`enqueue`]); when a tick is over it stores that tick's messages where they were meant to go ([`fire`]). It sleeps until
//! something comes or is due. Progress is saved once a second, and only as far as what was delivered is on disk: what
//! happens to be delivered twice after a crash is a second's worth, and nothing is lost.

mod counts;
mod due;
mod enqueue;
mod fire;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use rocketmq_boot_protocol::{message::record::Record, topic};
use rocketmq_boot_store::{Store, TimerOptions, TimerProgress, TimerUnit, Timers as Wheel, TimersFound};
use tokio::sync::Notify;

use self::{counts::TimerCounts, enqueue::Stuck, fire::Firing};
use crate::{
    config::{Settings, TimerSettings},
    error::StartError,
    files::{self, StateFile},
    schedule::until,
    state::State,
};

/// How long everything waits after the disk refused something.
const PAUSE_MS: i64 = 1_000;

/// How often files of the timer log are looked at that are not needed any more.
const CLEANING_MS: i64 = 30_000;

/// The broker's timers.
#[derive(Debug)]
pub(crate) struct Timers {
    /// `None` when timers are off.
    running: Option<Mutex<Running>>,
    file: StateFile,
    /// Told when a message was put into the timer topic.
    pub(crate) added: Arc<Notify>,
    shown: Shown,
}

/// What is shown of the timers without waiting for whoever works on them.
#[derive(Debug, Default)]
struct Shown {
    pending: AtomicI64,
    next_offset: AtomicI64,
    read_ms: AtomicI64,
    enqueued: AtomicU64,
    delivered: AtomicU64,
}

/// What the task works on.
#[derive(Debug)]
struct Running {
    wheel: Wheel,
    counts: TimerCounts,
    /// The offset in the timer topic to read from next.
    next_offset: i64,
    /// Set while everything is put in again because the timer log was lost.
    refill: Option<Refill>,
    /// Were due already when they were found, so they never wait.
    immediate: VecDeque<TimerUnit>,
    /// The position behind the last of those that was delivered.
    immediate_end: u64,
    firing: Option<Firing>,
    /// Ticks whose messages were all delivered, but may not be on disk yet.
    fired: BTreeMap<i64, Fired>,
    /// No tick before this one is left to fire.
    cursor: i64,
    changed: bool,
    saved: Instant,
    cleaned_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Fired {
    /// The position behind the last message that it made.
    end: u64,
    count: i32,
}

#[derive(Debug, Clone, Copy)]
struct Refill {
    /// Records below this offset had been read before,
    below: i64,
    /// and of those the ones that were due before this instant had been delivered.
    read_ms: i64,
}

/// When to look again.
struct Next {
    due_ms: Option<i64>,
    /// Whether there is progress to save meanwhile.
    unsaved: bool,
}

/// How the timers are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TimerStatus {
    /// How long the oldest tick that is not delivered yet has been over.
    pub(crate) behind_ms: i64,
    /// Messages in the timer topic that have not been read.
    pub(crate) unread: i64,
    /// Messages that wait.
    pub(crate) pending: i64,
    /// Messages that were put into the wheel since the start.
    pub(crate) enqueued: u64,
    /// Messages that were taken from it since the start.
    pub(crate) delivered: u64,
}

impl Timers {
    pub(crate) fn load(store: &Store, settings: &Settings, now_ms: i64) -> Result<Self, StartError> {
        let file = StateFile::new(store, files::TIMER_METRICS);
        let running = match settings.timers.enabled {
            true => Some(Mutex::new(Running::load(
                store,
                &settings.timers,
                file.load(TimerCounts::read)?,
                now_ms,
            )?)),
            false => None,
        };
        let timers = Self { running, file, added: Arc::default(), shown: Shown::default() };
        if let Some(running) = &timers.running {
            timers.show(&running.lock(), now_ms);
        }
        Ok(timers)
    }

    /// Whether too many messages wait for an instant already; the more there are, the more often they are.
    fn is_congested(&self, settings: &TimerSettings, out_ms: i64, random: impl FnOnce() -> u32) -> bool {
        if settings.congested_at == i32::MAX {
            return false;
        }
        // Whoever works on the timers may wait for the disk; then the message is taken.
        let Some(running) = self.running.as_ref().and_then(Mutex::try_lock) else { return false };
        let limit = i64::from(settings.congested_at.max(1));
        let over = i64::from(running.wheel.pending_in(running.wheel.tick(out_ms))) - limit;
        drop(running);
        over > 0 && i64::from(random() % 1_000) < over.saturating_mul(1_000) / limit
    }

    /// How the timers are doing; `None` when they are off.
    pub(crate) fn status(&self, store: &Store, now_ms: i64) -> Option<TimerStatus> {
        self.running.as_ref()?;
        let end = store.find_queue(topic::TIMER_TOPIC, 0).map_or(0, |queue| store.readable_end(&queue));
        Some(TimerStatus {
            behind_ms: now_ms.saturating_sub(self.shown.read_ms.load(Ordering::Relaxed)).max(0),
            unread: end.saturating_sub(self.shown.next_offset.load(Ordering::Relaxed)).max(0),
            pending: self.shown.pending.load(Ordering::Relaxed).max(0),
            enqueued: self.shown.enqueued.load(Ordering::Relaxed),
            delivered: self.shown.delivered.load(Ordering::Relaxed),
        })
    }

    /// How many messages have left the wheel, as a number that only grows while the broker runs.
    pub(crate) fn fired(&self) -> u64 {
        let left =
            self.shown.next_offset.load(Ordering::Relaxed) - self.shown.pending.load(Ordering::Relaxed);
        u64::try_from(left).unwrap_or(0)
    }

    /// How far timers had come when that was last saved, for whoever copies this broker; `None` when they are off.
    pub(crate) fn progress(&self) -> Option<TimerProgress> {
        Some(self.running.as_ref()?.lock().wheel.saved())
    }

    /// How many timers wait for each topic, as the file has it; `None` when they are off.
    pub(crate) fn counts(&self) -> Option<Vec<u8>> {
        Some(self.running.as_ref()?.lock().counts.write())
    }

    /// The position of the oldest message that waits, so that a disk that fills up does not lose it.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let oldest = self.running.as_ref()?.lock().wheel.oldest_record();
        oldest.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot tell which timer message is the oldest, all are kept");
            Some(0)
        })
    }

    /// The offset in the timer topic up to which messages are in the wheel.
    pub(crate) fn read_to(&self) -> Option<i64> {
        Some(self.running.as_ref()?.lock().next_offset)
    }

    fn show(&self, running: &Running, now_ms: i64) {
        let fired: i64 = running.fired.values().map(|fired| i64::from(fired.count)).sum();
        self.shown.pending.store(running.wheel.pending() - fired, Ordering::Relaxed);
        self.shown.next_offset.store(running.next_offset, Ordering::Relaxed);
        let read_ms = running.next_tick().map_or(i64::MAX, |tick| running.wheel.due_ms(tick)).min(now_ms);
        self.shown.read_ms.store(read_ms, Ordering::Relaxed);
    }
}

impl Running {
    fn load(
        store: &Store,
        settings: &TimerSettings,
        counts: TimerCounts,
        now_ms: i64,
    ) -> Result<Self, StartError> {
        let options =
            TimerOptions { precision_ms: settings.precision_ms(), log_file_bytes: settings.log_file_bytes };
        let (wheel, found) = Wheel::open(store.disk(), store.root(), options)
            .map_err(|source| StartError::Store { root: store.root().to_owned(), source })?;
        let known = known_offset(store, &found);
        let refill = found.lost.then_some(Refill { below: known, read_ms: found.progress.read_ms });
        if let Some(refill) = refill {
            tracing::warn!(?refill, "the timer log was lost and is made again from the timer topic");
        }
        let bounds =
            store.find_queue(topic::TIMER_TOPIC, 0).map(|queue| (queue.min_offset(), queue.max_offset()));
        let (min, max) = bounds.unwrap_or_default();
        let next_offset = if refill.is_some() { min } else { known.clamp(min, max.max(min)) };
        Ok(Self {
            wheel,
            counts,
            next_offset,
            refill,
            immediate: VecDeque::new(),
            immediate_end: 0,
            firing: None,
            fired: BTreeMap::new(),
            cursor: i64::MIN,
            changed: refill.is_some(),
            saved: Instant::now(),
            cleaned_ms: now_ms,
        })
    }

    /// The first tick that was not fired.
    fn next_tick(&self) -> Option<i64> {
        let mut from = self.cursor;
        loop {
            let tick = self.wheel.first_tick_from(from)?;
            if !self.fired.contains_key(&tick) {
                return Some(tick);
            }
            from = tick.saturating_add(1);
        }
    }

    /// Everything is in the wheel again.
    fn end_refill(&mut self) {
        self.changed |= self.refill.take().is_some();
    }

    /// Lets go of ticks whose messages are on disk.
    fn release(&mut self, flushed: u64) {
        let wheel = &mut self.wheel;
        self.fired.retain(|tick, fired| {
            let kept = fired.end > flushed;
            if !kept {
                wheel.done(*tick);
            }
            kept
        });
    }

    /// Saves how far the timers have come, as far as that is on disk.
    fn save(&mut self, flushed: u64, now_ms: i64) -> std::io::Result<()> {
        self.saved = Instant::now();
        self.release(flushed);
        // While everything is put in again, a crash must begin that anew: the log stays behind the saved progress. And what
        // is noted in the log as delivered must be on disk where it went.
        if self.refill.is_some() || self.immediate_end > flushed || !self.immediate.is_empty() {
            return Ok(());
        }
        let first = self.wheel.first_tick().unwrap_or(i64::MAX).min(self.wheel.tick(now_ms));
        self.wheel.sync(first.saturating_mul(self.wheel.precision_ms()), self.next_offset, now_ms)?;
        self.changed = !self.fired.is_empty();
        Ok(())
    }
}

/// The offset behind the last record of the timer topic that the timers know.
fn known_offset(store: &Store, found: &TimersFound) -> i64 {
    let last = found.last.and_then(|unit| store.record(unit.position).ok().flatten());
    let behind = last.and_then(|bytes| {
        let record = Record::decode(&bytes).ok().filter(|record| record.topic == topic::TIMER_TOPIC)?;
        record.queue_offset.checked_add(1)
    });
    found.progress.queue_offset.max(behind.unwrap_or(0))
}

impl State {
    /// Delivers timer messages, for as long as the broker runs.
    pub(crate) async fn deliver_timers(self: Arc<Self>) {
        if self.timers.running.is_none() {
            return;
        }
        let interval = self.settings.timers.flush_interval;
        loop {
            let added = self.timers.added.notified();
            let broker = Arc::clone(&self);
            // All of it may touch the disk.
            let next = tokio::task::spawn_blocking(move || broker.run_timers()).await;
            let next = next.unwrap_or_else(|error| {
                tracing::error!(%error, "delivering timer messages failed, trying again");
                Next { due_ms: Some(self.clock.now_ms() + PAUSE_MS), unsaved: false }
            });
            tokio::select! {
                () = added => {}
                () = until(&self.clock, next.due_ms) => {}
                () = tokio::time::sleep(interval), if next.unsaved => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// Does what there is to do now.
    fn run_timers(self: &Arc<Self>) -> Next {
        let Some(running) = &self.timers.running else { return Next { due_ms: None, unsaved: false } };
        loop {
            let mut guard = running.lock();
            let (again, paused) = match self.step_timers(&mut guard) {
                Ok(moved) => (moved, false),
                Err(error) => {
                    tracing::error!(%error, "timer messages cannot be moved, trying again");
                    (false, true)
                }
            };
            guard.changed |= again;
            if guard.changed && guard.saved.elapsed() >= self.settings.timers.flush_interval {
                self.save_timers(&mut guard);
            }
            self.timers.show(&guard, self.clock.now_ms());
            if again && !self.stopping.is_cancelled() {
                // Who asks how the timers are doing need not wait until all are delivered.
                MutexGuard::unlock_fair(guard);
                continue;
            }
            let next_tick = guard.next_tick().filter(|_| !self.settings.timers.stop_dequeue);
            let due_ms = match paused {
                true => Some(self.clock.now_ms() + PAUSE_MS),
                false => next_tick.map(|tick| guard.wheel.due_ms(tick)),
            };
            return Next { due_ms, unsaved: guard.changed };
        }
    }

    /// Takes some messages in and delivers some; tells whether there were any.
    fn step_timers(self: &Arc<Self>, running: &mut Running) -> Result<bool, Stuck> {
        let taken = self.enqueue_timers(running)?;
        Ok(self.fire_timers(running)? || taken)
    }

    fn save_timers(&self, running: &mut Running) {
        let now_ms = self.clock.now_ms();
        let mut saved = running.save(self.store.flushed(), now_ms);
        if saved.is_ok() && (now_ms - running.cleaned_ms).abs() >= CLEANING_MS {
            running.cleaned_ms = now_ms;
            saved = running.wheel.remove_before(self.store.min_position());
        }
        if let Err(error) = saved {
            tracing::error!(%error, "the progress of timers could not be saved");
        }
        if let Some(status) = self.timers.status(&self.store, now_ms) {
            tracing::debug!(?status, "timers");
        }
    }

    /// Writes how many timers wait for each topic, when that changed.
    pub(crate) fn save_timer_counts(&self) -> Result<(), files::SaveError> {
        let Some(running) = &self.timers.running else { return Ok(()) };
        let exists = |topic: &str| self.topics.find(topic).is_some();
        if !running.lock().counts.take_changed(self.clock.now_ms(), exists) {
            return Ok(());
        }
        self.timers
            .file
            .save(|| running.lock().counts.write())
            .inspect_err(|_| running.lock().counts.set_changed())
    }

    /// Saves the last progress. To be called when the store is closed, and with it all that was delivered on disk.
    pub(crate) fn close_timers(&self) {
        if let Some(running) = &self.timers.running {
            self.save_timers(&mut running.lock());
        }
    }
}
