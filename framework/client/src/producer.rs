//! Sending: one verb, whose builder is awaited.

mod batch;
mod deliver;
mod error;
mod outgoing;
mod receipt;
mod select;
mod sending;

use std::{future::IntoFuture, pin::Pin, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    message::{Message, compress::Compression},
    topic::validate_group,
};

pub(crate) use self::{
    deliver::{Effort, deliver},
    outgoing::Outgoing,
    select::{Choice, Turn},
};
pub use self::{
    error::{BatchRule, SendError},
    receipt::{SendReceipt, Shortfall},
    sending::{OneWay, Sending, SendingBatch},
};
use crate::{Client, Error};

/// The future of a builder that is awaited.
pub type Awaited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[derive(Debug, Clone)]
struct Options {
    send_timeout: Duration,
    retries: u32,
    insist_on_durability: bool,
    max_message_bytes: usize,
    compress_over: usize,
    compression: Compression,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_timeout: Duration::from_secs(3),
            retries: 2,
            insist_on_durability: false,
            max_message_bytes: 4 * 1024 * 1024,
            compress_over: 4096,
            compression: Compression::Zlib,
        }
    }
}

/// Starts a [`Producer`]; await it.
#[derive(Debug, Clone)]
#[must_use = "a producer starts when its builder is awaited"]
pub struct ProducerBuilder {
    client: Client,
    group: String,
    options: Options,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, group: String) -> Self {
        Self { client, group, options: Options::default() }
    }

    /// Sets how long a send may take, all its attempts together **(default: 3 s)**.
    #[doc(alias = "sendMsgTimeout")]
    pub fn send_timeout(mut self, limit: Duration) -> Self {
        self.options.send_timeout = limit;
        self
    }

    /// Sets how often a failed send is tried again on another broker **(default: 2)**.
    ///
    /// A message may be stored twice when its first broker stored it and did not say so in time. Sends to a certain
    /// queue, by key or by name, and one-way sends are tried once.
    #[doc(alias = "retryTimesWhenSendFailed")]
    #[doc(alias = "retryTimesWhenSendAsyncFailed")]
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Sets whether a message that was stored, but not flushed or replicated as the broker is configured to, is sent
    /// to another broker **(default: false; the send fails with [`SendError::NotDurable`])**.
    #[doc(alias = "retryAnotherBrokerWhenNotStoreOK")]
    pub fn retry_another_broker(mut self, retry: bool) -> Self {
        self.options.insist_on_durability = retry;
        self
    }

    /// Sets the largest body that is sent, before compression **(default: 4 MiB, which is the broker's)**.
    #[doc(alias = "maxMessageSize")]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.options.max_message_bytes = bytes;
        self
    }

    /// Sets from how many bytes on a body is compressed **(default: 4096)**.
    #[doc(alias = "compressMsgBodyOverHowmuch")]
    pub fn compress_over(mut self, bytes: usize) -> Self {
        self.options.compress_over = bytes;
        self
    }

    /// Sets how bodies are compressed **(default: zlib, the only kind that clients before 4.9.4 can read)**.
    pub fn compression(mut self, kind: Compression) -> Self {
        self.options.compression = kind;
        self
    }

    async fn start(self) -> Result<Producer, Error> {
        validate_group(&self.group)?;
        self.client.core.start().await?;
        self.client.core.groups.add_producer(&self.group);
        self.client.core.pulse.notify_one();
        let shared =
            Shared { client: self.client, group: self.group, options: self.options, turn: Turn::new() };
        Ok(Producer { shared: Arc::new(shared) })
    }
}

impl IntoFuture for ProducerBuilder {
    type Output = Result<Producer, Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// Sends messages to any topic.
///
/// Clones are cheap and share everything. Sends are pipelined: as many as wished may be under way on one
/// connection, from one task or from many.
///
/// # Examples
///
/// ```no_run
/// use rocketmq_boot_client::{Client, Message, SendError};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let producer = Client::connect("127.0.0.1:9876").producer("shop").await?;
/// let receipt = producer.send(Message::new("orders", "hello").tag("placed").key("4711")).await?;
/// println!("{} lies at {} of {}", receipt.message_id, receipt.queue_offset, receipt.queue);
///
/// // All messages of one customer stay in order.
/// producer.send(Message::new("orders", "paid")).sharded_by("customer-7").await?;
///
/// match producer.send(Message::new("orders", "important")).await {
///     Ok(receipt) => println!("stored as asked: {}", receipt.message_id),
///     Err(SendError::NotDurable { receipt, status, .. }) => println!("{} {status}", receipt.message_id),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "DefaultMQProducer")]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    group: String,
    options: Options,
    turn: Turn,
}

impl Shared {
    fn effort(&self, limit: Option<Duration>) -> Effort {
        Effort {
            attempts: self.options.retries.saturating_add(1),
            limit: limit.unwrap_or(self.options.send_timeout),
            insist_on_durability: self.options.insist_on_durability,
        }
    }
}

impl Drop for Shared {
    /// Brokers forget the group when no heartbeat names it any more.
    fn drop(&mut self) {
        self.client.core.groups.remove_producer(&self.group);
    }
}

impl Producer {
    /// The group.
    pub fn group(&self) -> &str {
        &self.shared.group
    }

    /// Sends a message; await the builder.
    ///
    /// # Errors
    /// [`SendError`]; only an `Ok` says that the broker stored the message as it was configured to.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use rocketmq_boot_client::{Message, Producer, SendError};
    /// # async fn example(producer: Producer) -> Result<(), SendError> {
    /// // One after the other, or many at a time.
    /// producer.send(Message::new("orders", "one")).timeout(Duration::from_millis(500)).await?;
    /// let sends = (0..100).map(|n| producer.send(Message::new("orders", n.to_string())));
    /// let receipts = futures_util::future::try_join_all(sends.map(IntoFuture::into_future)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, message: Message) -> Sending {
        Sending::new(Arc::clone(&self.shared), message)
    }

    /// Sends messages of one topic in one request: they are stored together in one queue, or not at all.
    ///
    /// # Errors
    /// [`SendError::Batch`] for messages that do not belong together, [`SendError::TooLarge`] for too many; else as
    /// [`Producer::send`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use rocketmq_boot_client::{Message, Producer, SendError};
    /// # async fn example(producer: Producer) -> Result<(), SendError> {
    /// let messages = (0..100).map(|n| Message::new("clicks", n.to_string())).collect();
    /// let receipts = producer.send_batch(messages).await?;
    /// assert_eq!(receipts.len(), 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_batch(&self, messages: Vec<Message>) -> SendingBatch {
        SendingBatch::new(Arc::clone(&self.shared), messages)
    }

    /// The queues that messages of a topic can be sent to, in the order that sharding keys count in.
    ///
    /// # Errors
    /// There is no route to the topic.
    #[doc(alias = "fetchPublishMessageQueues")]
    pub async fn queues(
        &self,
        topic: &str,
    ) -> Result<Vec<rocketmq_boot_protocol::message::MessageQueue>, Error> {
        let route = self.shared.client.core.route(topic, crate::routes::Missing::UseTemplate).await?;
        Ok(route.targets.iter().map(|target| target.queue.clone()).collect())
    }
}
