//! Describes a push consumer.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Allocate, ConsumeHook, Filter, Handler, Model, Order, PushConsumer, StartFrom,
    hook::Hooks,
    options::{self, AssignmentListener, Listener, Options},
    push,
};
use crate::{Client, Error};

/// Describes a [`PushConsumer`]; [`PushConsumerBuilder::start`] starts it.
///
/// All members of a group must agree on topics, filters, model and strategy.
#[derive(Debug, Clone)]
#[must_use = "a consumer consumes after `start`"]
pub struct PushConsumerBuilder {
    client: Client,
    subscriptions: Vec<(String, Filter)>,
    hooks: Hooks,
    options: Options,
}

impl PushConsumerBuilder {
    pub(crate) fn new(client: Client, group: String) -> Self {
        Self { client, subscriptions: Vec::new(), hooks: Hooks::default(), options: Options::new(group) }
    }

    /// Subscribes to a topic's messages with one of these tags, `placed || billed`, `*` being all of them, or to those
    /// that a [`Filter`] chooses. Call it again for more topics; a second call for a topic replaces the first.
    pub fn subscribe(mut self, topic: impl Into<String>, filter: impl Into<Filter>) -> Self {
        options::subscribe(&mut self.subscriptions, topic.into(), filter.into());
        self
    }

    /// Sets whether members share messages **(default: [`Model::Clustering`])**.
    #[doc(alias = "messageModel")]
    pub fn model(mut self, model: Model) -> Self {
        self.options.model = model;
        self
    }

    /// Sets whether the messages of a queue are handled one after the other **(default: [`Order::Concurrent`])**.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use rocketmq_boot_client::{Client, MessageView, Order, Verdict};
    ///
    /// # async fn example(client: Client) -> Result<(), rocketmq_boot_client::Error> {
    /// let consumer = client
    ///     .push_consumer("stock")
    ///     .subscribe("orders", "*")
    ///     .order(Order::Orderly)
    ///     .max_attempts(10)
    ///     .start(|order: MessageView| async move { Verdict::done() })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn order(mut self, order: Order) -> Self {
        self.options.order = order;
        self
    }

    /// Sets where a new group starts **(default: [`StartFrom::Last`])**.
    #[doc(alias = "consumeFromWhere")]
    pub fn from(mut self, start: StartFrom) -> Self {
        self.options.start_from = start;
        self
    }

    /// Sets how queues are divided among members **(default: [`Averagely`](crate::Averagely))**.
    #[doc(alias = "allocateMessageQueueStrategy")]
    pub fn allocate(mut self, strategy: impl Allocate) -> Self {
        self.options.allocate = Arc::new(strategy);
        self
    }

    /// Has a listener told when the queues change that this member has.
    #[doc(alias = "messageQueueListener")]
    pub fn on_assignment(mut self, listener: impl AssignmentListener) -> Self {
        self.options.listener = Some(Listener::new(listener));
        self
    }

    /// Sets how many handler calls may run at a time, over all queues **(default: 20)**.
    /// [`PushConsumer::set_concurrency`] changes it later.
    #[doc(alias = "consumeThreadMax")]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.options.concurrency = calls;
        self
    }

    /// Sets how many messages a second may go to the handler, `None` for as many as it takes
    /// **(default: `None`)**. [`PushConsumer::set_rate_limit`] changes it later.
    pub fn rate_limit(mut self, messages_per_second: Option<NonZeroU32>) -> Self {
        self.options.rate = messages_per_second;
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

    /// Sets the pause between two pulls of a queue that both bring messages **(default: none)**.
    #[doc(alias = "pullInterval")]
    pub fn pull_interval(mut self, pause: Duration) -> Self {
        self.options.pull_interval = pause;
        self
    }

    /// Sets how often a message is delivered before it goes to the dead letters **(default: 17; without end when
    /// [orderly](Order::Orderly))**. Java counts retries: its `maxReconsumeTimes` is one less.
    #[doc(alias = "maxReconsumeTimes")]
    pub fn max_attempts(mut self, deliveries: u32) -> Self {
        self.options.max_attempts = Some(deliveries);
        self
    }

    /// Sets how long a handler call may take **(default: 15 min)**. A call that takes longer is cut off, and its
    /// messages come again after 10 s. Orderly consumers wait without end.
    #[doc(alias = "consumeTimeout")]
    pub fn consume_timeout(mut self, limit: Duration) -> Self {
        self.options.consume_timeout = limit;
        self
    }

    /// Sets how long a queue waits after a failure when it is consumed in order **(default: 1 s)**.
    #[doc(alias = "suspendCurrentQueueTimeMillis")]
    pub fn suspend(mut self, pause: Duration) -> Self {
        self.options.suspend = pause;
        self
    }

    /// Adds a hook behind those that were added before.
    #[doc(alias = "registerConsumeMessageHook")]
    pub fn hook(mut self, hook: impl ConsumeHook) -> Self {
        self.hooks.add(Arc::new(hook));
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
        self.options.thresholds.queue.count = messages;
        self
    }

    /// Sets how many bytes of a queue may be in memory **(default: 100 MiB)**.
    #[doc(alias = "pullThresholdSizeForQueue")]
    pub fn max_cached_bytes(mut self, bytes: u64) -> Self {
        self.options.thresholds.queue.bytes = bytes;
        self
    }

    /// Sets how many messages of a topic may be in memory, divided evenly among its queues that this member has; it
    /// takes the place of [`PushConsumerBuilder::max_cached_messages`] **(default: not set)**.
    #[doc(alias = "pullThresholdForTopic")]
    pub fn max_cached_messages_of_topic(mut self, messages: usize) -> Self {
        self.options.thresholds.topic_count = Some(messages);
        self
    }

    /// Sets how many bytes of a topic may be in memory, divided evenly among its queues that this member has; it takes
    /// the place of [`PushConsumerBuilder::max_cached_bytes`] **(default: not set)**.
    #[doc(alias = "pullThresholdSizeForTopic")]
    pub fn max_cached_bytes_of_topic(mut self, bytes: u64) -> Self {
        self.options.thresholds.topic_bytes = Some(bytes);
        self
    }

    /// Sets how far the newest message of a queue in memory may be ahead of the oldest **(default: 2000)**. It has no
    /// meaning for orderly consumers.
    #[doc(alias = "consumeConcurrentlyMaxSpan")]
    pub fn max_span(mut self, offsets: u64) -> Self {
        self.options.thresholds.queue.span = offsets;
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

    /// Sets how often an orderly consumer renews its locks **(default: 20 s)**. A lock ends 30 s after it was last
    /// renewed here, and after 60 s on the broker.
    #[doc(alias = "rocketmq.client.rebalance.lockInterval")]
    pub fn lock_every(mut self, interval: Duration) -> Self {
        self.options.lock_interval = interval;
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
    /// offsets file cannot be read, no name server answers, or a broker does not take an SQL92 filter.
    pub async fn start(self, handler: impl Handler) -> Result<PushConsumer, Error> {
        self.options.check(&self.subscriptions)?;
        if self.subscriptions.is_empty() {
            return Err(Error::NoSubscription { group: self.options.group });
        }
        let version = self.client.core.options.clock.now_ms();
        let subscription = |(topic, filter): &(String, Filter)| filter.subscription(topic, version);
        let subscriptions = self.subscriptions.iter().map(subscription).collect();
        push::start(self.client, self.options, subscriptions, Box::new(handler), self.hooks).await
    }
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
