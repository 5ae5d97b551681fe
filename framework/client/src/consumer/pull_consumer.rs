//! A consumer that does nothing by itself: every pull, every offset and every commit is the application's.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    body::{ConsumeType, ConsumerData},
    message::{MessageQueue, MessageView},
    topic::{retry_topic, validate_group},
};

use super::{
    Filter,
    offsets::{Answer, Offsets},
    pull::{self, Ask, Outcome, Reader},
};
use crate::{Client, Error, admin::Young, brokers::MASTER, groups::Enrolled, heartbeat, routes::Missing};

/// How much longer than it is held a pull may take.
const GRACE: Duration = Duration::from_secs(10);

/// The largest body that is taken, unpacked.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Pulls when it is told to.
///
/// Most applications want a [`LitePullConsumer`](crate::LitePullConsumer), which keeps count of offsets and pulls ahead.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use rocketmq_boot_client::{Client, PullOutcome};
///
/// # async fn example(client: Client) -> Result<(), rocketmq_boot_client::Error> {
/// let consumer = client.pull_consumer("audit").await?;
/// for queue in consumer.message_queues("orders").await? {
///     let mut offset = consumer.committed(&queue).await?.unwrap_or(0);
///     loop {
///         let pulled = consumer.pull(&queue, offset).tags("placed").wait(Duration::from_secs(5)).await?;
///         offset = pulled.next_offset;
///         for message in pulled.messages {
///             println!("{}", message.message_id);
///         }
///         if pulled.outcome == PullOutcome::End {
///             break;
///         }
///     }
///     consumer.commit(&queue, offset).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[doc(alias = "DefaultMQPullConsumer")]
pub struct PullConsumer {
    client: Client,
    group: String,
    offsets: Offsets,
    enrolled: Arc<Enrolled>,
}

impl PullConsumer {
    pub(crate) async fn start(client: Client, group: String) -> Result<Self, Error> {
        validate_group(&group)?;
        client.core.start().await?;
        let data = ConsumerData {
            group_name: group.clone(),
            consume_type: ConsumeType::Actively,
            ..ConsumerData::default()
        };
        let enrolled = Arc::new(Enrolled::new(data));
        if !client.core.groups.add_consumer(&group, &enrolled) {
            return Err(Error::GroupInUse { group });
        }
        let consumer = Self { offsets: Offsets::on_broker(&group), client, group, enrolled };
        heartbeat::beat(&consumer.client.core).await;
        Ok(consumer)
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Pulls messages of a queue from an offset on; await the builder.
    ///
    /// # Errors
    /// The queue's broker is not known, did not answer, or refused.
    pub fn pull(&self, queue: &MessageQueue, offset: i64) -> Pulling<'_> {
        Pulling { consumer: self, queue: queue.clone(), offset, filter: Filter::all(), max: 32, wait: None }
    }

    /// All queues of a topic.
    ///
    /// # Errors
    /// There is no route to the topic.
    #[doc(alias = "fetchSubscribeMessageQueues")]
    pub async fn message_queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        self.client.admin().message_queues(topic).await
    }

    /// How far the group has committed a queue; `None` when it has committed nothing of it.
    ///
    /// # Errors
    /// The queue's broker is not known, or did not answer.
    #[doc(alias = "fetchConsumeOffset")]
    pub async fn committed(&self, queue: &MessageQueue) -> Result<Option<i64>, Error> {
        let core = &self.client.core;
        core.broker_of(queue).await?;
        self.offsets.load(core, queue, Young::IsUnknown).await
    }

    /// Commits an offset: the group has consumed everything below it. It returns when the broker has it.
    ///
    /// # Errors
    /// As [`PullConsumer::committed`].
    #[doc(alias = "updateConsumeOffset")]
    pub async fn commit(&self, queue: &MessageQueue, offset: i64) -> Result<(), Error> {
        let core = &self.client.core;
        core.broker_of(queue).await?;
        self.offsets.save(core, &[(queue.clone(), offset)], Answer::Wait).await
    }

    /// The offset of a queue's oldest message.
    ///
    /// # Errors
    /// As [`PullConsumer::committed`].
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        self.client.core.min_offset(queue).await
    }

    /// The offset that a queue's next message will have.
    ///
    /// # Errors
    /// As [`PullConsumer::committed`].
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        self.client.core.max_offset(queue).await
    }

    /// The offset of the first message of a queue stored at or after a time, in ms since 1970.
    ///
    /// # Errors
    /// As [`PullConsumer::committed`].
    pub async fn offset_for_time(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64, Error> {
        self.client.core.search_offset(queue, timestamp).await
    }

    /// Tells the brokers that the group is left.
    #[doc(alias = "shutdown")]
    pub async fn stop(self) {
        let core = Arc::clone(&self.client.core);
        core.groups.remove_consumer(&self.group, &self.enrolled);
        core.unregister(None, Some(&self.group)).await;
    }
}

impl Drop for PullConsumer {
    fn drop(&mut self) {
        self.client.core.groups.remove_consumer(&self.group, &self.enrolled);
    }
}

/// A pull that is made when it is awaited.
#[derive(Debug, Clone)]
#[must_use = "a pull is made when it is awaited"]
pub struct Pulling<'a> {
    consumer: &'a PullConsumer,
    queue: MessageQueue,
    offset: i64,
    filter: Filter,
    max: u16,
    wait: Option<Duration>,
}

impl Pulling<'_> {
    /// Sets which messages are wanted **(default: all)**.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Wants messages with one of these tags, `placed || billed`.
    pub fn tags(self, expression: impl Into<String>) -> Self {
        self.filter(Filter::tags(expression))
    }

    /// Sets how many messages there may be at most **(default: 32)**. Brokers have limits of their own.
    pub fn max(mut self, messages: u16) -> Self {
        self.max = messages;
        self
    }

    /// Has the broker wait so long for a message when there is none **(default: it does not wait)**.
    #[doc(alias = "pullBlockIfNotFound")]
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = Some(limit);
        self
    }

    async fn make(self) -> Result<PullResult, Error> {
        let core = &self.consumer.client.core;
        core.route(&self.queue.topic, Missing::Refuse).await?;
        let subscription = self.filter.subscription(&self.queue.topic, core.options.clock.now_ms());
        let ask = Ask {
            group: &self.consumer.group,
            queue: &self.queue,
            subscription: &subscription,
            next: self.offset,
            committed: None,
            broker_id: MASTER,
            batch: self.max,
            hold: self.wait,
            limit: self.wait.unwrap_or_default() + GRACE,
            lite: false,
        };
        let pulled =
            pull::pull(core, &ask).await?.ok_or_else(|| Error::Busy { queue: self.queue.clone() })?;
        let mut result = PullResult {
            outcome: pulled.outcome.into(),
            next_offset: pulled.reply.next_begin_offset,
            min_offset: pulled.reply.min_offset,
            max_offset: pulled.reply.max_offset,
            messages: Vec::new(),
        };
        if pulled.outcome == Outcome::Messages {
            let retry_topic = retry_topic(&self.consumer.group);
            let reader = Reader {
                queue: &self.queue,
                subscription: &subscription,
                retry_topic: &retry_topic,
                max_body_bytes: MAX_BODY_BYTES,
            };
            let batch = pull::decode(&reader, &pulled.body, self.offset).map_err(|source| Error::Record {
                queue: self.queue.clone(),
                offset: self.offset,
                source: Arc::new(source),
            })?;
            result.next_offset = result.next_offset.max(batch.next);
            result.messages = batch.messages;
        }
        Ok(result)
    }
}

impl<'a> IntoFuture for Pulling<'a> {
    type Output = Result<PullResult, Error>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// What a pull brought.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PullResult {
    /// Whether there are messages, and if not, why.
    #[doc(alias = "pullStatus")]
    pub outcome: PullOutcome,
    /// Where to pull next.
    #[doc(alias = "nextBeginOffset")]
    pub next_offset: i64,
    /// The offset of the queue's oldest message.
    pub min_offset: i64,
    /// The offset that the queue's next message will have.
    pub max_offset: i64,
    /// The messages. There may be none of them although the broker found some: it compares only hashes of tags.
    #[doc(alias = "msgFoundList")]
    pub messages: Vec<MessageView>,
}

/// Whether a pull brought messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "PullStatus")]
pub enum PullOutcome {
    /// It did.
    Found,
    /// The queue ends here.
    #[doc(alias = "NO_NEW_MSG")]
    End,
    /// The filter left nothing of what was looked at; there may be more behind it.
    #[doc(alias = "NO_MATCHED_MSG")]
    NoMatch,
    /// The offset is not in the queue; the nearest one is in [`PullResult::next_offset`].
    #[doc(alias = "OFFSET_ILLEGAL")]
    NoSuchOffset,
}

impl From<Outcome> for PullOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Messages => Self::Found,
            Outcome::End => Self::End,
            Outcome::NoMatch => Self::NoMatch,
            Outcome::Moved => Self::NoSuchOffset,
        }
    }
}
