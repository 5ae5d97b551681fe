//! What consumers tell of themselves: the answers to 307 and 309.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{dialect::QueueMap, group::SubscriptionData};

/// How a consumer is: the answer to 307.
#[doc(alias = "ConsumerRunningInfo")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerRunning {
    /// The stacks of its threads, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jstack: Option<String>,
    /// Its queues when it pops.
    pub mq_pop_table: QueueMap<PopState>,
    /// Its queues when it pulls.
    pub mq_table: QueueMap<QueueState>,
    /// Facts by name, see the constants here.
    pub properties: BTreeMap<String, String>,
    /// Rates by topic.
    pub status_table: BTreeMap<String, TopicRates>,
    /// What it subscribes to.
    pub subscription_set: Vec<SubscriptionData>,
    /// What the application adds.
    pub user_consumer_info: BTreeMap<String, String>,
}

impl ConsumerRunning {
    /// The name servers that the client asks.
    pub const NAME_SERVERS: &str = "PROP_NAMESERVER_ADDR";
    /// How many messages it handles at a time.
    pub const THREADS: &str = "PROP_THREADPOOL_CORE_SIZE";
    /// Whether it keeps their order.
    pub const ORDERLY: &str = "PROP_CONSUMEORDERLY";
    /// `CONSUME_PASSIVELY` or `CONSUME_ACTIVELY`.
    pub const CONSUME_TYPE: &str = "PROP_CONSUME_TYPE";
    /// The client's version, such as `V5_3_3`.
    pub const VERSION: &str = "PROP_CLIENT_VERSION";
    /// When it started, in ms since 1970.
    pub const STARTED_AT: &str = "PROP_CONSUMER_START_TIMESTAMP";
}

/// A queue that is pulled.
#[doc(alias = "ProcessQueueInfo")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueState {
    /// Messages in memory.
    pub cached_msg_count: i64,
    /// The largest offset in memory.
    pub cached_msg_max_offset: i64,
    /// The smallest offset in memory.
    pub cached_msg_min_offset: i64,
    /// What is in memory, in MiB.
    #[serde(rename = "cachedMsgSizeInMiB")]
    pub cached_msg_size_in_mib: i64,
    /// The offset that is consumed next.
    pub commit_offset: i64,
    /// Whether it was given up. The name has one `p` in Java and two in Go.
    #[serde(alias = "dropped")]
    pub droped: bool,
    /// When a message of it was last handled, in ms since 1970.
    pub last_consume_timestamp: i64,
    /// When its lock was last renewed, in ms since 1970.
    pub last_lock_timestamp: i64,
    /// When it was last pulled, in ms since 1970.
    pub last_pull_timestamp: i64,
    /// Whether its lock is held.
    pub locked: bool,
    /// Messages in the hands of an orderly handler.
    pub transaction_msg_count: i64,
    /// The largest offset of them.
    pub transaction_msg_max_offset: i64,
    /// The smallest offset of them.
    pub transaction_msg_min_offset: i64,
    /// How often unlocking was tried.
    pub try_unlock_times: i64,
}

/// A queue that is popped.
#[doc(alias = "PopProcessQueueInfo")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PopState {
    /// Whether it was given up. The name has one `p`.
    pub droped: bool,
    /// When it was last popped, in ms since 1970.
    pub last_pop_timestamp: i64,
    /// Messages that are not acknowledged yet.
    pub wait_ack_count: i32,
}

/// A consumer's rates over the last minute, for one topic.
#[doc(alias = "ConsumeStatus")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRates {
    /// Messages that failed in the last hour.
    pub consume_failed_msgs: i64,
    /// Messages that failed a second.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages that were consumed a second.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// How long handling takes, in ms.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// How long a pull takes, in ms.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages that were pulled a second.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

/// What came of a message that was handed to a consumer directly: the answer to 309.
#[doc(alias = "ConsumeMessageDirectlyResult")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectResult {
    /// Whether an orderly handler's verdict commits.
    pub auto_commit: bool,
    /// `CR_SUCCESS`, `CR_LATER`, `CR_ROLLBACK`, `CR_COMMIT`, `CR_THROW_EXCEPTION` or `CR_RETURN_NULL`; Go sends the
    /// ordinal.
    pub consume_result: serde_json::Value,
    /// Whether the consumer keeps order.
    pub order: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// How long it took, in ms.
    pub spent_time_mills: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Dialect, dialect::write, group::QueueRef, lenient};

    #[test]
    fn running_consumers_are_told_of_as_java_does() {
        let queue = QueueRef { broker_name: "b".into(), queue_id: 3, topic: "T".into() };
        let running = ConsumerRunning {
            mq_table: [(queue, QueueState { commit_offset: 7, ..QueueState::default() })]
                .into_iter()
                .collect(),
            status_table: [("T".to_owned(), TopicRates { consume_rt: 1.5, ..TopicRates::default() })].into(),
            ..ConsumerRunning::default()
        };
        let text = String::from_utf8(write(&running, Dialect::Fastjson)).unwrap();
        assert!(
            text.contains(r#""mqTable":{{"brokerName":"b","queueId":3,"topic":"T"}:{"cachedMsgCount":0,"#),
            "{text}"
        );
        assert!(text.contains(r#""cachedMsgSizeInMiB":0"#) && text.contains(r#""droped":false"#), "{text}");
        assert!(text.contains(r#""consumeOKTPS":0.0,"consumeRT":1.5,"pullRT":0.0"#), "{text}");
        assert_eq!(lenient::read::<ConsumerRunning>("running", text.as_bytes()).unwrap(), running);
        let go = text.replace("droped", "dropped");
        assert_eq!(lenient::read::<ConsumerRunning>("running", go.as_bytes()).unwrap(), running);
    }
}
