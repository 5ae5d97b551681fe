//! RocketMQ's wire protocol, message model and stored-record format.
//!
//! Nothing here touches a socket, a file or a runtime: bytes go in, values come out.

pub mod clock;

pub use clock::Clock;
