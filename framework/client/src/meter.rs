//! Metrics by the names that RocketMQ's 5.x clients have for them, through the `metrics` facade.
//!
//! Without the feature `metrics` nothing is measured and nothing is kept. A recorder has to be installed before a
//! topic is first used: its handles are made with the topic's route.

#[cfg(feature = "metrics")]
use std::fmt;

use tokio::time::Instant;

/// Times the sends to one topic: `rocketmq_send_cost_time`, a histogram in ms with the labels `topic`, `client_id`
/// and `invocation_status` (`success` or `failure`).
#[derive(Default)]
#[cfg_attr(not(feature = "metrics"), derive(Debug))]
pub(crate) struct SendMeter {
    #[cfg(feature = "metrics")]
    handles: Option<Handles>,
}

#[cfg(feature = "metrics")]
struct Handles {
    success: metrics::Histogram,
    failure: metrics::Histogram,
}

#[cfg(feature = "metrics")]
impl fmt::Debug for SendMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendMeter")
    }
}

#[cfg(feature = "metrics")]
impl SendMeter {
    pub(crate) fn new(topic: &str, client_id: &str) -> Self {
        let handle = |status: &'static str| {
            metrics::histogram!(
                "rocketmq_send_cost_time",
                "topic" => topic.to_owned(),
                "client_id" => client_id.to_owned(),
                "invocation_status" => status,
            )
        };
        Self { handles: Some(Handles { success: handle("success"), failure: handle("failure") }) }
    }

    /// Notes a send that has ended.
    pub(crate) fn sent(&self, begun: Instant, success: bool) {
        if let Some(handles) = &self.handles {
            let handle = if success { &handles.success } else { &handles.failure };
            handle.record(begun.elapsed().as_secs_f64() * 1_000.0);
        }
    }
}

#[cfg(not(feature = "metrics"))]
impl SendMeter {
    pub(crate) fn new(_: &str, _: &str) -> Self {
        Self::default()
    }

    pub(crate) fn sent(&self, _: Instant, _: bool) {}
}
