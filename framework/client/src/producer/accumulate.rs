//! Gathering small messages that are sent at about the same time.
//!
//! A message waits with others of its topic until the batch is full or old enough. Whoever fills a batch sends it;
//! a batch that stays small is sent by the timer that its first message started.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{message::Message, topic::RETRY_PREFIX};
use tokio::{sync::oneshot, time::sleep};

use super::{
    Choice, SendError, SendReceipt, Shared,
    batch::{is_delayed, waits},
    outgoing::check,
    split::{size, spread},
};

/// When gathered messages are sent; for [`ProducerBuilder::auto_batch`](super::ProducerBuilder::auto_batch).
///
/// ```no_run
/// # use std::time::Duration;
/// use rocketmq_boot_client::AutoBatch;
///
/// # async fn example(client: rocketmq_boot_client::Client) -> Result<(), rocketmq_boot_client::Error> {
/// let rules = AutoBatch::default().hold(Duration::from_millis(2)).max_bytes(64 * 1024);
/// let producer = client.producer("shop").auto_batch(rules).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
#[doc(alias = "ProduceAccumulator")]
pub struct AutoBatch {
    hold: Duration,
    max_bytes: usize,
    max_count: usize,
    max_held_bytes: usize,
}

impl Default for AutoBatch {
    fn default() -> Self {
        Self {
            hold: Duration::from_millis(10),
            max_bytes: 32 * 1024,
            max_count: 1_000,
            max_held_bytes: 32 * 1024 * 1024,
        }
    }
}

impl AutoBatch {
    /// Sets how long a message may wait for others **(default: 10 ms)**.
    #[doc(alias = "batchMaxDelayMs")]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Sets at how many bytes a batch is full **(default: 32 KiB)**. Larger messages are sent alone.
    #[doc(alias = "batchMaxBytes")]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets at how many messages a batch is full **(default: 1000)**.
    pub fn max_count(mut self, messages: usize) -> Self {
        self.max_count = messages.max(1);
        self
    }

    /// Sets how many bytes may wait in all batches together; what comes above that is sent alone
    /// **(default: 32 MiB)**.
    #[doc(alias = "totalBatchMaxBytes")]
    pub fn max_held_bytes(mut self, bytes: usize) -> Self {
        self.max_held_bytes = bytes;
        self
    }
}

/// The batches that a producer gathers.
#[derive(Debug)]
pub(super) struct Accumulator {
    rules: AutoBatch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By topic, and by whether the sender waits for the flush.
    batches: HashMap<(String, bool), Gathered>,
    held_bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Gathered {
    /// Tells the batch from those that had its place before.
    number: u64,
    messages: Vec<Message>,
    senders: Vec<oneshot::Sender<Result<SendReceipt, SendError>>>,
    bytes: usize,
}

/// What a message that was added is to be followed by.
enum Next {
    /// Others will see to it.
    Nothing,
    /// The batch is to be sent now.
    Send(Gathered),
    /// The batch with this number is to be sent when its time is up.
    Wait(u64),
}

impl Accumulator {
    pub(super) fn new(rules: AutoBatch) -> Self {
        Self { rules, state: Mutex::default() }
    }

    /// Whether the message is one to gather.
    pub(super) fn takes(&self, message: &Message) -> bool {
        let bytes = size(message);
        !message.body.is_empty()
            && bytes < self.rules.max_bytes
            && !is_delayed(message)
            && !message.topic.starts_with(RETRY_PREFIX)
            && self.state.lock().held_bytes.saturating_add(bytes) <= self.rules.max_held_bytes
    }

    fn add(
        &self,
        key: &(String, bool),
        message: Message,
        sender: oneshot::Sender<Result<SendReceipt, SendError>>,
    ) -> Next {
        let bytes = size(&message);
        let mut state = self.state.lock();
        state.held_bytes += bytes;
        let next = state.next;
        let mut first = false;
        let batch = state.batches.entry(key.clone()).or_insert_with(|| {
            first = true;
            Gathered { number: next, messages: Vec::new(), senders: Vec::new(), bytes: 0 }
        });
        batch.messages.push(message);
        batch.senders.push(sender);
        batch.bytes += bytes;
        if batch.bytes >= self.rules.max_bytes || batch.messages.len() >= self.rules.max_count {
            return state.take(key, None).map_or(Next::Nothing, Next::Send);
        }
        if first {
            state.next += 1;
            return Next::Wait(next);
        }
        Next::Nothing
    }
}

impl State {
    /// Takes a batch out, whichever it is or only the one of this number.
    fn take(&mut self, key: &(String, bool), number: Option<u64>) -> Option<Gathered> {
        let batch = self.batches.get(key)?;
        if number.is_some_and(|number| number != batch.number) {
            return None;
        }
        let batch = self.batches.remove(key)?;
        self.held_bytes = self.held_bytes.saturating_sub(batch.bytes);
        Some(batch)
    }
}

/// Sends a message with others.
pub(super) async fn send(
    shared: &Arc<Shared>,
    message: Message,
    limit: Option<Duration>,
) -> Result<SendReceipt, SendError> {
    let Some(accumulator) = &shared.accumulator else { return Err(SendError::Closed) };
    if shared.client.core.stop.is_cancelled() {
        return Err(SendError::Closed);
    }
    // Checked alone, so that a message that cannot be sent does not spoil its batch.
    check(&shared.client.core, &shared.options, &message)?;
    let topic = message.topic.clone();
    let key = (topic.clone(), waits(&message));
    let (sender, receipt) = oneshot::channel();
    // The batch goes out in a task of its own: it is everybody's, and its first sender may give up.
    match accumulator.add(&key, message, sender) {
        Next::Nothing => {}
        Next::Send(batch) => {
            let task = Arc::clone(shared);
            shared.client.core.spawn(async move { batch.send(&task).await });
        }
        Next::Wait(number) => {
            let (task, hold) = (Arc::clone(shared), accumulator.rules.hold);
            shared.client.core.spawn(async move {
                sleep(hold).await;
                let batch =
                    task.accumulator.as_ref().and_then(|all| all.state.lock().take(&key, Some(number)));
                if let Some(batch) = batch {
                    batch.send(&task).await;
                }
            });
        }
    }
    let limit = limit.unwrap_or(shared.options.send_timeout);
    let patience = limit.saturating_add(accumulator.rules.hold);
    match tokio::time::timeout(patience, receipt).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(SendError::Closed),
        Err(_) => Err(SendError::Timeout { topic, after: limit, attempts: 1 }),
    }
}

impl Gathered {
    async fn send(self, shared: &Shared) {
        let sent = shared.send_together(&self.messages, &Choice::Turn, None).await;
        let outcomes = spread(sent, self.senders.len());
        for (sender, outcome) in self.senders.into_iter().zip(outcomes) {
            // Who gave up waiting does not want to know.
            let _ = sender.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (String, bool) {
        ("t".to_owned(), true)
    }

    fn add(accumulator: &Accumulator, bytes: usize) -> Next {
        accumulator.add(&key(), Message::new("t", vec![0; bytes]), oneshot::channel().0)
    }

    #[test]
    fn the_first_waits_and_the_one_that_fills_the_batch_sends_it() {
        let accumulator = Accumulator::new(AutoBatch::default().max_count(3));
        assert!(matches!(add(&accumulator, 10), Next::Wait(0)));
        assert!(matches!(add(&accumulator, 10), Next::Nothing));
        assert!(matches!(add(&accumulator, 10), Next::Send(batch) if batch.messages.len() == 3));
        assert_eq!(accumulator.state.lock().held_bytes, 0);
        assert!(matches!(add(&accumulator, 10), Next::Wait(1)));
        let mut state = accumulator.state.lock();
        assert!(state.take(&key(), Some(0)).is_none(), "the timer of a batch that is gone finds nothing");
        assert!(state.take(&key(), Some(1)).is_some());
    }

    #[test]
    fn large_delayed_and_surplus_messages_are_left_alone() {
        let accumulator = Accumulator::new(AutoBatch::default().max_bytes(1_000).max_held_bytes(1_500));
        let message = |bytes: usize| Message::new("t", vec![0; bytes]);
        assert!(accumulator.takes(&message(500)));
        assert!(!accumulator.takes(&message(1_000)));
        assert!(!accumulator.takes(&message(0)));
        assert!(!accumulator.takes(&message(10).delay_level(1)));
        assert!(!accumulator.takes(&Message::new("%RETRY%g", "x")));
        for topic in ["a", "b"] {
            let key = (topic.to_owned(), true);
            drop(accumulator.add(&key, message(500), oneshot::channel().0));
        }
        assert!(!accumulator.takes(&message(500)), "too much is held");
    }
}
