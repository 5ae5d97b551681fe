//! Consuming: a handler, a group, and one task for every queue that is assigned to this member.
//!
//! ```text
//! rebalance -> queue task: pull -> window -> dispatch -> handler -> verdict -> settle or send back
//!                              \_________________ flow control ________________________/
//! ```

mod allocate;
mod dispatch;
mod handler;
mod offsets;
mod offsets_file;
mod options;
mod pull;
mod push;
mod queue;
mod rebalance;
mod retry;
mod verdict;
mod window;

pub use self::{
    handler::Handler,
    options::{Model, PushConsumerBuilder, StartFrom},
    push::{PushConsumer, StopError},
    verdict::Verdict,
};
