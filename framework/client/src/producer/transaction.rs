//! Messages that become visible only when the local transaction beside them commits.
//!
//! A half message goes first; consumers do not see it. Then the application's transaction runs, and its outcome is
//! told to the broker. When the broker hears nothing, for whatever reason, it asks: the checker answers, on this
//! client or on any other of the group.

use std::{collections::HashMap, fmt, future::IntoFuture, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    Command, DecodeError, RequestCode,
    header::transaction::EndTransaction,
    message::{Message, MessageQueue, id::OffsetMessageId, property, sys_flag::Transaction},
};

use super::{
    Awaited, Checker, Choice, Producer, ProducerBuilder, SendError, SendReceipt, Shared, check::Checks,
};
use crate::{
    Error,
    trace::{EndTransactionRecord, Record as TraceRecord},
};

/// The property that says which checker is to be asked.
pub(super) const KIND: &str = "TRANSACTION_KIND";

/// How a local transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "LocalTransactionState")]
pub enum Resolution {
    /// The message becomes visible to consumers.
    Commit,
    /// The message is never delivered.
    Rollback,
    /// Not known yet: the broker asks the checker later.
    #[doc(alias = "UNKNOW")]
    Unknown,
}

impl Resolution {
    /// The bits of the system flag that say so.
    pub(super) fn to_flag(self) -> i32 {
        match self {
            Self::Commit => Transaction::Commit.set(0),
            Self::Rollback => Transaction::Rollback.set(0),
            Self::Unknown => Transaction::None.set(0),
        }
    }

    /// Java's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT_MESSAGE",
            Self::Rollback => "ROLLBACK_MESSAGE",
            Self::Unknown => "UNKNOW",
        }
    }
}

/// Starts a [`TransactionProducer`]; await it.
#[must_use = "a producer starts when its builder is awaited"]
pub struct TransactionProducerBuilder {
    producer: ProducerBuilder,
    by_kind: HashMap<String, Arc<dyn Checker>>,
}

impl fmt::Debug for TransactionProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionProducerBuilder").field("producer", &self.producer).finish_non_exhaustive()
    }
}

impl TransactionProducerBuilder {
    pub(crate) fn new(producer: ProducerBuilder, checker: Arc<dyn Checker>) -> Self {
        Self { producer, by_kind: HashMap::from([(String::new(), checker)]) }
    }

    /// Sets what answers for the transactions of one kind, see [`SendingTransaction::kind`].
    pub fn checker_of(mut self, kind: impl Into<String>, checker: impl Checker) -> Self {
        self.by_kind.insert(kind.into(), Arc::new(checker));
        self
    }

    /// Changes how the producer sends: timeouts, retries, hooks, trace.
    pub fn with(mut self, change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Self {
        self.producer = change(self.producer);
        self
    }

    async fn start(self) -> Result<TransactionProducer, Error> {
        let producer = self.producer.start().await?;
        let shared = &producer.shared;
        let checks = Arc::new(Checks::new(self.by_kind, shared.tracer.clone()));
        let enrolled = shared.client.core.groups.add_checks(&shared.group, &checks);
        if !enrolled {
            return Err(Error::GroupInUse { group: shared.group.clone() });
        }
        let checks = Enrolled { producer: producer.clone(), checks };
        Ok(TransactionProducer { producer, _checks: Arc::new(checks) })
    }
}

impl IntoFuture for TransactionProducerBuilder {
    type Output = Result<TransactionProducer, Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// Takes the checkers away with the last handle.
#[derive(Debug)]
struct Enrolled {
    producer: Producer,
    checks: Arc<Checks>,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let shared = &self.producer.shared;
        shared.client.core.groups.remove_checks(&shared.group, &self.checks);
    }
}

/// Sends messages in transactions; made by [`Client::transaction_producer`](crate::Client::transaction_producer).
///
/// Clones are cheap and share everything. As long as one of them lives, the checkers answer.
#[derive(Debug, Clone)]
#[doc(alias = "TransactionMQProducer")]
pub struct TransactionProducer {
    producer: Producer,
    _checks: Arc<Enrolled>,
}

impl TransactionProducer {
    /// The producer, for messages without a transaction.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// A message about to be sent in a transaction; go on with [`SendingTransaction::run`].
    #[doc(alias = "sendMessageInTransaction")]
    pub fn transaction(&self, message: Message) -> SendingTransaction {
        SendingTransaction {
            shared: Arc::clone(&self.producer.shared),
            message,
            choice: Choice::Turn,
            limit: None,
        }
    }
}

/// A message about to be sent in a transaction.
#[derive(Debug)]
#[must_use = "nothing is sent before `run` is awaited"]
pub struct SendingTransaction {
    shared: Arc<Shared>,
    message: Message,
    choice: Choice,
    limit: Option<Duration>,
}

/// What became of a message in a transaction.
#[derive(Debug, Clone)]
#[doc(alias = "TransactionSendResult")]
#[non_exhaustive]
pub struct TransactionReceipt {
    /// The half message: its ids, and where it waits for its end. The message that consumers see has the same
    /// [`SendReceipt::message_id`], but a place of its own.
    pub half: SendReceipt,
    /// How the local transaction ended.
    pub resolution: Resolution,
    /// Why the broker has not confirmed that it knows how the transaction ended; it will ask the checker.
    /// `None` when it has, and for [`Resolution::Unknown`].
    pub unconfirmed: Option<Error>,
}

impl SendingTransaction {
    /// Marks the transaction as one of a kind that has a checker of its own. The kind travels with the message as
    /// its property `TRANSACTION_KIND`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.message.properties.insert(KIND.to_owned(), kind.into());
        self
    }

    /// Sets how long the broker waits before it asks the checker for the first time, whole seconds **(default: the
    /// broker's, 6 s)**. An outcome that is told later than this is not taken any more; the checker decides.
    #[doc(alias = "CHECK_IMMUNITY_TIME_IN_SECONDS")]
    pub fn immunity(mut self, time: Duration) -> Self {
        let seconds = time.as_secs().max(1).to_string();
        self.message.properties.insert(property::CHECK_IMMUNITY_TIME_IN_SECONDS.to_owned(), seconds);
        self
    }

    /// Sends to this queue once the transaction is committed.
    pub fn to(mut self, queue: MessageQueue) -> Self {
        self.choice = self.shared.this(queue);
        self
    }

    /// Sends to the queue of this key, see [`Sending::sharded_by`](super::Sending::sharded_by).
    pub fn sharded_by(mut self, key: impl fmt::Display) -> Self {
        self.choice = Choice::key(&key.to_string());
        self
    }

    /// Sets how long sending the half message may take, and telling its end **(default: the producer's)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sends the half message, runs the local transaction, and tells the broker how it ended.
    ///
    /// The local transaction is given the half message's receipt and should store its id together with its own work,
    /// so that a checker can find out later. It does not run when the half message could not be stored as asked.
    /// When this future is dropped, or the transaction panics, the broker asks the checker.
    ///
    /// # Errors
    /// [`SendError`]: the half message was not sent, or [`SendError::NotDurable`], after which it is rolled back. The
    /// local transaction has not run.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use rocketmq_boot_client::{Client, Message, MessageView, Resolution, SendReceipt};
    ///
    /// # async fn store(id: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn is_stored(id: &str) -> bool { true }
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let check = |message: MessageView| async move {
    ///     if is_stored(&message.message_id).await { Resolution::Commit } else { Resolution::Rollback }
    /// };
    /// let producer = client.transaction_producer("shop", check).await?;
    /// let order = Message::new("orders", "4711").tag("placed");
    /// let receipt = producer
    ///     .transaction(order)
    ///     .run(|half: SendReceipt| async move {
    ///         match store(&half.message_id).await {
    ///             Ok(()) => Resolution::Commit,
    ///             Err(_) => Resolution::Rollback,
    ///         }
    ///     })
    ///     .await?;
    /// println!("{:?}", receipt.resolution);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<F, R>(mut self, local: F) -> Result<TransactionReceipt, SendError>
    where
        F: FnOnce(SendReceipt) -> R,
        R: Future<Output = Resolution>,
    {
        let shared = &*self.shared;
        shared.before(&mut self.message)?;
        let properties = &mut self.message.properties;
        // A half message is not delayed: its delay would begin with the half.
        properties.remove(property::DELAY);
        properties.insert(property::TRAN_MSG.to_owned(), "true".to_owned());
        properties.insert(property::PGROUP.to_owned(), shared.group.clone());
        let (mut outgoing, id) = shared.outgoing(self.message)?;
        outgoing.sys_flag = Transaction::Prepared.set(outgoing.sys_flag);
        let half = shared.deliver_one(&outgoing, id, &self.choice, shared.effort(self.limit)).await;
        let limit = self.limit.unwrap_or(shared.options.send_timeout);
        let half = match half {
            Ok(half) => half,
            Err(error) => {
                if let SendError::NotDurable { receipt, .. } = &error {
                    // It may be lost with its broker, so nothing may be built on it.
                    let end = End {
                        shared,
                        topic: &outgoing.topic,
                        half: receipt,
                        resolution: Resolution::Rollback,
                    };
                    if let Err(error) = end.tell(limit).await {
                        tracing::debug!(%error, "half message could not be rolled back; it will be checked");
                    }
                }
                return Err(error);
            }
        };
        let resolution = local(half.clone()).await;
        let end = End { shared, topic: &outgoing.topic, half: &half, resolution };
        let unconfirmed = end.tell(limit).await.err();
        end.trace(&outgoing.properties);
        if let Some(error) = &unconfirmed {
            tracing::warn!(
                topic = outgoing.topic,
                message_id = half.message_id,
                ?resolution,
                %error,
                "broker did not confirm the end of a transaction and will ask the checker"
            );
        }
        Ok(TransactionReceipt { half, resolution, unconfirmed })
    }
}

/// The end of a transaction that this producer began.
struct End<'a> {
    shared: &'a Shared,
    topic: &'a str,
    half: &'a SendReceipt,
    resolution: Resolution,
}

impl End<'_> {
    /// Tells the broker, and waits for it to say that it has heard, unless there is nothing to confirm.
    async fn tell(&self, limit: Duration) -> Result<(), Error> {
        const ACTION: &str = "end a transaction";
        let core = &self.shared.client.core;
        let broker = &self.half.queue.broker_name;
        let peer = core.master(broker)?;
        let place: Option<OffsetMessageId> = self.half.offset_message_id.parse().ok();
        let commit_log_offset = place.and_then(|place| i64::try_from(place.physical_offset).ok());
        let header = EndTransaction {
            topic: Some(self.topic.to_owned()),
            producer_group: self.shared.group.clone(),
            tran_state_table_offset: self.half.queue_offset,
            commit_log_offset: commit_log_offset.ok_or_else(|| Error::Answer {
                address: peer.address().to_owned(),
                source: DecodeError::wrong_type(
                    "msgId",
                    "an offset message id",
                    &self.half.offset_message_id,
                ),
            })?,
            commit_or_rollback: self.resolution.to_flag(),
            from_transaction_check: false,
            message_id: self.half.message_id.clone(),
            transaction_id: Some(self.half.message_id.clone()),
            broker_name: Some(broker.clone()),
        };
        let request = Command::request(RequestCode::END_TRANSACTION, &header);
        let failed = |source| Error::Call { action: ACTION, source };
        if self.resolution == Resolution::Unknown {
            // Brokers answer nothing to that.
            return peer.one_way(request).await.map_err(failed);
        }
        let answer = peer.call(request, limit).await.map_err(failed)?;
        crate::core::accept(&peer, ACTION, answer).map(drop)
    }

    fn trace(&self, properties: &str) {
        let Some(tracer) = &self.shared.tracer else { return };
        let core = &self.shared.client.core;
        let broker = core.brokers.master(&self.half.queue.broker_name);
        tracer.record(TraceRecord::EndTransaction(EndTransactionRecord {
            timestamp: core.options.clock.now_ms(),
            region: None,
            topic: self.half.queue.topic.clone(),
            message_id: self.half.message_id.clone(),
            tags: property::get(properties, property::TAGS).map(ToOwned::to_owned),
            keys: property::get(properties, property::KEYS).map(ToOwned::to_owned),
            store_host: broker.map(|peer| peer.address().to_owned()).unwrap_or_default(),
            transaction_id: self.half.message_id.clone(),
            state: self.resolution.name(),
            from_check: false,
        }));
    }
}
