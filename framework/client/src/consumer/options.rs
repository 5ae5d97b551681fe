//! What a consumer can be told before it starts.

use std::{num::NonZeroU32, panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    body::{ConsumeFromWhere, ConsumeType, MessageModel},
    message::MessageQueue,
    topic::{validate_group, validate_topic},
};

use super::{Allocate, Averagely, Filter, window::Limits};
use crate::Error;

/// Whether the members of a group share its messages or each of them gets all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[doc(alias = "MessageModel")]
pub enum Model {
    /// They share; a message that fails comes back.
    #[default]
    Clustering,
    /// Each gets all; a message that fails is lost for that member.
    Broadcasting,
}

impl From<Model> for MessageModel {
    fn from(model: Model) -> Self {
        match model {
            Model::Clustering => Self::Clustering,
            Model::Broadcasting => Self::Broadcasting,
        }
    }
}

/// Whether the messages of a queue are handled one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// As many at a time as the consumer allows, in any order. One that fails is sent back to its broker and comes
    /// again later.
    #[default]
    #[doc(alias = "MessageListenerConcurrently")]
    Concurrent,
    /// In the order of their queue, which the broker locks for this member. One that fails holds up those behind
    /// it until it succeeds, is given up or has failed too often.
    #[doc(alias = "MessageListenerOrderly")]
    Orderly,
}

/// Where a group starts that has consumed nothing of a queue yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[doc(alias = "ConsumeFromWhere")]
pub enum StartFrom {
    /// Behind what is there. A queue whose first message the broker still has in memory is started at that message
    /// nevertheless, so that nothing sent to a new topic is missed.
    #[default]
    Last,
    /// At the oldest message.
    First,
    /// At the first message stored at or after this time, in ms since 1970. Brokers before 5.0 start a young queue at
    /// its first message, as with [`StartFrom::Last`].
    Timestamp(i64),
}

impl From<StartFrom> for ConsumeFromWhere {
    fn from(start: StartFrom) -> Self {
        match start {
            StartFrom::Last => Self::LastOffset,
            StartFrom::First => Self::FirstOffset,
            StartFrom::Timestamp(_) => Self::Timestamp,
        }
    }
}

/// Is told when the queues change that a consumer has of a topic.
///
/// Any `Fn(&str, &[MessageQueue], &[MessageQueue])` is one.
#[doc(alias = "MessageQueueListener")]
pub trait AssignmentListener: Send + Sync + 'static {
    /// `mine` of `all` queues of the topic are this consumer's from now on.
    fn changed(&self, topic: &str, all: &[MessageQueue], mine: &[MessageQueue]);
}

impl<F: Fn(&str, &[MessageQueue], &[MessageQueue]) + Send + Sync + 'static> AssignmentListener for F {
    fn changed(&self, topic: &str, all: &[MessageQueue], mine: &[MessageQueue]) {
        self(topic, all, mine);
    }
}

/// The listener of a consumer.
#[derive(Clone)]
pub(super) struct Listener(Arc<dyn AssignmentListener>);

impl Listener {
    pub(super) fn new(listener: impl AssignmentListener) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells the listener. One that panics is passed over.
    pub(super) fn changed(&self, topic: &str, all: &[MessageQueue], mine: &[MessageQueue]) {
        let told = std::panic::catch_unwind(AssertUnwindSafe(|| self.0.changed(topic, all, mine)));
        if told.is_err() {
            tracing::error!(topic, "an assignment listener panicked");
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// When a consumer stops pulling because it has enough in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thresholds {
    /// For each queue.
    pub(super) queue: Limits,
    /// Messages of a topic, divided among the queues that this member has of it.
    pub(super) topic_count: Option<usize>,
    /// Bytes of a topic.
    pub(super) topic_bytes: Option<u64>,
}

impl Thresholds {
    /// The limits of one of `queues` queues of a topic.
    pub(super) fn each_of(&self, queues: usize) -> Limits {
        let queues = queues.max(1);
        let shares = u64::try_from(queues).unwrap_or(u64::MAX);
        Limits {
            count: self.topic_count.map_or(self.queue.count, |count| (count / queues).max(1)),
            bytes: self.topic_bytes.map_or(self.queue.bytes, |bytes| (bytes / shares).max(1)),
            span: self.queue.span,
        }
    }
}

/// Everything about a consumer that does not change once it runs.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) group: String,
    pub(super) consume_type: ConsumeType,
    pub(super) model: Model,
    pub(super) order: Order,
    pub(super) start_from: StartFrom,
    pub(super) allocate: Arc<dyn Allocate>,
    pub(super) listener: Option<Listener>,
    pub(super) concurrency: usize,
    pub(super) rate: Option<NonZeroU32>,
    pub(super) batch: usize,
    pub(super) pull_batch: u16,
    pub(super) pull_interval: Duration,
    pub(super) max_attempts: Option<u32>,
    pub(super) consume_timeout: Duration,
    pub(super) suspend: Duration,
    pub(super) offsets_dir: Option<PathBuf>,
    pub(super) thresholds: Thresholds,
    pub(super) max_body_bytes: usize,
    pub(super) rebalance_interval: Duration,
    pub(super) persist_interval: Duration,
    pub(super) lock_interval: Duration,
    pub(super) pull_hold: Duration,
    pub(super) pull_timeout: Duration,
    pub(super) pause_after_error: Duration,
}

/// What Java allows unless told otherwise: one delivery and 16 retries.
const DEFAULT_ATTEMPTS: u32 = 17;

impl Options {
    pub(super) fn new(group: String) -> Self {
        Self {
            group,
            consume_type: ConsumeType::Passively,
            model: Model::default(),
            order: Order::default(),
            start_from: StartFrom::default(),
            allocate: Arc::new(Averagely),
            listener: None,
            concurrency: 20,
            rate: None,
            batch: 1,
            pull_batch: 32,
            pull_interval: Duration::ZERO,
            max_attempts: None,
            consume_timeout: Duration::from_secs(15 * 60),
            suspend: Duration::from_secs(1),
            offsets_dir: None,
            thresholds: Thresholds {
                queue: Limits { count: 1_000, bytes: 100 << 20, span: 2_000 },
                topic_count: None,
                topic_bytes: None,
            },
            max_body_bytes: 64 << 20,
            rebalance_interval: Duration::from_secs(20),
            persist_interval: Duration::from_secs(5),
            lock_interval: Duration::from_secs(20),
            pull_hold: Duration::from_secs(15),
            pull_timeout: Duration::from_secs(30),
            pause_after_error: Duration::from_secs(3),
        }
    }

    /// How many failed deliveries the group allows.
    pub(super) fn max_retries(&self) -> i32 {
        let attempts = match (self.max_attempts, self.order) {
            (Some(attempts), _) => attempts,
            (None, Order::Concurrent) => DEFAULT_ATTEMPTS,
            (None, Order::Orderly) => return i32::MAX,
        };
        i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX)
    }

    /// Whether a queue has to be locked before it is consumed.
    pub(super) fn locks(&self) -> bool {
        self.order == Order::Orderly && self.model == Model::Clustering
    }

    /// Whether the group has a topic for messages that failed.
    pub(super) fn retries(&self) -> bool {
        self.model == Model::Clustering && self.consume_type == ConsumeType::Passively
    }

    /// The limits of one of `queues` queues of a topic.
    pub(super) fn limits(&self, queues: usize) -> Limits {
        let limits = self.thresholds.each_of(queues);
        match self.order {
            Order::Concurrent => limits,
            // Nothing can get far behind where all is consumed in order.
            Order::Orderly => Limits { span: u64::MAX, ..limits },
        }
    }

    /// Checks names and numbers before anything is connected.
    pub(super) fn check(&self, subscriptions: &[(String, Filter)]) -> Result<(), Error> {
        validate_group(&self.group)?;
        for (topic, _) in subscriptions {
            validate_topic(topic)?;
        }
        let attempts = self.max_attempts.unwrap_or(DEFAULT_ATTEMPTS);
        let numbers = [
            ("concurrency", self.concurrency),
            ("batch", self.batch),
            ("pull_batch", usize::from(self.pull_batch)),
            ("max_attempts", usize::try_from(attempts).unwrap_or(usize::MAX)),
            ("max_cached_messages", self.thresholds.queue.count),
        ];
        match numbers.into_iter().find(|(_, value)| *value == 0) {
            Some((option, value)) => {
                Err(Error::Option { group: self.group.clone(), option, value: value.to_string() })
            }
            None => Ok(()),
        }
    }
}

/// Adds a subscription, in the place of one to the same topic.
pub(super) fn subscribe(subscriptions: &mut Vec<(String, Filter)>, topic: String, filter: Filter) {
    subscriptions.retain(|(known, _)| *known != topic);
    subscriptions.push((topic, filter));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topics_threshold_is_divided_among_its_queues() {
        let mut options = Options::new("g".to_owned());
        assert_eq!(options.limits(8), options.thresholds.queue);
        options.thresholds.topic_count = Some(100);
        options.thresholds.topic_bytes = Some(1_000);
        assert_eq!(options.limits(8), Limits { count: 12, bytes: 125, span: 2_000 });
        assert_eq!(options.limits(1_000), Limits { count: 1, bytes: 1, span: 2_000 });
        options.order = Order::Orderly;
        assert_eq!(options.limits(8).span, u64::MAX);
    }

    #[test]
    fn orderly_consumers_try_until_they_are_told_otherwise() {
        let mut options = Options::new("g".to_owned());
        assert_eq!(options.max_retries(), 16);
        options.order = Order::Orderly;
        assert_eq!(options.max_retries(), i32::MAX);
        options.max_attempts = Some(3);
        assert_eq!(options.max_retries(), 2);
    }
}
