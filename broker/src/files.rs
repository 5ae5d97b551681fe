//! The broker's own files under `config/`, in Apache's shape: each is saved whole, atomically, with the previous
//! generation beside it, and a damaged one is an error, never an empty table.

use std::path::PathBuf;

use parking_lot::Mutex;
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
    // One at a time: savers share the temporary file, and what is newer must be written later.
    saving: Mutex<()>,
}

impl StateFile {
    pub(crate) fn new(store: &Store, name: &str) -> Self {
        Self { path: store.config_dir().join(name), store: store.clone(), saving: Mutex::new(()) }
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

    /// Replaces the file with what `bytes` gives. Of savers at the same time, the last to be asked for its bytes is the
    /// last to write; who locks something in there does not hold that lock while saving.
    ///
    /// # Errors
    /// It could not be written; the old one is still whole.
    pub(crate) fn save(&self, bytes: impl FnOnce() -> Vec<u8>) -> Result<(), SaveError> {
        let _one = self.saving.lock();
        metadata::save(&**self.store.disk(), &self.path, &bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use rocketmq_boot_protocol::Clock;
    use rocketmq_boot_store::disk::{Disk, SimDisk};
    use rocketmq_boot_store::{Options, Store};

    use super::StateFile;

    #[test]
    fn savers_at_the_same_time_all_succeed_and_the_newest_stays() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let (store, _) = Store::open(Options::new("/store"), Clock::manual(0), disk).unwrap();
        let file = StateFile::new(&store, "numbers.json");
        let next = AtomicU32::new(1);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        file.save(|| next.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec()).unwrap();
                    }
                });
            }
        });
        let kept = file.load(|bytes| Ok(bytes.to_vec())).unwrap();
        assert_eq!(kept, 400_u32.to_be_bytes());
    }
}
