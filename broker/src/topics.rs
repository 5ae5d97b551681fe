//! Topics, their queues and who waits on them: `config/topics.json`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::{
    Clock,
    body::{
        DataVersion, TopicConfig,
        config::TopicConfigs,
        dialect::{Dialect, write},
        lenient,
    },
    topic::{self, PERM_INHERIT, PERM_READ, PERM_WRITE},
};
use rocketmq_boot_store::{Queue, Store};
use tokio::sync::watch;

use crate::{
    attributes::Changes,
    config::Settings,
    error::StartError,
    files::{self, SaveError, StateFile},
    hold::Waiting,
    reject::Reject,
    statistics::Traffic,
};

/// Topics at most (a loop over made-up names must end).
const MAX_TOPICS: usize = 10_000;

/// Queues a topic may have.
pub(crate) const MAX_QUEUES: i32 = 1_024;

/// A topic as requests see it. Changing its configuration makes a new one that shares the queues.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) config: TopicConfig,
    pub(crate) traffic: Arc<Traffic>,
    queues: Queues,
}

/// A queue with the pulls that wait on it.
#[derive(Debug)]
pub(crate) struct TopicQueue {
    pub(crate) stored: Arc<Queue>,
    pub(crate) waiting: Waiting,
}

type Queues = Arc<RwLock<BTreeMap<i32, Arc<TopicQueue>>>>;

/// The table of topics.
#[derive(Debug)]
pub(crate) struct Topics {
    by_name: RwLock<HashMap<String, Arc<Topic>>>,
    version: Mutex<DataVersion>,
    file: StateFile,
    store: Store,
    clock: Clock,
    /// Told after each change; registration waits on it.
    changed: watch::Sender<u64>,
    /// How many groups are counted, over all topics.
    counted: Arc<AtomicUsize>,
    auto_create: AtomicBool,
}

impl Topic {
    pub(crate) fn name(&self) -> &str {
        &self.config.topic_name
    }

    /// The queue for a message: the one that was asked for, or a random one for a negative id.
    pub(crate) fn queue_to_write(&self, asked: i32, random: impl FnOnce() -> u32) -> Result<i32, Reject> {
        let queues = self.config.read_queue_nums.max(self.config.write_queue_nums);
        if asked >= queues {
            return Err(Reject::queue_out_of_range(self.name(), asked, queues));
        }
        if asked >= 0 {
            return Ok(asked);
        }
        let writable = u32::try_from(self.config.write_queue_nums).unwrap_or(0).max(1);
        Ok(i32::try_from(random() % writable).unwrap_or(0))
    }

    /// Whether messages may be read.
    pub(crate) fn readable(&self) -> bool {
        self.config.perm & PERM_READ != 0
    }

    /// Whether this is a group's retry or dead-letter topic.
    pub(crate) fn is_derived(&self) -> bool {
        self.name().starts_with(topic::RETRY_PREFIX) || self.name().starts_with(topic::DLQ_PREFIX)
    }

    /// Takes the samples of its traffic that are due.
    pub(crate) fn sample(&self, now_ms: i64) {
        self.traffic.sample(now_ms);
    }

    /// Whether messages may be sent.
    pub(crate) fn writable(&self) -> bool {
        self.config.perm & PERM_WRITE != 0
    }
}

impl Topics {
    /// Reads the file and adds the topics that every broker has.
    pub(crate) fn load(store: &Store, settings: &Settings, clock: &Clock) -> Result<Self, StartError> {
        let file = StateFile::new(store, files::TOPICS);
        let loaded: TopicConfigs = file.load(|bytes| lenient::read(files::TOPICS, bytes))?;
        let topics = Self {
            by_name: RwLock::default(),
            version: Mutex::new(loaded.data_version),
            file,
            store: store.clone(),
            clock: clock.clone(),
            changed: watch::Sender::default(),
            counted: Arc::default(),
            auto_create: AtomicBool::new(settings.auto_create_topic),
        };
        {
            let mut by_name = topics.by_name.write();
            for (name, config) in loaded.topic_config_table {
                // Left there by a time when topics were made automatically: clients would take it for an offer.
                if name == topic::AUTO_CREATE_TOPIC && !settings.auto_create_topic {
                    continue;
                }
                let config = TopicConfig { topic_name: name.clone(), ..config };
                by_name.insert(name, topics.fresh(config));
            }
            for config in built_in(settings) {
                let name = config.topic_name.clone();
                by_name.entry(name).or_insert_with(|| topics.fresh(config));
            }
        }
        Ok(topics)
    }

    fn fresh(&self, config: TopicConfig) -> Arc<Topic> {
        let traffic = Traffic::new(topic::is_system(&config.topic_name), &self.counted);
        Arc::new(Topic { config, traffic: Arc::new(traffic), queues: Queues::default() })
    }

    /// Goes over all topics, in no order.
    pub(crate) fn for_each(&self, see: impl FnMut(&Arc<Topic>)) {
        // They are copied, so that nobody waits for the lock while something is done with them.
        let all: Vec<_> = self.by_name.read().values().cloned().collect();
        all.iter().for_each(see);
    }

    /// A topic that is there.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().get(name).cloned()
    }

    /// A queue of a topic, opened when this is its first use.
    pub(crate) fn queue(&self, topic: &Topic, queue_id: i32) -> Arc<TopicQueue> {
        if let Some(queue) = topic.queues.read().get(&queue_id) {
            return Arc::clone(queue);
        }
        let id = u32::try_from(queue_id).unwrap_or(0);
        let open = || {
            let stored = self.store.queue(topic.name(), id);
            Arc::new(TopicQueue { stored, waiting: Waiting::default() })
        };
        Arc::clone(topic.queues.write().entry(queue_id).or_insert_with(open))
    }

    /// The topic of a send, made from the producer's template when it is missing.
    ///
    /// # Errors
    /// The name is no topic's, or there is none and none may be made.
    pub(crate) fn find_or_create(
        &self,
        name: &str,
        template: &str,
        wanted: i32,
    ) -> Result<Arc<Topic>, Reject> {
        if let Some(topic) = self.find(name) {
            return Ok(topic);
        }
        topic::validate_topic(name)?;
        let template = self.find(template).ok_or_else(|| Reject::topic_not_exist(name))?;
        if template.config.perm & PERM_INHERIT == 0 || !template.writable() {
            return Err(Reject::topic_not_exist(name));
        }
        let queues = wanted.min(template.config.write_queue_nums).clamp(1, MAX_QUEUES);
        let perm = template.config.perm & !PERM_INHERIT;
        self.create(TopicConfig { perm, ..TopicConfig::new(name, queues) })
    }

    /// A retry or dead-letter topic, made when it is missing.
    pub(crate) fn find_or_create_derived(&self, name: &str, queues: i32) -> Result<Arc<Topic>, Reject> {
        match self.find(name) {
            Some(topic) => Ok(topic),
            None => {
                topic::validate_topic(name)?;
                self.create(TopicConfig::new(name, queues.clamp(1, MAX_QUEUES)))
            }
        }
    }

    fn create(&self, config: TopicConfig) -> Result<Arc<Topic>, Reject> {
        let topic = {
            let mut by_name = self.by_name.write();
            if let Some(topic) = by_name.get(&config.topic_name) {
                return Ok(Arc::clone(topic));
            }
            if by_name.len() >= MAX_TOPICS {
                let name = &config.topic_name;
                return Err(Reject::failed(format!(
                    "cannot make topic {name}: there are {MAX_TOPICS} already"
                )));
            }
            let name = config.topic_name.clone();
            let topic = self.fresh(config);
            by_name.insert(name, Arc::clone(&topic));
            topic
        };
        tracing::info!(topic = topic.name(), queues = topic.config.write_queue_nums, "made a topic");
        self.save_or_log();
        Ok(topic)
    }

    /// Creates or changes topics (17, 18). Each attribute is a change, with its sign in front of the key.
    ///
    /// # Errors
    /// A name, a number or an attribute makes no sense, there are too many topics, or the table could not be saved.
    /// Nothing is changed when any of them is refused.
    pub(crate) fn put(&self, configs: Vec<TopicConfig>) -> Result<(), Reject> {
        {
            let mut by_name = self.by_name.write();
            let mut changed = Vec::new();
            for mut config in configs {
                check(&config)?;
                let old = by_name.get(&config.topic_name);
                let changes = Changes::of_table(&config.attributes)?;
                config.attributes = changes.to_topic(old.map(|old| &old.config.attributes))?;
                let Some(old) = old else {
                    changed.push(self.fresh(config));
                    continue;
                };
                for (name, value) in &old.config.more {
                    config.more.entry(name.clone()).or_insert_with(|| value.clone());
                }
                if old.config != config {
                    let (queues, traffic) = (Arc::clone(&old.queues), Arc::clone(&old.traffic));
                    changed.push(Arc::new(Topic { config, traffic, queues }));
                }
            }
            let new = changed.iter().filter(|topic| !by_name.contains_key(topic.name())).count();
            if by_name.len() + new > MAX_TOPICS && new > 0 {
                return Err(Reject::failed(format!("there are {MAX_TOPICS} topics already")));
            }
            if changed.is_empty() {
                return Ok(());
            }
            by_name.extend(changed.into_iter().map(|topic| (topic.name().to_owned(), topic)));
        }
        self.save().map_err(|error| Reject::failed(format!("topics could not be saved: {error}")))
    }

    /// Whether topics are made automatically from now on.
    pub(crate) fn set_auto_create(&self, settings: &Settings) {
        let was = self.auto_create.swap(settings.auto_create_topic, Ordering::Relaxed);
        if was == settings.auto_create_topic {
            return;
        }
        if was {
            self.by_name.write().remove(topic::AUTO_CREATE_TOPIC);
        } else {
            let template = self.fresh(template(settings));
            self.by_name.write().insert(topic::AUTO_CREATE_TOPIC.to_owned(), template);
        }
        self.save_or_log();
    }

    /// Has the name servers told again.
    pub(crate) fn announce(&self) {
        self.version.lock().next(self.clock.now_ms());
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Marks topics as order topics, as the name server's `ORDER_TOPIC_CONFIG` says.
    pub(crate) fn keep_order(&self, names: impl Iterator<Item = String>) {
        let mut changed = false;
        {
            let mut by_name = self.by_name.write();
            for name in names {
                let Some(old) = by_name.get(&name).filter(|topic| !topic.config.order) else { continue };
                let config = TopicConfig { order: true, ..old.config.clone() };
                let (queues, traffic) = (Arc::clone(&old.queues), Arc::clone(&old.traffic));
                by_name.insert(name, Arc::new(Topic { config, traffic, queues }));
                changed = true;
            }
        }
        if changed {
            self.save_or_log();
        }
    }

    /// Deletes a topic with its queues.
    ///
    /// # Errors
    /// The table could not be saved or the queues not be removed.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Reject> {
        let known = self.by_name.write().remove(name).is_some();
        if !known && self.store.queues(name).is_empty() {
            return Ok(());
        }
        self.save().map_err(|error| Reject::failed(format!("topics could not be saved: {error}")))?;
        self.store.delete_topic(name).map_err(|error| Reject::failed(format!("queues of {name}: {error}")))
    }

    /// Tells after each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The table, for the name server and the file.
    pub(crate) fn snapshot(&self) -> TopicConfigs {
        let by_name = self.by_name.read();
        TopicConfigs {
            data_version: *self.version.lock(),
            topic_config_table: by_name
                .iter()
                .map(|(name, topic)| (name.clone(), topic.config.clone()))
                .collect(),
        }
    }

    /// Counts a change, writes the file, and has the name servers told.
    pub(crate) fn save(&self) -> Result<(), SaveError> {
        self.version.lock().next(self.clock.now_ms());
        let saved = self.file.save(|| write(&self.snapshot(), Dialect::Fastjson));
        self.changed.send_modify(|changes| *changes += 1);
        saved
    }

    fn save_or_log(&self) {
        if let Err(error) = self.save() {
            tracing::error!(%error, "topics could not be saved");
        }
    }
}

/// What automatic topics inherit from.
fn template(settings: &Settings) -> TopicConfig {
    let perm = PERM_READ | PERM_WRITE | PERM_INHERIT;
    TopicConfig { perm, ..TopicConfig::new(topic::AUTO_CREATE_TOPIC, settings.default_topic_queue_nums) }
}

fn check(config: &TopicConfig) -> Result<(), Reject> {
    let name = &config.topic_name;
    topic::validate_topic(name)?;
    for queues in [config.read_queue_nums, config.write_queue_nums] {
        if !(0..=MAX_QUEUES).contains(&queues) {
            return Err(Reject::invalid(format!(
                "topic {name}: {queues} queues, 0 to {MAX_QUEUES} are allowed"
            )));
        }
    }
    if !(0..=15).contains(&config.perm) {
        return Err(Reject::invalid(format!("perm {} of topic {name}: 0 to 15 is allowed", config.perm)));
    }
    Ok(())
}

/// The topics that Apache's broker makes at its start, as far as this broker serves what they are for.
fn built_in(settings: &Settings) -> Vec<TopicConfig> {
    let mut topics = vec![
        TopicConfig::new(topic::SELF_TEST_TOPIC, 1),
        TopicConfig::new(topic::BENCHMARK_TOPIC, MAX_QUEUES),
        TopicConfig::new(topic::OFFSET_MOVED_EVENT, 1),
        TopicConfig::new(topic::TRANS_HALF_TOPIC, 1),
        TopicConfig::new(topic::TRANS_OP_HALF_TOPIC, 1),
        TopicConfig::new(topic::reply_topic(&settings.cluster_name), 1),
        TopicConfig::new(topic::SCHEDULE_TOPIC, i32::try_from(settings.delay_levels.len()).unwrap_or(18)),
    ];
    if settings.auto_create_topic {
        topics.push(template(settings));
    }
    if settings.timers.enabled {
        topics.push(TopicConfig::new(topic::TIMER_TOPIC, 1));
    }
    if settings.trace_topic {
        topics.push(TopicConfig::new(settings.trace_topic_name.clone(), 1));
    }
    let named = |name: &str, on: bool| {
        let perm = if on { PERM_READ | PERM_WRITE | PERM_INHERIT } else { PERM_INHERIT };
        TopicConfig { perm, ..TopicConfig::new(name, 1) }
    };
    let queues = if settings.cluster_topic { 16 } else { 1 };
    topics.push(TopicConfig {
        read_queue_nums: queues,
        write_queue_nums: queues,
        ..named(&settings.cluster_name, settings.cluster_topic)
    });
    topics.push(named(&settings.broker_name, settings.broker_topic));
    topics
}
