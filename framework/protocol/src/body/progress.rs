//! How far groups have consumed, and what lies in topics: the answers to 202, 208, 300, 303, 308 and 317.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    dialect::{IdMap, QueueMap},
    group::QueueRef,
};

/// What lies in a topic: the answer to 202.
#[doc(alias = "TopicStatsTable")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// Ends by queue.
    pub offset_table: QueueMap<QueueEnds>,
    /// Messages stored a second, over the last minute.
    pub topic_put_tps: f64,
}

/// The ends of a queue.
#[doc(alias = "TopicOffset")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueEnds {
    /// When the last message was stored, in ms since 1970; 0 for an empty queue.
    pub last_update_timestamp: i64,
    /// The offset that the next message will have.
    pub max_offset: i64,
    /// The first offset that is there.
    pub min_offset: i64,
}

/// How far a group is: the answer to 208.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages handed out a second, over the last minute.
    pub consume_tps: f64,
    /// Offsets by queue.
    pub offset_table: QueueMap<QueueProgress>,
}

impl ConsumeStats {
    /// Messages that the group has not consumed yet.
    #[doc(alias = "computeTotalDiff")]
    pub fn behind(&self) -> i64 {
        self.offset_table.0.values().map(|queue| queue.broker_offset - queue.consumer_offset).sum()
    }

    /// Messages that were handed out and are not consumed yet.
    #[doc(alias = "computeInflightTotalDiff")]
    pub fn in_flight(&self) -> i64 {
        self.offset_table.0.values().map(|queue| queue.pull_offset - queue.consumer_offset).sum()
    }
}

/// How far a group is in a queue.
#[doc(alias = "OffsetWrapper")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueProgress {
    /// The offset that the next message will have.
    pub broker_offset: i64,
    /// The offset that the group consumes next; 0 when it never committed one.
    pub consumer_offset: i64,
    /// When the last consumed message was stored, in ms since 1970; 0 for none.
    pub last_timestamp: i64,
    /// The offset that the group pulls next.
    pub pull_offset: i64,
}

/// How far all groups are: the answer to 317.
#[doc(alias = "ConsumeStatsList")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AllConsumeStats {
    /// The broker's address.
    pub broker_addr: String,
    /// One map with one group each; an element a topic.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages that are not consumed yet, over all groups.
    pub total_diff: i64,
    /// Messages that were handed out and are not consumed yet, over all groups.
    pub total_inflight_diff: i64,
}

/// Names of groups: the answer to 300.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// The names.
    pub group_list: Vec<String>,
}

/// What times a topic's queues span: the answer to 303.
#[doc(alias = "QueryConsumeTimeSpanBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeSpans {
    /// One a queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// What times a queue spans, in ms since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    /// When the last consumed message was stored.
    pub consume_time_stamp: i64,
    /// How long the next message has lain there, in ms.
    pub delay_time: i64,
    /// When the last message was stored.
    pub max_time_stamp: i64,
    /// The queue.
    pub message_queue: QueueRef,
    /// When the first message was stored.
    pub min_time_stamp: i64,
}

/// Offsets by queue, compared over groups: the answer to 308.
#[doc(alias = "QueryCorrectionOffsetBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// The smallest offset of all groups by queue; `i64::MAX` where the compared group is behind it.
    pub correction_offsets: IdMap<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Dialect, dialect::write, lenient};

    #[test]
    fn progress_is_written_with_queues_as_keys() {
        let text = concat!(
            r#"{"consumeTps":0.5,"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:"#,
            r#"{"brokerOffset":7,"consumerOffset":5,"lastTimestamp":1795256560692,"pullOffset":6}}}"#
        );
        let read: ConsumeStats = lenient::read("progress", text.as_bytes()).unwrap();
        assert_eq!((read.behind(), read.in_flight()), (2, 1));
        assert_eq!(write(&read, Dialect::Fastjson), text.as_bytes());
    }

    #[test]
    fn a_topic_without_messages_has_its_queues() {
        let text = concat!(
            r#"{"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:"#,
            r#"{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}},"topicPutTps":0.0}"#
        );
        let read: TopicStats = lenient::read("topic", text.as_bytes()).unwrap();
        assert_eq!(write(&read, Dialect::Fastjson), text.as_bytes());
    }
}
