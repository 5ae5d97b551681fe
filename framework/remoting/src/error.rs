//! Why a call to a peer failed.

use std::{io, sync::Arc, time::Duration};

use rocketmq_boot_protocol::DecodeError;

/// A call or a one-way request that got no answer. Every variant names the other side.
///
/// Cloning is cheap: a lost connection fails all its calls with the same error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made. Nothing was sent, so trying again or elsewhere is safe.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The other side.
        address: Arc<str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// No answer in time. The request may have been carried out.
    #[error("no answer from {address} within {after:?}")]
    Timeout {
        /// The other side.
        address: Arc<str>,
        /// How long the caller was willing to wait.
        after: Duration,
    },
    /// The connection ended before the answer came. The request may have been carried out.
    #[error("the connection to {address} is closed: {reason}")]
    Closed {
        /// The other side.
        address: Arc<str>,
        /// Who closed it and why.
        reason: Arc<str>,
    },
    /// The other side sent bytes that are no command, and the connection was given up.
    #[error("{address} sent what is no command: {source}")]
    Decode {
        /// The other side.
        address: Arc<str>,
        /// What is wrong with the bytes.
        source: DecodeError,
    },
    /// The request is larger than a frame may be. Nothing was sent.
    #[error("a request of {bytes} bytes to {address} is over the limit of {limit}")]
    TooLarge {
        /// The other side.
        address: Arc<str>,
        /// Bytes of the request's frame.
        bytes: usize,
        /// Bytes that a frame may have.
        limit: usize,
    },
    /// Too much waits to be written or answered. Nothing was sent.
    #[error("too many requests to {address} are under way")]
    Overloaded {
        /// The other side.
        address: Arc<str>,
    },
}

impl Error {
    /// The other side's address.
    pub fn address(&self) -> &str {
        match self {
            Self::Connect { address, .. }
            | Self::Timeout { address, .. }
            | Self::Closed { address, .. }
            | Self::Decode { address, .. }
            | Self::TooLarge { address, .. }
            | Self::Overloaded { address } => address,
        }
    }

    pub(crate) fn closed(address: &Arc<str>, reason: impl Into<Arc<str>>) -> Self {
        Self::Closed { address: Arc::clone(address), reason: reason.into() }
    }
}
