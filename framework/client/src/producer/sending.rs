//! The builders behind [`Producer::send`](super::Producer::send).

use std::{fmt, future::IntoFuture, sync::Arc, time::Duration};

use rocketmq_boot_protocol::message::{Message, MessageQueue};

use super::{
    Awaited, Choice, Outgoing, SendError, SendReceipt, Shared, batch,
    deliver::{deliver, deliver_one_way},
};

/// A message about to be sent; await it.
#[derive(Debug)]
#[must_use = "a message is sent when this is awaited"]
pub struct Sending {
    shared: Arc<Shared>,
    message: Message,
    choice: Choice,
    limit: Option<Duration>,
}

impl Sending {
    pub(super) fn new(shared: Arc<Shared>, message: Message) -> Self {
        Self { shared, message, choice: Choice::Turn, limit: None }
    }

    /// Sends to this queue.
    pub fn to(mut self, queue: MessageQueue) -> Self {
        self.choice = Choice::Queue(queue);
        self
    }

    /// Sends to the queue that all messages of this key go to, as long as the topic's queues stay the same. Java
    /// producers that select by the hash of the same text choose the same queue.
    #[doc(alias = "SelectMessageQueueByHash")]
    pub fn sharded_by(mut self, key: impl fmt::Display) -> Self {
        self.choice = Choice::key(&key.to_string());
        self
    }

    /// Sets how long this send may take, all attempts together **(default: the producer's)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sends without waiting for an answer: fast, and nobody knows whether it was stored.
    pub fn one_way(self) -> OneWay {
        OneWay { sending: self }
    }

    async fn send(self) -> Result<SendReceipt, SendError> {
        let Shared { client, group, options, turn } = &*self.shared;
        let (outgoing, id) = Outgoing::message(&client.core, group, options, self.message)?;
        let effort = self.shared.effort(self.limit);
        let mut receipts = deliver(&client.core, &outgoing, vec![id], &self.choice, turn, effort).await?;
        // One id went in, so one receipt came out.
        Ok(receipts.remove(0))
    }

    async fn send_one_way(self) -> Result<(), SendError> {
        let Shared { client, group, options, turn } = &*self.shared;
        let (outgoing, _) = Outgoing::message(&client.core, group, options, self.message)?;
        let limit = self.limit.unwrap_or(options.send_timeout);
        deliver_one_way(&client.core, &outgoing, &self.choice, turn, limit).await
    }
}

impl IntoFuture for Sending {
    type Output = Result<SendReceipt, SendError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A message about to be sent without an answer; await it.
#[derive(Debug)]
#[must_use = "a message is sent when this is awaited"]
pub struct OneWay {
    sending: Sending,
}

impl IntoFuture for OneWay {
    type Output = Result<(), SendError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.sending.send_one_way())
    }
}

/// Messages about to be sent together; await it.
#[derive(Debug)]
#[must_use = "messages are sent when this is awaited"]
pub struct SendingBatch {
    shared: Arc<Shared>,
    messages: Vec<Message>,
    choice: Choice,
    limit: Option<Duration>,
}

impl SendingBatch {
    pub(super) fn new(shared: Arc<Shared>, messages: Vec<Message>) -> Self {
        Self { shared, messages, choice: Choice::Turn, limit: None }
    }

    /// Sends to this queue.
    pub fn to(mut self, queue: MessageQueue) -> Self {
        self.choice = Choice::Queue(queue);
        self
    }

    /// Sends to the queue of this key, see [`Sending::sharded_by`].
    pub fn sharded_by(mut self, key: impl fmt::Display) -> Self {
        self.choice = Choice::key(&key.to_string());
        self
    }

    /// Sets how long this send may take, all attempts together **(default: the producer's)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    async fn send(self) -> Result<Vec<SendReceipt>, SendError> {
        let Shared { client, group, options, turn } = &*self.shared;
        let (outgoing, ids) = batch::outgoing(&client.core, group, options, &self.messages)?;
        let effort = self.shared.effort(self.limit);
        deliver(&client.core, &outgoing, ids, &self.choice, turn, effort).await
    }
}

impl IntoFuture for SendingBatch {
    type Output = Result<Vec<SendReceipt>, SendError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
