//! A RocketMQ name server: which brokers there are, which topics they carry, and a small table of settings.
//!
//! ```no_run
//! use rocketmq_boot_namesrv::{NameServer, Options};
//! use rocketmq_boot_protocol::Clock;
//!
//! let server = NameServer::start(Options::default(), Clock::system())?;
//! println!("name server at {}", server.address());
//! server.stop();
//! # Ok::<(), rocketmq_boot_namesrv::StartError>(())
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `name_server` | [`NameServer`]: start, expiry of silent brokers, stop |
//! | `requests` | every request code that is answered, and how |
//! | [`routes`] | the route table: pure, the time is a parameter |
//! | [`kv_config`] | settings by namespace and key, kept in `kvConfig.json` |
//! | `settings` | the keys of `namesrv.conf` |
//! | [`cli`] | the `mqnamesrv` command |

pub mod cli;
pub mod kv_config;
mod name_server;
mod requests;
pub mod routes;
mod settings;

pub use name_server::{NameServer, Options, StartError};
