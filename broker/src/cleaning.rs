//! How long messages are kept: when files of the log are given back, and when a full disk takes nothing more.
//!
//! | the disk is used to | what happens, at every pass |
//! |---|---|
//! | anything | at an hour of `deleteWhen`, files go whose messages are older than `fileReservedTime` |
//! | more than `diskMaxUsedSpaceRatio` | they go at any hour |
//! | more than `diskSpaceCleanForciblyRatio` | younger files go too, unless a group has not consumed them yet |
//! | more than `diskSpaceWarningLevelRatio` | and nothing is stored until the disk has room again |
//!
//! The third line is where this broker differs from Apache's, which deletes what nobody has consumed as well: here a
//! full disk refuses new messages before it loses stored ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rocketmq_boot_protocol::{Command, topic};
use rocketmq_boot_store::{ReadError, Store};

use crate::{config::Settings, reject::Reject, schedule::until, state::State};

/// Passes that a request to delete what has expired lasts for, as in Apache's broker.
const REQUESTED_PASSES: usize = 20;

/// When files are given back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    reserved: Duration,
    hours: Vec<u8>,
    max_used_percent: u64,
    forcible_percent: u64,
    full_percent: u64,
    forcibly: bool,
    batch: usize,
    pause: Duration,
}

/// Gives files of the log back.
#[derive(Debug)]
pub(crate) struct Cleaning {
    store: Store,
    policy: Policy,
    requested: AtomicUsize,
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pass {
    /// How full the disk is now.
    pub(crate) used_percent: u64,
    /// Files of the log that were removed.
    pub(crate) removed: usize,
    /// Whether a file had to stay only because somebody has not consumed it.
    pub(crate) kept_for_consumers: bool,
}

/// Why a pass ended early. The next one goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleaningError {
    #[error("cannot measure the disk: {0}")]
    Space(std::io::Error),
    #[error("cannot remove files: {0}")]
    Remove(std::io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Cleaning {
    pub(crate) fn new(store: Store, settings: &Settings) -> Self {
        // Apache's bounds, but that a disk may be filled further when that is asked for.
        let full_percent = settings.disk_full_percent.clamp(35, 99);
        let policy = Policy {
            reserved: settings.file_reserved,
            hours: settings.delete_when.clone(),
            max_used_percent: settings.disk_max_used_percent.clamp(10, 95),
            forcible_percent: settings.disk_forcible_percent.clamp(30, 85).min(full_percent),
            full_percent,
            forcibly: settings.clean_forcibly,
            batch: settings.delete_batch,
            pause: settings.delete_pause,
        };
        Self { store, policy, requested: AtomicUsize::new(0) }
    }

    /// Has the next passes delete what has expired, whatever the hour.
    pub(crate) fn request(&self) {
        self.requested.store(REQUESTED_PASSES, Ordering::Relaxed);
    }

    /// Looks at the disk and removes what may go. `needed` gives the first position that somebody still needs.
    ///
    /// It blocks, for as long as the file system takes to remove files.
    pub(crate) fn pass(
        &self,
        now_ms: i64,
        hour: u8,
        needed: impl Fn() -> Result<Option<u64>, ReadError>,
    ) -> Result<Pass, CleaningError> {
        let policy = &self.policy;
        let mut pass = Pass { used_percent: self.measure()?, ..Pass::default() };
        let requested =
            self.requested.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        let due = policy.hours.contains(&hour) || requested.is_ok();
        let reserved_ms = i64::try_from(policy.reserved.as_millis()).unwrap_or(i64::MAX);
        while pass.removed < policy.batch && (due || pass.used_percent > policy.max_used_percent) {
            let Some(oldest) = self.store.oldest_file()? else { break };
            let expired = oldest.over_at_ms.is_some_and(|at| at.saturating_add(reserved_ms) <= now_ms);
            if !expired {
                if !policy.forcibly || pass.used_percent <= policy.forcible_percent {
                    break;
                }
                if needed()?.is_some_and(|needed| needed < oldest.end) {
                    pass.kept_for_consumers = true;
                    break;
                }
            }
            if pass.removed > 0 {
                std::thread::sleep(policy.pause);
            }
            if !self.store.remove_oldest_file(oldest.start).map_err(CleaningError::Remove)? {
                break;
            }
            tracing::info!(
                start = oldest.start,
                expired,
                used_percent = pass.used_percent,
                "removed a commit-log file"
            );
            pass.removed += 1;
            pass.used_percent = self.measure()?;
        }
        if pass.removed > 0 {
            self.store.trim_queues().map_err(CleaningError::Remove)?;
        }
        Ok(pass)
    }

    /// Looks how full the disk is, and refuses or takes messages accordingly.
    fn measure(&self) -> Result<u64, CleaningError> {
        let mut percent = 0;
        for folder in self.store.folders() {
            let space = self.store.disk().space(folder).map_err(CleaningError::Space)?;
            percent = percent.max(space.used_percent());
        }
        let full = percent > self.policy.full_percent;
        if self.store.set_full(full.then_some(percent)) != full {
            if full {
                tracing::error!(
                    used_percent = percent,
                    "the disk is full, messages are refused until it has room"
                );
            } else {
                tracing::info!(used_percent = percent, "the disk has room again, messages are taken");
            }
        }
        Ok(percent)
    }
}

impl State {
    /// Gives files back, for as long as the broker runs.
    pub(crate) async fn clean(self: Arc<Self>) {
        loop {
            let state = Arc::clone(&self);
            let pass = tokio::task::spawn_blocking(move || {
                let now_ms = state.clock.now_ms();
                state.cleaning.pass(now_ms, hour_of_day(now_ms), || state.oldest_needed())
            });
            match pass.await {
                Ok(Ok(pass)) if pass.kept_for_consumers => {
                    tracing::warn!(
                        used_percent = pass.used_percent,
                        "the disk fills up with messages that groups have not consumed"
                    );
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(%error, "cannot clean up, trying again"),
                Err(error) => tracing::error!(%error, "cleaning up failed, trying again"),
            }
            let interval = i64::try_from(self.settings.clean_interval.as_millis()).unwrap_or(i64::MAX);
            tokio::select! {
                () = until(&self.clock, Some(self.clock.now_ms().saturating_add(interval))) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// Deletes what has expired without waiting for the hour (329).
    pub(crate) fn delete_expired(&self, request: &Command) -> Command {
        self.cleaning.request();
        Command::success(request)
    }

    /// Removes queue files of which the log has nothing any more (306).
    pub(crate) fn clean_queues(&self, request: &Command) -> Result<Command, Reject> {
        let removed = self.store.trim_queues().map_err(|error| Reject::failed(error.to_string()))?;
        tracing::info!(removed, "removed consume-queue files");
        Ok(Command::success(request))
    }

    /// The first position of the log that a group has not consumed or a level or a timer has not delivered.
    fn oldest_needed(&self) -> Result<Option<u64>, ReadError> {
        let mut oldest: Option<u64> = None;
        let mut need = |topic: &str, queue_id: i64, offset: i64| -> Result<(), ReadError> {
            let queue = u32::try_from(queue_id).ok().and_then(|id| self.store.find_queue(topic, id));
            if let Some(queue) = queue
                && let Some(position) = self.store.position_of(&queue, offset)?
            {
                oldest = Some(oldest.map_or(position, |before| before.min(position)));
            }
            Ok(())
        };
        for (topic, group, queues) in self.offsets.all() {
            // What a deleted group has left behind keeps nothing.
            if self.groups.find(&group).is_some() {
                queues.iter().try_for_each(|(queue_id, offset)| need(&topic, *queue_id, *offset))?;
            }
        }
        for (level, next) in self.schedule.all() {
            need(topic::SCHEDULE_TOPIC, level - 1, next)?;
        }
        if let Some(next) = self.timers.read_to() {
            need(topic::TIMER_TOPIC, 0, next)?;
        }
        Ok(oldest.into_iter().chain(self.timers.oldest()).min())
    }
}

/// The hour that clocks on the wall show, 0 to 23.
fn hour_of_day(now_ms: i64) -> u8 {
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    u8::try_from(now.to_zoned(jiff::tz::TimeZone::system()).hour()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
