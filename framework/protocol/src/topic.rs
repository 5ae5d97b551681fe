//! Names of topics and groups: which are valid, which are reserved, which derive from a group.

/// The template that automatic topics inherit from.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Where delayed messages wait, one queue a level.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Where half messages wait.
pub const TRANS_HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// What became of half messages.
pub const TRANS_OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Half messages that nobody decided.
pub const TRANS_CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Traces of messages.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Apache's own test topics.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Apache's own benchmark topic.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// Told when an offset had to move.
pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// Where timer messages wait.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

/// In front of a group's retry topic.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// In front of a group's dead-letter topic.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// In front of every system topic since 5.0.
pub const SYSTEM_PREFIX: &str = "rmq_sys_";

/// Longest name of an ordinary topic, in characters.
pub const MAX_TOPIC_CHARS: usize = 127;
/// Longest name of a retry or dead-letter topic.
pub const MAX_DERIVED_TOPIC_CHARS: usize = 255;
/// Longest name of a group: 120 since 5.4, so that a retry topic stays readable for old clients.
pub const MAX_GROUP_CHARS: usize = 120;

/// Permission to read.
pub const PERM_READ: i32 = 4;
/// Permission to write.
pub const PERM_WRITE: i32 = 2;
/// Automatic topics may inherit from this one.
pub const PERM_INHERIT: i32 = 1;

/// Topics that clients may not send to.
const NOT_SENDABLE: [&str; 7] = [
    SCHEDULE_TOPIC,
    TRANS_HALF_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
    TIMER_TOPIC,
];

/// Topics that belong to the system, whatever their cluster and broker are called.
const SYSTEM: [&str; 10] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    TRANS_HALF_TOPIC,
    TRACE_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
    "RMQ_SYS_ROCKSDB_OFFSET",
];

/// A name that cannot be a topic or a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing at all.
    #[error("the name of a {0} is empty")]
    Empty(&'static str),
    /// Over the limit.
    #[error("the {what} `{name}...` has {chars} characters, more than {limit}")]
    TooLong {
        /// Topic or group.
        what: &'static str,
        /// Its beginning.
        name: String,
        /// How long it is.
        chars: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A character outside letters, digits, `%`, `|`, `_` and `-`.
    #[error("the {what} `{name}` holds {character:?}; letters, digits, `%`, `|`, `_` and `-` are allowed")]
    Character {
        /// Topic or group.
        what: &'static str,
        /// The name, escaped.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
}

/// The topic that a group's failed messages come back on.
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The topic that a group's dead letters lie in.
pub fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

/// The topic that replies to requests of a cluster's clients are sent to.
pub fn reply_topic(cluster: &str) -> String {
    format!("{cluster}_REPLY_TOPIC")
}

/// The group behind a retry topic.
pub fn group_of_retry(topic: &str) -> Option<&str> {
    topic.strip_prefix(RETRY_PREFIX)
}

/// Whether a topic belongs to the system and not to users.
pub fn is_system(topic: &str) -> bool {
    topic.starts_with(SYSTEM_PREFIX) || SYSTEM.contains(&topic)
}

/// Whether clients may send to a topic.
pub fn is_sendable(topic: &str) -> bool {
    // Every reserved name begins with one of these, which spares ordinary topics seven comparisons.
    !matches!(topic.as_bytes().first(), Some(b'S' | b'R' | b'T' | b'O' | b'r'))
        || !NOT_SENDABLE.contains(&topic)
}

/// Checks a topic's name.
///
/// # Errors
/// It is empty, too long, or holds a character that could mean something to a file system.
pub fn validate_topic(name: &str) -> Result<(), NameError> {
    let derived = name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX);
    validate("topic", name, if derived { MAX_DERIVED_TOPIC_CHARS } else { MAX_TOPIC_CHARS })
}

/// Checks a group's name.
///
/// # Errors
/// As [`validate_topic`].
pub fn validate_group(name: &str) -> Result<(), NameError> {
    validate("group", name, MAX_GROUP_CHARS)
}

fn validate(what: &'static str, name: &str, limit: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty(what));
    }
    // Allowed characters are ASCII, so bytes are characters unless the next check fails anyway.
    if name.len() > limit {
        let (chars, name) = (name.chars().count(), name.chars().take(32).collect::<String>());
        return Err(NameError::TooLong { what, name: name.escape_default().to_string(), chars, limit });
    }
    let bad = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '_' | '-'));
    match name.chars().find(bad) {
        None => Ok(()),
        Some(character) => {
            Err(NameError::Character { what, name: name.escape_default().to_string(), character })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_paths_are_refused() {
        for name in ["../x", "a/b", "a\0b", "a b", "caf\u{e9}", ".", "a.b", "a\\b", ""] {
            assert!(validate_topic(name).is_err(), "{name:?}");
            assert!(validate_group(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn lengths_are_limited_by_kind() {
        assert!(validate_topic(&"t".repeat(127)).is_ok());
        assert!(validate_topic(&"t".repeat(128)).is_err());
        assert!(validate_topic(&retry_topic(&"g".repeat(120))).is_ok());
        assert!(validate_group(&"g".repeat(121)).is_err());
    }

    #[test]
    fn reserved_topics_are_known() {
        assert!(!is_sendable(SCHEDULE_TOPIC) && !is_sendable(TIMER_TOPIC) && !is_sendable(TRANS_HALF_TOPIC));
        assert!(is_sendable("orders") && is_sendable(AUTO_CREATE_TOPIC) && is_sendable("SCHEDULE_TOPIC"));
        assert!(is_system("rmq_sys_anything") && is_system(AUTO_CREATE_TOPIC) && !is_system("orders"));
    }
}
