//! Listeners: functions that are called with messages.
//!
//! | file         | what it is                                                            |
//! |--------------|-----------------------------------------------------------------------|
//! | `spec`       | what the attribute says                                               |
//! | `extract`    | arguments: [`FromMessage`], [`FromBatch`]                             |
//! | `outcome`    | return values: [`IntoOutcome`], [`Failure`], [`BatchVerdict`]         |
//! | `plan`       | attributes and configuration become groups; conflicts are found       |
//! | `route`      | from topic and tag to the function                                    |
//! | `dispatch`   | the call: extraction, panics, attempts, verdict                       |
//! | `bridge`     | the client's consumer calls the dispatch                              |

pub(crate) mod bridge;
pub(crate) mod dispatch;
pub(crate) mod extract;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod route;
pub(crate) mod spec;

use std::any::TypeId;

pub use self::{
    extract::{Attempt, BatchRejection, FromBatch, FromMessage, Keys, Rejection, Tag},
    outcome::{BatchVerdict, Failure, IntoBatchOutcome, IntoOutcome, Outcome},
    spec::{Model, Start},
};
pub use crate::context::{Context, FromApp, Requires};

use self::{extract::Call, spec::ListenerSpec};
use crate::place::Place;

/// A listener, as `#[rocketmq_listener]` registers it.
#[doc(hidden)]
#[derive(Debug)]
pub struct ListenerEntry {
    pub name: &'static str,
    pub place: Place,
    pub spec: ListenerSpec,
    pub function: fn() -> TypeId,
    pub requires: fn(&mut Requires),
    pub call: Call,
}

inventory::collect!(ListenerEntry);
