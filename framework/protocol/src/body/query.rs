//! Entries of consume queues, and the question whether a subscription makes sense: bodies of 321 and 46.

use serde::{Deserialize, Serialize};

use super::SubscriptionData;

/// Asks whether a client's subscription can be served: 46.
#[doc(alias = "CheckClientRequestBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientCheck {
    /// The client.
    pub client_id: String,
    /// Its group.
    pub group: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// What it wants to subscribe to.
    pub subscription_data: Option<SubscriptionData>,
}

/// Entries of a consume queue: the answer to 321.
#[doc(alias = "QueryConsumeQueueResponseBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueEntries {
    /// The group's filter, as text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_data: Option<String>,
    /// The offset behind the last entry of the queue.
    pub max_queue_index: i64,
    /// The first offset of the queue.
    pub min_queue_index: i64,
    /// The entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_data: Option<Vec<QueueEntry>>,
    /// The group's subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data: Option<SubscriptionData>,
}

/// An entry of a consume queue.
#[doc(alias = "ConsumeQueueData")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueEntry {
    /// What an extended entry's bitmap says of the group's filter; without extended entries `false`.
    pub eval: bool,
    /// The message's place in the commit log.
    pub physic_offset: i64,
    /// The length of its record.
    pub physic_size: i32,
    /// The hash of its tag, or what stands in its place.
    pub tags_code: i64,
}
