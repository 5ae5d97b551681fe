//! What the numbers of a setting count, for people who read a printed configuration.

/// The unit of a setting; `None` when it has none or its value says it.
///
/// Apache's keys name their unit now and then, and otherwise follow habits that the rules below know.
pub(super) fn unit(key: &str) -> Option<&'static str> {
    let exact = match key {
        "fileReservedTime" => "hours",
        "deleteWhen" => "hours of the day",
        "mappedFileSizeConsumeQueue" | "mappedFileSizeCommitLog" | "maxMessageSize" => "bytes",
        "deleteFileBatchMax" => "files",
        "registerNameServerPeriod" | "flushIntervalCommitLog" => "ms",
        _ => "",
    };
    let by_ending = [
        ("Ratio", "% of the disk"),
        ("Sec", "s"),
        ("Seconds", "s"),
        ("Ms", "ms"),
        ("Mills", "ms"),
        ("Millis", "ms"),
        ("Interval", "ms"),
        ("Period", "ms"),
        ("TimeOut", "ms"),
        ("Timeout", "ms"),
    ];
    let ending = || by_ending.iter().find(|(ending, _)| key.ends_with(ending)).map(|(_, unit)| *unit);
    let inside = || key.contains("Bytes").then_some("bytes");
    Some(exact).filter(|unit| !unit.is_empty()).or_else(ending).or_else(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_name_and_by_habit() {
        for (key, expected) in [
            ("fileReservedTime", Some("hours")),
            ("flushIntervalCommitLog", Some("ms")),
            ("syncFlushTimeout", Some("ms")),
            ("transactionTimeOut", Some("ms")),
            ("shortPollingTimeMills", Some("ms")),
            ("timerMaxDelaySec", Some("s")),
            ("maxTransferBytesOnMessageInMemory", Some("bytes")),
            ("diskMaxUsedSpaceRatio", Some("% of the disk")),
            ("brokerName", None),
            ("brokerId", None),
        ] {
            assert_eq!(unit(key), expected, "{key}");
        }
    }
}
