//! The route table: which brokers live, and which topics they carry.
//!
//! Nothing here does I/O or reads a clock: `now` is the monotonic time, given by the caller.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use rocketmq_boot_protocol::{
    body::{BrokerData, ClusterInfo, DataVersion, QueueData, TopicConfig, TopicRoute, config::TopicConfigs},
    topic::{PERM_READ, PERM_WRITE},
};

/// Silence after which a broker is forgotten, unless it asks for another limit.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// The id of a master; slaves have larger ones.
const MASTER: i64 = 0;

/// A broker that registers.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// The cluster.
    pub cluster: String,
    /// The broker's name; master and slaves share it.
    pub broker: String,
    /// 0 is the master.
    pub id: i64,
    /// `ip:port` for clients.
    pub address: String,
    /// `ip:port` for slaves.
    pub ha_address: String,
    /// Silence after which it is forgotten; absent means [`DEFAULT_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// Whether the smallest slave may stand in for a lost master; brokers before 5.0 say nothing.
    pub acting_master: Option<bool>,
    /// The zone that it says it is in.
    pub zone: Option<String>,
    /// The topics, all of them or those that changed.
    pub topics: TopicConfigs,
    /// The connection that it came by.
    pub connection: u64,
}

/// What a registered broker learns; empty for a master.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// The master's address for clients.
    pub master: Option<String>,
    /// The master's address for slaves.
    pub ha_address: Option<String>,
}

/// Why a broker was not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// One topic alone looks like a change to a broker that is known; this one is not.
    #[error("broker {broker} with id {id} is not registered, so a single topic cannot be added to it")]
    Unknown {
        /// The broker.
        broker: String,
        /// Its id.
        id: i64,
    },
}

/// The route table.
#[derive(Debug, Default)]
pub struct Routes {
    /// Whether a full registration takes away what it does not name.
    delete_missing: bool,
    /// Queues by topic and broker name.
    topics: HashMap<String, BTreeMap<String, QueueData>>,
    brokers: BTreeMap<String, BrokerData>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    live: HashMap<Member, Live>,
}

/// A broker process: its cluster and its address.
type Member = (String, String);

#[derive(Debug)]
struct Live {
    broker: String,
    seen: Duration,
    timeout: Duration,
    version: DataVersion,
    connection: u64,
    ha_address: String,
}

impl Routes {
    /// An empty table. `delete_missing` says whether a full registration takes away the broker's other topics.
    pub fn new(delete_missing: bool) -> Self {
        Self { delete_missing, ..Self::default() }
    }

    /// Registers a broker, or refreshes it.
    ///
    /// # Errors
    /// A single topic for a broker that is not known yet.
    pub fn register(&mut self, from: Registration, now: Duration) -> Result<Registered, RegisterError> {
        let known =
            self.brokers.get(&from.broker).and_then(|broker| broker.broker_addrs.0.get(&from.id)).cloned();
        if let Some(rival) = known.as_ref().filter(|address| **address != from.address) {
            let rival = self.live.get(&(from.cluster.clone(), rival.clone()));
            // Two masters of one name: the one elected later stays, the other is not told, as Apache does it.
            if rival.is_some_and(|rival| rival.version.state_version > from.topics.data_version.state_version)
            {
                self.live.remove(&(from.cluster, from.address));
                return Ok(Registered::default());
            }
        }
        if known.is_none() && from.topics.topic_config_table.len() == 1 {
            return Err(RegisterError::Unknown { broker: from.broker, id: from.id });
        }
        self.rename(&from);
        self.clusters.entry(from.cluster.clone()).or_default().insert(from.broker.clone());
        let broker = self.brokers.entry(from.broker.clone()).or_default();
        broker.broker_name.clone_from(&from.broker);
        broker.cluster.clone_from(&from.cluster);
        broker.enable_acting_master = from.acting_master.unwrap_or(false);
        broker.zone_name.clone_from(&from.zone);
        // A slave that became the master comes with the same address under another id.
        broker.broker_addrs.0.retain(|id, address| *id == from.id || *address != from.address);
        broker.broker_addrs.0.insert(from.id, from.address.clone());

        let first_id = broker.broker_addrs.0.keys().next().copied();
        let stands_in = from.id != MASTER && from.acting_master.is_some() && first_id == Some(from.id);
        if from.id == MASTER || stands_in {
            let read_only = stands_in && broker.enable_acting_master;
            self.update_topics(&from, known.is_none(), read_only);
        }
        let live = Live {
            broker: from.broker.clone(),
            seen: now,
            timeout: from.timeout.unwrap_or(DEFAULT_TIMEOUT),
            version: from.topics.data_version,
            connection: from.connection,
            ha_address: from.ha_address,
        };
        self.live.insert((from.cluster.clone(), from.address), live);
        Ok(if from.id == MASTER {
            Registered::default()
        } else {
            self.master_of(&from.cluster, &from.broker)
        })
    }

    /// A broker that comes back under another name leaves its old one.
    fn rename(&mut self, from: &Registration) {
        let before =
            self.live.get(&(from.cluster.clone(), from.address.clone())).map(|live| live.broker.clone());
        if let Some(before) = before.filter(|before| *before != from.broker) {
            self.unregister(&from.cluster, &from.address, &before);
        }
    }

    fn update_topics(&mut self, from: &Registration, first: bool, read_only: bool) {
        let table = &from.topics.topic_config_table;
        let changed = self.version(&from.cluster, &from.address) != Some(from.topics.data_version);
        if self.delete_missing {
            self.topics.retain(|topic, queues| {
                if !table.contains_key(topic) {
                    queues.remove(&from.broker);
                }
                !queues.is_empty()
            });
        }
        for (name, config) in table {
            let queues = self.topics.entry(name.clone()).or_default();
            if first || changed || !queues.contains_key(&from.broker) {
                queues.insert(from.broker.clone(), queue_data(&from.broker, config, read_only));
            }
        }
    }

    fn master_of(&self, cluster: &str, broker: &str) -> Registered {
        let master = self.brokers.get(broker).and_then(BrokerData::master).map(str::to_owned);
        let live = master.as_ref().and_then(|address| self.live.get(&(cluster.to_owned(), address.clone())));
        match live {
            Some(live) => Registered { ha_address: Some(live.ha_address.clone()), master },
            None => Registered::default(),
        }
    }

    /// Forgets a broker that leaves.
    pub fn unregister(&mut self, cluster: &str, address: &str, broker: &str) {
        self.live.remove(&(cluster.to_owned(), address.to_owned()));
        let Some(data) = self.brokers.get_mut(broker) else { return };
        data.broker_addrs.0.retain(|_, known| known != address);
        if data.broker_addrs.0.is_empty() {
            self.brokers.remove(broker);
            self.remove_queues(broker, |_| true);
            for brokers in self.clusters.values_mut() {
                brokers.remove(broker);
            }
            self.clusters.retain(|_, brokers| !brokers.is_empty());
        } else if data.enable_acting_master && data.master().is_none() {
            // Whoever stands in for the master serves reads only.
            for queues in self.topics.values_mut().filter_map(|queues| queues.get_mut(broker)) {
                queues.perm &= !PERM_WRITE;
            }
        }
    }

    fn remove_queues(&mut self, broker: &str, from: impl Fn(&str) -> bool) {
        self.topics.retain(|topic, queues| {
            if from(topic) {
                queues.remove(broker);
            }
            !queues.is_empty()
        });
    }

    /// The data version that a broker registered with.
    pub fn version(&self, cluster: &str, address: &str) -> Option<DataVersion> {
        self.live.get(&(cluster.to_owned(), address.to_owned())).map(|live| live.version)
    }

    /// Notes that a broker lives; `false` when it is not known.
    pub fn beat(&mut self, cluster: &str, address: &str, now: Duration) -> bool {
        match self.live.get_mut(&(cluster.to_owned(), address.to_owned())) {
            Some(live) => {
                live.seen = now;
                true
            }
            None => false,
        }
    }

    /// Forgets brokers that were silent for too long; the connections that they had.
    pub fn expire(&mut self, now: Duration) -> Vec<u64> {
        self.forget(|live| now.saturating_sub(live.seen) > live.timeout)
    }

    /// Forgets the brokers that registered over a connection that is gone.
    pub fn disconnect(&mut self, connection: u64) {
        self.forget(|live| live.connection == connection);
    }

    fn forget(&mut self, gone: impl Fn(&Live) -> bool) -> Vec<u64> {
        let gone: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| gone(live))
            .map(|(member, live)| (member.clone(), live.broker.clone(), live.connection))
            .collect();
        for ((cluster, address), broker, _) in &gone {
            tracing::info!(cluster, broker, address, "broker is gone");
            self.unregister(cluster, address, broker);
        }
        gone.into_iter().map(|(.., connection)| connection).collect()
    }

    /// Where a topic lives; `None` when no broker carries it.
    pub fn route(&self, topic: &str) -> Option<TopicRoute> {
        let queues = self.topics.get(topic)?;
        let broker_datas: Vec<_> =
            queues.keys().filter_map(|broker| self.brokers.get(broker)).cloned().collect();
        if broker_datas.is_empty() {
            return None;
        }
        Some(TopicRoute {
            broker_datas,
            queue_datas: queues.values().cloned().collect(),
            ..TopicRoute::default()
        })
    }

    /// All brokers and clusters.
    pub fn clusters(&self) -> ClusterInfo {
        let names = |brokers: &BTreeSet<String>| brokers.iter().cloned().collect();
        ClusterInfo {
            broker_addr_table: self.brokers.clone(),
            cluster_addr_table: self
                .clusters
                .iter()
                .map(|(name, brokers)| (name.clone(), names(brokers)))
                .collect(),
        }
    }

    /// The names of all topics, sorted.
    pub fn topics(&self) -> Vec<String> {
        let names: BTreeSet<_> = self.topics.keys().cloned().collect();
        names.into_iter().collect()
    }

    /// The names of the topics whose flags `wanted` takes, sorted. As with Apache, any broker's flags stand for all.
    pub fn topics_with(&self, wanted: impl Fn(i32) -> bool) -> Vec<String> {
        let flags =
            |queues: &BTreeMap<String, QueueData>| queues.values().next().map(|data| data.topic_sys_flag);
        let names: BTreeSet<_> = self
            .topics
            .iter()
            .filter(|(_, queues)| flags(queues).is_some_and(&wanted))
            .map(|(name, _)| name.clone())
            .collect();
        names.into_iter().collect()
    }

    /// A broker with its slaves; empty when none is known by that name.
    pub fn members(&self, broker: &str) -> Option<&BrokerData> {
        self.brokers.get(broker)
    }

    /// Adds queues to a topic, unless one of them is on a broker that is not known.
    pub fn add_queues(&mut self, topic: &str, queues: Vec<QueueData>) {
        if queues.is_empty() || queues.iter().any(|data| !self.brokers.contains_key(&data.broker_name)) {
            return;
        }
        let known = self.topics.entry(topic.to_owned()).or_default();
        known.extend(queues.into_iter().map(|data| (data.broker_name.clone(), data)));
    }

    /// Whether full registrations take away topics that they do not name, from now on.
    pub fn delete_missing(&mut self, delete: bool) {
        self.delete_missing = delete;
    }

    /// The names of the topics that brokers of a cluster carry, sorted.
    pub fn topics_of(&self, cluster: &str) -> Vec<String> {
        let Some(brokers) = self.clusters.get(cluster) else { return Vec::new() };
        let carried =
            |queues: &BTreeMap<String, QueueData>| queues.keys().any(|broker| brokers.contains(broker));
        let names: BTreeSet<_> =
            self.topics.iter().filter(|(_, queues)| carried(queues)).map(|(name, _)| name.clone()).collect();
        names.into_iter().collect()
    }

    /// Clusters and brokers are topics of the system, too.
    pub fn system_topics(&self) -> Vec<String> {
        self.clusters
            .iter()
            .flat_map(|(cluster, brokers)| std::iter::once(cluster).chain(brokers))
            .cloned()
            .collect()
    }

    /// The address of some broker.
    pub fn any_broker(&self) -> Option<String> {
        self.brokers.values().find_map(|broker| broker.broker_addrs.0.values().next()).cloned()
    }

    /// Takes the write permission from (or gives both permissions to) every topic of a broker; how many it has.
    pub fn set_writable(&mut self, broker: &str, writable: bool) -> usize {
        let mut changed = 0;
        for queues in self.topics.values_mut().filter_map(|queues| queues.get_mut(broker)) {
            queues.perm = if writable { PERM_READ | PERM_WRITE } else { queues.perm & !PERM_WRITE };
            changed += 1;
        }
        changed
    }

    /// Forgets a topic, on one cluster or everywhere.
    pub fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        match cluster {
            None => {
                self.topics.remove(topic);
            }
            Some(cluster) => {
                for broker in self.clusters.get(cluster).cloned().unwrap_or_default() {
                    self.remove_queues(&broker, |name| name == topic);
                }
            }
        }
    }
}

fn queue_data(broker: &str, config: &TopicConfig, read_only: bool) -> QueueData {
    QueueData {
        broker_name: broker.to_owned(),
        perm: if read_only { config.perm & !PERM_WRITE } else { config.perm },
        read_queue_nums: config.read_queue_nums,
        topic_sys_flag: config.topic_sys_flag,
        write_queue_nums: config.write_queue_nums,
    }
}

#[cfg(test)]
mod tests;
