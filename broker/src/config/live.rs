//! The settings of a broker that runs. Some keys can be changed meanwhile; everybody who reads a setting afterwards sees
//! the new value, and `config/brokerConfig.properties` has it after a restart.

use std::{
    ops::Deref,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{body::DataVersion, properties_file::Properties};

use super::{Settings, keys};
use crate::{
    error::StartError,
    files::{self, StateFile},
    reject::Reject,
};

/// Changes between two restarts at most. Each keeps its settings for good, because requests may still read them.
const MAX_CHANGES: usize = 1_024;

/// The settings that hold now.
#[derive(Debug)]
pub(crate) struct Live {
    generations: Box<[OnceLock<Box<Settings>>]>,
    current: AtomicUsize,
    changes: Mutex<Changes>,
    file: StateFile,
}

#[derive(Debug)]
struct Changes {
    /// The keys that were changed, with their values, in the order of their first change.
    entries: Vec<(String, String)>,
    version: DataVersion,
}

impl Deref for Live {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        let current = self.current.load(Ordering::Acquire);
        self.generations[current].get().expect("a generation is there before it is the current one")
    }
}

impl Live {
    /// The settings that a broker was started with, with the changes that were made while it last ran.
    pub(crate) fn load(mut settings: Settings, file: StateFile, now_ms: i64) -> Result<Self, StartError> {
        let text: String = file.load(|bytes| Ok(String::from_utf8_lossy(bytes).into_owned()))?;
        let kept = Properties::parse(text.as_bytes())
            .map_err(|error| StartError::Config(format!("{}: {error}", files::BROKER_CONFIG)))?;
        let mut entries = Vec::new();
        for entry in kept.entries() {
            let value = entry.value.trim();
            match keys::change(&mut settings, &entry.key, value) {
                Ok(()) => {
                    tracing::warn!(
                        key = entry.key,
                        value,
                        "as it was set over the wire, whatever broker.conf says"
                    );
                    entries.push((entry.key.clone(), value.to_owned()));
                }
                Err(why) => {
                    tracing::warn!(key = entry.key, value, why, "was set over the wire, cannot be used now")
                }
            }
        }
        let generations: Box<[_]> = std::iter::repeat_with(OnceLock::new).take(MAX_CHANGES).collect();
        let first = generations[0].set(Box::new(settings));
        debug_assert!(first.is_ok(), "nobody else has the generations yet");
        let version = DataVersion { timestamp: now_ms, ..DataVersion::default() };
        let changes = Mutex::new(Changes { entries, version });
        Ok(Self { generations, current: AtomicUsize::new(0), changes, file })
    }

    /// The version of the configuration.
    pub(crate) fn version(&self) -> DataVersion {
        self.changes.lock().version
    }

    /// Changes keys, all or none of them.
    ///
    /// # Errors
    /// A key cannot be changed while the broker runs, a value makes no sense, or the file could not be written.
    pub(crate) fn change(&self, changed: &Properties, now_ms: i64) -> Result<(), Reject> {
        let mut changes = self.changes.lock();
        let mut settings = (**self).clone();
        let mut entries = changes.entries.clone();
        for entry in changed.entries() {
            let value = entry.value.trim().to_owned();
            keys::change(&mut settings, &entry.key, &value)
                .map_err(|why| Reject::config_forbidden(format!("{}: {why}", entry.key)))?;
            entries.retain(|(key, _)| *key != entry.key);
            entries.push((entry.key.clone(), value));
        }
        settings.check().map_err(|wrong| Reject::config_forbidden(wrong.join("; ")))?;
        let next = self.current.load(Ordering::Acquire) + 1;
        let Some(slot) = self.generations.get(next) else {
            return Err(Reject::failed(format!(
                "the configuration was changed {MAX_CHANGES} times: the broker has to be restarted first"
            )));
        };
        let text: String = entries.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        self.file
            .save(|| text.into_bytes())
            .map_err(|error| Reject::failed(format!("the configuration could not be saved: {error}")))?;
        // The lock makes this the only writer.
        if slot.set(Box::new(settings)).is_ok() {
            self.current.store(next, Ordering::Release);
        }
        changes.entries = entries;
        changes.version.next(now_ms);
        Ok(())
    }
}
