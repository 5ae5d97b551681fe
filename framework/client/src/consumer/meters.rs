//! What consumers tell the `metrics` recorder, under the names and in the units of Java's 5.x client; nothing without
//! the feature `metrics`.

use std::time::Duration;

/// The meters of one topic of a consumer. Handles are looked up once.
#[derive(Debug)]
pub(super) struct Meters {
    #[cfg(feature = "metrics")]
    handles: Handles,
}

#[cfg(feature = "metrics")]
struct Handles {
    succeeded: metrics::Histogram,
    failed: metrics::Histogram,
    awaited: metrics::Histogram,
    latency: metrics::Histogram,
    cached_messages: metrics::Gauge,
    cached_bytes: metrics::Gauge,
}

#[cfg(feature = "metrics")]
impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handles")
    }
}

#[cfg(feature = "metrics")]
impl Meters {
    pub(super) fn new(client_id: &str, group: &str, topic: &str) -> Self {
        use metrics::{gauge, histogram};
        let labels = [
            ("client_id", client_id.to_owned()),
            ("consumer_group", group.to_owned()),
            ("topic", topic.to_owned()),
        ];
        let process = |status: &'static str| {
            let [client, group, topic] = labels.clone();
            let status = ("invocation_status", status.to_owned());
            histogram!("rocketmq_process_time", &[client, group, topic, status])
        };
        let handles = Handles {
            succeeded: process("success"),
            failed: process("failure"),
            awaited: histogram!("rocketmq_await_time", &labels),
            latency: histogram!("rocketmq_delivery_latency", &labels),
            cached_messages: gauge!("rocketmq_consumer_cached_messages", &labels),
            cached_bytes: gauge!("rocketmq_consumer_cached_bytes", &labels),
        };
        Self { handles }
    }

    /// A message arrived so many ms after it was stored.
    pub(super) fn arrived(&self, latency_ms: u64) {
        self.handles.latency.record(Duration::from_millis(latency_ms).as_secs_f64() * 1e3);
    }

    /// A handler call begins so long after its messages arrived.
    pub(super) fn begins(&self, awaited: Duration) {
        self.handles.awaited.record(awaited.as_secs_f64() * 1e3);
    }

    /// A handler call took so long.
    pub(super) fn handled(&self, success: bool, took: Duration) {
        let meter = if success { &self.handles.succeeded } else { &self.handles.failed };
        meter.record(took.as_secs_f64() * 1e3);
    }

    /// So much is in memory.
    pub(super) fn cached(&self, messages: usize, bytes: u64) {
        let shown = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        self.handles.cached_messages.set(shown(u64::try_from(messages).unwrap_or(u64::MAX)));
        self.handles.cached_bytes.set(shown(bytes));
    }
}

#[cfg(not(feature = "metrics"))]
impl Meters {
    pub(super) fn new(_: &str, _: &str, _: &str) -> Self {
        Self {}
    }

    pub(super) fn arrived(&self, _: u64) {}

    pub(super) fn begins(&self, _: Duration) {}

    pub(super) fn handled(&self, _: bool, _: Duration) {}

    pub(super) fn cached(&self, _: usize, _: u64) {}
}
