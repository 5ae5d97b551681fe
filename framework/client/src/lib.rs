//! A RocketMQ client that speaks the remoting protocol of every 4.9 and 5.x broker.
//!
//! It stands on its own; the framework is one of its users. Everything starts from a [`Client`]:
//!
//! | to | use |
//! |---|---|
//! | send | [`Client::producer`], then [`Producer::send`], [`Producer::send_all`] or [`Sending::one_way`] |
//! | send later, and take it back | [`Message::delay`], [`Producer::recall`] |
//! | send in a transaction | [`Client::transaction_producer`], then [`TransactionProducer::transaction`] |
//! | ask and reply | [`Producer::request`], [`Client::reply`] |
//! | consume | [`Client::push_consumer`] with a [`Handler`] that gives a [`Verdict`] |
//! | consume at your own pace | [`Client::lite_pull_consumer`], or [`Client::pull_consumer`] for every single pull |
//! | ask the cluster, and change it | [`Client::admin`] |
//!
//! Names are RocketMQ's; searching this documentation for a class of the Java client finds its counterpart.
//!
//! | feature | gives |
//! |---|---|
//! | `metrics` | the histogram `rocketmq_send_cost_time`, as the native clients of 5.x have it, to the recorder of the `metrics` crate that the process installed |
//! | `tls` | encrypted connections, see `Tls` and `ClientBuilder::tls` |
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
mod meter;
mod name_servers;
mod namespace;
mod options;
mod producer;
mod route;
mod routes;
mod trace;

pub use rocketmq_boot_protocol::ResponseCode;
pub use rocketmq_boot_protocol::message::{Message, MessageQueue, MessageView, compress::Compression};
pub use rocketmq_boot_remoting::PeerOptions;
#[cfg(feature = "tls")]
pub use rocketmq_boot_remoting::{Tls, TlsError};

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
    error::{Error, Feature},
    identity::Credentials,
    options::ClientBuilder,
    producer::{
        Attempt, AutoBatch, Awaited, BatchRule, Checker, MessageKind, OneWay, Outcome, Producer,
        ProducerBuilder, Replying, RequestError, Requesting, Resolution, SendError, SendHook, SendReceipt,
        Sending, SendingAll, SendingBatch, SendingTransaction, Shortfall, TransactionProducer,
        TransactionProducerBuilder, TransactionReceipt,
    },
};
