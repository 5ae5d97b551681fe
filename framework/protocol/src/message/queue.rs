//! One queue of a topic on one broker.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A queue as clients and brokers name it on the wire.
///
/// Ordered by topic, broker and id: every member of a group sorts queues this way before dividing them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueue {
    /// The topic.
    pub topic: String,
    /// The broker's name (one name for a master and its slaves).
    pub broker_name: String,
    /// The number of the queue on that broker.
    pub queue_id: i32,
}

impl MessageQueue {
    /// Names a queue.
    pub fn new(topic: impl Into<String>, broker_name: impl Into<String>, queue_id: i32) -> Self {
        Self { topic: topic.into(), broker_name: broker_name.into(), queue_id }
    }
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, broker_name, queue_id } = self;
        write!(f, "MessageQueue [topic={topic}, brokerName={broker_name}, queueId={queue_id}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_by_topic_then_broker_then_number() {
        let sorted =
            [("a", "x", 10), ("a", "y", 2), ("b", "x", 0)].map(|(t, b, i)| MessageQueue::new(t, b, i));
        let mut queues = sorted.clone();
        queues.reverse();
        queues.sort();
        assert_eq!(queues, sorted);
    }

    #[test]
    fn json_and_text_are_javas() {
        let queue = MessageQueue::new("t", "broker-a", 3);
        let json = serde_json::to_string(&queue).unwrap();
        assert_eq!(json, r#"{"topic":"t","brokerName":"broker-a","queueId":3}"#);
        assert_eq!(serde_json::from_str::<MessageQueue>(&json).unwrap(), queue);
        assert_eq!(queue.to_string(), "MessageQueue [topic=t, brokerName=broker-a, queueId=3]");
    }
}
