//! A RocketMQ broker: the lib behind the `mqbroker` binary and the embedded server.
//!
//! It speaks RocketMQ's remoting protocol and keeps messages in Apache's file formats; clients of any language,
//! `mqadmin` and a store directory from Apache's broker work with it. [`Broker::start`] is all there is to call.
//!
//! | where | what |
//! |---|---|
//! | `dispatch` | every request code, and the function that answers it |
//! | `send`, `pull`, `hold` | the hot path: sending, pulling, waiting for messages |
//! | `filter`, `sql` | which messages a pull wants |
//! | `query` | looking for messages by key, by place, by queue |
//! | `retry`, `schedule` | failed messages, delay levels, dead letters |
//! | `timers`, `recall` | messages that come at an instant, and those that are taken back |
//! | `transaction` | half messages, how they end, and asking producers how they did |
//! | `reply`, `relay` | replies to requests, questions that only a client can answer |
//! | `topics`, `groups`, `offsets`, `clients`, `locks` | what the broker knows |
//! | `admin` | what tools and consoles ask for |
//! | `statistics` | what the broker measures of its own work |
//! | `cleaning` | how long messages are kept, and a full disk |
//! | `register` | name servers |
//! | [`config`] | `broker.conf` |
//! | [`cli`] | the command line of `mqbroker` |

mod admin;
mod attributes;
mod broker;
mod cleaning;
pub mod cli;
mod clients;
pub mod config;
mod counters;
mod dispatch;
mod durability;
mod error;
mod files;
mod filter;
mod group_requests;
mod groups;
mod hold;
mod locks;
mod message_type;
mod offset_requests;
mod offsets;
mod properties;
mod pull;
mod query;
mod recall;
mod register;
mod reject;
mod relay;
mod reply;
mod retry;
mod schedule;
mod send;
mod sql;
mod state;
mod statistics;
mod timers;
mod topics;
mod transaction;

pub use broker::Broker;
pub use config::Settings;
pub use counters::Totals;
pub use error::StartError;
