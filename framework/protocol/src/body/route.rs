//! Routes and clusters: what name servers answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dialect::IdMap;

/// Where a topic lives.
#[doc(alias = "TopicRouteData")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRoute {
    /// The brokers that carry it.
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers; always empty, but old clients want the member.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// For order topics: `broker:queues;broker:queues`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_topic_conf: Option<String>,
    /// Its queues on each broker.
    pub queue_datas: Vec<QueueData>,
}

/// A broker name with the addresses of its master and slaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// Address by broker id; 0 is the master.
    pub broker_addrs: IdMap<String>,
    /// The name.
    pub broker_name: String,
    /// The cluster.
    pub cluster: String,
    /// Whether a slave may stand in for a lost master.
    pub enable_acting_master: bool,
    /// The zone that the broker says it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
}

impl BrokerData {
    /// The master's address.
    pub fn master(&self) -> Option<&str> {
        self.broker_addrs.0.get(&0).map(String::as_str)
    }
}

/// The addresses of a broker and its slaves, the answer to 901.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMembers {
    /// The group of those who share the broker's name.
    pub broker_member_group: BrokerMemberGroup,
}

/// Those who share a broker's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerMemberGroup {
    /// Address by broker id; 0 is the master.
    pub broker_addrs: IdMap<String>,
    /// The name.
    pub broker_name: String,
    /// The cluster.
    pub cluster: String,
}

/// A topic's queues on one broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueData {
    /// The broker.
    pub broker_name: String,
    /// Permission bits, see [`topic`](crate::topic).
    pub perm: i32,
    /// Queues 0.. that may be read.
    pub read_queue_nums: i32,
    /// Unit bits. Older builds spell the name `topicSynFlag`.
    #[serde(alias = "topicSynFlag")]
    pub topic_sys_flag: i32,
    /// Queues 0.. that may be written.
    pub write_queue_nums: i32,
}

/// All brokers of a name server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Brokers by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Broker names by cluster.
    pub cluster_addr_table: BTreeMap<String, Vec<String>>,
}

/// Names of topics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// Some broker, for tools that need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_addr: Option<String>,
    /// The names.
    pub topic_list: Vec<String>,
}

/// Keys and values.
#[doc(alias = "KVTable")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvTable {
    /// The table.
    pub table: BTreeMap<String, String>,
}
