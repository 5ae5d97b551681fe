//! What an application wants to see, or change, of every send.

use std::{fmt, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    message::{Message, MessageQueue, property, sys_flag},
};
use rocketmq_boot_remoting as remoting;

use super::{Outgoing, receipt::Shortfall};

/// Sees every message before it is sent, and every attempt after it.
///
/// Hooks are called in the order in which they were added before a send, and in the opposite order after it. They
/// run on the sender's task, so they should be quick.
///
/// # Examples
///
/// ```no_run
/// use rocketmq_boot_client::{Attempt, Client, Message, SendHook};
///
/// struct Tenant(&'static str);
///
/// impl SendHook for Tenant {
///     fn before(&self, message: &mut Message) -> Result<(), String> {
///         message.properties.insert("tenant".to_owned(), self.0.to_owned());
///         Ok(())
///     }
///
///     fn after(&self, attempt: &Attempt<'_>) {
///         println!("{} to {} took {:?}: {:?}", attempt.topic, attempt.broker, attempt.took, attempt.outcome);
///     }
/// }
///
/// # async fn example(client: Client) -> Result<(), rocketmq_boot_client::Error> {
/// let producer = client.producer("shop").hook(Tenant("acme")).await?;
/// # Ok(())
/// # }
/// ```
#[doc(alias = "SendMessageHook")]
#[doc(alias = "CheckForbiddenHook")]
pub trait SendHook: Send + Sync + 'static {
    /// May change a message before it is checked and sent, or refuse it by saying why.
    ///
    /// # Errors
    /// The reason, which becomes [`SendError::Refusal`](crate::SendError::Refusal).
    fn before(&self, message: &mut Message) -> Result<(), String> {
        let _ = message;
        Ok(())
    }

    /// Told of every attempt to send, successful or not. A one-way send has none.
    fn after(&self, attempt: &Attempt<'_>) {
        let _ = attempt;
    }
}

/// What kind of message was sent, numbered as traces number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "MessageType")]
#[non_exhaustive]
pub enum MessageKind {
    /// Delivered at once.
    Normal,
    /// The half message of a transaction.
    Half,
    /// Delivered later.
    Delayed,
}

/// One attempt to send a message, or a batch.
#[derive(Debug, Clone, Copy)]
#[doc(alias = "SendMessageContext")]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The producer's group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The message's id; for a batch, one of each message.
    pub message_ids: &'a [String],
    /// Bytes that were sent as the body, compressed if it was.
    pub body_bytes: usize,
    /// The queue that was chosen.
    pub queue: &'a MessageQueue,
    /// The broker's address.
    pub broker: &'a str,
    /// When the message was made, in ms since 1970.
    pub born_timestamp: i64,
    /// How long the attempt took.
    pub took: Duration,
    /// What became of it.
    pub outcome: Outcome<'a>,
    outgoing: &'a Outgoing,
    answer: Option<&'a Command>,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// The broker stored it.
    Stored {
        /// Where; for a batch, the ids are joined by commas.
        offset_message_id: &'a str,
        /// What is missing from its durability.
        shortfall: Option<Shortfall>,
    },
    /// The broker did not take it.
    Refused {
        /// The answer's code.
        code: ResponseCode,
        /// The broker's reason.
        remark: &'a str,
    },
    /// No answer came.
    Failed(&'a remoting::Error),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        outgoing: &'a Outgoing,
        message_ids: &'a [String],
        queue: &'a MessageQueue,
        broker: &'a str,
        took: Duration,
        answer: &'a Result<Command, remoting::Error>,
    ) -> Self {
        let outcome = match answer {
            Err(error) => Outcome::Failed(error),
            Ok(answer) => {
                let (code, shortfall) = (answer.response_code(), Shortfall::of(answer.response_code()));
                if code == ResponseCode::SUCCESS || shortfall.is_some() {
                    let offset_message_id = answer.fields.get("msgId").unwrap_or_default();
                    Outcome::Stored { offset_message_id, shortfall }
                } else {
                    Outcome::Refused { code, remark: answer.remark.as_deref().unwrap_or_default() }
                }
            }
        };
        Self {
            group: &outgoing.group,
            topic: &outgoing.topic,
            message_ids,
            body_bytes: outgoing.body.len(),
            queue,
            broker,
            born_timestamp: outgoing.born_timestamp,
            took,
            outcome,
            outgoing,
            answer: answer.as_ref().ok(),
        }
    }

    /// A property of the message; a batch has none of its messages'.
    pub fn property(&self, key: &str) -> Option<&'a str> {
        property::get(&self.outgoing.properties, key)
    }

    /// The kind of message.
    pub fn kind(&self) -> MessageKind {
        const DELAYS: [&str; 4] = [
            property::DELAY,
            property::TIMER_DELAY_SEC,
            property::TIMER_DELAY_MS,
            property::TIMER_DELIVER_MS,
        ];
        if sys_flag::Transaction::of(self.outgoing.sys_flag) == sys_flag::Transaction::Prepared {
            MessageKind::Half
        } else if DELAYS.iter().any(|key| self.property(key).is_some()) {
            MessageKind::Delayed
        } else {
            MessageKind::Normal
        }
    }

    /// Whether it was a batch.
    pub fn is_batch(&self) -> bool {
        self.outgoing.code == RequestCode::SEND_BATCH_MESSAGE
    }

    /// The broker's region, when it wants this message traced.
    pub(crate) fn trace_region(&self) -> Option<&'a str> {
        let fields = &self.answer?.fields;
        let on = fields.get("TRACE_ON").is_none_or(|on| !on.eq_ignore_ascii_case("false"));
        fields.get("MSG_REGION").filter(|_| on)
    }
}

/// A producer's hooks, in their order.
#[derive(Default, Clone)]
pub(super) struct Hooks(pub(super) Vec<std::sync::Arc<dyn SendHook>>);

impl Hooks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn before(&self, message: &mut Message) -> Result<(), String> {
        self.0.iter().try_for_each(|hook| hook.before(message))
    }

    pub(super) fn after(&self, attempt: &Attempt<'_>) {
        self.0.iter().rev().for_each(|hook| hook.after(attempt));
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hooks({})", self.0.len())
    }
}
