//! Describes a lite pull consumer.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{body::ConsumeType, message::MessageQueue};

use super::LitePullConsumer;
use crate::{
    Client, Error,
    consumer::{
        Allocate, AssignmentListener, Filter, Model, StartFrom,
        options::{self, Listener, Options},
        poll::Inbox,
        shared::{Shared, Work},
    },
};

/// What Java polls at a time.
const POLL_BATCH: u16 = 10;

/// Describes a [`LitePullConsumer`]; [`LitePullConsumerBuilder::start`] starts it.
#[derive(Debug, Clone)]
#[must_use = "a consumer consumes after `start`"]
pub struct LitePullConsumerBuilder {
    client: Client,
    subscriptions: Vec<(String, Filter)>,
    assigned: Option<Vec<MessageQueue>>,
    auto_commit: bool,
    options: Options,
}

impl LitePullConsumerBuilder {
    pub(crate) fn new(client: Client, group: String) -> Self {
        let options = Options {
            consume_type: ConsumeType::Actively,
            batch: usize::from(POLL_BATCH),
            pull_batch: POLL_BATCH,
            ..Options::new(group)
        };
        Self { client, subscriptions: Vec::new(), assigned: None, auto_commit: true, options }
    }

    /// Subscribes to a topic: its queues are divided among the members of the group. Call it again for more topics; a
    /// second call for a topic replaces the first.
    pub fn subscribe(mut self, topic: impl Into<String>, filter: impl Into<Filter>) -> Self {
        options::subscribe(&mut self.subscriptions, topic.into(), filter.into());
        self
    }

    /// Consumes exactly these queues, which nobody divides. It excludes subscriptions.
    pub fn assign(mut self, queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        self.assigned = Some(queues.into_iter().collect());
        self
    }

    /// Sets whether members share messages **(default: [`Model::Clustering`])**.
    pub fn model(mut self, model: Model) -> Self {
        self.options.model = model;
        self
    }

    /// Sets where a new group starts **(default: [`StartFrom::Last`])**.
    pub fn from(mut self, start: StartFrom) -> Self {
        self.options.start_from = start;
        self
    }

    /// Sets how queues are divided among members **(default: [`Averagely`](crate::Averagely))**.
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

    /// Sets whether it commits by itself **(default: true)**.
    pub fn auto_commit(mut self, auto: bool) -> Self {
        self.auto_commit = auto;
        self
    }

    /// Sets how often it commits by itself **(default: 5 s)**.
    #[doc(alias = "autoCommitIntervalMillis")]
    pub fn commit_every(mut self, interval: Duration) -> Self {
        self.options.persist_interval = interval;
        self
    }

    /// Sets how many messages a poll returns at most **(default: 10)**.
    pub fn poll_batch(mut self, messages: usize) -> Self {
        self.options.batch = messages;
        self
    }

    /// Sets how many messages are pulled at a time **(default: 10)**.
    #[doc(alias = "pullBatchSize")]
    pub fn pull_batch(mut self, messages: u16) -> Self {
        self.options.pull_batch = messages;
        self
    }

    /// Sets the folder that a broadcasting consumer keeps its offsets in
    /// **(default: `.rocketmq_offsets` in the home folder)**.
    pub fn offsets_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.offsets_dir = Some(dir.into());
        self
    }

    /// Sets how many messages of a queue may wait to be polled **(default: 1000)**.
    #[doc(alias = "pullThresholdForQueue")]
    pub fn max_cached_messages(mut self, messages: usize) -> Self {
        self.options.thresholds.queue.count = messages;
        self
    }

    /// Sets how many bytes of a queue may wait to be polled **(default: 100 MiB)**.
    #[doc(alias = "pullThresholdSizeForQueue")]
    pub fn max_cached_bytes(mut self, bytes: u64) -> Self {
        self.options.thresholds.queue.bytes = bytes;
        self
    }

    /// Sets the largest body that is taken, unpacked **(default: 64 MiB)**. A larger one is passed over, with an error
    /// in the log.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.options.max_body_bytes = bytes;
        self
    }

    /// Sets how often queues are divided anew without a reason **(default: 20 s)**.
    pub fn rebalance_every(mut self, interval: Duration) -> Self {
        self.options.rebalance_interval = interval;
        self
    }

    /// Sets how long a broker holds a pull when there is no message **(default: 15 s)**.
    #[doc(alias = "brokerSuspendMaxTimeMillis")]
    pub fn hold_pulls(mut self, hold: Duration) -> Self {
        self.options.pull_hold = hold;
        self.options.pull_timeout = hold + Duration::from_secs(15);
        self
    }

    /// Sets the pause after a pull that failed **(default: 3 s)**.
    pub fn pause_after_error(mut self, pause: Duration) -> Self {
        self.options.pause_after_error = pause;
        self
    }

    /// Starts pulling.
    ///
    /// # Errors
    /// A name or option is wrong, there are neither subscriptions nor assigned queues, or both, the client has a
    /// consumer of this group already, no name server answers, or a broker does not take a filter.
    pub async fn start(self) -> Result<LitePullConsumer, Error> {
        self.options.check(&self.subscriptions)?;
        let group = || self.options.group.clone();
        match (&self.assigned, self.subscriptions.is_empty()) {
            (None, true) => return Err(Error::NoSubscription { group: group() }),
            (Some(_), false) => return Err(Error::Subscribed { group: group() }),
            _ => {}
        }
        let version = self.client.core.options.clock.now_ms();
        let subscription = |(topic, filter): &(String, Filter)| filter.subscription(topic, version);
        let subscriptions = self.subscriptions.iter().map(subscription).collect();
        let batch = self.options.batch;
        let work = Work::Poll(Inbox::new(self.auto_commit));
        let shared = Shared::new(self.client, self.options, subscriptions, work).await?;
        LitePullConsumer::start(shared, batch, self.assigned).await
    }
}
