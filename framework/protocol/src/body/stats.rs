//! What a broker measures: the answers to 315, 907 and 200074.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One measurement over three windows: the answer to 315.
#[doc(alias = "BrokerStatsData")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStats {
    /// The last 24 hours.
    pub stats_day: Stats,
    /// The last hour.
    pub stats_hour: Stats,
    /// The last minute.
    pub stats_minute: Stats,
}

/// A measurement over a window.
#[doc(alias = "BrokerStatsItem")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// What one event counts on average.
    pub avgpt: f64,
    /// What all events count together.
    pub sum: i64,
    /// The same a second.
    pub tps: f64,
}

/// How replication stands: the answer to 907.
#[doc(alias = "HARuntimeInfo")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaStatus {
    /// What a slave reads of its master.
    pub ha_client_runtime_info: HaClient,
    /// The slaves of a master.
    pub ha_connection_info: Vec<HaSlave>,
    /// How many of them keep up.
    pub in_sync_slave_nums: i32,
    /// Whether this is a master.
    pub master: bool,
    /// Where the master's log ends.
    pub master_commit_log_max_offset: i64,
}

/// What a slave reads of its master.
#[doc(alias = "HAClientRuntimeInfo")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaClient {
    /// When it last read, in ms since 1970.
    pub last_read_timestamp: i64,
    /// When it last wrote, in ms since 1970.
    pub last_write_timestamp: i64,
    /// The master's address; absent on a master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_addr: Option<String>,
    /// Where the master's log was durable when the slave started.
    pub master_flush_offset: i64,
    /// Where the slave's log ends.
    pub max_offset: i64,
    /// Bytes a second that come from the master.
    pub transferred_byte_in_second: i64,
}

/// A slave as its master sees it.
#[doc(alias = "HAConnectionRuntimeInfo")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HaSlave {
    /// `ip:port` of the slave.
    pub addr: String,
    /// Bytes that it does not have yet.
    pub diff: i64,
    /// Whether it keeps up.
    pub in_sync: bool,
    /// How far it has everything.
    pub slave_ack_offset: i64,
    /// Where it is sent from.
    pub transfer_from_where: i64,
    /// Bytes a second that go to it.
    pub transferred_byte_in_second: i64,
}

/// What a broker holds of lite topics: the answer to 200074.
#[doc(alias = "GetBrokerLiteInfoResponseBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiteStatus {
    /// Consume queues.
    pub cq_table_size: i64,
    /// Lite topics.
    pub current_lmq_num: i64,
    /// Events that clients have not read yet.
    pub event_map_size: i64,
    /// Lite topics by group.
    pub group_meta: BTreeMap<String, Vec<String>>,
    /// Subscriptions to lite topics.
    pub lite_subscription_count: i64,
    /// Lite topics at most.
    pub max_lmq_num: i64,
    /// Offsets of groups.
    pub offset_table_size: i64,
    /// Orderly deliveries that are kept.
    pub order_info_count: i64,
    /// What stores consume queues.
    pub store_type: String,
    /// The time that lite topics live, in minutes, by parent topic.
    pub topic_meta: BTreeMap<String, i32>,
}
