//! Stand-in until the client crate is there.
#![allow(missing_docs, reason = "stand-in")]

use std::time::Duration;

pub use crate::template::send::{Message, MessageQueue, MessageView, SendError, SendReceipt, Shortfall};

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    Done,
    Retry,
    RetryAfter(Duration),
    RetryLevel(i32),
    DeadLetter(String),
    Drop,
}

impl Verdict {
    pub fn done() -> Self {
        Self::Done
    }
    pub fn retry() -> Self {
        Self::Retry
    }
    pub fn retry_after(after: Duration) -> Self {
        Self::RetryAfter(after)
    }
    pub fn dead_letter(reason: impl Into<String>) -> Self {
        Self::DeadLetter(reason.into())
    }
    pub fn drop() -> Self {
        Self::Drop
    }
}
