//! What a handler says about a message.

use std::{fmt, time::Duration};

/// What is to become of a message that was handled.
///
/// ```
/// use std::time::Duration;
/// use rocketmq_boot_client::Verdict;
///
/// let later = Verdict::retry_after(Duration::from_secs(60));
/// let broken: Verdict = Err::<(), _>("no such order").into();
/// assert_eq!(broken, Verdict::retry());
/// # let _ = later;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is consumed.
    Done,
    /// It comes back after the interval that belongs to its attempt: 10 s, 30 s, 1 min, .. 2 h.
    Retry,
    /// It comes back after at least this long, or after 2 h, whichever is shorter.
    RetryAfter(Duration),
    /// It comes back after the interval of this delay level, 1-18.
    RetryLevel(u8),
    /// It goes to the group's dead letters now, with the reason in its property [`DEAD_LETTER_REASON`].
    DeadLetter(String),
    /// It is given up: not consumed, not retried, not kept.
    Drop,
    /// Its queue waits this long and then begins with it again. A consumer that does not keep order takes it for
    /// [`Verdict::RetryAfter`].
    #[doc(alias = "SUSPEND_CURRENT_QUEUE_A_MOMENT")]
    Suspend(Duration),
}

/// The property of a dead letter that says why it is one, when its handler gave a reason.
pub const DEAD_LETTER_REASON: &str = "DLQ_REASON";

/// The broker's ladder: level 1 is the first.
const LEVEL_SECONDS: [u64; 18] =
    [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];

/// Asks the broker to choose the level by the attempt.
pub(crate) const LEVEL_BY_ATTEMPT: i32 = 0;
/// Asks the broker to bury the message.
pub(crate) const LEVEL_DEAD: i32 = -1;

impl Verdict {
    /// [`Verdict::Done`].
    pub const fn done() -> Self {
        Self::Done
    }

    /// [`Verdict::Retry`].
    pub const fn retry() -> Self {
        Self::Retry
    }

    /// [`Verdict::RetryAfter`].
    pub const fn retry_after(pause: Duration) -> Self {
        Self::RetryAfter(pause)
    }

    /// [`Verdict::RetryLevel`]. A level above 18 is 18, and 0 is 1.
    pub const fn retry_level(level: u8) -> Self {
        Self::RetryLevel(level)
    }

    /// [`Verdict::DeadLetter`].
    pub fn dead_letter(reason: impl Into<String>) -> Self {
        Self::DeadLetter(reason.into())
    }

    /// [`Verdict::Drop`].
    pub const fn drop() -> Self {
        Self::Drop
    }

    /// [`Verdict::Suspend`].
    pub const fn suspend(pause: Duration) -> Self {
        Self::Suspend(pause)
    }

    /// How long a queue that is consumed in order waits; `None` when it goes on behind the message.
    pub(crate) fn pause(&self, usual: Duration) -> Option<Duration> {
        match self {
            Self::Done | Self::Drop | Self::DeadLetter(_) => None,
            Self::Retry => Some(usual),
            Self::RetryAfter(pause) | Self::Suspend(pause) => Some(*pause),
            Self::RetryLevel(level) => {
                let at = usize::from((*level).clamp(1, 18)) - 1;
                Some(Duration::from_secs(LEVEL_SECONDS[at]))
            }
        }
    }

    /// The delay level that a message goes back with; `None` when it does not go back.
    pub(crate) fn level(&self) -> Option<i32> {
        match self {
            Self::Done | Self::Drop => None,
            Self::Retry => Some(LEVEL_BY_ATTEMPT),
            Self::RetryLevel(level) => Some(i32::from((*level).clamp(1, 18))),
            Self::RetryAfter(pause) | Self::Suspend(pause) => {
                let long_enough = |seconds: &u64| Duration::from_secs(*seconds) >= *pause;
                let at = LEVEL_SECONDS.iter().position(long_enough).unwrap_or(LEVEL_SECONDS.len() - 1);
                i32::try_from(at + 1).ok()
            }
            Self::DeadLetter(_) => Some(LEVEL_DEAD),
        }
    }
}

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// An error is logged and means [`Verdict::Retry`].
impl<T: Into<Verdict>, E: fmt::Display> From<Result<T, E>> for Verdict {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(verdict) => verdict.into(),
            Err(error) => {
                tracing::warn!(%error, "handler failed");
                Self::Retry
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_become_the_next_longer_level() {
        let level = |seconds| Verdict::retry_after(Duration::from_secs(seconds)).level();
        assert_eq!([level(0), level(1), level(2), level(60), level(61)], [1, 1, 2, 5, 6].map(Some));
        assert_eq!([level(7_200), level(7_201), level(u64::MAX)], [18, 18, 18].map(Some));
    }

    #[test]
    fn a_queue_in_order_waits_as_long_as_the_message_would() {
        let usual = Duration::from_millis(7);
        let pause = |verdict: Verdict| verdict.pause(usual);
        assert_eq!(pause(Verdict::retry()), Some(usual));
        assert_eq!(pause(Verdict::suspend(2 * usual)), Some(2 * usual));
        assert_eq!(pause(Verdict::retry_after(3 * usual)), Some(3 * usual));
        assert_eq!(pause(Verdict::retry_level(5)), Some(Duration::from_secs(60)));
        assert!(
            [Verdict::done(), Verdict::drop(), Verdict::dead_letter("x")]
                .map(pause)
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn levels_stay_on_the_ladder() {
        let level = |level| Verdict::retry_level(level).level();
        assert_eq!([level(0), level(3), level(200)], [1, 3, 18].map(Some));
        assert_eq!(Verdict::retry().level(), Some(0));
        assert_eq!(Verdict::dead_letter("x").level(), Some(-1));
        assert_eq!((Verdict::done().level(), Verdict::drop().level()), (None, None));
    }
}
