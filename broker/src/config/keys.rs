//! The table of keys: how each is read into [`Settings`] and printed from it.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use rocketmq_boot_protocol::properties_file::Properties;

use super::{FlushDisk, Problem, Report, Role, Settings, known::APACHE, refused, timers};

type Read = fn(&mut Settings, &str) -> Result<(), String>;
type Print = fn(&Settings) -> String;

struct Key {
    name: &'static str,
    read: Read,
    print: Print,
}

macro_rules! keys {
    ($($name:literal: $settings:ident, $text:ident => $read:expr, $print:expr;)+) => {
        &[$(Key { name: $name, read: |$settings, $text| $read, print: |$settings| $print },)+]
    };
}

/// The keys that take effect.
const KEYS: &[Key] = keys! {
    "brokerClusterName": s, v => text(v).map(|v| s.cluster_name = v), s.cluster_name.clone();
    "brokerName": s, v => text(v).map(|v| s.broker_name = v), s.broker_name.clone();
    "brokerId": s, v => number(v).map(|v| s.broker_id = v), s.broker_id.to_string();
    "brokerIP1": s, v => address(v).map(|v| s.advertised_ip = Some(v)), optional(s.advertised_ip);
    "bindAddress": s, v => address(v).map(|v| s.bind = Some(v)), optional(s.bind);
    "listenPort": s, v => number(v).map(|v| s.listen_port = v), s.listen_port.to_string();
    "namesrvAddr": s, v => name_servers(v).map(|v| s.name_servers = v), s.name_servers.join(";");
    "registerNameServerPeriod": s, v => millis(v).map(|v| s.register_period = v), in_ms(s.register_period);
    "brokerPermission": s, v => number(v).map(|v| s.permission = v), s.permission.to_string();
    "regionId": s, v => text(v).map(|v| s.region = v), s.region.clone();
    "traceOn": s, v => flag(v).map(|v| s.trace_on = v), s.trace_on.to_string();
    "brokerRole": s, v => role(v).map(|v| s.role = v), s.role.to_string();
    "autoCreateTopicEnable": s, v => flag(v).map(|v| s.auto_create_topic = v), s.auto_create_topic.to_string();
    "autoCreateSubscriptionGroup": s, v => flag(v).map(|v| s.auto_create_subscription_group = v),
        s.auto_create_subscription_group.to_string();
    "defaultTopicQueueNums": s, v => within(v, 1, 1024).map(|v| s.default_topic_queue_nums = v),
        s.default_topic_queue_nums.to_string();
    "clusterTopicEnable": s, v => flag(v).map(|v| s.cluster_topic = v), s.cluster_topic.to_string();
    "brokerTopicEnable": s, v => flag(v).map(|v| s.broker_topic = v), s.broker_topic.to_string();
    "traceTopicEnable": s, v => flag(v).map(|v| s.trace_topic = v), s.trace_topic.to_string();
    "msgTraceTopicName": s, v => text(v).map(|v| s.trace_topic_name = v), s.trace_topic_name.clone();
    "storePathRootDir": s, v => text(v).map(|v| s.store_root = PathBuf::from(v)), s.store_root.display().to_string();
    "storePathCommitLog": s, v => text(v).map(|v| s.commit_log = Some(PathBuf::from(v))),
        optional(s.commit_log.as_deref().map(std::path::Path::display));
    "mappedFileSizeCommitLog": s, v => size(v).map(|v| s.commit_log_file_bytes = v), s.commit_log_file_bytes.to_string();
    "mappedFileSizeConsumeQueue": s, v => entries(v).map(|v| s.consume_queue_file_entries = v),
        (u64::from(s.consume_queue_file_entries) * 20).to_string();
    "flushDiskType": s, v => flush(v).map(|v| s.flush = v), s.flush.to_string();
    "flushIntervalCommitLog": s, v => millis(v).map(|v| s.flush_interval = v), in_ms(s.flush_interval);
    "syncFlushTimeout": s, v => millis(v).map(|v| s.sync_flush_timeout = v), in_ms(s.sync_flush_timeout);
    "maxMessageSize": s, v => within(v, 1, 15 << 20).map(|v| s.max_message_bytes = v), s.max_message_bytes.to_string();
    "fileReservedTime": s, v => hours(v).map(|v| s.file_reserved = v), (s.file_reserved.as_secs() / 3_600).to_string();
    "deleteWhen": s, v => hours_of_day(v).map(|v| s.delete_when = v), print_hours_of_day(&s.delete_when);
    "diskMaxUsedSpaceRatio": s, v => within(v, 0, 100).map(|v| s.disk_max_used_percent = v),
        s.disk_max_used_percent.to_string();
    "diskSpaceCleanForciblyRatio": s, v => within(v, 0, 100).map(|v| s.disk_forcible_percent = v),
        s.disk_forcible_percent.to_string();
    "diskSpaceWarningLevelRatio": s, v => within(v, 0, 100).map(|v| s.disk_full_percent = v),
        s.disk_full_percent.to_string();
    "cleanFileForciblyEnable": s, v => flag(v).map(|v| s.clean_forcibly = v), s.clean_forcibly.to_string();
    "cleanResourceInterval": s, v => millis(v).map(|v| s.clean_interval = v), in_ms(s.clean_interval);
    "deleteCommitLogFilesInterval": s, v => millis(v).map(|v| s.delete_pause = v), in_ms(s.delete_pause);
    "deleteFileBatchMax": s, v => within(v, 1, 1_000).map(|v| s.delete_batch = v), s.delete_batch.to_string();
    "messageDelayLevel": s, v => delay_levels(v).map(|v| s.delay_levels = v), print_delay_levels(&s.delay_levels);
    "timerWheelEnable": s, v => flag(v).map(|v| s.timers.enabled = v), s.timers.enabled.to_string();
    "timerPrecisionMs": s, v => millis(v).map(|v| s.timers.precision = timers::precision(v)), in_ms(s.timers.precision);
    "timerMaxDelaySec": s, v => within(v, 1, u32::MAX).map(|v| s.timers.max_delay = Duration::from_secs(v.into())),
        s.timers.max_delay.as_secs().to_string();
    "timerRollWindowSlot": s, v => number(v).map(|v| s.timers.roll_window_ticks = timers::roll_window(v)),
        s.timers.roll_window_ticks.to_string();
    "mappedFileSizeTimerLog": s, v => size(v).map(|v| s.timers.log_file_bytes = v), s.timers.log_file_bytes.to_string();
    "timerFlushIntervalMs": s, v => millis(v).map(|v| s.timers.flush_interval = v), in_ms(s.timers.flush_interval);
    "timerCongestNumEachSlot": s, v => within(v, 1, i32::MAX).map(|v| s.timers.congested_at = v),
        s.timers.congested_at.to_string();
    "timerStopEnqueue": s, v => flag(v).map(|v| s.timers.stop_enqueue = v), s.timers.stop_enqueue.to_string();
    "timerStopDequeue": s, v => flag(v).map(|v| s.timers.stop_dequeue = v), s.timers.stop_dequeue.to_string();
    "recallMessageEnable": s, v => flag(v).map(|v| s.timers.recall = v), s.timers.recall.to_string();
    "allowRecallWhenBrokerNotWriteable": s, v => flag(v).map(|v| s.timers.recall_when_read_only = v),
        s.timers.recall_when_read_only.to_string();
    "appendTopicForTimerDeleteKey": s, v => flag(v).map(|v| s.timers.recall_names_topic = v),
        s.timers.recall_names_topic.to_string();
    "rejectTransactionMessage": s, v => flag(v).map(|v| s.reject_transactions = v), s.reject_transactions.to_string();
    "transactionTimeOut": s, v => millis(v).map(|v| s.transaction_timeout = v), in_ms(s.transaction_timeout);
    "transactionCheckInterval": s, v => millis(v).map(|v| s.transaction_check_interval = v),
        in_ms(s.transaction_check_interval);
    "transactionCheckMax": s, v => within(v, 1, 1_000_000).map(|v| s.transaction_check_max = v),
        s.transaction_check_max.to_string();
    "useServerSideResetOffset": s, v => flag(v).map(|v| s.server_side_reset = v), s.server_side_reset.to_string();
    "storeReplyMessageEnable": s, v => flag(v).map(|v| s.store_replies = v), s.store_replies.to_string();
    "longPollingEnable": s, v => flag(v).map(|v| s.long_polling = v), s.long_polling.to_string();
    "shortPollingTimeMills": s, v => millis(v).map(|v| s.short_polling = v), in_ms(s.short_polling);
    "maxTransferCountOnMessageInMemory": s, v => within(v, 1, 4096).map(|v| s.max_transfer_count = v),
        s.max_transfer_count.to_string();
    "maxTransferBytesOnMessageInMemory": s, v => within(v, 1, 8 << 20).map(|v| s.max_transfer_bytes = v),
        s.max_transfer_bytes.to_string();
    "enablePropertyFilter": s, v => flag(v).map(|v| s.property_filter = v), s.property_filter.to_string();
    "filterSupportRetry": s, v => flag(v).map(|v| s.filter_retry = v), s.filter_retry.to_string();
    "messageIndexEnable": s, v => flag(v).map(|v| s.message_index = v), s.message_index.to_string();
    "maxHashSlotNum": s, v => within(v, 1, 100_000_000).map(|v| s.index_slots = v), s.index_slots.to_string();
    "maxIndexNum": s, v => within(v, 2, 100_000_000).map(|v| s.index_entries = v), s.index_entries.to_string();
    "defaultQueryMaxNum": s, v => within(v, 1, 1024).map(|v| s.default_query_max = v),
        s.default_query_max.to_string();
    "maxMsgsNumBatch": s, v => within(v, 1, 1024).map(|v| s.max_query = v), s.max_query.to_string();
    "flushConsumerOffsetInterval": s, v => millis(v).map(|v| s.offset_interval = v), in_ms(s.offset_interval);
    "enableTopicMessageTypeCheck": s, v => flag(v).map(|v| s.topic_message_type_check = v),
        s.topic_message_type_check.to_string();
    "enableMixedMessageType": s, v => flag(v).map(|v| s.mixed_message_type = v), s.mixed_message_type.to_string();
    "configUpdateEnable": s, v => flag(v).map(|v| s.config_update = v), s.config_update.to_string();
    "maxConnections": s, v => within(v, 1, 1_000_000).map(|v| s.max_connections = v), s.max_connections.to_string();
    "maxConnectionsPerAddress": s, v => within(v, 1, 1_000_000).map(|v| s.max_connections_of_address = v),
        s.max_connections_of_address.to_string();
};

/// Keys that can be changed while the broker runs: those that are read each time they matter.
const CHANGEABLE: &[&str] = &[
    "autoCreateSubscriptionGroup",
    "autoCreateTopicEnable",
    "brokerPermission",
    "enableMixedMessageType",
    "enableTopicMessageTypeCheck",
    "flushConsumerOffsetInterval",
    "longPollingEnable",
    "maxTransferBytesOnMessageInMemory",
    "maxTransferCountOnMessageInMemory",
    "registerNameServerPeriod",
    "shortPollingTimeMills",
];

/// Changes one key of a broker that runs.
pub(super) fn change(settings: &mut Settings, name: &str, value: &str) -> Result<(), String> {
    let Some(key) = KEYS.iter().find(|key| key.name == name) else {
        return Err("this broker has no such key".to_owned());
    };
    if !CHANGEABLE.contains(&key.name) {
        return Err("cannot be changed while the broker runs".to_owned());
    }
    (key.read)(settings, value)
}

/// Keys that RocketMQ knows and this broker takes without doing anything about them.
const WITHOUT_EFFECT: &[&str] = &[
    "abortFile",
    "accessMessageInMemoryMaxRatio",
    "aclEnable",
    "adminBrokerThreadPoolNums",
    "brokerFastFailureEnable",
    "brokerIP2",
    "checkTransactionMessageEnable",
    "clientManageThreadPoolNums",
    "commitIntervalCommitLog",
    "compressedRegister",
    "consumerFallbehindThreshold",
    "consumerManageThreadPoolNums",
    "deleteConsumeQueueFilesInterval",
    "destroyMapedFileIntervalForcibly",
    "disableConsumeIfConsumerReadSlowly",
    "enableCalcFilterBitMap",
    "enableConsumeQueueExt",
    "enableControllerMode",
    "enableDLegerCommitLog",
    "enableScheduleAsyncDeliver",
    "enableSlaveActingMaster",
    "endTransactionThreadPoolNums",
    "fetchNamesrvAddrByAddressServer",
    "filterServerNums",
    "flushCommitLogLeastPages",
    "flushCommitLogThoroughInterval",
    "flushCommitLogTimed",
    "flushConsumeQueueLeastPages",
    "flushConsumeQueueThoroughInterval",
    "flushDelayOffsetInterval",
    "flushIntervalConsumeQueue",
    "forceRegister",
    "haHousekeepingInterval",
    "haListenPort",
    "haMasterAddress",
    "haMaxGapNotInSync",
    "haSendHeartbeatInterval",
    "haSlaveFallbehindMax",
    "haTransferBatchSize",
    "heartbeatThreadPoolNums",
    "mappedFileSizeConsumeQueueExt",
    "maxTransferBytesOnMessageInDisk",
    "maxTransferCountOnMessageInDisk",
    "messageIndexSafe",
    "notifyConsumerIdsChangedEnable",
    "offsetCheckInSlave",
    "osPageCacheBusyTimeOutMills",
    "pullMessageThreadPoolNums",
    "pullThreadPoolQueueCapacity",
    "queryMessageThreadPoolNums",
    "redeleteHangedFileInterval",
    "registerBrokerTimeoutMills",
    "rocketmqHome",
    "sendMessageThreadPoolNums",
    "sendThreadPoolQueueCapacity",
    "slaveReadEnable",
    "slaveTimeout",
    "storeCheckpoint",
    "storePathConsumeQueue",
    "storePathIndex",
    "timerCheckMetricsWhen",
    "timerEnableCheckMetrics",
    "timerEnableDisruptor",
    "timerEnableRetryUntilSuccess",
    "timerGetMessageThreadNum",
    "timerInterceptDelayLevel",
    "timerMetricSmallThreshold",
    "timerProgressLogIntervalMs",
    "timerPutMessageThreadNum",
    "timerSkipUnknownError",
    "timerWarmEnable",
    "transactionOpBatchInterval",
    "transactionOpMsgMaxSize",
    "transientStorePoolEnable",
    "transientStorePoolSize",
    "useEpollNativeSelector",
    "useReentrantLockWhenPutMessage",
    "waitTimeMillsInPullQueue",
    "waitTimeMillsInSendQueue",
    "warmMapedFileEnable",
];

/// Spellings that RocketMQ has given up.
const RENAMED: &[(&str, &str)] = &[
    ("brokerIp1", "brokerIP1"),
    ("brokerIp2", "brokerIP2"),
    ("haSlaveFallbehindMax", "haMaxGapNotInSync"),
    ("mapedFileSizeCommitLog", "mappedFileSizeCommitLog"),
    ("mapedFileSizeConsumeQueue", "mappedFileSizeConsumeQueue"),
    ("mapedFileSizeConsumeQueueExt", "mappedFileSizeConsumeQueueExt"),
    ("transactionTimeout", "transactionTimeOut"),
    ("warmMappedFileEnable", "warmMapedFileEnable"),
];

pub(super) fn apply(settings: &mut Settings, source: &str, text: &str) -> Result<Report, Vec<Problem>> {
    let mut report = Report { source: source.to_owned(), ..Report::default() };
    let mut problems = Vec::new();
    let entries = Properties::parse(text.as_bytes()).map_err(|error| {
        vec![Problem {
            source: source.to_owned(),
            line: error.line,
            key: "syntax".to_owned(),
            why: error.to_string(),
        }]
    })?;
    report.shadowed = entries.shadowed().iter().map(|entry| (entry.line, entry.key.clone())).collect();
    for entry in entries.entries() {
        let (line, value) = (entry.line, entry.value.trim());
        let written = entry.key.clone();
        let name = match RENAMED.iter().find(|(old, _)| *old == entry.key) {
            Some((_, today)) => {
                report.renamed.push((line, written.clone(), today));
                *today
            }
            None => entry.key.as_str(),
        };
        if let Some(key) = KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name)) {
            match (key.read)(settings, value) {
                Ok(()) => {
                    report.applied.push((line, written));
                    report.names.push((line, key.name));
                }
                Err(why) => problems.push(Problem { source: source.to_owned(), line, key: written, why }),
            }
        } else if let Some(why) = refused::why(name, value) {
            let why = format!("`{value}`: {why}");
            problems.push(Problem { source: source.to_owned(), line, key: written, why });
        } else if WITHOUT_EFFECT.iter().chain(APACHE).any(|known| known.eq_ignore_ascii_case(name)) {
            report.without_effect.push((line, written));
        } else {
            let close = closest(name);
            report.unknown.push((line, written, close));
        }
    }
    if problems.is_empty() { Ok(report) } else { Err(problems) }
}

pub(super) fn print(settings: &Settings) -> BTreeMap<&'static str, String> {
    KEYS.iter().map(|key| (key.name, (key.print)(settings))).collect()
}

fn closest(name: &str) -> Option<&'static str> {
    let known = KEYS.iter().map(|key| key.name).chain(WITHOUT_EFFECT.iter().chain(APACHE).copied());
    known
        .map(|key| (strsim::jaro_winkler(&key.to_lowercase(), &name.to_lowercase()), key))
        .filter(|(likeness, _)| *likeness > 0.88)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}

fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("a value is expected".to_owned()) } else { Ok(value.to_owned()) }
}

fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("a number is expected, not `{value}`"))
}

fn within<T: FromStr + PartialOrd + std::fmt::Display>(value: &str, least: T, most: T) -> Result<T, String> {
    let number = number(value)?;
    if number < least || number > most {
        Err(format!("{least} to {most} is expected, not {number}"))
    } else {
        Ok(number)
    }
}

/// Apache takes anything that is not `true` for false; a word that is neither is more likely a mistake.
fn flag(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("true or false is expected, not `{value}`")),
    }
}

fn address(value: &str) -> Result<IpAddr, String> {
    value.parse().map_err(|_| format!("an IP address is expected, not `{value}`"))
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn name_servers(value: &str) -> Result<Vec<String>, String> {
    let addresses: Vec<String> =
        value.split(';').map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect();
    for address in &addresses {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            return Err(format!("host:port;host:port is expected, `{address}` has no port"));
        }
    }
    Ok(addresses)
}

fn role(value: &str) -> Result<Role, String> {
    match value {
        "ASYNC_MASTER" => Ok(Role::AsyncMaster),
        "SYNC_MASTER" => Ok(Role::SyncMaster),
        "SLAVE" => Ok(Role::Slave),
        _ => Err(format!("ASYNC_MASTER, SYNC_MASTER or SLAVE is expected, not `{value}`")),
    }
}

fn flush(value: &str) -> Result<FlushDisk, String> {
    match value {
        "ASYNC_FLUSH" => Ok(FlushDisk::Async),
        "SYNC_FLUSH" => Ok(FlushDisk::Sync),
        _ => Err(format!("ASYNC_FLUSH or SYNC_FLUSH is expected, not `{value}`")),
    }
}

fn in_ms(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Milliseconds, or a number with a unit.
fn millis(value: &str) -> Result<Duration, String> {
    match value.parse() {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) => duration(value)
            .ok_or_else(|| format!("milliseconds, or a number with s, m, h or d, not `{value}`")),
    }
}

/// Hours, or a number with a unit.
fn hours(value: &str) -> Result<Duration, String> {
    let hours = value.parse::<u64>().ok().and_then(|hours| hours.checked_mul(3_600)).map(Duration::from_secs);
    hours.or_else(|| duration(value)).ok_or_else(|| format!("hours, or a number with h or d, not `{value}`"))
}

/// Hours of the day; none at all turns them off.
fn hours_of_day(value: &str) -> Result<Vec<u8>, String> {
    let hour = |word: &str| word.trim().parse().ok().filter(|hour| *hour < 24);
    let words = value.split(';').filter(|word| !word.trim().is_empty());
    words
        .map(|word| {
            hour(word).ok_or_else(|| format!("hours like `04` or `04;16` are expected, not `{word}`"))
        })
        .collect()
}

fn print_hours_of_day(hours: &[u8]) -> String {
    hours.iter().map(|hour| format!("{hour:02}")).collect::<Vec<_>>().join(";")
}

fn duration(value: &str) -> Option<Duration> {
    let (number, seconds) = match value.as_bytes().last()? {
        b's' => (value.strip_suffix('s')?, 1),
        b'm' => (value.strip_suffix('m')?, 60),
        b'h' => (value.strip_suffix('h')?, 3_600),
        b'd' => (value.strip_suffix('d')?, 86_400),
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

pub(super) fn delay_levels(value: &str) -> Result<Vec<Duration>, String> {
    let level = |word: &str| {
        duration(word).ok_or_else(|| format!("levels like `1s 5m 2h` are expected, not `{word}`"))
    };
    let levels = value.split_whitespace().map(level).collect::<Result<Vec<_>, _>>()?;
    if (1..=255).contains(&levels.len()) {
        Ok(levels)
    } else {
        Err(format!("1 to 255 levels, not {}", levels.len()))
    }
}

fn print_delay_levels(levels: &[Duration]) -> String {
    let word = |level: &Duration| match level.as_secs() {
        seconds if seconds % 3_600 == 0 && seconds > 0 => format!("{}h", seconds / 3_600),
        seconds if seconds % 60 == 0 && seconds > 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    };
    levels.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Bytes, or a number with k, m or g.
fn size(value: &str) -> Result<u64, String> {
    let lower = value.to_ascii_lowercase();
    let (number, unit) = match lower.as_bytes().last() {
        Some(b'k') => (lower.strip_suffix('k').unwrap_or(&lower), 1 << 10),
        Some(b'm') => (lower.strip_suffix('m').unwrap_or(&lower), 1 << 20),
        Some(b'g') => (lower.strip_suffix('g').unwrap_or(&lower), 1 << 30),
        _ => (lower.as_str(), 1_u64),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match bytes {
        Some(bytes @ 1_024..=1_099_511_627_776) => Ok(bytes),
        _ => Err(format!("1024 bytes to 1t is expected, not `{value}`")),
    }
}

/// Apache takes bytes and rounds up to whole entries; the files of many guides say 300000 and mean entries, which
/// Apache turns into files of 15 000 entries. Both are read as Apache reads them.
fn entries(value: &str) -> Result<u32, String> {
    let bytes = size(value)?;
    u32::try_from(bytes.div_ceil(20)).map_err(|_| format!("at most 80g is expected, not `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sorted_into_applied_idle_and_unknown() {
        let mut settings = Settings::default();
        let text = "#comment\nbrokerName = broker-a\nmapedFileSizeCommitLog=1048576\nslaveTimeout=3000\nlistenPrt=1\n";
        let report = settings.apply("broker.conf", text).unwrap();
        assert_eq!((settings.broker_name.as_str(), settings.commit_log_file_bytes), ("broker-a", 1 << 20));
        assert_eq!(report.applied, [(2, "brokerName".to_owned()), (3, "mapedFileSizeCommitLog".to_owned())]);
        assert_eq!(report.renamed, [(3, "mapedFileSizeCommitLog".to_owned(), "mappedFileSizeCommitLog")]);
        assert_eq!(report.without_effect, [(4, "slaveTimeout".to_owned())]);
        assert_eq!(report.unknown, [(5, "listenPrt".to_owned(), Some("listenPort"))]);
    }

    #[test]
    fn values_that_cannot_be_read_are_all_named_with_their_lines() {
        let problems =
            Settings::default().apply("b.conf", "listenPort=ten\nbrokerRole=BOSS\nbrokerId=0\n").unwrap_err();
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            texts,
            [
                "b.conf:1: listenPort: a number is expected, not `ten`",
                "b.conf:2: brokerRole: ASYNC_MASTER, SYNC_MASTER or SLAVE is expected, not `BOSS`",
            ]
        );
    }

    #[test]
    fn a_number_followed_by_blanks_is_a_number() {
        let mut settings = Settings::default();
        settings.apply("b.conf", "listenPort=10922  \n").unwrap();
        assert_eq!(settings.listen_port, 10_922);
    }

    #[test]
    fn what_is_asked_for_in_vain_stops_the_start() {
        let text = "aclEnable=true\nbrokerName=b\nstoreType=defaultRocksDB\n";
        let problems = Settings::default().apply("b.conf", text).unwrap_err();
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].starts_with("b.conf:1: aclEnable: `true`: "), "{texts:?}");
        assert!(texts[1].starts_with("b.conf:3: storeType: `defaultRocksDB`: "), "{texts:?}");
    }

    #[test]
    fn every_key_of_apache_is_known_in_every_spelling() {
        for key in APACHE.iter().copied().chain(RENAMED.iter().map(|(old, _)| *old)) {
            for key in [key.to_owned(), key.to_uppercase()] {
                let report = Settings::default().apply("b.conf", &format!("{key}=1"));
                let unknown = report.map(|report| report.unknown).unwrap_or_default();
                let renamed = RENAMED.iter().any(|(old, _)| *old != key && old.eq_ignore_ascii_case(&key));
                assert!(unknown.is_empty() || renamed, "{unknown:?}");
            }
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        let mut text = String::new();
        for (key, value) in Settings::default().print() {
            if !value.is_empty() {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        let mut again = Settings { broker_id: 7, ..Settings::default() };
        again.apply("printed", &text).unwrap();
        assert_eq!(again.print(), Settings::default().print());
    }

    #[test]
    fn a_slave_refuses_to_start_and_says_why() {
        let settings = Settings { role: Role::Slave, broker_id: 1, ..Settings::default() };
        assert!(settings.check().unwrap_err()[0].contains("cannot replicate yet"));
    }
}
