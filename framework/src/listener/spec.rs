//! What a listener declares about itself.

use std::fmt;

/// Who receives a message within a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Model {
    /// One member of the group does.
    #[default]
    Clustering,
    /// Every member does; nothing is retried.
    Broadcasting,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clustering => "clustering",
            Self::Broadcasting => "broadcasting",
        })
    }
}

/// Where a group begins that has never consumed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// At the end of each queue: with what is sent from now on.
    #[default]
    Last,
    /// At the beginning of each queue.
    First,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Last => "last",
            Self::First => "first",
        })
    }
}

/// The attribute of a listener; what is absent has its default or is set by the configuration.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct ListenerSpec {
    pub id: Option<&'static str>,
    pub topic: &'static str,
    pub group: &'static str,
    pub tag: Option<&'static str>,
    pub cluster: Option<&'static str>,
    pub model: Option<Model>,
    pub start: Option<Start>,
    pub concurrency: Option<u32>,
    pub max_attempts: Option<u32>,
    pub pull_batch: Option<u32>,
    pub batch: Option<u32>,
}
