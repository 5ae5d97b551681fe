//! Who is connected: the answers to 203, 204 and 328.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};

/// A client's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// `ip:port` of the client.
    pub client_addr: String,
    /// The client's id.
    pub client_id: String,
    /// The language's name, such as `JAVA`.
    pub language: String,
    /// The ordinal of the client's version.
    pub version: i32,
}

/// The members of a consumer group: the answer to 203.
#[doc(alias = "ConsumerConnection")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnections {
    /// The members.
    pub connection_set: Vec<Connection>,
    /// Where a new group starts.
    pub consume_from_where: ConsumeFromWhere,
    /// Pull, push or pop.
    pub consume_type: ConsumeType,
    /// Clustering or broadcasting.
    pub message_model: MessageModel,
    /// What the group subscribes to, by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// The members of a producer group: the answer to 204.
#[doc(alias = "ProducerConnection")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnections {
    /// The members.
    pub connection_set: Vec<Connection>,
}

/// All producer groups: the answer to 328.
#[doc(alias = "ProducerTableInfo")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerTable {
    /// The members by group.
    pub data: BTreeMap<String, Vec<Producer>>,
}

/// A member of a producer group in a [`ProducerTable`].
#[doc(alias = "ProducerInfo")]
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Producer {
    /// The client's id.
    pub client_id: String,
    /// The language's name.
    pub language: String,
    /// When it last sent a heartbeat, in ms since 1970.
    pub last_update_timestamp: i64,
    /// `/ip:port`, with Java's slash.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// The ordinal of the client's version.
    pub version: i32,
}

/// A group's subscription to a topic: the answer to 345.
#[doc(alias = "QuerySubscriptionResponseBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupSubscription {
    /// The group.
    pub group: String,
    /// The subscription; absent when nobody of the group has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
    /// The topic.
    pub topic: String,
}
