//! The builders behind [`Producer::send`](super::Producer::send).

use std::{fmt, future::IntoFuture, sync::Arc, time::Duration};

use rocketmq_boot_protocol::message::{Message, MessageQueue};

use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Awaited, Choice, Outgoing, SendError, SendReceipt, Shared, batch,
    deliver::{deliver, deliver_one_way},
    select::Selector,
};

/// A message about to be sent; await it.
#[derive(Debug)]
#[must_use = "a message is sent when this is awaited"]
pub struct Sending {
    pub(super) shared: Arc<Shared>,
    pub(super) message: Message,
    pub(super) choice: Choice,
    pub(super) limit: Option<Duration>,
    retries: Option<u32>,
}

impl Sending {
    pub(super) fn new(shared: Arc<Shared>, message: Message) -> Self {
        Self { shared, message, choice: Choice::Turn, limit: None, retries: None }
    }

    /// Sends to this queue.
    pub fn to(mut self, queue: MessageQueue) -> Self {
        self.choice = self.shared.this(queue);
        self
    }

    /// Sends to the queue that all messages of this key go to, as long as the topic's queues stay the same. Java
    /// producers that select by the hash of the same text choose the same queue.
    #[doc(alias = "SelectMessageQueueByHash")]
    pub fn sharded_by(mut self, key: impl fmt::Display) -> Self {
        self.choice = Choice::key(&key.to_string());
        self
    }

    /// Sends to the queue whose index `select` gives, of all queues that the topic's messages can be sent to. An index
    /// that is none fails the send with [`SendError::NoQueue`].
    ///
    /// ```no_run
    /// # use rocketmq_boot_client::{Message, Producer, SendError};
    /// # async fn example(producer: Producer, order: usize) -> Result<(), SendError> {
    /// producer.send(Message::new("orders", "paid")).to_selected(move |queues| order % queues.len()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "MessageQueueSelector")]
    pub fn to_selected(mut self, select: impl Fn(&[MessageQueue]) -> usize + Send + Sync + 'static) -> Self {
        self.choice = Choice::Select(Selector(Arc::new(select)));
        self
    }

    /// Sets how long this send may take, all attempts together **(default: the producer's)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets how often this send is tried again on another broker **(default: the producer's)**.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sends without waiting for an answer: fast, and nobody knows whether it was stored.
    pub fn one_way(self) -> OneWay {
        OneWay { sending: self }
    }

    async fn send(mut self) -> Result<SendReceipt, SendError> {
        let shared = &*self.shared;
        shared.before(&mut self.message)?;
        if let Some(accumulator) = shared.accumulator.as_ref().filter(|_| self.choice.is_free())
            && accumulator.takes(&self.message)
        {
            return super::accumulate::send(&self.shared, self.message, self.limit).await;
        }
        let (outgoing, id) = shared.outgoing(self.message)?;
        let mut effort = shared.effort(self.limit);
        if let Some(retries) = self.retries {
            effort.attempts = retries.saturating_add(1);
        }
        shared.deliver_one(&outgoing, id, &self.choice, effort).await
    }

    async fn send_one_way(mut self) -> Result<(), SendError> {
        let shared = &*self.shared;
        shared.before(&mut self.message)?;
        let (outgoing, _) = shared.outgoing(self.message)?;
        let limit = self.limit.unwrap_or(shared.options.send_timeout);
        deliver_one_way(&shared.client.core, &outgoing, &self.choice, &shared.turn, limit).await
    }
}

impl Shared {
    /// This very queue, as brokers know its topic.
    pub(super) fn this(&self, mut queue: MessageQueue) -> Choice {
        queue.topic = self.client.core.namespace.wrap_owned(queue.topic);
        Choice::Queue(queue)
    }

    /// Asks the hooks.
    pub(super) fn before(&self, message: &mut Message) -> Result<(), SendError> {
        if self.hooks.is_empty() {
            return Ok(());
        }
        let refused = self.hooks.before(message);
        refused.map_err(|reason| SendError::Refusal { topic: message.topic.clone(), reason })
    }

    pub(super) fn outgoing(&self, message: Message) -> Result<(Outgoing, String), SendError> {
        Outgoing::message(&self.client.core, &self.group, &self.options, message)
    }

    /// Sends one message with all that the producer's options ask for.
    pub(super) async fn deliver_one(
        &self,
        outgoing: &Outgoing,
        message_id: String,
        choice: &Choice,
        effort: super::Effort<'_>,
    ) -> Result<SendReceipt, SendError> {
        let mut receipts = self.deliver(outgoing, vec![message_id], choice, effort).await?;
        // One id went in, so one receipt came out.
        Ok(receipts.remove(0))
    }

    /// [`deliver`], after waiting for room where it is bounded.
    pub(super) async fn deliver(
        &self,
        outgoing: &Outgoing,
        message_ids: Vec<String>,
        choice: &Choice,
        mut effort: super::Effort<'_>,
    ) -> Result<Vec<SendReceipt>, SendError> {
        let core = &self.client.core;
        let _place = match &self.room {
            None => None,
            Some(room) => {
                let before = Instant::now();
                let place = tokio::time::timeout(effort.limit, room.enter(outgoing.body.len())).await;
                let timed_out =
                    || SendError::Timeout { topic: outgoing.topic.clone(), after: effort.limit, attempts: 0 };
                let place = place.map_err(|_| timed_out())?;
                effort.limit = effort.limit.saturating_sub(before.elapsed());
                Some(place)
            }
        };
        let span = tracing::debug_span!(
            "send",
            topic = outgoing.topic,
            group = outgoing.group,
            message_id = message_ids.first().map_or("", String::as_str),
        );
        let delivery = deliver(core, outgoing, message_ids, choice, &self.turn, effort);
        if span.is_disabled() { delivery.await } else { delivery.instrument(span).await }
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
        self.choice = self.shared.this(queue);
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

    async fn send(mut self) -> Result<Vec<SendReceipt>, SendError> {
        let shared = &*self.shared;
        self.messages.iter_mut().try_for_each(|message| shared.before(message))?;
        shared.send_together(&self.messages, &self.choice, self.limit).await
    }
}

impl Shared {
    /// Sends messages in one request.
    pub(super) async fn send_together(
        &self,
        messages: &[Message],
        choice: &Choice,
        limit: Option<Duration>,
    ) -> Result<Vec<SendReceipt>, SendError> {
        let (outgoing, ids) = batch::outgoing(&self.client.core, &self.group, &self.options, messages)?;
        self.deliver(&outgoing, ids, choice, self.effort(limit)).await
    }
}

impl IntoFuture for SendingBatch {
    type Output = Result<Vec<SendReceipt>, SendError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
