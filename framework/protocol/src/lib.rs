//! RocketMQ's wire protocol, message model and stored-record format.
//!
//! Nothing here touches a socket, a file or a runtime: bytes go in, values come out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`frame`] | where a frame begins and ends |
//! | [`command`] | the request or response inside, in both header encodings |
//! | [`code`] | request and response codes |
//! | [`fields`], [`header`] | typed headers, grouped by flow |
//! | [`body`] | JSON bodies |
//! | [`hot`] | one-pass decoders and writers for sends, pulls and offsets |
//! | [`topic`] | names: what is valid, what is reserved, what derives from a group |
//! | [`message`] | stored records, batches, properties, ids, and messages as applications see them |
//! | [`properties_file`] | configuration files in Java's syntax |
//! | [`clock`] | the two hands of time that servers are handed |

pub mod body;
pub mod clock;
pub mod code;
pub mod command;
pub mod error;
pub mod fields;
pub mod frame;
pub mod header;
pub mod hot;
pub mod message;
pub mod properties_file;
pub mod topic;

pub use clock::Clock;
pub use code::{RequestCode, ResponseCode};
pub use command::{Command, Language};
pub use error::DecodeError;
pub use fields::{Fields, Header};
pub use frame::{Encoding, Frame};
