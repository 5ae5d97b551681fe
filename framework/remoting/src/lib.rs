//! RocketMQ's remoting transport: commands over TCP.
//!
//! [`Peer`] is the calling side: one address, one connection, many calls in flight. [`Server`] is the answering
//! side: connections dealt to single-threaded shards, which hand all frames of a read to a [`Service`] at once.
//! Both sides may send requests, so a peer answers those of its server through [`Inbound`] and a server calls its
//! clients through [`Connection`].
//!
//! Nothing here knows what a request code means.
//!
//! | feature | gives |
//! |---|---|
//! | `tls` | encrypted peers, through rustls |

mod calls;
mod error;
mod outbox;
mod peer;
mod server;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub use error::Error;
pub use peer::{Inbound, Outbound, Peer, PeerOptions};
pub use server::{Batch, BindError, Connection, SendError, Server, ServerOptions, Service};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
