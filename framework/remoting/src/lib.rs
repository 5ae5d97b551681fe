//! RocketMQ's remoting transport: commands over TCP.
//!
//! [`Peer`] is the calling side: one address, one connection, many calls in flight. Both sides may send requests,
//! so a peer answers the requests of its server through [`Inbound`].
//!
//! Nothing here knows what a request code means.

mod calls;
mod error;
mod outbox;
mod peer;

pub use error::Error;
pub use peer::{Inbound, Peer, PeerOptions};
