//! Spring Boot and rocketmq-spring for Rust, with the RocketMQ server in the box.
//!
//! ```no_run
//! use rocketmq_boot::prelude::*;
//!
//! #[derive(Serialize, Deserialize, Debug)]
//! struct Order { id: u64, cents: u32 }
//!
//! #[rocketmq_listener(topic = "orders", group = "billing", tag = "placed")]
//! async fn bill(Json(order): Json<Order>, template: Template) -> Result<(), Error> {
//!     template.send("orders:billed", Json(&order)).keys(order.id).await?;
//!     Ok(())
//! }
//!
//! #[rocketmq_boot::main]
//! async fn main() -> App {
//!     App::new()
//! }
//! ```
//!
//! `cargo run` starts a name server and a broker inside of the process, because a debug build has the profile
//! `dev` and no name server is set. With `rocketmq.name-server` in `application.yaml` the same program joins a
//! RocketMQ cluster.
//!
//! # Map
//!
//! | to do                         | look at                                                             |
//! |-------------------------------|---------------------------------------------------------------------|
//! | receive messages              | [`rocketmq_listener`], [`listener`]                                 |
//! | send messages                 | [`Template`]                                                        |
//! | share a value, read settings  | [`component`](macro@component), [`Properties`](derive@Properties), [`Component`] |
//! | do something at start         | [`on_start`]                                                        |
//! | find a setting                | [`configuration`]                                                   |
//! | start and stop in code        | [`App`], [`Running`]                                                |
//! | add a part to every program   | [`auto`]                                                            |
//!
//! # Features
//!
//! | feature  | default | what it brings                                       |
//! |----------|---------|------------------------------------------------------|
//! | `server` | yes     | the bundled name server and broker                   |

// Expansions of the macros name this crate, also inside of it.
extern crate self as rocketmq_boot;

#[doc = include_str!("docs/configuration.md")]
pub mod configuration {}

pub mod prelude;

mod app;
mod error;
mod json;
mod place;
mod program;
mod report;

pub mod auto;
pub mod component;
mod config;
mod context;
pub mod duration;
#[cfg(feature = "server")]
mod embedded;
mod hook;
mod lifecycle;
pub mod listener;
mod table;
pub mod template;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use rocketmq_boot_macros::{Properties, component, main, on_start, rocketmq_listener};

pub use crate::{
    app::App,
    component::Component,
    config::properties::{Binder, Properties},
    error::{Error, ListenerError},
    hook::HookOutcome,
    json::Json,
    lifecycle::Running,
    listener::bridge::Verdict,
    program::IntoApp,
    report::{Problem, StartError},
    template::{
        Template,
        send::{Message, MessageQueue, MessageView, SendError, SendReceipt, Shortfall},
    },
};
