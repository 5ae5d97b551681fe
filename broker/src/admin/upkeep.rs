//! Cleaning up, and switches that this broker has one position of: 316, 354 and 5001.

use rocketmq_boot_protocol::Command;
use serde_json::json;

use super::with_body;
use crate::{reject::Reject, state::State};

impl State {
    /// Removes the queues of topics that are not there any more (316).
    pub(crate) fn clean_unused_topics(&self, request: &Command) -> Result<Command, Reject> {
        for topic in self.store.topics() {
            if self.topics.find(&topic).is_some() || self.is_own(&topic) {
                continue;
            }
            tracing::info!(%topic, "removing the queues of a topic that is not there any more");
            self.topics.delete(&topic)?;
            self.offsets.remove_topic(&topic);
        }
        Ok(Command::success(request))
    }

    /// How a consume queue in RocksDB compares with one in files (354): there is none in RocksDB.
    pub(crate) fn rocksdb_progress(&self, request: &Command) -> Command {
        with_body(request, &json!({ "checkStatus": 2 }))
    }

    /// Timers are kept in files; that is the one engine there is (5001).
    pub(crate) fn switch_timer_engine(&self, request: &Command) -> Result<Command, Reject> {
        match request.fields.get("E_T") {
            Some("F") => Ok(Command::success(request).with_remark("switch timer engine success")),
            Some("R") => Err(Reject::failed("timers in RocksDB are not supported by this broker")),
            _ => Err(Reject::failed("set timer engine type error: F is the one engine of this broker")),
        }
    }
}
