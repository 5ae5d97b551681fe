//! What a broker can be told about timer messages and their recall.

use std::time::Duration;

/// Settings of timer messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerSettings {
    /// `timerWheelEnable`: messages may ask for an instant **(default: true)**.
    pub enabled: bool,
    /// `timerPrecisionMs`: instants are rounded up to it; 100, 200, 500 or 1000 **(default: 1 s)**.
    pub precision: Duration,
    /// `timerMaxDelaySec`: how far ahead an instant may lie **(default: 3 days)**.
    pub max_delay: Duration,
    /// `timerRollWindowSlot`: how many times the precision a message waits at most before it is written to the log anew,
    /// so that the log need not be kept for as long as it waits; 2 to 604740 **(default: 172800, two days)**.
    pub roll_window_ticks: i64,
    /// `mappedFileSizeTimerLog` in bytes **(default: 100 MiB)**.
    pub log_file_bytes: u64,
    /// `timerFlushIntervalMs`: how often progress is saved **(default: 1 s)**.
    pub flush_interval: Duration,
    /// `timerCongestNumEachSlot`: messages for one instant above which more and more of those that come are refused, and
    /// from twice as many on all **(default: 2147483647)**.
    pub congested_at: i32,
    /// `timerStopEnqueue`: messages are taken, but do not come **(default: false)**.
    pub stop_enqueue: bool,
    /// `timerStopDequeue`: no message comes **(default: false)**.
    pub stop_dequeue: bool,
    /// `recallMessageEnable`: messages that wait may be taken back **(default: false)**.
    pub recall: bool,
    /// `allowRecallWhenBrokerNotWriteable` **(default: true)**.
    pub recall_when_read_only: bool,
    /// `appendTopicForTimerDeleteKey`: a recall names the topic too, so that two topics may use one unique key
    /// **(default: false)**.
    pub recall_names_topic: bool,
}

impl Default for TimerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            precision: Duration::from_secs(1),
            max_delay: Duration::from_secs(3 * 86_400),
            roll_window_ticks: 2 * 86_400,
            log_file_bytes: 100 << 20,
            flush_interval: Duration::from_secs(1),
            congested_at: i32::MAX,
            stop_enqueue: false,
            stop_dequeue: false,
            recall: false,
            recall_when_read_only: true,
            recall_names_topic: false,
        }
    }
}

/// A roll window as RocketMQ takes it: the longest, a week but for a minute of ticks, for one that is out of range.
pub(super) fn roll_window(wanted: i64) -> i64 {
    const LONGEST: i64 = 7 * 86_400 - 60;
    if (2..=LONGEST).contains(&wanted) { wanted } else { LONGEST }
}

/// The precisions that there are: the greatest one that is not above `wanted`, at least the smallest.
pub(super) fn precision(wanted: Duration) -> Duration {
    const STEPS_MS: [u64; 4] = [100, 200, 500, 1_000];
    let steps = STEPS_MS.iter().copied().map(Duration::from_millis);
    steps.rev().find(|step| *step <= wanted).unwrap_or(Duration::from_millis(STEPS_MS[0]))
}

impl TimerSettings {
    pub(crate) fn precision_ms(&self) -> i64 {
        i64::try_from(self.precision.as_millis()).unwrap_or(1_000).max(1)
    }

    pub(crate) fn max_delay_ms(&self) -> i64 {
        i64::try_from(self.max_delay.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_one_of_four() {
        for (wanted, given) in [(0, 100), (1, 100), (199, 100), (200, 200), (999, 500), (60_000, 1_000)] {
            let given = Duration::from_millis(given);
            assert_eq!(precision(Duration::from_millis(wanted)), given, "{wanted}");
        }
    }
}
