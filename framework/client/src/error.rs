//! Why starting something or asking the cluster failed. Failed sends have an error of their own.
//!
//! [`SendError`](crate::SendError) and [`StopError`](crate::StopError) stand beside what raises them.

use std::{fmt, io, path::PathBuf, sync::Arc};

use rocketmq_boot_protocol::{
    DecodeError, ResponseCode,
    message::{MessageQueue, record::RecordError},
    topic::NameError,
};
use rocketmq_boot_remoting as remoting;

use crate::Scope;

/// What only newer brokers can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Delivery after any time or at an instant: 5.0.0. Older brokers would deliver at once.
    Timer,
    /// Taking a delayed message back: 5.3.2.
    Recall,
}

impl Feature {
    /// The first release that has it, as brokers number their releases.
    pub(crate) const fn since(self) -> i32 {
        match self {
            Self::Timer => 413,
            Self::Recall => 477,
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timer => "delivery at any time",
            Self::Recall => "recalling messages",
        })
    }
}

/// A client, producer or consumer that could not start, or a question that the cluster did not answer.
///
/// Cloning is cheap.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list of name servers holds no address. Give one as `host:port;host:port`.
    #[error("the list of name servers is empty")]
    NoNameServer,
    /// None of the name servers answers. Check the addresses, and that one of them runs.
    #[error("no name server answers: {}", tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NameServers {
        /// What each of them did, in the order in which they were asked.
        tried: Arc<[remoting::Error]>,
    },
    /// The web address that the list of name servers lies behind did not give one.
    #[error("no list of name servers from {endpoint}: {reason}")]
    Discovery {
        /// The web address.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// A topic or group whose name RocketMQ does not allow.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No broker carries the topic. Create it, or check its name and the cluster.
    #[error("no broker carries topic `{topic}`")]
    NoRoute {
        /// The topic.
        topic: String,
    },
    /// No master of this name is in any route that the client knows.
    #[error("broker `{broker}` is not known or has no master")]
    UnknownBroker {
        /// The broker's name.
        broker: String,
    },
    /// The other side refused the request.
    #[error("{address} refused to {action}: {code}: {remark}")]
    Refused {
        /// What was asked for.
        action: &'static str,
        /// The server.
        address: String,
        /// Its answer's code.
        code: ResponseCode,
        /// Its reason.
        remark: String,
    },
    /// The request did not reach the other side, or its answer did not come back.
    #[error("could not {action}: {source}")]
    Call {
        /// What was asked for.
        action: &'static str,
        /// What happened on the way.
        source: remoting::Error,
    },
    /// The broker is too old for what was asked.
    #[error("broker {broker} of version {version} does not support {feature}")]
    Unsupported {
        /// What it lacks.
        feature: Feature,
        /// Its address.
        broker: String,
        /// The number that it gives its release: 407 is 4.9.7, 413 is 5.0.0.
        version: i32,
    },
    /// The handle of a recall is none that a broker gives.
    #[error("`{handle}` is no recall handle of topic `{topic}`")]
    RecallHandle {
        /// The topic.
        topic: String,
        /// The handle, shortened.
        handle: String,
    },
    /// A reply was to be sent to a message that does not ask for one.
    #[error("message {message_id} is no request: it does not say who waits for a reply")]
    NotARequest {
        /// The message's id.
        message_id: String,
    },
    /// The answer is not what its code promises.
    #[error("{address} answered what cannot be read: {source}")]
    Answer {
        /// The server.
        address: String,
        /// What is wrong with the answer.
        source: DecodeError,
    },
    /// This client has a consumer, or a producer of transactions, of the group already. Use one with several topics
    /// or kinds, or another client.
    #[error("this client already has a member of group `{group}`")]
    GroupInUse {
        /// The group.
        group: String,
    },
    /// A consumer was started that subscribes to nothing.
    #[error("the consumer of group `{group}` subscribes to no topic")]
    NoSubscription {
        /// The group.
        group: String,
    },
    /// An option holds a value that cannot work.
    #[error("{option} of group `{group}` cannot be {value}")]
    Option {
        /// The group.
        group: String,
        /// The option's name.
        option: &'static str,
        /// What it was set to.
        value: String,
    },
    /// The file with a broadcasting group's offsets, and the copy beside it, cannot be read.
    #[error("offsets in {}: {source}", path.display())]
    OffsetsFile {
        /// The file.
        path: PathBuf,
        /// What the system, or its content, says.
        source: Arc<io::Error>,
    },
    /// Queues were to be assigned to a consumer that subscribes to topics. Do one or the other.
    #[error("the consumer of group `{group}` subscribes to topics, its queues cannot be assigned")]
    Subscribed {
        /// The group.
        group: String,
    },
    /// A consumer whose queues were assigned was to subscribe to a topic. Do one or the other.
    #[error("the queues of the consumer of group `{group}` were assigned, it cannot subscribe")]
    Assigned {
        /// The group.
        group: String,
    },
    /// The queue is not assigned to this consumer, at least not any more.
    #[error("{queue} is not assigned to this consumer")]
    NotAssigned {
        /// The queue.
        queue: MessageQueue,
    },
    /// The queue has no message of this offset.
    #[error("{queue} holds the offsets {min} to {max}, not {offset}")]
    NoSuchOffset {
        /// The queue.
        queue: MessageQueue,
        /// What was asked for.
        offset: i64,
        /// The offset of its oldest message.
        min: i64,
        /// The offset that its next message will have.
        max: i64,
    },
    /// The broker has too much to do at present. Try again in a moment.
    #[error("the broker of {queue} is busy")]
    Busy {
        /// The queue.
        queue: MessageQueue,
    },
    /// The broker sent what is no message.
    #[error("{queue} at {offset}: {source}")]
    Record {
        /// The queue.
        queue: MessageQueue,
        /// The first offset that was asked for.
        offset: i64,
        /// What is wrong with it.
        source: Arc<RecordError>,
    },
    /// No master is where a change was to be made.
    #[error("there is no master in {scope:?}")]
    NoMaster {
        /// Where.
        scope: Scope,
    },
    /// The text is no offset-message id.
    #[error("`{id}` is no offset-message id")]
    MessageId {
        /// The text.
        id: String,
    },
    /// A broker showed a message that cannot be read.
    #[error("{address} showed a message that cannot be read: {reason}")]
    Message {
        /// The broker.
        address: String,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// Whether asking the same again, later, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NameServers { .. } | Self::NoRoute { .. } | Self::UnknownBroker { .. } => true,
            Self::Call { source, .. } => !matches!(source, remoting::Error::TooLarge { .. }),
            Self::Refused { code, .. } => matches!(
                *code,
                ResponseCode::SYSTEM_ERROR
                    | ResponseCode::SYSTEM_BUSY
                    | ResponseCode::SERVICE_NOT_AVAILABLE
                    | ResponseCode::GO_AWAY
            ),
            _ => false,
        }
    }
}
