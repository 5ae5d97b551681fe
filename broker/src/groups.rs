//! Consumer groups and what they may do: `config/subscriptionGroup.json`.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::{
    Clock,
    body::{
        DataVersion, SubscriptionGroupConfig,
        config::SubscriptionGroups,
        dialect::{Dialect, write},
        lenient,
    },
    topic,
};
use rocketmq_boot_store::Store;

use crate::{
    config::Settings,
    error::StartError,
    files::{self, StateFile},
    reject::Reject,
};

/// Groups at most, so that a loop over made-up names ends.
const MAX_GROUPS: usize = 10_000;

/// Groups that Apache's tools and brokers use.
const BUILT_IN: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

/// The table of groups.
#[derive(Debug)]
pub(crate) struct Groups {
    by_name: RwLock<HashMap<String, Arc<SubscriptionGroupConfig>>>,
    version: Mutex<DataVersion>,
    file: StateFile,
    clock: Clock,
    auto_create: bool,
}

impl Groups {
    /// Reads the file and adds the built-in groups.
    pub(crate) fn load(store: &Store, settings: &Settings, clock: &Clock) -> Result<Self, StartError> {
        let file = StateFile::new(store, files::SUBSCRIPTION_GROUPS);
        let loaded: SubscriptionGroups =
            file.load(|bytes| lenient::read(files::SUBSCRIPTION_GROUPS, bytes))?;
        let mut by_name: HashMap<_, _> = loaded
            .subscription_group_table
            .into_iter()
            .map(|(name, group)| (name, Arc::new(group)))
            .collect();
        for name in BUILT_IN {
            by_name.entry(name.to_owned()).or_insert_with(|| Arc::new(new_group(name)));
        }
        Ok(Self {
            by_name: RwLock::new(by_name),
            version: Mutex::new(loaded.data_version),
            file,
            clock: clock.clone(),
            auto_create: settings.auto_create_subscription_group,
        })
    }

    /// A group that is there.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.by_name.read().get(name).cloned()
    }

    /// A group, made when it is missing and groups are made automatically.
    pub(crate) fn find_or_create(&self, name: &str) -> Result<Arc<SubscriptionGroupConfig>, Reject> {
        if let Some(group) = self.find(name) {
            return Ok(group);
        }
        topic::validate_group(name)?;
        if !self.auto_create {
            return Err(Reject::group_not_exist(name));
        }
        let group = {
            let mut by_name = self.by_name.write();
            if by_name.len() >= MAX_GROUPS && !by_name.contains_key(name) {
                return Err(Reject::failed(format!(
                    "cannot make group {name}: there are {MAX_GROUPS} already"
                )));
            }
            Arc::clone(by_name.entry(name.to_owned()).or_insert_with(|| Arc::new(new_group(name))))
        };
        tracing::info!(group = name, "made a consumer group");
        self.save();
        Ok(group)
    }

    /// Writes the file. A failure is logged and does not fail the request: the group works until a restart, and
    /// the next heartbeat after that makes it again.
    pub(crate) fn save(&self) {
        let snapshot = || {
            let mut version = self.version.lock();
            version.next(self.clock.now_ms());
            let groups = self.by_name.read();
            SubscriptionGroups {
                data_version: *version,
                subscription_group_table: groups
                    .iter()
                    .map(|(name, group)| (name.clone(), (**group).clone()))
                    .collect(),
                ..SubscriptionGroups::default()
            }
        };
        if let Err(error) = self.file.save(|| write(&snapshot(), Dialect::Fastjson)) {
            tracing::error!(%error, "consumer groups could not be saved");
        }
    }
}

fn new_group(name: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig { group_name: name.to_owned(), ..SubscriptionGroupConfig::default() }
}
