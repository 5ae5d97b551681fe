//! Consuming: a group, its share of the queues, and one task that pulls for every queue of this member.
//!
//! ```text
//! rebalance -> puller: pull -> window -> dispatch -> handler -> verdict -> settle or send back   (concurrent)
//!                                    \-> line -> handler -> verdict -> settle or wait            (orderly)
//!                                    \-> inbox -> poll -> commit                                 (lite pull)
//! ```
//!
//! The window of a queue bounds what is in memory and knows what may be committed. [`PullConsumer`] stands aside: it
//! is asked for every single pull.

mod allocate;
mod builder;
mod calls;
mod check;
mod dispatch;
mod filter;
mod handler;
mod handling;
mod hook;
mod lane;
mod lite;
mod lock;
mod meters;
mod offsets;
mod offsets_file;
mod options;
mod orderly;
mod pace;
mod poll;
mod pull;
mod pull_consumer;
mod puller;
mod push;
mod queue;
mod rebalance;
mod remote;
mod retry;
mod shared;
mod verdict;
mod window;

pub(crate) use self::shared::Shared;
pub use self::{
    allocate::{
        Allocate, Averagely, AveragelyByCircle, ByConfig, ConsistentHash, Division, MachineRoom,
        MachineRoomNearby, Rooms,
    },
    builder::PushConsumerBuilder,
    filter::Filter,
    handler::Handler,
    hook::{ConsumeHook, Consumption},
    lite::{LitePullConsumer, LitePullConsumerBuilder, Position},
    options::{AssignmentListener, Model, Order, StartFrom},
    pull_consumer::{PullConsumer, PullOutcome, PullResult, Pulling},
    push::{PushConsumer, StopError},
    verdict::{DEAD_LETTER_REASON, Verdict},
};
