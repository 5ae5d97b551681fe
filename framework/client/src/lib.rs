//! A RocketMQ client that speaks the remoting protocol of every 4.9 and 5.x broker.
//!
//! It stands on its own; the framework is one of its users. Everything starts from a [`Client`]:
//!
//! | to | use |
//! |---|---|
//! | send | [`Client::producer`], then [`Producer::send`] |
//! | consume | [`Client::push_consumer`] with a [`Handler`] that gives a [`Verdict`] |
//! | consume at your own pace | [`Client::lite_pull_consumer`], or [`Client::pull_consumer`] for every single pull |
//! | ask the cluster, and change it | [`Client::admin`] |
//!
//! Names are RocketMQ's; searching this documentation for a class of the Java client finds its counterpart.
//!
//! Reading order: `client` and `core` (what is shared), `routes` and `heartbeat` (what is repeated), `producer`,
//! then `consumer`, where every assigned queue has a task.

mod admin;
mod brokers;
mod client;
mod consumer;
mod core;
mod discovery;
mod error;
mod groups;
mod heartbeat;
mod identity;
mod inbound;
mod liveness;
mod name_servers;
mod options;
mod producer;
mod route;
mod routes;

pub use rocketmq_boot_protocol::message::{Message, MessageQueue, MessageView, compress::Compression};
pub use rocketmq_boot_remoting::PeerOptions;

pub use crate::{
    admin::{Admin, NewGroup, NewTopic, Scope, Search},
    client::Client,
    consumer::{
        Allocate, AssignmentListener, Averagely, AveragelyByCircle, ByConfig, ConsistentHash, ConsumeHook,
        Consumption, DEAD_LETTER_REASON, Division, Filter, Handler, LitePullConsumer,
        LitePullConsumerBuilder, MachineRoom, MachineRoomNearby, Model, Order, Position, PullConsumer,
        PullOutcome, PullResult, Pulling, PushConsumer, PushConsumerBuilder, Rooms, StartFrom, StopError,
        Verdict,
    },
    error::Error,
    options::ClientBuilder,
    producer::{
        Awaited, BatchRule, OneWay, Producer, ProducerBuilder, SendError, SendReceipt, Sending, SendingBatch,
        Shortfall,
    },
};
