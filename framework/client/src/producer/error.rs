//! Why a message was not sent, or not as surely as asked.

use std::time::Duration;

use rocketmq_boot_protocol::{
    DecodeError, ResponseCode,
    message::{MessageError, batch::BatchError},
    topic::NameError,
};
use rocketmq_boot_remoting as remoting;

use super::receipt::{SendReceipt, Shortfall};
use crate::{Error, Feature};

/// A send that did not end with a message stored as it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The topic's name is not allowed. Nothing was sent.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The topic belongs to RocketMQ itself. Nothing was sent.
    #[error("topic `{topic}` belongs to RocketMQ and takes no messages from applications")]
    Reserved {
        /// The topic.
        topic: String,
    },
    /// RocketMQ has no messages without a body. Nothing was sent.
    #[error("the message to `{topic}` has no body")]
    Empty {
        /// The topic.
        topic: String,
    },
    /// The message could not be built: its body, its destination or one of its headers is wrong. Nothing was sent.
    #[error("the message to `{topic}` cannot be built: {reason}")]
    Unbuilt {
        /// The destination.
        topic: String,
        /// What is wrong, and what to do instead.
        reason: String,
    },
    /// The properties cannot be sent, for one they hold a byte that separates properties. Nothing was sent.
    #[error("the message to `{topic}` cannot be sent: {source}")]
    Message {
        /// The topic.
        topic: String,
        /// What is wrong with the properties.
        source: MessageError,
    },
    /// The body is over the producer's limit, which should be the broker's. Nothing was sent.
    #[error("{bytes} bytes to `{topic}` are more than the limit of {limit}")]
    TooLarge {
        /// The topic.
        topic: String,
        /// Bytes of the body, of all of them for a batch.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The messages cannot be one batch. Nothing was sent.
    #[error("the messages cannot be one batch: {0}")]
    Batch(#[from] BatchRule),
    /// A hook of the producer refused the message. Nothing was sent.
    #[error("a hook refused the message to `{topic}`: {reason}")]
    Refusal {
        /// The topic.
        topic: String,
        /// What the hook said.
        reason: String,
    },
    /// The broker is too old for what the message asks for, and would have ignored it. Nothing was sent.
    #[error(
        "broker {broker} of version {version} does not support {feature}, which the message to `{topic}` needs"
    )]
    Unsupported {
        /// The topic.
        topic: String,
        /// What it lacks.
        feature: Feature,
        /// Its address.
        broker: String,
        /// The number that it gives its release: 407 is 4.9.7, 413 is 5.0.0.
        version: i32,
    },
    /// No broker takes messages of the topic, or none is known. Nothing was sent.
    #[error("no route to topic `{topic}`: {source}")]
    NoRoute {
        /// The topic.
        topic: String,
        /// Why there is none.
        source: Error,
    },
    /// A route exists, but no queue that can be written, or not the one that was asked for. Nothing was sent.
    #[error("topic `{topic}` has no queue to send to{}", queue.as_ref().map(|queue| format!(" like {queue}")).unwrap_or_default())]
    NoQueue {
        /// The topic.
        topic: String,
        /// The queue that was asked for.
        queue: Option<rocketmq_boot_protocol::message::MessageQueue>,
    },
    /// No broker answered within the limit. The message may have been stored.
    #[error("no answer to a send to `{topic}` within {after:?}, {attempts} attempts")]
    Timeout {
        /// The topic.
        topic: String,
        /// The limit of the whole send.
        after: Duration,
        /// How many brokers were tried.
        attempts: u32,
    },
    /// The last connection that was tried failed. Unless it could not be made, the message may have been stored.
    #[error("sending to `{topic}` failed after {attempts} attempts: {source}")]
    Transport {
        /// The topic.
        topic: String,
        /// How many brokers were tried.
        attempts: u32,
        /// What happened to the last attempt.
        source: remoting::Error,
    },
    /// The broker did not take the message.
    #[error("{broker} refused a message to `{topic}` after {attempts} attempts: {code}: {remark}")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's address.
        broker: String,
        /// Its answer's code.
        code: ResponseCode,
        /// Its reason.
        remark: String,
        /// How many brokers were tried.
        attempts: u32,
    },
    /// The message is stored, but not flushed or replicated as the broker was configured to.
    #[error("the message to {} is stored but {status}", receipt.queue)]
    NotDurable {
        /// Where it lies; the first message of a batch.
        receipt: Box<SendReceipt>,
        /// The other messages of a batch.
        more: Vec<SendReceipt>,
        /// What is missing.
        status: Shortfall,
    },
    /// The broker answered what is no answer to a send. The message is probably stored.
    #[error("{broker} answered a send with what cannot be read: {source}")]
    Answer {
        /// The broker's address.
        broker: String,
        /// What is wrong with the answer.
        source: DecodeError,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl SendError {
    /// Whether sending the same message again, later, may succeed.
    ///
    /// It is no promise that the message was not stored: after a timeout or a lost connection it may have been.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoRoute { source, .. } => source.is_retryable(),
            Self::Timeout { .. } | Self::NoQueue { queue: None, .. } => true,
            Self::Transport { source, .. } => !matches!(source, remoting::Error::TooLarge { .. }),
            Self::Refused { code, .. } => super::deliver::TRY_ANOTHER.contains(code),
            _ => false,
        }
    }
}

/// What messages must have in common to be one batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchRule {
    /// At least one message.
    #[error("there are none")]
    Empty,
    /// One topic.
    #[error("they go to `{first}` and `{other}`")]
    Topics {
        /// The first message's.
        first: String,
        /// Another one's.
        other: String,
    },
    /// Either all wait for the broker's flush or none does.
    #[error("some wait for the flush and some do not")]
    Wait,
    /// None is delayed.
    #[error("one of them is delayed")]
    Delayed,
    /// None goes to a retry topic.
    #[error("`{topic}` is a retry topic")]
    Retry {
        /// The topic.
        topic: String,
    },
    /// Each fits the batch's own length fields.
    #[error(transparent)]
    Layout(#[from] BatchError),
}
