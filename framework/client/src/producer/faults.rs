//! Which brokers are slow or failing, so that sends leave them alone for a while.

use std::{collections::HashMap, time::Duration};

use parking_lot::RwLock;
use tokio::time::Instant;

/// How long a broker is left alone after a send that took this long, in ms; the longest first.
///
/// The ladder of RocketMQ's `MQFaultStrategy`.
const PAUSES: [(u64, u64); 5] =
    [(15_000, 30_000), (5_000, 10_000), (3_000, 6_000), (1_800, 5_000), (550, 2_000)];

/// A send that failed counts as one that took this long.
const FAILED: Duration = Duration::from_secs(10);

/// Brokers that are left alone, and until when.
#[doc(alias = "LatencyFaultTolerance")]
#[derive(Debug, Default)]
pub(crate) struct Faults {
    until: RwLock<HashMap<String, Instant>>,
}

impl Faults {
    /// Whether sends may go to the broker now.
    pub(super) fn is_available(&self, broker: &str) -> bool {
        let until = self.until.read();
        until.is_empty() || until.get(broker).is_none_or(|until| Instant::now() >= *until)
    }

    /// Notes how long a send to the broker took, or that it failed.
    pub(super) fn note(&self, broker: &str, took: Duration, failed: bool) {
        let pause = pause(if failed { took.max(FAILED) } else { took });
        if pause.is_zero() {
            return;
        }
        let until = Instant::now() + pause;
        let mut brokers = self.until.write();
        // Those that have served their time are dropped here, so that the table holds what is wrong now.
        brokers.retain(|_, until| *until > Instant::now());
        let entry = brokers.entry(broker.to_owned()).or_insert(until);
        *entry = until.max(*entry);
        drop(brokers);
        tracing::info!(broker, ?pause, "broker is slow or fails and is left alone");
    }
}

fn pause(took: Duration) -> Duration {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let pause = PAUSES.iter().find(|(from, _)| took >= *from).map_or(0, |(_, pause)| *pause);
    Duration::from_millis(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_of_java() {
        let took = [0, 50, 549, 550, 1_799, 1_800, 3_000, 5_000, 14_999, 15_000, 60_000];
        let pauses = took.map(|took| pause(Duration::from_millis(took)).as_millis());
        assert_eq!(pauses, [0, 0, 0, 2_000, 2_000, 5_000, 6_000, 10_000, 10_000, 30_000, 30_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_comes_back_when_its_time_is_served() {
        let faults = Faults::default();
        faults.note("a", Duration::from_millis(10), false);
        assert!(faults.is_available("a"));
        faults.note("a", Duration::from_millis(10), true);
        faults.note("a", Duration::from_millis(600), false);
        assert!(!faults.is_available("a") && faults.is_available("b"));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(!faults.is_available("a"), "a shorter pause does not end a longer one");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(faults.is_available("a"));
        faults.note("b", Duration::ZERO, true);
        assert_eq!(faults.until.read().len(), 1);
    }
}
