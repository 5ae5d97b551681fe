//! What consumers say of themselves: the answers to 221 and 223.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dialect::QueueMap;

/// Where consumers are in a topic. A consumer fills in the second table (221), a broker the first (223).
#[doc(alias = "GetConsumerStatusBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerPositions {
    /// Offsets by client id and queue.
    pub consumer_table: BTreeMap<String, QueueMap<i64>>,
    /// Offsets by queue.
    pub message_queue_table: QueueMap<i64>,
}
