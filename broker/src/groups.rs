//! Consumer groups and what they may do: `config/subscriptionGroup.json`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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
    attributes::Changes,
    config::Settings,
    error::StartError,
    files::{self, SaveError, StateFile},
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
    auto_create: AtomicBool,
    /// What groups may not do on topics; only kept.
    forbidden: BTreeMap<String, BTreeMap<String, i32>>,
}

impl Groups {
    /// Reads the file and adds the built-in groups.
    pub(crate) fn load(store: &Store, settings: &Settings, clock: &Clock) -> Result<Self, StartError> {
        let file = StateFile::new(store, files::SUBSCRIPTION_GROUPS);
        let loaded: SubscriptionGroups =
            file.load(|bytes| lenient::read(files::SUBSCRIPTION_GROUPS, bytes))?;
        let named = |(name, group): (String, SubscriptionGroupConfig)| {
            (name.clone(), Arc::new(SubscriptionGroupConfig { group_name: name, ..group }))
        };
        let mut by_name: HashMap<_, _> = loaded.subscription_group_table.into_iter().map(named).collect();
        for name in BUILT_IN {
            by_name.entry(name.to_owned()).or_insert_with(|| Arc::new(new_group(name)));
        }
        Ok(Self {
            by_name: RwLock::new(by_name),
            version: Mutex::new(loaded.data_version),
            file,
            clock: clock.clone(),
            auto_create: AtomicBool::new(settings.auto_create_subscription_group),
            forbidden: loaded.forbidden_table,
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
        if !self.auto_create.load(Ordering::Relaxed) {
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

    /// Whether groups are made automatically from now on.
    pub(crate) fn set_auto_create(&self, on: bool) {
        self.auto_create.store(on, Ordering::Relaxed);
    }

    /// Creates or changes groups (200, 225). Each attribute is a change, with its sign in front of the key.
    ///
    /// # Errors
    /// A name or an attribute makes no sense, there are too many groups, or the table could not be saved. Nothing is
    /// changed when any of them is refused.
    pub(crate) fn put(&self, configs: Vec<SubscriptionGroupConfig>) -> Result<(), Reject> {
        {
            let mut by_name = self.by_name.write();
            let mut changed = Vec::new();
            for mut config in configs {
                topic::validate_group(&config.group_name)?;
                let old = by_name.get(&config.group_name);
                let changes = Changes::of_table(&config.attributes)?;
                config.attributes = changes.to_group(old.map(|old| &old.attributes))?;
                for (name, value) in old.into_iter().flat_map(|old| &old.more) {
                    config.more.entry(name.clone()).or_insert_with(|| value.clone());
                }
                changed.push(config);
            }
            let new = changed.iter().filter(|group| !by_name.contains_key(&group.group_name)).count();
            if new > 0 && by_name.len() + new > MAX_GROUPS {
                return Err(Reject::failed(format!("there are {MAX_GROUPS} groups already")));
            }
            by_name.extend(changed.into_iter().map(|group| (group.group_name.clone(), Arc::new(group))));
        }
        self.write().map_err(|error| Reject::failed(format!("groups could not be saved: {error}")))
    }

    /// Forgets a group; one that is not there is no error.
    ///
    /// # Errors
    /// The table could not be saved.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Reject> {
        if self.by_name.write().remove(name).is_none() {
            return Ok(());
        }
        self.write().map_err(|error| Reject::failed(format!("groups could not be saved: {error}")))
    }

    /// The table, for tools and the file.
    pub(crate) fn snapshot(&self) -> SubscriptionGroups {
        let groups = self.by_name.read();
        SubscriptionGroups {
            data_version: *self.version.lock(),
            forbidden_table: self.forbidden.clone(),
            subscription_group_table: groups
                .iter()
                .map(|(name, group)| (name.clone(), (**group).clone()))
                .collect(),
        }
    }

    /// Writes the file. A failure is logged and does not fail the request: the group works until a restart, and
    /// the next heartbeat after that makes it again.
    fn save(&self) {
        if let Err(error) = self.write() {
            tracing::error!(%error, "consumer groups could not be saved");
        }
    }

    fn write(&self) -> Result<(), SaveError> {
        self.version.lock().next(self.clock.now_ms());
        self.file.save(|| write(&self.snapshot(), Dialect::Fastjson))
    }
}

fn new_group(name: &str) -> SubscriptionGroupConfig {
    SubscriptionGroupConfig { group_name: name.to_owned(), ..SubscriptionGroupConfig::default() }
}
