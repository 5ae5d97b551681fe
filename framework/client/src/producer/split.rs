//! Many messages in as few requests as they fit in, with a result for each.

use std::{collections::HashMap, future::IntoFuture, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use rocketmq_boot_protocol::{
    message::{Message, MessageQueue, batch::MIN_BYTES},
    topic::RETRY_PREFIX,
};

use super::{
    Awaited, Choice, SendError, SendReceipt, Shared,
    batch::{is_delayed, waits},
};

/// Requests under way at a time when the order of the messages does not matter.
const AT_A_TIME: usize = 4;

/// Allowed for the id that a message gets, and for the separators of its properties.
const STAMP_BYTES: usize = 80;

type Outcome = Result<SendReceipt, SendError>;

/// Messages about to be sent in as few requests as they fit in; await it.
#[derive(Debug)]
#[must_use = "messages are sent when this is awaited"]
pub struct SendingAll {
    shared: Arc<Shared>,
    messages: Vec<Message>,
    choice: Choice,
    limit: Option<Duration>,
    max_count: usize,
    max_bytes: usize,
}

impl SendingAll {
    pub(super) fn new(shared: Arc<Shared>, messages: Vec<Message>) -> Self {
        let max_bytes = shared.options.max_message_bytes.min(1024 * 1024);
        Self { shared, messages, choice: Choice::Turn, limit: None, max_count: 1_000, max_bytes }
    }

    /// Sends everything to this queue.
    pub fn to(mut self, queue: MessageQueue) -> Self {
        self.choice = self.shared.this(queue);
        self
    }

    /// Sends everything to the queue of this key, see [`Sending::sharded_by`](super::Sending::sharded_by).
    pub fn sharded_by(mut self, key: impl std::fmt::Display) -> Self {
        self.choice = Choice::key(&key.to_string());
        self
    }

    /// Sets how many messages one request may hold **(default: 1000)**.
    pub fn max_count(mut self, messages: usize) -> Self {
        self.max_count = messages.max(1);
        self
    }

    /// Sets how many bytes of bodies and properties one request may hold **(default: 1 MiB, never more than the
    /// producer's limit)**. A message that is larger goes alone.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes.min(self.shared.options.max_message_bytes);
        self
    }

    /// Sets how long each request may take, all attempts together **(default: the producer's)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    async fn send(self) -> Vec<Outcome> {
        let mut results: Vec<Option<Outcome>> = Vec::with_capacity(self.messages.len());
        let mut messages = Vec::with_capacity(self.messages.len());
        for (at, mut message) in self.messages.into_iter().enumerate() {
            let refused = self.shared.before(&mut message).err();
            if refused.is_none() {
                messages.push((at, message));
            }
            results.push(refused.map(Err));
        }
        let chunks = split(messages, self.max_count, self.max_bytes);
        let ordered = !self.choice.is_free();
        let (shared, choice, limit) = (&self.shared, &self.choice, self.limit);
        let sends = stream::iter(chunks).map(|chunk| chunk.send(shared, choice, limit));
        let mut sends = sends.buffer_unordered(if ordered { 1 } else { AT_A_TIME });
        while let Some(outcomes) = sends.next().await {
            for (at, outcome) in outcomes {
                results[at] = Some(outcome);
            }
        }
        drop(sends);
        // Every message was refused or lies in one chunk.
        results.into_iter().map(|result| result.unwrap_or(Err(SendError::Closed))).collect()
    }
}

impl IntoFuture for SendingAll {
    type Output = Vec<Outcome>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What goes out in one request; each message with its place in the list.
#[derive(Debug, Default)]
struct Chunk {
    places: Vec<usize>,
    messages: Vec<Message>,
    bytes: usize,
    /// Whether the messages may not be a batch.
    alone: bool,
}

impl Chunk {
    async fn send(
        mut self,
        shared: &Arc<Shared>,
        choice: &Choice,
        limit: Option<Duration>,
    ) -> Vec<(usize, Outcome)> {
        if let [message] = &mut self.messages[..] {
            let message = std::mem::replace(message, Message::new("", ""));
            let sent = match shared.outgoing(message) {
                Ok((outgoing, id)) => shared.deliver_one(&outgoing, id, choice, shared.effort(limit)).await,
                Err(error) => Err(error),
            };
            return self.places.into_iter().zip([sent]).collect();
        }
        let count = self.messages.len();
        let outcomes = spread(shared.send_together(&self.messages, choice, limit).await, count);
        self.places.into_iter().zip(outcomes).collect()
    }
}

/// What became of a request, for each of its messages.
pub(super) fn spread(sent: Result<Vec<SendReceipt>, SendError>, messages: usize) -> Vec<Outcome> {
    match sent {
        Ok(receipts) => receipts.into_iter().map(Ok).collect(),
        Err(SendError::NotDurable { receipt, more, status }) => {
            let one = |receipt| Err(SendError::NotDurable { receipt, more: Vec::new(), status });
            std::iter::once(receipt).chain(more.into_iter().map(Box::new)).map(one).collect()
        }
        Err(error) => vec![Err(error); messages],
    }
}

/// Puts messages together that can be one batch, and keeps their order within a topic.
fn split(messages: Vec<(usize, Message)>, max_count: usize, max_bytes: usize) -> Vec<Chunk> {
    let mut full = Vec::new();
    let mut open: HashMap<(String, bool), Chunk> = HashMap::new();
    for (at, message) in messages {
        let alone = is_delayed(&message) || message.topic.starts_with(RETRY_PREFIX);
        let bytes = size(&message);
        let chunk = open.entry((message.topic.clone(), waits(&message))).or_default();
        let fits = !alone
            && !chunk.alone
            && chunk.messages.len() < max_count
            && chunk.bytes.saturating_add(bytes) <= max_bytes;
        if !fits && !chunk.messages.is_empty() {
            full.push(std::mem::take(chunk));
        }
        chunk.alone = alone;
        chunk.bytes = chunk.bytes.saturating_add(bytes);
        chunk.places.push(at);
        chunk.messages.push(message);
    }
    full.extend(open.into_values());
    // In the order of their first messages, whatever the map made of it.
    full.sort_by_key(|chunk| chunk.places.first().copied());
    full
}

/// Bytes that a message takes in a batch, at most.
pub(super) fn size(message: &Message) -> usize {
    let properties: usize = message.properties.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    message.body.len().saturating_add(properties).saturating_add(MIN_BYTES + STAMP_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(messages: Vec<Message>, max_count: usize, max_bytes: usize) -> Vec<Vec<usize>> {
        let messages = messages.into_iter().enumerate().collect();
        split(messages, max_count, max_bytes).into_iter().map(|chunk| chunk.places).collect()
    }

    #[test]
    fn topics_and_waiting_and_delays_keep_messages_apart() {
        let t = || Message::new("t", "x");
        let messages = vec![
            t(),
            Message::new("u", "x"),
            t(),
            t().property("WAIT", "false"),
            t().delay_level(3),
            t(),
            t(),
        ];
        assert_eq!(places(messages, 10, 10_000), [vec![0, 2], vec![1], vec![3], vec![4], vec![5, 6]]);
    }

    #[test]
    fn count_and_bytes_are_bounded_and_a_giant_goes_alone() {
        let message = |bytes: usize| Message::new("t", vec![0; bytes]);
        assert_eq!(places(vec![message(1); 5], 2, 10_000), [vec![0, 1], vec![2, 3], vec![4]]);
        let all = vec![message(400), message(400), message(5_000), message(1)];
        assert_eq!(places(all, 10, 1_100), [vec![0, 1], vec![2], vec![3]]);
    }

    proptest! {
        #[test]
        fn every_message_is_in_one_chunk_and_keeps_its_order(
            sizes in prop::collection::vec((0_usize..3, 0_usize..900), 0..60), max_count in 1_usize..9,
        ) {
            let messages: Vec<Message> =
                sizes.iter().map(|(topic, bytes)| Message::new(format!("t{topic}"), vec![0; *bytes])).collect();
            let chunks = places(messages.clone(), max_count, 2_000);
            for topic in ["t0", "t1", "t2"] {
                let order: Vec<usize> =
                    chunks.iter().flatten().copied().filter(|at| messages[*at].topic == topic).collect();
                prop_assert!(order.is_sorted());
            }
            let mut all: Vec<usize> = chunks.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..messages.len()).collect::<Vec<_>>());
            prop_assert!(chunks.iter().all(|chunk| chunk.len() <= max_count));
        }
    }
}
