//! RocketMQ's remoting transport: commands over TCP.
//!
//! [`Peer`] is the calling side: one address, one connection, many calls in flight. [`Server`] is the answering
//! side: connections dealt to single-threaded shards, which hand all frames of a read to a [`Service`] at once.
//! Both sides may send requests, so a peer answers those of its server through [`Inbound`] and a server calls its
//! clients through [`Connection`].
//!
//! Nothing here knows what a request code means.

mod calls;
mod error;
mod outbox;
mod peer;
mod server;

pub use error::Error;
pub use peer::{Inbound, Outbound, Peer, PeerOptions};
pub use server::{Batch, BindError, Connection, SendError, Server, ServerOptions, Service};
