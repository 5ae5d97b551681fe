//! What most programs need: `use rocketmq_boot::prelude::*;`.

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use rocketmq_boot_macros::{Properties, component, on_start, rocketmq_listener};
pub use serde::{Deserialize, Serialize};
pub use tracing::{debug, error, info, trace, warn};

pub use crate::{
    App, Component, Error, Json, MessageView, SendError, SendReceipt, Template, Verdict,
    duration::{hours, millis, minutes, secs},
    listener::{Attempt, BatchVerdict, Failure, Keys, Model, Tag},
};
