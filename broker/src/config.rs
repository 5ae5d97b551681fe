//! What a broker can be told, under the names of Apache's `broker.conf`.
//!
//! Every key of RocketMQ falls in one of three groups: it is applied, it is known and has no effect here, or it is
//! unknown. [`Report`] says which of a file's lines fell where; a value that cannot be read is an error, not a default.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

mod keys;
mod known;
mod live;
mod refused;
mod report;
mod timers;
mod units;

pub(crate) use live::Live;
pub use report::{Problem, Report};
pub use timers::TimerSettings;

/// The role that a broker was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Answers when its own disk or memory has the message.
    #[default]
    AsyncMaster,
    /// Answers when a slave has the message too. Without replication every answer is `SLAVE_NOT_AVAILABLE`.
    SyncMaster,
    /// Copies a master. Not there yet: refuses to start.
    Slave,
}

/// When a message counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushDisk {
    /// In the page cache: a killed process loses nothing, a power cut up to the flush interval.
    #[default]
    Async,
    /// On the disk.
    Sync,
}

/// A broker's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `brokerClusterName` **(default: `DefaultCluster`)**.
    pub cluster_name: String,
    /// `brokerName` **(default: the host's name)**.
    pub broker_name: String,
    /// `brokerId`; 0 is the master **(default: 0)**.
    pub broker_id: i64,
    /// `brokerIP1`, the address that clients are told **(default: the first address of the machine that is not a
    /// loopback, or 127.0.0.1 when only that is listened on)**.
    pub advertised_ip: Option<IpAddr>,
    /// `bindAddress` **(default: 127.0.0.1 when nothing was configured, 0.0.0.0 with `-c`, `-n` or `brokerIP1`)**.
    pub bind: Option<IpAddr>,
    /// `listenPort`; 0 takes any free one **(default: 10911)**.
    pub listen_port: u16,
    /// Whether the port two below is listened on too, for clients with the VIP channel **(default: true)**.
    pub fast_port: bool,
    /// `namesrvAddr`, separated by `;` **(default: the environment's `NAMESRV_ADDR`)**.
    pub name_servers: Vec<String>,
    /// `registerNameServerPeriod` **(default: 30 s)**.
    pub register_period: Duration,
    /// `brokerPermission`: 4 read, 2 write **(default: 6)**.
    pub permission: i32,
    /// `regionId` **(default: `DefaultRegion`)**.
    pub region: String,
    /// `traceOn`: what producers are told about tracing **(default: true)**.
    pub trace_on: bool,
    /// `brokerRole` **(default: `ASYNC_MASTER`)**.
    pub role: Role,
    /// `autoCreateTopicEnable` **(default: true)**.
    pub auto_create_topic: bool,
    /// `autoCreateSubscriptionGroup` **(default: true)**.
    pub auto_create_subscription_group: bool,
    /// `defaultTopicQueueNums` **(default: 8)**.
    pub default_topic_queue_nums: i32,
    /// `clusterTopicEnable` **(default: true)**.
    pub cluster_topic: bool,
    /// `brokerTopicEnable` **(default: true)**.
    pub broker_topic: bool,
    /// `traceTopicEnable` **(default: false)**.
    pub trace_topic: bool,
    /// `msgTraceTopicName` **(default: `RMQ_SYS_TRACE_TOPIC`)**.
    pub trace_topic_name: String,
    /// `storePathRootDir` **(default: `~/store`)**.
    pub store_root: PathBuf,
    /// `storePathCommitLog` **(default: `commitlog` under the root)**.
    pub commit_log: Option<PathBuf>,
    /// `mappedFileSizeCommitLog` in bytes **(default: 1 GiB)**.
    pub commit_log_file_bytes: u64,
    /// `mappedFileSizeConsumeQueue` in bytes, or in entries as older files have it **(default: 6 000 000 bytes)**.
    pub consume_queue_file_entries: u32,
    /// `flushDiskType` **(default: `ASYNC_FLUSH`)**.
    pub flush: FlushDisk,
    /// `flushIntervalCommitLog` **(default: 500 ms)**.
    pub flush_interval: Duration,
    /// `syncFlushTimeout` **(default: 5 s)**.
    pub sync_flush_timeout: Duration,
    /// `maxMessageSize` of a body in bytes **(default: 4 MiB)**.
    pub max_message_bytes: usize,
    /// `fileReservedTime`: how long messages are kept **(default: 72 h)**.
    pub file_reserved: Duration,
    /// `deleteWhen`: the hours of the day, separated by `;`, at which old files go **(default: 4)**.
    pub delete_when: Vec<u8>,
    /// `diskMaxUsedSpaceRatio`: used percent of the disk above which old files go at any hour; 10 to 95
    /// **(default: 75)**.
    pub disk_max_used_percent: u64,
    /// `diskSpaceCleanForciblyRatio`: used percent above which younger files go that every group has consumed; 30 to
    /// 85 **(default: 85)**.
    pub disk_forcible_percent: u64,
    /// `diskSpaceWarningLevelRatio`: used percent above which messages are refused; 35 to 99, of which
    /// Apache's broker takes 90 at most **(default: 90)**.
    pub disk_full_percent: u64,
    /// `cleanFileForciblyEnable`: whether younger files may go at all **(default: true)**.
    pub clean_forcibly: bool,
    /// `cleanResourceInterval`: time between two looks at the disk **(default: 10 s)**.
    pub clean_interval: Duration,
    /// `deleteCommitLogFilesInterval`: pause between two files that are removed **(default: 100 ms)**.
    pub delete_pause: Duration,
    /// `deleteFileBatchMax`: files that are removed at a time **(default: 10)**.
    pub delete_batch: usize,
    /// `messageDelayLevel` **(default: `1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h`)**.
    pub delay_levels: Vec<Duration>,
    /// Messages that come at an instant.
    pub timers: TimerSettings,
    /// `rejectTransactionMessage`: half messages are refused **(default: false)**.
    pub reject_transactions: bool,
    /// `transactionTimeOut`: how long a producer has before it is asked how its transaction ended **(default: 6 s)**.
    pub transaction_timeout: Duration,
    /// `transactionCheckInterval`: time between two rounds of asking **(default: 30 s)**.
    pub transaction_check_interval: Duration,
    /// `transactionCheckMax`: how often a producer is asked before its message is parked **(default: 15)**.
    pub transaction_check_max: u32,
    /// `useServerSideResetOffset`: the broker moves offsets itself instead of having consumers do it
    /// **(default: true)**.
    pub server_side_reset: bool,
    /// `storeReplyMessageEnable`: replies are stored too, not just pushed to who asked **(default: true)**.
    pub store_replies: bool,
    /// `longPollingEnable` **(default: true)**.
    pub long_polling: bool,
    /// `shortPollingTimeMills`: how long pulls are held without long polling **(default: 1 s)**.
    pub short_polling: Duration,
    /// `maxTransferCountOnMessageInMemory` **(default: 1024; Apache's is 32)**.
    pub max_transfer_count: usize,
    /// `maxTransferBytesOnMessageInMemory` **(default: 256 KiB)**.
    pub max_transfer_bytes: usize,
    /// `enablePropertyFilter`: whether consumers may filter by SQL92 **(default: false)**.
    pub property_filter: bool,
    /// `filterSupportRetry`: whether a filter by SQL92 on a retry topic is that of the topic that a message came from
    /// **(default: false)**.
    pub filter_retry: bool,
    /// `messageIndexEnable`: whether messages can be found by key **(default: true)**.
    pub message_index: bool,
    /// `maxHashSlotNum` of an index file **(default: 5 000 000)**.
    pub index_slots: u32,
    /// `maxIndexNum` of an index file **(default: 20 000 000)**.
    pub index_entries: u32,
    /// `defaultQueryMaxNum`: messages that a query by unique key gives at most **(default: 32)**.
    pub default_query_max: usize,
    /// `maxMsgsNumBatch`: messages that any query gives at most **(default: 64)**.
    pub max_query: usize,
    /// `flushConsumerOffsetInterval` **(default: 5 s)**.
    pub offset_interval: Duration,
    /// `enableTopicMessageTypeCheck`: whether a message must be of the type that its topic is for. Apache has this in its
    /// proxy, where it is on; its broker takes every message, and so does this one **(default: false)**.
    pub topic_message_type_check: bool,
    /// `enableMixedMessageType`: whether a topic may be for messages of every type **(default: false)**.
    pub mixed_message_type: bool,
    /// `configUpdateEnable`: whether tools may change, over the wire, the keys that are safe to change **(default:
    /// false)**.
    pub config_update: bool,
    /// `maxConnections` at a time; more are closed as they come **(default: 20 000)**.
    pub max_connections: usize,
    /// `maxConnectionsPerAddress`, but for the loopback's **(default: 1 024)**.
    pub max_connections_of_address: usize,
    /// Shards that serve sockets; 0 = one less than the machine's cores, at least one **(default: 0)**.
    pub shards: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_name: "DefaultCluster".to_owned(),
            broker_name: host_name(),
            broker_id: 0,
            advertised_ip: None,
            bind: None,
            listen_port: 10_911,
            fast_port: true,
            name_servers: Vec::new(),
            register_period: Duration::from_secs(30),
            permission: 6,
            region: "DefaultRegion".to_owned(),
            trace_on: true,
            role: Role::AsyncMaster,
            auto_create_topic: true,
            auto_create_subscription_group: true,
            default_topic_queue_nums: 8,
            cluster_topic: true,
            broker_topic: true,
            trace_topic: false,
            trace_topic_name: "RMQ_SYS_TRACE_TOPIC".to_owned(),
            store_root: home().join("store"),
            commit_log: None,
            commit_log_file_bytes: 1 << 30,
            consume_queue_file_entries: 300_000,
            flush: FlushDisk::Async,
            flush_interval: Duration::from_millis(500),
            sync_flush_timeout: Duration::from_secs(5),
            max_message_bytes: 4 << 20,
            file_reserved: Duration::from_secs(72 * 3_600),
            delete_when: vec![4],
            disk_max_used_percent: 75,
            disk_forcible_percent: 85,
            disk_full_percent: 90,
            clean_forcibly: true,
            clean_interval: Duration::from_secs(10),
            delete_pause: Duration::from_millis(100),
            delete_batch: 10,
            delay_levels: keys::delay_levels(DELAY_LEVELS).unwrap_or_default(),
            timers: TimerSettings::default(),
            reject_transactions: false,
            transaction_timeout: Duration::from_secs(6),
            transaction_check_interval: Duration::from_secs(30),
            transaction_check_max: 15,
            server_side_reset: true,
            store_replies: true,
            long_polling: true,
            short_polling: Duration::from_secs(1),
            max_transfer_count: 1_024,
            max_transfer_bytes: 256 << 10,
            property_filter: false,
            filter_retry: false,
            message_index: true,
            index_slots: 5_000_000,
            index_entries: 20_000_000,
            default_query_max: 32,
            max_query: 64,
            offset_interval: Duration::from_secs(5),
            topic_message_type_check: false,
            mixed_message_type: false,
            config_update: false,
            max_connections: 20_000,
            max_connections_of_address: 1_024,
            shards: 0,
        }
    }
}

const DELAY_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

impl Settings {
    /// Applies entries of a `broker.conf`, in order, and says what became of each.
    ///
    /// # Errors
    /// All values that cannot be read, with the lines that they stand on.
    pub fn apply(&mut self, source: &str, text: &str) -> Result<Report, Vec<Problem>> {
        keys::apply(self, source, text)
    }

    /// Every setting with its value, under Apache's names, for `-p`.
    pub fn print(&self) -> BTreeMap<&'static str, String> {
        keys::print(self)
    }

    /// What the numbers of a setting count, such as `ms`.
    pub fn unit(key: &str) -> Option<&'static str> {
        units::unit(key)
    }

    /// The settings that Apache marks as important, for `-m`.
    pub fn print_important(&self) -> BTreeMap<&'static str, String> {
        const IMPORTANT: [&str; 9] = [
            "namesrvAddr",
            "brokerIP1",
            "brokerName",
            "brokerClusterName",
            "brokerId",
            "autoCreateTopicEnable",
            "autoCreateSubscriptionGroup",
            "storePathRootDir",
            "listenPort",
        ];
        let mut all = keys::print(self);
        all.retain(|key, _| IMPORTANT.contains(key));
        all
    }

    /// The address that is listened on: what was asked for; everything when an address is advertised, because what is
    /// advertised must be listened on; else the loopback only.
    pub fn bind_address(&self) -> IpAddr {
        match (self.bind, self.advertised_ip) {
            (Some(bind), _) => bind,
            (None, Some(advertised)) if advertised.is_loopback() => advertised,
            (None, Some(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (None, None) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// How many shards serve sockets.
    pub fn shard_count(&self) -> usize {
        match self.shards {
            0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).max(1)),
            shards => shards,
        }
    }

    /// What makes no sense taken together.
    ///
    /// # Errors
    /// One text for each thing.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        if self.role == Role::Slave {
            wrong.push(
                "brokerRole=SLAVE: this broker cannot replicate yet, and a slave that does not copy its master would \
                 be a second master; start it with Apache's broker or remove it"
                    .to_owned(),
            );
        } else if self.broker_id != 0 {
            wrong.push(format!("brokerId={}: a master's id must be 0", self.broker_id));
        }
        if let Err(error) = rocketmq_boot_protocol::topic::validate_topic(&self.broker_name) {
            wrong.push(format!("brokerName={:?}: {error} (it becomes a topic's name)", self.broker_name));
        }
        if let Err(error) = rocketmq_boot_protocol::topic::validate_topic(&self.cluster_name) {
            wrong.push(format!(
                "brokerClusterName={:?}: {error} (it becomes a topic's name)",
                self.cluster_name
            ));
        }
        if self.fast_port && (1..=2).contains(&self.listen_port) {
            wrong.push(format!("listenPort={}: the port two below it is needed too", self.listen_port));
        }
        self.check_store(&mut wrong);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl Settings {
    fn check_store(&self, wrong: &mut Vec<String>) {
        if self.commit_log.as_ref().is_some_and(|path| path.to_string_lossy().contains(',')) {
            wrong.push("storePathCommitLog: a log in several folders is not there, name one".to_owned());
        }
        for (key, time) in [
            ("fileReservedTime", self.file_reserved),
            ("flushIntervalCommitLog", self.flush_interval),
            ("syncFlushTimeout", self.sync_flush_timeout),
            ("registerNameServerPeriod", self.register_period),
            ("flushConsumerOffsetInterval", self.offset_interval),
            ("cleanResourceInterval", self.clean_interval),
        ] {
            if time.is_zero() {
                wrong.push(format!("{key}=0: a time above 0 is needed"));
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsyncMaster => "ASYNC_MASTER",
            Self::SyncMaster => "SYNC_MASTER",
            Self::Slave => "SLAVE",
        })
    }
}

impl fmt::Display for FlushDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async => "ASYNC_FLUSH",
            Self::Sync => "SYNC_FLUSH",
        })
    }
}

/// The host's name with what a topic's name cannot hold replaced, because the broker's name becomes a topic's.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' })
        .collect();
    if name.is_empty() { "DEFAULT_BROKER".to_owned() } else { name }
}

fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_else(|| PathBuf::from("."))
}
