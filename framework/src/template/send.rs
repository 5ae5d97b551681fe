//! The send path: from builders to the client's producers. One of the two files that know the client.

use std::{
    fmt::Display,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use rocketmq_boot_client::{self as client, Client, Producer};
use tokio::sync::OnceCell;

use super::envelope::Envelope;
use crate::config::settings::{ClusterSettings, ProducerSettings};

pub use rocketmq_boot_client::{Message, MessageQueue, MessageView, SendError, SendReceipt, Shortfall};

type Target = Result<Arc<Cluster>, Arc<str>>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A cluster that is sent to: its client, and its producer once something was sent.
pub(crate) struct Cluster {
    client: Client,
    producer: OnceCell<Producer>,
    settings: ProducerSettings,
}

impl Cluster {
    /// Nothing is connected before the first send.
    pub(crate) fn new(name_server: &str, settings: &ClusterSettings) -> Self {
        let client = Client::connect(name_server);
        Self { client, producer: OnceCell::new(), settings: settings.producer.clone() }
    }

    /// The client, for the consumers of this cluster.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Says goodbye to the brokers.
    pub(crate) async fn close(&self, within: Duration) {
        // What is not said in time, the brokers find out by themselves.
        let _ = tokio::time::timeout(within, self.client.close()).await;
    }

    async fn producer(&self, topic: &str) -> Result<&Producer, SendError> {
        let ProducerSettings {
            group,
            send_timeout,
            compress_over,
            retries,
            retry_next_server,
            max_message_bytes,
        } = &self.settings;
        let start = || async {
            self.client
                .producer(group)
                .send_timeout(*send_timeout)
                .compress_over(*compress_over)
                .retries(*retries)
                .retry_another_broker(*retry_next_server)
                .max_message_bytes(*max_message_bytes)
                .await
        };
        let started = self.producer.get_or_try_init(start).await;
        started.map_err(|source| SendError::NoRoute { topic: topic.to_owned(), source })
    }

    async fn prepare(&self, message: Message, options: Options) -> Result<client::Sending, SendError> {
        let mut sending = self.producer(&message.topic).await?.send(message);
        if let Some(shard) = options.shard {
            sending = sending.sharded_by(shard);
        }
        if let Some(timeout) = options.timeout {
            sending = sending.timeout(timeout);
        }
        Ok(sending)
    }
}

fn target(target: Target, topic: &str) -> Result<Arc<Cluster>, SendError> {
    target.map_err(|name| {
        let reason = format!("there is no cluster `{name}` under `rocketmq.clusters`");
        SendError::Unbuilt { topic: topic.to_owned(), reason }
    })
}

#[derive(Debug, Default)]
struct Options {
    shard: Option<String>,
    timeout: Option<Duration>,
}

/// A message on its way; await it.
#[must_use = "nothing is sent before it is awaited"]
pub struct Sending {
    target: Target,
    envelope: Envelope,
    options: Options,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending").field("envelope", &self.envelope).field("options", &self.options).finish()
    }
}

impl Sending {
    pub(super) fn new(target: Target, envelope: Envelope) -> Self {
        Self { target, envelope, options: Options::default() }
    }

    /// Adds a key that the message can be found by.
    pub fn keys(mut self, key: impl Display) -> Self {
        self.envelope.keys(&key.to_string());
        self
    }

    /// Sets the tag that listeners select by; it replaces the one in the destination.
    pub fn tag(mut self, tag: impl Display) -> Self {
        self.envelope.tag(&tag.to_string());
        self
    }

    /// Sets a property that listeners see.
    ///
    /// `KEYS`, `TAGS`, `FLAG`, `DELAY` and `WAIT_STORE_MSG_OK`, with or without `rocketmq_` before them, mean what
    /// they mean in rocketmq-spring. Other names of RocketMQ's own are an error of the send.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Display) -> Self {
        self.envelope.header(name.as_ref(), &value.to_string());
        self
    }

    /// Sends all messages of one key to one queue, the one that Java's clients choose for it.
    pub fn sharded_by(mut self, key: impl Display) -> Self {
        self.options.shard = Some(key.to_string());
        self
    }

    /// Delivers later, by a level of the broker's ladder: 1 is 1 s, 18 is 2 h.
    pub fn delay_level(mut self, level: u32) -> Self {
        self.envelope.delay_level(level);
        self
    }

    /// How long the send may take with all its retries.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Does not wait for the broker: what is lost on the way stays unknown.
    pub fn one_way(self) -> OneWay {
        OneWay(self)
    }
}

impl IntoFuture for Sending {
    type Output = Result<SendReceipt, SendError>;
    type IntoFuture = Boxed<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let message = self.envelope.seal()?;
            let cluster = target(self.target, &message.topic)?;
            cluster.prepare(message, self.options).await?.await
        })
    }
}

/// A message that nobody waits for; await it to hand it to the connection.
#[derive(Debug)]
#[must_use = "nothing is sent before it is awaited"]
pub struct OneWay(Sending);

impl IntoFuture for OneWay {
    type Output = Result<(), SendError>;
    type IntoFuture = Boxed<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let message = self.0.envelope.seal()?;
            let cluster = target(self.0.target, &message.topic)?;
            cluster.prepare(message, self.0.options).await?.one_way().await
        })
    }
}

/// Several messages on their way; await it.
#[must_use = "nothing is sent before it is awaited"]
pub struct SendingBatch {
    target: Target,
    envelopes: Vec<Envelope>,
    options: Options,
}

impl std::fmt::Debug for SendingBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendingBatch").field("messages", &self.envelopes.len()).finish_non_exhaustive()
    }
}

impl SendingBatch {
    pub(super) fn new(target: Target, envelopes: Vec<Envelope>) -> Self {
        Self { target, envelopes, options: Options::default() }
    }

    /// Adds a key to each of them.
    pub fn keys(mut self, key: impl Display) -> Self {
        let key = key.to_string();
        self.envelopes.iter_mut().for_each(|envelope| envelope.keys(&key));
        self
    }

    /// Sets a property of each of them, as [`Sending::header`] does.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Display) -> Self {
        let (name, value) = (name.as_ref(), value.to_string());
        self.envelopes.iter_mut().for_each(|envelope| envelope.header(name, &value));
        self
    }

    /// Sends all of them to the one queue that belongs to the key.
    pub fn sharded_by(mut self, key: impl Display) -> Self {
        self.options.shard = Some(key.to_string());
        self
    }

    /// How long the send may take with all its retries.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }
}

impl IntoFuture for SendingBatch {
    type Output = Result<Vec<SendReceipt>, SendError>;
    type IntoFuture = Boxed<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let messages: Vec<_> =
                self.envelopes.into_iter().map(Envelope::seal).collect::<Result<_, _>>()?;
            // Nothing to send is a success that needs no broker.
            let Some(topic) = messages.first().map(|message| message.topic.clone()) else {
                return Ok(Vec::new());
            };
            let cluster = target(self.target, &topic)?;
            let mut sending = cluster.producer(&topic).await?.send_batch(messages);
            if let Some(shard) = self.options.shard {
                sending = sending.sharded_by(shard);
            }
            if let Some(timeout) = self.options.timeout {
                sending = sending.timeout(timeout);
            }
            sending.await
        })
    }
}
