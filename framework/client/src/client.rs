//! The handle that everything starts from.

use std::sync::Arc;

use bytes::Bytes;
use rocketmq_boot_protocol::message::MessageView;
use tokio_util::sync::DropGuard;

use crate::{
    Admin, Checker, ClientBuilder, Error, LitePullConsumerBuilder, ProducerBuilder, PullConsumer,
    PushConsumerBuilder, Replying, TransactionProducerBuilder, core::Core,
};

/// A connection to one RocketMQ cluster.
///
/// A client is a value: a process may have several, for one cluster or for many. Clones are cheap and share
/// connections, routes and heartbeats. They, and the producers and consumers made from them, keep the client alive;
/// when the last is dropped its tasks end. [`Client::close`] also says goodbye to the brokers.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use rocketmq_boot_client::{Client, Message, MessageView, Verdict};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("127.0.0.1:9876");
/// let producer = client.producer("shop").await?;
/// producer.send(Message::new("orders", "hello").tag("placed")).await?;
///
/// let consumer = client
///     .push_consumer("billing")
///     .subscribe("orders", "placed || billed")
///     .start(|message: MessageView| async move {
///         println!("{}", message.message_id);
///         Verdict::done()
///     })
///     .await?;
/// consumer.stop(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "MQClientInstance")]
pub struct Client {
    pub(crate) core: Arc<Core>,
    /// Ends the client's tasks with the last handle.
    _alive: Arc<DropGuard>,
}

impl Client {
    /// A client of the cluster that these name servers know: `host:port`, several separated by `;`, or the web address
    /// that such a list lies behind, `http://host:port/path`, which is looked at every 2 min.
    ///
    /// Nothing is connected yet.
    pub fn connect(name_servers: impl Into<String>) -> Self {
        Self::builder(name_servers).build()
    }

    /// Sets options before the client is made.
    pub fn builder(name_servers: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(name_servers.into())
    }

    pub(crate) fn from_builder(options: ClientBuilder) -> Self {
        let core = Core::new(options);
        let alive = Arc::new(core.stop.clone().drop_guard());
        Self { core, _alive: alive }
    }

    /// The id that brokers know this client by.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// Makes sure that a name server answers. Producers and consumers do so when they start.
    ///
    /// # Errors
    /// [`Error::NameServers`] with what each of them did.
    pub async fn ready(&self) -> Result<(), Error> {
        self.core.start().await
    }

    /// Starts a producer; `group` names the application.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(client: rocketmq_boot_client::Client) -> Result<(), rocketmq_boot_client::Error> {
    /// let producer = client.producer("shop").send_timeout(Duration::from_secs(1)).retries(4).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "DefaultMQProducer")]
    pub fn producer(&self, group: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), group.into())
    }

    /// Starts a producer of messages in transactions. The checker answers when a broker asks how one ended: after a
    /// crash, or when the outcome was told too late or not at all.
    ///
    /// # Errors
    /// As [`Client::producer`], and [`Error::GroupInUse`] when this client has checkers of the group already.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use rocketmq_boot_client::{Client, Message, MessageView, Resolution};
    ///
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let producer = client
    ///     .transaction_producer("shop", |_: MessageView| async { Resolution::Unknown })
    ///     .checker_of("refund", |_: MessageView| async { Resolution::Rollback })
    ///     .await?;
    /// let receipt = producer
    ///     .transaction(Message::new("orders", "4711"))
    ///     .kind("refund")
    ///     .run(|_half| async { Resolution::Commit })
    ///     .await?;
    /// assert_eq!(receipt.resolution, Resolution::Commit);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "TransactionMQProducer")]
    pub fn transaction_producer(
        &self,
        group: impl Into<String>,
        checker: impl Checker,
    ) -> TransactionProducerBuilder {
        TransactionProducerBuilder::new(self.producer(group), Arc::new(checker))
    }

    /// Answers a request that was consumed: a message whose sender used
    /// [`Producer::request`](crate::Producer::request), or Java's. Await the builder.
    ///
    /// # Errors
    /// [`Error::NotARequest`] for another message, [`Error::Refused`] when the requester is not there any more.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use rocketmq_boot_client::{Client, MessageView, Verdict};
    ///
    /// # async fn example(client: Client) -> Result<(), rocketmq_boot_client::Error> {
    /// let replier = client.clone();
    /// let consumer = client
    ///     .push_consumer("quoting")
    ///     .subscribe("quotes", "*")
    ///     .start(move |request: MessageView| {
    ///         let replier = replier.clone();
    ///         async move {
    ///             match replier.reply(&request, "42").await {
    ///                 Ok(()) => Verdict::done(),
    ///                 Err(error) if error.is_retryable() => Verdict::retry(),
    ///                 Err(_) => Verdict::done(),
    ///             }
    ///         }
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "createReplyMessage")]
    pub fn reply(&self, request: &MessageView, body: impl Into<Bytes>) -> Replying {
        Replying::new(self.clone(), request, body.into())
    }

    /// Describes a push consumer of a group; [`PushConsumerBuilder::start`] starts it.
    #[doc(alias = "DefaultMQPushConsumer")]
    pub fn push_consumer(&self, group: impl Into<String>) -> PushConsumerBuilder {
        PushConsumerBuilder::new(self.clone(), group.into())
    }

    /// Describes a consumer that is polled; [`LitePullConsumerBuilder::start`] starts it.
    #[doc(alias = "DefaultLitePullConsumer")]
    pub fn lite_pull_consumer(&self, group: impl Into<String>) -> LitePullConsumerBuilder {
        LitePullConsumerBuilder::new(self.clone(), group.into())
    }

    /// Starts a consumer that makes every single pull when it is told to.
    ///
    /// # Errors
    /// The group's name is not allowed, the client has a consumer of it already, or no name server answers.
    #[doc(alias = "DefaultMQPullConsumer")]
    pub async fn pull_consumer(&self, group: impl Into<String>) -> Result<PullConsumer, Error> {
        PullConsumer::start(self.clone(), group.into()).await
    }

    /// Questions about the cluster, and the few changes that applications make to it.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Unregisters the producers, ends all tasks and closes all connections.
    ///
    /// Stop consumers first: those that still run are cut off, and their last offsets may be lost.
    pub async fn close(&self) {
        self.core.close().await;
    }
}
