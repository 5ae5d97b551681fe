//! JSON bodies, as fastjson writes them: members sorted by name, absent ones left out.
//!
//! Two things are not JSON: maps with numeric keys are written `{0:"a"}`, and maps keyed by queues
//! write the key as an object. [`mod@lenient`] turns both into JSON before serde reads them; [`dialect`] writes them.

pub mod config;
pub mod connection;
pub mod dialect;
pub mod group;
mod kept;
pub mod lenient;
pub mod offset;
pub mod progress;
pub mod query;
pub mod registration;
pub mod relay;
pub mod route;
pub mod running;
pub mod stats;

pub use config::{DataVersion, SubscriptionGroupConfig, TopicConfig};
pub use dialect::{Dialect, IdMap, QueueMap};
pub use group::{
    ConsumeFromWhere, ConsumeType, ConsumerData, Heartbeat, MessageModel, ProducerData, QueueRef,
    SubscriptionData,
};
pub use kept::More;
pub use offset::{ConsumerOffsets, QueueOffsets};
pub use route::{
    BrokerData, BrokerMemberGroup, BrokerMembers, ClusterInfo, KvTable, QueueData, TopicList, TopicRoute,
};
