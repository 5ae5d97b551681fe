//! A half message as it lies in the log, read again.

use rocketmq_boot_protocol::message::{property as keys, record::Record};

use super::fates::Id;

/// What decides about a half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Half<'a> {
    /// The transaction.
    pub(super) id: Id,
    /// The producer's group.
    pub(super) group: &'a str,
    /// Where the message is meant to go.
    pub(super) topic: &'a str,
    /// And to which of its queues.
    pub(super) queue_id: i32,
    /// How often the producer was asked.
    pub(super) checks: u32,
    /// The producer's own wish how long not to be asked, as it came.
    pub(super) immunity: Option<&'a str>,
}

impl<'a> Half<'a> {
    /// `None` for a record that no producer can be asked about and that cannot go anywhere.
    pub(super) fn of(record: &Record<'a>) -> Option<Self> {
        Some(Self {
            id: number(record, keys::TRAN_PREPARED_QUEUE_OFFSET).unwrap_or(record.queue_offset),
            group: record.property(keys::PGROUP)?,
            topic: record.property(keys::REAL_TOPIC)?,
            queue_id: number(record, keys::REAL_QID)?,
            checks: number(record, keys::TRANSACTION_CHECK_TIMES).unwrap_or(0),
            immunity: record.property(keys::CHECK_IMMUNITY_TIME_IN_SECONDS),
        })
    }

    /// How long after its birth the producer is not asked, when it said so.
    ///
    /// Apache reads the same property in two ways: what is no number, or -1, is the time-out here.
    pub(super) fn immunity_ms(&self, timeout_ms: i64) -> Option<i64> {
        let seconds = self.immunity?.trim().parse::<i64>().unwrap_or(-1);
        Some(if seconds == -1 { timeout_ms } else { seconds.saturating_mul(1_000) })
    }

    /// How long after its birth the producer may end it without having been asked; never shorter than the time-out.
    pub(super) fn grace_ms(&self, timeout_ms: i64) -> Option<i64> {
        let seconds = self.immunity?.trim().parse::<i64>().unwrap_or(0);
        Some(seconds.saturating_mul(1_000).max(timeout_ms))
    }
}

fn number<T: std::str::FromStr>(record: &Record<'_>, key: &str) -> Option<T> {
    record.property(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_immunity_is_read_as_apache_reads_it() {
        let times = |immunity| {
            let half =
                Half { id: 0, group: "g", topic: "t", queue_id: 0, checks: 0, immunity: Some(immunity) };
            (half.immunity_ms(6_000), half.grace_ms(6_000))
        };
        assert_eq!(times("60"), (Some(60_000), Some(60_000)));
        assert_eq!(times("0"), (Some(0), Some(6_000)));
        assert_eq!(times("-1"), (Some(6_000), Some(6_000)));
        assert_eq!(times("soon"), (Some(6_000), Some(6_000)));
        assert_eq!(times("9223372036854775807"), (Some(i64::MAX), Some(i64::MAX)));
    }
}
