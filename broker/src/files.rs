//! The broker's own files under `config/`, in Apache's shape: each is saved whole, atomically, with the previous
//! generation beside it, and a damaged one is an error, never an empty table.

use std::path::PathBuf;

use rocketmq_boot_protocol::DecodeError;
use rocketmq_boot_store::{Store, metadata};

use crate::error::StartError;

/// Topics.
pub(crate) const TOPICS: &str = "topics.json";
/// Consumer groups.
pub(crate) const SUBSCRIPTION_GROUPS: &str = "subscriptionGroup.json";
/// Committed offsets.
pub(crate) const CONSUMER_OFFSET: &str = "consumerOffset.json";
/// Keys that were changed while the broker ran.
pub(crate) const BROKER_CONFIG: &str = "brokerConfig.properties";
/// How far each delay level has been delivered.
pub(crate) const DELAY_OFFSET: &str = "delayOffset.json";

/// How many timers wait for each topic.
pub(crate) const TIMER_METRICS: &str = "timermetrics";

pub(crate) use metadata::MetadataError as SaveError;

/// One file under `config/`.
#[derive(Debug)]
pub(crate) struct StateFile {
    store: Store,
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(store: &Store, name: &str) -> Self {
        Self { path: store.config_dir().join(name), store: store.clone() }
    }

    /// Reads the file with `read`; a missing file is the default.
    ///
    /// # Errors
    /// Neither the file nor its previous generation can be read.
    pub(crate) fn load<T: Default>(
        &self,
        read: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, StartError> {
        let loaded = metadata::load(&**self.store.disk(), &self.path, read)
            .map_err(|error| StartError::StateFile { path: self.path.clone(), why: error.to_string() })?;
        Ok(loaded.map(|loaded| loaded.value).unwrap_or_default())
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// It could not be written; the old one is still whole.
    pub(crate) fn save(&self, bytes: &[u8]) -> Result<(), SaveError> {
        metadata::save(&**self.store.disk(), &self.path, bytes)
    }
}
