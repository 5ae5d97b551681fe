//! What a push consumer can be told before it starts.

use std::{path::PathBuf, time::Duration};

use rocketmq_boot_protocol::{
    body::{ConsumeFromWhere, MessageModel, SubscriptionData},
    message::hash::java_hash,
    topic::{validate_group, validate_topic},
};

use super::{Handler, PushConsumer, push, window::Limits};
use crate::{Client, Error};

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

/// Everything about a consumer that does not change once it runs.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) group: String,
    pub(super) model: Model,
    pub(super) start_from: StartFrom,
    pub(super) concurrency: usize,
    pub(super) batch: usize,
    pub(super) pull_batch: u16,
    pub(super) max_attempts: u32,
    pub(super) offsets_dir: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) max_body_bytes: usize,
    pub(super) rebalance_interval: Duration,
    pub(super) persist_interval: Duration,
    pub(super) pull_hold: Duration,
    pub(super) pull_timeout: Duration,
    pub(super) pause_after_error: Duration,
}

/// Describes a [`PushConsumer`]; [`PushConsumerBuilder::start`] starts it.
///
/// All members of a group must agree on topics, tags and model.
#[derive(Debug, Clone)]
#[must_use = "a consumer consumes after `start`"]
pub struct PushConsumerBuilder {
    client: Client,
    subscriptions: Vec<(String, String)>,
    options: Options,
}

impl PushConsumerBuilder {
    pub(crate) fn new(client: Client, group: String) -> Self {
        let options = Options {
            group,
            model: Model::default(),
            start_from: StartFrom::default(),
            concurrency: 20,
            batch: 1,
            pull_batch: 32,
            max_attempts: 17,
            offsets_dir: None,
            limits: Limits { count: 1_000, bytes: 100 << 20, span: 2_000 },
            max_body_bytes: 64 << 20,
            rebalance_interval: Duration::from_secs(20),
            persist_interval: Duration::from_secs(5),
            pull_hold: Duration::from_secs(15),
            pull_timeout: Duration::from_secs(30),
            pause_after_error: Duration::from_secs(3),
        };
        Self { client, subscriptions: Vec::new(), options }
    }

    /// Subscribes to a topic's messages with one of these tags: `placed || billed`; `*` is all of them. Call it
    /// again for more topics; a second call for a topic replaces the first.
    pub fn subscribe(mut self, topic: impl Into<String>, tags: impl Into<String>) -> Self {
        let topic = topic.into();
        self.subscriptions.retain(|(known, _)| *known != topic);
        self.subscriptions.push((topic, tags.into()));
        self
    }

    /// Sets whether members share messages **(default: [`Model::Clustering`])**.
    #[doc(alias = "messageModel")]
    pub fn model(mut self, model: Model) -> Self {
        self.options.model = model;
        self
    }

    /// Sets where a new group starts **(default: [`StartFrom::Last`])**.
    #[doc(alias = "consumeFromWhere")]
    pub fn from(mut self, start: StartFrom) -> Self {
        self.options.start_from = start;
        self
    }

    /// Sets how many handler calls may run at a time, over all queues **(default: 20)**.
    #[doc(alias = "consumeThreadMax")]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.options.concurrency = calls;
        self
    }

    /// Sets how many messages a handler call may get **(default: 1)**.
    #[doc(alias = "consumeMessageBatchMaxSize")]
    pub fn batch(mut self, messages: usize) -> Self {
        self.options.batch = messages;
        self
    }

    /// Sets how many messages are pulled at a time **(default: 32)**. Brokers have limits of their own.
    #[doc(alias = "pullBatchSize")]
    pub fn pull_batch(mut self, messages: u16) -> Self {
        self.options.pull_batch = messages;
        self
    }

    /// Sets how often a message is delivered before it goes to the dead letters **(default: 17)**. Java counts
    /// retries: its `maxReconsumeTimes` is one less.
    #[doc(alias = "maxReconsumeTimes")]
    pub fn max_attempts(mut self, deliveries: u32) -> Self {
        self.options.max_attempts = deliveries;
        self
    }

    /// Sets the folder that a broadcasting consumer keeps its offsets in
    /// **(default: `.rocketmq_offsets` in the home folder)**.
    #[doc(alias = "rocketmq.client.localOffsetStoreDir")]
    pub fn offsets_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.offsets_dir = Some(dir.into());
        self
    }

    /// Sets how many messages of a queue may be in memory **(default: 1000)**.
    #[doc(alias = "pullThresholdForQueue")]
    pub fn max_cached_messages(mut self, messages: usize) -> Self {
        self.options.limits.count = messages;
        self
    }

    /// Sets how many bytes of a queue may be in memory **(default: 100 MiB)**.
    #[doc(alias = "pullThresholdSizeForQueue")]
    pub fn max_cached_bytes(mut self, bytes: u64) -> Self {
        self.options.limits.bytes = bytes;
        self
    }

    /// Sets how far the newest message of a queue in memory may be ahead of the oldest **(default: 2000)**.
    #[doc(alias = "consumeConcurrentlyMaxSpan")]
    pub fn max_span(mut self, offsets: u64) -> Self {
        self.options.limits.span = offsets;
        self
    }

    /// Sets the largest body that is taken, unpacked **(default: 64 MiB)**. A larger one goes to the dead letters.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.options.max_body_bytes = bytes;
        self
    }

    /// Sets how often queues are divided anew without a reason **(default: 20 s)**.
    #[doc(alias = "rocketmq.client.rebalance.waitInterval")]
    pub fn rebalance_every(mut self, interval: Duration) -> Self {
        self.options.rebalance_interval = interval;
        self
    }

    /// Sets how often offsets are committed **(default: 5 s)**.
    #[doc(alias = "persistConsumerOffsetInterval")]
    pub fn commit_every(mut self, interval: Duration) -> Self {
        self.options.persist_interval = interval;
        self
    }

    /// Sets how long a broker holds a pull when there is no message **(default: 15 s)**.
    #[doc(alias = "brokerSuspendMaxTimeMillis")]
    pub fn hold_pulls(mut self, hold: Duration) -> Self {
        self.options.pull_hold = hold;
        self.options.pull_timeout = hold + Duration::from_secs(15);
        self
    }

    /// Sets the pause after a pull that failed, and before a failed message that no broker takes back is handled again
    /// **(default: 3 s)**.
    #[doc(alias = "pullTimeDelayMillsWhenException")]
    pub fn pause_after_error(mut self, pause: Duration) -> Self {
        self.options.pause_after_error = pause;
        self
    }

    /// Starts consuming. Topics that do not exist yet are consumed when they do.
    ///
    /// # Errors
    /// A name or option is wrong, there is no subscription, the client has a consumer of this group already, its
    /// offsets file cannot be read, or no name server answers.
    pub async fn start(self, handler: impl Handler) -> Result<PushConsumer, Error> {
        self.check()?;
        let version = self.client.core.options.clock.now_ms();
        let subscriptions =
            self.subscriptions.iter().map(|(topic, tags)| subscription(topic, tags, version)).collect();
        push::start(self.client, self.options, subscriptions, Box::new(handler)).await
    }

    fn check(&self) -> Result<(), Error> {
        let group = &self.options.group;
        validate_group(group)?;
        if self.subscriptions.is_empty() {
            return Err(Error::NoSubscription { group: group.clone() });
        }
        for (topic, _) in &self.subscriptions {
            validate_topic(topic)?;
        }
        let numbers = [
            ("concurrency", self.options.concurrency),
            ("batch", self.options.batch),
            ("pull_batch", usize::from(self.options.pull_batch)),
            ("max_attempts", usize::try_from(self.options.max_attempts).unwrap_or(usize::MAX)),
            ("max_cached_messages", self.options.limits.count),
        ];
        match numbers.into_iter().find(|(_, value)| *value == 0) {
            Some((option, value)) => {
                Err(Error::Option { group: group.clone(), option, value: value.to_string() })
            }
            None => Ok(()),
        }
    }
}

pub(super) fn subscription(topic: &str, tags: &str, version: i64) -> SubscriptionData {
    SubscriptionData::tags(topic, tags, version, java_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(builder: PushConsumerBuilder) -> Error {
        builder.start(|_| async {}).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_cannot_work_is_refused_before_anything_is_connected() {
        let client = Client::connect("127.0.0.1:1");
        let consumer = || client.push_consumer("g").subscribe("t", "*");
        assert!(matches!(refused(client.push_consumer("g")).await, Error::NoSubscription { .. }));
        assert!(matches!(refused(consumer().subscribe("../t", "*")).await, Error::Name(_)));
        assert!(matches!(refused(client.push_consumer("a b").subscribe("t", "*")).await, Error::Name(_)));
        for builder in [consumer().concurrency(0), consumer().batch(0), consumer().max_attempts(0)] {
            assert!(matches!(refused(builder).await, Error::Option { .. }));
        }
        assert!(matches!(refused(consumer()).await, Error::NameServers { .. }));
    }

    #[test]
    fn the_last_subscription_to_a_topic_counts() {
        let client = Client::connect("127.0.0.1:1");
        let builder = client.push_consumer("g").subscribe("t", "a").subscribe("u", "*").subscribe("t", "b");
        assert_eq!(builder.subscriptions, [("u", "*"), ("t", "b")].map(|(t, x)| (t.into(), x.into())));
    }
}
