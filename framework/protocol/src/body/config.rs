//! Topic and group configuration, as sent and as kept in `config/*.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kept::{More, kept};

/// A counter that says whether two tables are the same.
///
/// Equality compares all three members. Which of two is newer is decided by state version, then counter, then
/// timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Raised with each change.
    pub counter: i64,
    /// Raised when a master is elected.
    pub state_version: i64,
    /// When the last change happened, in ms since 1970.
    pub timestamp: i64,
}

impl Ord for DataVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |version: &Self| (version.state_version, version.counter, version.timestamp);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for DataVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl DataVersion {
    /// Counts a change at `now_ms`.
    pub fn next(&mut self, now_ms: i64) {
        self.counter += 1;
        self.timestamp = now_ms;
    }
}

/// A topic on one broker. Members that are not known here are kept and written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct TopicConfig {
    /// 5.x attributes, e.g. `message.type`.
    pub attributes: BTreeMap<String, String>,
    /// Whether the order of messages matters **(default: false)**.
    pub order: bool,
    /// Permission bits **(default: 6)**.
    pub perm: i32,
    /// Queues that may be read **(default: 16)**.
    pub read_queue_nums: i32,
    /// `SINGLE_TAG` or `MULTI_TAG` **(default: `SINGLE_TAG`)**.
    pub topic_filter_type: String,
    /// The name.
    pub topic_name: String,
    /// Unit bits **(default: 0)**.
    pub topic_sys_flag: i32,
    /// Queues that may be written **(default: 16)**.
    pub write_queue_nums: i32,
    /// Members of newer versions.
    #[serde(skip)]
    pub more: More,
}

kept!(TopicConfig);

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: "SINGLE_TAG".to_owned(),
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
            more: More::new(),
        }
    }
}

impl TopicConfig {
    /// A readable and writable topic with as many queues of both kinds.
    pub fn new(name: impl Into<String>, queues: i32) -> Self {
        Self { topic_name: name.into(), read_queue_nums: queues, write_queue_nums: queues, ..Self::default() }
    }
}

/// A consumer group on one broker. Members that are not known here are kept and written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct SubscriptionGroupConfig {
    /// 5.x attributes.
    pub attributes: BTreeMap<String, String>,
    /// Where it reads from **(default: 0, the master)**.
    pub broker_id: i64,
    /// Whether it may broadcast **(default: true)**.
    pub consume_broadcast_enable: bool,
    /// Whether it may consume **(default: true)**.
    pub consume_enable: bool,
    /// Whether a new group may start at the first message **(default: true)**.
    pub consume_from_min_enable: bool,
    /// Whether POP keeps order for it **(default: false)**.
    pub consume_message_orderly: bool,
    /// Minutes that a message may be in work **(default: 15)**.
    pub consume_timeout_minute: i32,
    /// The name.
    pub group_name: String,
    /// The group's own back-off between attempts; only kept **(default: `{"type":"CUSTOMIZED"}`)**.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_retry_policy: Option<serde_json::Value>,
    /// Unit bits **(default: 0)**.
    pub group_sys_flag: i32,
    /// Whether members are told of changes **(default: true)**.
    pub notify_consumer_ids_changed_enable: bool,
    /// Retries before the dead letters **(default: 16)**.
    pub retry_max_times: i32,
    /// Queues of the retry topic **(default: 1)**.
    pub retry_queue_nums: i32,
    /// What the group shall subscribe to; only kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_data_set: Option<serde_json::Value>,
    /// Where to read from when far behind **(default: 1)**.
    pub which_broker_when_consume_slowly: i64,
    /// Members of newer versions.
    #[serde(skip)]
    pub more: More,
}

kept!(SubscriptionGroupConfig);

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: String::new(),
            group_retry_policy: Some(serde_json::json!({ "type": "CUSTOMIZED" })),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
            more: More::new(),
        }
    }
}

/// Topics with their version: part of a registration, and `config/topics.json`.
#[doc(alias = "TopicConfigSerializeWrapper")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigs {
    /// The table's version.
    pub data_version: DataVersion,
    /// Topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

/// Topics with their version, as 21 answers them.
#[doc(alias = "TopicConfigAndMappingSerializeWrapper")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AllTopics {
    /// The table's version.
    pub data_version: DataVersion,
    /// The version of the static topics.
    pub mapping_data_version: DataVersion,
    /// Topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Static topics by name.
    pub topic_queue_mapping_detail_map: More,
    /// Static topics by name, as name servers are told of them.
    pub topic_queue_mapping_info_map: More,
}

/// Topics to create or change: the body of 18.
#[doc(alias = "CreateTopicListRequestBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfigList {
    /// The topics. Their attributes are changes: `+key` and `-key`.
    pub topic_config_list: Vec<TopicConfig>,
}

/// Groups to create or change: the body of 225.
#[doc(alias = "SubscriptionGroupList")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfigList {
    /// The groups.
    pub group_config_list: Vec<SubscriptionGroupConfig>,
}

/// Groups with their version: `config/subscriptionGroup.json` and the answer to 201.
#[doc(alias = "SubscriptionGroupWrapper")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroups {
    /// The table's version.
    pub data_version: DataVersion,
    /// What groups may not do, by group and topic.
    pub forbidden_table: BTreeMap<String, BTreeMap<String, i32>>,
    /// Groups by name.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// The body of a registration, uncompressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Filter servers; always empty.
    pub filter_server_list: Vec<String>,
    /// The topics.
    pub topic_config_serialize_wrapper: TopicConfigs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_newer_versions_are_written_again() {
        let text = concat!(
            r#"{"attributes":{"+message.type":"FIFO"},"liteBindTopic":"t","order":false,"perm":6,"#,
            r#""readQueueNums":"3","topicFilterType":"SINGLE_TAG","topicName":"t","topicSysFlag":0,"writeQueueNums":3}"#
        );
        let read: TopicConfig = crate::body::lenient::read("topic", text.as_bytes()).unwrap();
        assert_eq!((read.read_queue_nums, read.more.len()), (3, 1));
        let written = crate::body::dialect::write(&read, crate::body::Dialect::Fastjson);
        assert_eq!(String::from_utf8(written).unwrap(), text.replace("\"3\"", "3"));

        let text = r#"{"groupName":"g","groupRetryPolicy":{"type":"EXPONENTIAL"},"later":{"a":[1]},"retryMaxTimes":3}"#;
        let read: SubscriptionGroupConfig = crate::body::lenient::read("group", text.as_bytes()).unwrap();
        assert_eq!((read.retry_max_times, read.more.contains_key("later")), (3, true));
        let written = crate::body::dialect::write(&read, crate::body::Dialect::Fastjson);
        let again: SubscriptionGroupConfig = crate::body::lenient::read("group", &written).unwrap();
        assert_eq!(again, read);
    }

    #[test]
    fn a_new_master_is_newer_than_any_count_of_changes() {
        let version = |state_version, counter, timestamp| DataVersion { state_version, counter, timestamp };
        let mut sorted = [version(1, 0, 0), version(0, 9, 1), version(0, 8, 2), version(0, 9, 0)];
        sorted.sort_unstable();
        assert_eq!(sorted, [version(0, 8, 2), version(0, 9, 0), version(0, 9, 1), version(1, 0, 0)]);
    }
}
