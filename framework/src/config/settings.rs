//! The settings under `rocketmq`, with their types and defaults.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    Config,
    setting::{AtLeastOne, Setting, Size},
};
use crate::{
    listener::spec::{Model, Start},
    report::Problems,
};

/// The name of the cluster that `rocketmq.name-server` or the bundled server is.
pub(crate) const MAIN: &str = "";

/// Everything under `rocketmq`.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) server: ServerSettings,
    /// By name; the main cluster is [`MAIN`].
    pub(crate) clusters: BTreeMap<String, ClusterSettings>,
    /// What the configuration says of listeners, by id.
    pub(crate) listeners: BTreeMap<String, ListenerSettings>,
    /// `consumer.listeners.<group>.<topic>: false`.
    pub(crate) switched_off: Vec<(String, String)>,
    /// How long a stop may take. (default: 30 s)
    pub(crate) shutdown_timeout: Duration,
}

/// One cluster and how to send to it.
#[derive(Debug)]
pub(crate) struct ClusterSettings {
    pub(crate) name_server: Option<String>,
    pub(crate) producer: ProducerSettings,
}

/// How a cluster's producer sends.
#[derive(Debug, Clone)]
pub(crate) struct ProducerSettings {
    /// (default: `rocketmq-boot`)
    pub(crate) group: String,
    /// (default: 3 s)
    pub(crate) send_timeout: Duration,
    /// (default: 4 KiB)
    pub(crate) compress_over: usize,
    /// (default: 2)
    pub(crate) retries: u32,
    /// (default: false)
    pub(crate) retry_next_server: bool,
    /// (default: 4 MiB)
    pub(crate) max_message_bytes: usize,
}

/// The bundled server.
#[derive(Debug)]
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "what is set is checked all the same"))]
pub(crate) struct ServerSettings {
    /// Whether it starts; unset, the profile decides.
    pub(crate) enabled: Option<bool>,
    pub(crate) enabled_place: String,
    /// (default: `./data`)
    pub(crate) data: PathBuf,
    /// (default: `127.0.0.1`)
    pub(crate) host: String,
    /// (default: 9876)
    pub(crate) name_server_port: u16,
    /// (default: 10911)
    pub(crate) broker_port: u16,
    /// Apache's `mappedFileSizeCommitLog`, which a broker that takes over the folder must be told too.
    /// (default: 64 MiB)
    pub(crate) commit_log_file_bytes: u64,
}

/// A value, and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) place: String,
}

/// What the configuration says of one listener.
#[derive(Debug)]
pub(crate) struct ListenerSettings {
    pub(crate) place: String,
    pub(crate) enabled: Option<bool>,
    pub(crate) topic: Option<Sourced<String>>,
    pub(crate) group: Option<Sourced<String>>,
    pub(crate) tag: Option<Sourced<String>>,
    pub(crate) model: Option<Sourced<Model>>,
    pub(crate) start: Option<Sourced<Start>>,
    pub(crate) cluster: Option<Sourced<String>>,
    pub(crate) pull_batch: Option<Sourced<u32>>,
    pub(crate) batch: Option<Sourced<u32>>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) max_attempts: Option<u32>,
}

impl Settings {
    pub(crate) fn read(config: &Config, problems: &mut Problems) -> Self {
        let mut clusters = BTreeMap::new();
        clusters.insert(MAIN.to_owned(), cluster(config, &["rocketmq"], problems));
        for name in config.names(&["rocketmq", "clusters"]) {
            let path = ["rocketmq", "clusters", name.as_str()];
            let settings = cluster(config, &path, problems);
            if settings.name_server.is_none() {
                problems.add(
                    config.key_place(&path),
                    format!("{}: a cluster needs `name-server`", path.join(".")),
                );
            }
            clusters.insert(name, settings);
        }
        let listeners = config.names(&["rocketmq", "listeners"]);
        let listeners = listeners.into_iter().map(|id| {
            let settings = listener(config, &id, problems);
            (id, settings)
        });
        Self {
            listeners: listeners.collect(),
            server: server(config, problems),
            clusters,
            switched_off: switched_off(config, problems),
            shutdown_timeout: config
                .read(&["rocketmq", "shutdown-timeout"], problems)
                .unwrap_or(Duration::from_secs(30)),
        }
    }
}

fn cluster(config: &Config, path: &[&str], problems: &mut Problems) -> ClusterSettings {
    let at = |name| [path, &[name]].concat();
    let name_server: Option<String> = config.read(&at("name-server"), problems);
    let name_server = name_server.filter(|text| !text.trim().is_empty());
    for address in name_server.iter().flat_map(|text| text.split(';')).filter(|text| !text.trim().is_empty())
    {
        if !is_address(address.trim()) {
            let (place, key) = (config.place(&at("name-server")), at("name-server").join("."));
            problems.add(place, format!("{key}: `{address}` is not `host:port`; several are parted by `;`"));
        }
    }
    let at = |name| [path, &["producer", name]].concat();
    let producer = ProducerSettings {
        group: config.read(&at("group"), problems).unwrap_or_else(|| "rocketmq-boot".to_owned()),
        send_timeout: config.read(&at("send-message-timeout"), problems).unwrap_or(Duration::from_secs(3)),
        compress_over: config
            .read(&at("compress-message-body-threshold"), problems)
            .map_or(4_096, |Size(n)| n),
        retries: config
            .read(&at("retry-times-when-send-failed"), problems)
            .or_else(|| config.read(&at("retry-times-when-send-async-failed"), problems))
            .unwrap_or(2),
        retry_next_server: config.read(&at("retry-next-server"), problems).unwrap_or(false),
        max_message_bytes: config.read(&at("max-message-size"), problems).map_or(4 << 20, |Size(n)| n),
    };
    ClusterSettings { name_server, producer }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn server(config: &Config, problems: &mut Problems) -> ServerSettings {
    let at = |name| ["rocketmq", "server", name];
    let data: String = config.read(&at("data"), problems).unwrap_or_else(|| "./data".to_owned());
    ServerSettings {
        enabled: config.read(&at("enabled"), problems),
        enabled_place: config.place(&at("enabled")),
        data: data.into(),
        host: config.read(&at("host"), problems).unwrap_or_else(|| "127.0.0.1".to_owned()),
        name_server_port: config.read(&at("name-server-port"), problems).unwrap_or(9876),
        broker_port: config.read(&at("broker-port"), problems).unwrap_or(10911),
        commit_log_file_bytes: config
            .read(&at("commit-log-file-size"), problems)
            .map_or(64 << 20, |Size(bytes)| u64::try_from(bytes).unwrap_or(u64::MAX)),
    }
}

fn sourced<T: Setting>(config: &Config, path: &[&str], problems: &mut Problems) -> Option<Sourced<T>> {
    let value = config.read(path, problems)?;
    Some(Sourced { value, place: config.place(path) })
}

fn listener(config: &Config, id: &str, problems: &mut Problems) -> ListenerSettings {
    let at = |name| ["rocketmq", "listeners", id, name];
    let number = |name, problems: &mut Problems| {
        let read: Option<Sourced<AtLeastOne>> = sourced(config, &at(name), problems);
        read.map(|read| Sourced { value: read.value.0, place: read.place })
    };
    let attempts = number("max-attempts", problems);
    let retries: Option<Sourced<u32>> = sourced(config, &at("max-reconsume-times"), problems);
    if let (Some(_), Some(retries)) = (&attempts, &retries) {
        problems.add(
            &retries.place,
            format!(
                "rocketmq.listeners.{id}: `max-reconsume-times` is `max-attempts` less one: set one of them"
            ),
        );
    }
    let attempts = attempts.map(|attempts| attempts.value);
    ListenerSettings {
        place: config.key_place(&["rocketmq", "listeners", id]),
        enabled: config.read(&at("enabled"), problems),
        topic: sourced(config, &at("topic"), problems),
        group: sourced(config, &at("group"), problems),
        tag: sourced(config, &at("tag"), problems),
        model: sourced(config, &at("model"), problems),
        start: sourced(config, &at("start"), problems),
        cluster: sourced(config, &at("cluster"), problems),
        pull_batch: number("pull-batch", problems),
        batch: number("batch", problems),
        concurrency: number("concurrency", problems).map(|number| number.value),
        max_attempts: attempts.or(retries.map(|retries| retries.value.saturating_add(1))),
    }
}

fn switched_off(config: &Config, problems: &mut Problems) -> Vec<(String, String)> {
    let root = ["rocketmq", "consumer", "listeners"];
    let mut off = Vec::new();
    for group in config.names(&root) {
        for topic in config.names(&[&root[..], &[group.as_str()]].concat()) {
            let path = [&root[..], &[group.as_str(), topic.as_str()]].concat();
            if config.read(&path, problems) == Some(false) {
                off.push((group.clone(), topic));
            }
        }
    }
    off
}
