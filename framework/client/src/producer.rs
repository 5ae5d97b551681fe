//! Sending: one verb, whose builder is awaited.

mod accumulate;
mod batch;
pub(crate) mod check;
mod deliver;
mod error;
mod faults;
mod hook;
mod options;
mod outgoing;
mod recall;
mod receipt;
pub(crate) mod request;
mod room;
mod select;
mod sending;
mod split;
mod transaction;

use std::{pin::Pin, sync::Arc, time::Duration};

use rocketmq_boot_protocol::message::{Message, MessageQueue, MessageView};

use self::{accumulate::Accumulator, faults::Faults, hook::Hooks, options::Options, room::Room};
pub use self::{
    accumulate::AutoBatch,
    check::Checker,
    error::{BatchRule, SendError},
    hook::{Attempt, MessageKind, Outcome, SendHook},
    options::ProducerBuilder,
    receipt::{SendReceipt, Shortfall},
    request::{Replying, RequestError, Requesting},
    sending::{OneWay, Sending, SendingBatch},
    split::SendingAll,
    transaction::{
        Resolution, SendingTransaction, TransactionProducer, TransactionProducerBuilder, TransactionReceipt,
    },
};
pub(crate) use self::{
    deliver::{Effort, deliver},
    outgoing::Outgoing,
    select::{Choice, Turn},
};
use crate::{Client, Error, routes::Missing, trace::Tracer};

/// The future of a builder that is awaited.
pub type Awaited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

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

/// What the handles of one producer share.
#[derive(Debug)]
struct Shared {
    client: Client,
    /// The group as brokers know it.
    group: String,
    options: Options,
    turn: Turn,
    faults: Option<Faults>,
    room: Option<Room>,
    accumulator: Option<Accumulator>,
    hooks: Hooks,
    tracer: Option<Tracer>,
}

impl Shared {
    fn effort(&self, limit: Option<Duration>) -> Effort<'_> {
        Effort {
            attempts: self.options.retries.saturating_add(1),
            limit: limit.unwrap_or(self.options.send_timeout),
            attempt_limit: self.options.attempt_timeout,
            retry_on: &self.options.retry_on,
            insist_on_durability: self.options.insist_on_durability,
            faults: self.faults.as_ref(),
            hooks: Some(&self.hooks).filter(|hooks| !hooks.is_empty()),
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

    /// The client that it was made from.
    pub fn client(&self) -> &Client {
        &self.shared.client
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

    /// Sends any messages, in as few requests as they fit in, with a result for each in the order of the messages.
    ///
    /// Messages of one topic share requests and keep their order within one; delayed ones go alone, as brokers want
    /// it. A request that fails is the result of all its messages, and of no other.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use rocketmq_boot_client::{Message, Producer};
    /// # async fn example(producer: Producer, lines: Vec<String>) {
    /// let messages = lines.into_iter().map(|line| Message::new("lines", line)).collect();
    /// for (at, result) in producer.send_all(messages).max_count(500).await.into_iter().enumerate() {
    ///     if let Err(error) = result {
    ///         eprintln!("line {at}: {error}");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn send_all(&self, messages: Vec<Message>) -> SendingAll {
        SendingAll::new(Arc::clone(&self.shared), messages)
    }

    /// Sends a message and waits for what its consumer replies; await the builder.
    ///
    /// The consumer may be a Java one that replies with `MessageUtil.createReplyMessage`, or a handler that calls
    /// [`Client::reply`].
    ///
    /// # Errors
    /// [`RequestError`]: it could not be sent, or nobody replied in time.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use rocketmq_boot_client::{Message, Producer, RequestError};
    /// # async fn example(producer: Producer) -> Result<(), RequestError> {
    /// let question = Message::new("quotes", "4711");
    /// let reply = producer.request(question).timeout(Duration::from_secs(2)).await?;
    /// println!("{}", String::from_utf8_lossy(&reply.body));
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self, message: Message) -> Requesting {
        Requesting::new(Arc::clone(&self.shared), message)
    }

    /// Answers a request that was consumed, in this producer's name; see [`Client::reply`].
    pub fn reply(&self, request: &MessageView, body: impl Into<bytes::Bytes>) -> Replying {
        self.shared.client.reply(request, body).in_name_of(self.shared.group.as_str())
    }

    /// Takes a message back that its broker's timer still holds; gives the message's id.
    ///
    /// # Errors
    /// [`Error::RecallHandle`] for what is no handle of this topic, [`Error::Unsupported`] for a broker before 5.3.2,
    /// [`Error::Refused`] when the broker recalls nothing or it is too late for this message.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use rocketmq_boot_client::{Message, Producer};
    /// # async fn example(producer: Producer) -> Result<(), Box<dyn std::error::Error>> {
    /// let later = Message::new("reminders", "call back").delay(Duration::from_secs(3600));
    /// let receipt = producer.send(later).await?;
    /// if let Some(handle) = &receipt.recall_handle {
    ///     producer.recall("reminders", handle).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "recallMessage")]
    pub async fn recall(&self, topic: &str, handle: &str) -> Result<String, Error> {
        recall::recall(&self.shared, topic, handle).await
    }

    /// Creates a topic with this many queues on every master; see [`Admin::create_topic`](crate::Admin::create_topic).
    ///
    /// # Errors
    /// The name is not allowed, there is no broker, or one of them refused.
    #[doc(alias = "createTopic")]
    pub async fn create_topic(&self, topic: &str, queues: u16) -> Result<(), Error> {
        self.shared.client.admin().create_topic(topic, queues).await
    }

    /// The queues that messages of a topic can be sent to, in the order that sharding keys count in.
    ///
    /// # Errors
    /// There is no route to the topic.
    #[doc(alias = "fetchPublishMessageQueues")]
    pub async fn queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        let core = &self.shared.client.core;
        let route = core.route(&core.namespace.wrap(topic), Missing::UseTemplate).await?;
        let bare = |queue: &MessageQueue| {
            let topic = core.namespace.unwrap(&queue.topic).into_owned();
            MessageQueue { topic, ..queue.clone() }
        };
        Ok(route.targets.iter().map(|target| bare(&target.queue)).collect())
    }
}
