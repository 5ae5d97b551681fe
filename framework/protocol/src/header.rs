//! Typed headers, grouped by flow: request and reply stand together.
//!
//! Names are RocketMQ's without its `RequestHeader` and `ResponseHeader` endings.

pub mod broker;
pub mod group;
pub mod offset;
pub mod progress;
pub mod pull;
pub mod query;
pub mod recall;
pub mod relay;
pub mod reply;
pub mod route;
pub mod send;
pub mod stats;
pub mod topic;
pub mod transaction;
