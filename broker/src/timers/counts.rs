//! How many timers wait for each topic: `config/timermetrics`.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    DecodeError,
    body::{
        DataVersion,
        dialect::{Dialect, write},
        lenient,
    },
};
use serde::{Deserialize, Serialize};

/// The counts and the file's form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[doc(alias = "TimerMetrics")]
pub(crate) struct TimerCounts {
    data_version: DataVersion,
    timing_count: BTreeMap<String, Count>,
    #[serde(skip)]
    changed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Count {
    count: i64,
    time_stamp: i64,
}

impl TimerCounts {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        lenient::read(crate::files::TIMER_METRICS, bytes)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        write(self, Dialect::Fastjson)
    }

    pub(crate) fn add(&mut self, topic: &str, by: i64, now_ms: i64) {
        // Looked up first: a name is only copied when it is new.
        let count = match self.timing_count.get_mut(topic) {
            Some(count) => count,
            None => self.timing_count.entry(topic.to_owned()).or_default(),
        };
        count.count = count.count.saturating_add(by);
        count.time_stamp = now_ms;
        self.changed = true;
    }

    /// Whether there is something to save; counts of topics that are gone are dropped then.
    pub(crate) fn take_changed(&mut self, now_ms: i64, exists: impl Fn(&str) -> bool) -> bool {
        if !std::mem::take(&mut self.changed) {
            return false;
        }
        self.timing_count.retain(|topic, count| count.count != 0 || exists(topic));
        self.data_version.next(now_ms);
        true
    }

    pub(crate) fn set_changed(&mut self) {
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_apaches() {
        let apaches = r#"{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":1795259134028},"timingCount":{"GoldenTimer":{"count":1,"timeStamp":1795259134028}}}"#;
        let mut counts = TimerCounts::read(apaches.as_bytes()).unwrap();
        assert!(!counts.take_changed(1, |_| true));
        counts.add("GoldenTimer", 2, 9);
        counts.add("gone", 1, 9);
        counts.add("gone", -1, 9);
        assert!(counts.take_changed(10, |topic| topic != "gone"));
        let text = String::from_utf8(counts.write()).unwrap();
        assert!(text.contains(r#""timingCount":{"GoldenTimer":{"count":3,"timeStamp":9}}"#), "{text}");
        assert!(text.contains(r#""counter":4"#), "{text}");
    }
}
