//! Why starting something or asking the cluster failed. Failed sends have an error of their own.
//!
//! [`SendError`](crate::SendError) and [`StopError`](crate::StopError) stand beside what raises them.

use std::{io, path::PathBuf, sync::Arc};

use rocketmq_boot_protocol::{DecodeError, ResponseCode, topic::NameError};
use rocketmq_boot_remoting as remoting;

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
    /// The answer is not what its code promises.
    #[error("{address} answered what cannot be read: {source}")]
    Answer {
        /// The server.
        address: String,
        /// What is wrong with the answer.
        source: DecodeError,
    },
    /// This client has a consumer of the group already. Use one consumer with several topics, or another client.
    #[error("this client already has a consumer of group `{group}`")]
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
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}
