//! What the broker is doing and has done: 28, 315, 907 and 200074.
//!
//! Numbers are measured. Of what this broker does not have (thread pools with queues, a transient store pool) the
//! numbers are those of an empty one, because tools read every key.

use std::{collections::BTreeMap, path::Path};

use rocketmq_boot_protocol::{
    Command,
    body::{
        KvTable,
        stats::{HaStatus, LiteStatus},
    },
    header::stats::ViewStats,
    topic,
};

use super::with_body;
use crate::{reject::Reject, state::State};

/// The version that the broker says it is, as `clusterList` prints it.
const VERSION: &str = "V5_5_0";

/// Pools of Apache's broker, each with the capacity of its queue.
const POOLS: [(&str, &str); 5] =
    [("send", "10000"), ("pull", "100000"), ("litePull", "100000"), ("query", "20000"), ("ack", "100000")];

type Table = BTreeMap<String, String>;

impl State {
    /// Everything that `brokerStatus` prints (28).
    pub(crate) fn runtime(&self, request: &Command) -> Command {
        let mut table = Table::new();
        self.put_totals(&mut table);
        self.put_log(&mut table);
        self.put_delays(&mut table);
        put_pools(&mut table);
        with_body(request, &KvTable { table })
    }

    fn put_totals(&self, table: &mut Table) {
        let mut put = |key: &str, value: String| {
            table.insert(key.to_owned(), value);
        };
        let now_ms = self.sample();
        let (work, days, times) = (self.work(), self.days(), &self.statistics.put_times);
        put("bootTimestamp", self.statistics.started_ms.to_string());
        put("runtime", span(now_ms - self.statistics.started_ms));
        put("brokerActive", "true".to_owned());
        put("brokerVersionDesc", VERSION.to_owned());
        put("startAcceptSendRequestTimeStamp", "0".to_owned());

        // Apache never says 0 here: it divides by it.
        let times_total = work.put.max(1);
        put("putMessageTimesTotal", times_total.to_string());
        put("putMessageFailedTimes", self.counters.failures().to_string());
        put("putMessageSizeTotal", work.put_bytes.to_string());
        put("putMessageAverageSize", average(work.put_bytes, times_total));
        put("putMessageEntireTimeMax", times.longest_ms().to_string());
        put("putMessageDistributeTime", times.distribution());
        put("putLatency99", format!("{:.2}", times.percentile(0.99)));
        put("putLatency999", format!("{:.2}", times.percentile(0.999)));
        put("getMessageEntireTimeMax", self.counters.longest_get_ms().to_string());

        put("putTps", self.rate(|work| work.put));
        put("getFoundTps", self.rate(|work| work.found));
        put("getMissTps", self.rate(|work| work.missed));
        put("getTotalTps", self.rate(|work| work.found + work.missed));
        let transferred = self.rate(|work| work.transferred);
        // Under both spellings: tools from before 4.9.3 look for the first.
        put("getTransferedTps", transferred.clone());
        put("getTransferredTps", transferred);

        put("msgPutTotalYesterdayMorning", days.put_yesterday.to_string());
        put("msgPutTotalTodayMorning", days.put_today.to_string());
        put("msgPutTotalTodayNow", work.put_by_users.to_string());
        put("msgGetTotalYesterdayMorning", days.got_yesterday.to_string());
        put("msgGetTotalTodayMorning", days.got_today.to_string());
        put("msgGetTotalTodayNow", work.got_by_users.to_string());
    }

    fn put_log(&self, table: &mut Table) {
        let mut put = |key: &str, value: String| {
            table.insert(key.to_owned(), value);
        };
        let store = &self.store;
        put("commitLogMinOffset", store.min_position().to_string());
        put("commitLogMaxOffset", store.appended().to_string());
        put("earliestMessageTimeStamp", self.earliest_stored().to_string());
        put("remainHowManyDataToFlush", size(store.appended().saturating_sub(store.flushed())));
        put("remainTransientStoreBufferNumbs", i32::MAX.to_string());
        // Queues get their entries under the append lock: nothing is ever behind the log.
        put("dispatchBehindBytes", "0".to_owned());
        put("dispatchMaxBuffer", "0".to_owned());
        put("pageCacheLockTimeMills", "0".to_owned());

        let log = self.settings.commit_log.clone().unwrap_or_else(|| store.root().join("commitlog"));
        let ratio = used(&log);
        put(&format!("commitLogDiskRatio_{}", log.display()), ratio.clone());
        put("commitLogDiskRatio", ratio);
        put("consumeQueueDiskRatio", used(&store.root().join("consumequeue")));
        if let Some(disk) = Space::of(store.root()) {
            let capacity = format!("Total : {}, Free : {}.", size(disk.total), size(disk.free));
            put("commitLogDirCapacity", capacity);
        }
    }

    /// When the oldest message of all was stored, in ms since 1970; -1 when there is none.
    fn earliest_stored(&self) -> i64 {
        let bytes = self.store.record(self.store.min_position()).ok().flatten();
        let record = bytes.as_deref().map(rocketmq_boot_protocol::message::record::Record::decode);
        record.and_then(Result::ok).map_or(-1, |record| record.store_timestamp)
    }

    fn put_delays(&self, table: &mut Table) {
        let levels = self.topics.find(topic::SCHEDULE_TOPIC);
        for (level, next) in self.schedule.delivered() {
            let queue = level.checked_sub(1).and_then(|id| u32::try_from(id).ok());
            let end = queue.and_then(|id| self.store.find_queue(topic::SCHEDULE_TOPIC, id));
            let end = end.filter(|_| levels.is_some()).map_or(0, |queue| self.store.readable_end(&queue));
            table.insert(format!("scheduleMessageOffset_{level}"), format!("{next},{end}"));
        }
        let status = self.timers.status(&self.store, self.clock.now_ms());
        let (behind_ms, unread, pending) =
            status.map_or((0, 0, 0), |status| (status.behind_ms, status.unread, status.pending));
        // Of the three rates of `rate`, the one of the last ten seconds.
        let first = |rates: String| rates.split(' ').next().unwrap_or("0.0").to_owned();
        for (key, value) in [
            ("timerReadBehind", (behind_ms / 1_000).to_string()),
            ("timerOffsetBehind", unread.to_string()),
            ("timerCongestNum", pending.to_string()),
            ("timerEnqueueTps", first(self.rate(|work| work.timed))),
            ("timerDequeueTps", first(self.rate(|work| work.fired))),
        ] {
            table.insert(key.to_owned(), value);
        }
    }

    /// One measurement (315).
    pub(crate) fn view_stats(&self, request: &Command) -> Result<Command, Reject> {
        let header: ViewStats = request.header()?;
        let (name, key) = (&header.stats_name, &header.stats_key);
        let stats = self.stats(name, key);
        let stats = stats.ok_or_else(|| Reject::failed(format!("The stats <{name}> <{key}> not exist")))?;
        Ok(with_body(request, &stats))
    }

    /// How replication stands (907): there are no slaves.
    pub(crate) fn ha_status(&self, request: &Command) -> Command {
        let status = HaStatus {
            master: true,
            master_commit_log_max_offset: i64::try_from(self.store.appended()).unwrap_or(i64::MAX),
            ..HaStatus::default()
        };
        with_body(request, &status)
    }

    /// What there is of lite topics (200074): nothing.
    pub(crate) fn lite_status(&self, request: &Command) -> Command {
        let queues: usize = self.store.topics().iter().map(|topic| self.store.queues(topic).len()).sum();
        let status = LiteStatus {
            cq_table_size: i64::try_from(queues).unwrap_or(i64::MAX),
            offset_table_size: i64::try_from(self.offsets.len()).unwrap_or(i64::MAX),
            store_type: "default".to_owned(),
            ..LiteStatus::default()
        };
        with_body(request, &status)
    }
}

fn put_pools(table: &mut Table) {
    for (pool, capacity) in POOLS {
        table.insert(format!("{pool}ThreadPoolQueueSize"), "0".to_owned());
        table.insert(format!("{pool}ThreadPoolQueueCapacity"), capacity.to_owned());
        table.insert(format!("{pool}ThreadPoolQueueHeadWaitTimeMills"), "0".to_owned());
    }
    table.insert("EndTransactionQueueSize".to_owned(), "0".to_owned());
    table.insert("EndTransactionThreadPoolQueueCapacity".to_owned(), "100000".to_owned());
}

/// A span of time in Apache's words.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]")
}

#[expect(clippy::cast_precision_loss, reason = "an average needs no more than 53 bits")]
fn average(sum: u64, count: u64) -> String {
    format!("{:?}", sum as f64 / count as f64)
}

/// Bytes with a unit of powers of 1024.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit behind the point")]
fn size(bytes: u64) -> String {
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_024.0;
    for unit in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1_024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1_024.0;
    }
    format!("{value:.1} EiB")
}

/// Room on the disk of a folder, in bytes.
struct Space {
    total: u64,
    free: u64,
    used: u64,
}

impl Space {
    fn of(folder: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(folder).ok()?;
        Some(Self {
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            free: disk.f_bfree.saturating_mul(disk.f_frsize),
            used: disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize),
        })
    }
}

/// How full the disk of a folder is, from 0 to 1; -1 when the folder is not there.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
fn used(folder: &Path) -> String {
    let ratio = Space::of(folder).map_or(-1.0, |disk| disk.used as f64 / disk.total.max(1) as f64);
    format!("{ratio:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_apaches() {
        assert_eq!(span(625_999), "[ 0 days, 0 hours, 10 minutes, 25 seconds ]");
        assert_eq!(span(90_061_000), "[ 1 days, 1 hours, 1 minutes, 1 seconds ]");
        assert_eq!((size(0), size(1_023), size(1_536)), ("0 B".into(), "1023 B".into(), "1.5 KiB".into()));
        assert_eq!(size(3 << 30), "3.0 GiB");
        assert_eq!(average(7, 2), "3.5");
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_ratio() {
        assert_eq!(used(Path::new("/nonexistent/folder")), "-1.0");
        let ratio: f64 = used(Path::new("/")).parse().unwrap();
        assert!((0.0..=1.0).contains(&ratio));
    }
}
