//! The properties string: `key 0x01 value 0x02` repeated, the last `0x02` optional.
//!
//! Nothing is escaped, so a key or value holding one of the two bytes cannot be written. Readers drop pairs with an
//! empty key or value, as Java's do. Looking a key up walks the string and allocates nothing: strings are
//! short, and most messages are asked for two keys at most.

use std::fmt;

use thiserror::Error;

/// Stands between a key and its value.
pub const NAME_SEPARATOR: u8 = 1;
/// Stands behind each pair.
pub const SEPARATOR: u8 = 2;

/// A key or value that the properties string cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("property `{key}` is empty or holds one of the bytes 0x01 and 0x02, which separate properties")]
pub struct PropertyError {
    /// The key.
    pub key: String,
}

/// Checks that a pair can be written and read back.
///
/// # Errors
/// [`PropertyError`] for an empty key or value and for one that holds a separator.
pub fn check(key: &str, value: &str) -> Result<(), PropertyError> {
    let bad = |text: &str| text.is_empty() || text.bytes().any(|b| b == NAME_SEPARATOR || b == SEPARATOR);
    if bad(key) || bad(value) {
        return Err(PropertyError { key: key.escape_default().to_string() });
    }
    Ok(())
}

/// The pairs of a properties string.
pub fn iterate(text: &str) -> Pairs<'_> {
    Pairs { rest: text }
}

/// Iterator of [`iterate`].
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        // Every send goes through here: bytes are looked for, and both separators are whole characters.
        while !self.rest.is_empty() {
            let end = memchr::memchr(SEPARATOR, self.rest.as_bytes()).unwrap_or(self.rest.len());
            let (pair, behind) = self.rest.split_at(end);
            self.rest = behind.get(1..).unwrap_or_default();
            let Some(name_end) = memchr::memchr(NAME_SEPARATOR, pair.as_bytes()) else { continue };
            let (key, value) = (&pair[..name_end], &pair[name_end + 1..]);
            if !key.is_empty() && !value.is_empty() {
                return Some((key, value));
            }
        }
        None
    }
}

/// The value of `key`; the first one when it is there twice.
pub fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    // Separators and keys are whole characters, so the value lies on character boundaries.
    find(text.as_bytes(), key.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
}

/// [`get`] for a string that has not been checked to be UTF-8.
pub fn find<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr(SEPARATOR, rest).unwrap_or(rest.len());
        let (pair, behind) = rest.split_at(end);
        if let Some((NAME_SEPARATOR, value)) =
            pair.strip_prefix(key).and_then(|tail| Some((*tail.first()?, &tail[1..])))
            && !value.is_empty()
            && !key.is_empty()
        {
            return Some(value);
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    None
}

/// Writes pairs as a properties string, each with its separator behind it.
///
/// # Errors
/// [`PropertyError`] naming the first pair that cannot be written.
pub fn encode<K: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> Result<String, PropertyError> {
    let mut text = String::new();
    for (key, value) in pairs {
        let (key, value) = (key.as_ref(), value.as_ref());
        check(key, value)?;
        push(&mut text, key, value);
    }
    Ok(text)
}

fn push(text: &mut String, key: &str, value: &str) {
    text.reserve(key.len() + value.len() + 2);
    text.push_str(key);
    text.push(char::from(NAME_SEPARATOR));
    text.push_str(value);
    text.push(char::from(SEPARATOR));
}

/// The properties of one message, kept in the form they have on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    text: String,
}

impl Properties {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        get(&self.text, key)
    }

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// [`PropertyError`] for what the string cannot hold.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        check(key, value)?;
        self.remove(key);
        if !self.text.is_empty() && !self.text.ends_with(char::from(SEPARATOR)) {
            self.text.push(char::from(SEPARATOR));
        }
        push(&mut self.text, key, value);
        Ok(())
    }

    /// Takes `key` away, all of its values.
    pub fn remove(&mut self, key: &str) {
        if self.get(key).is_none() {
            return;
        }
        let mut kept = String::with_capacity(self.text.len());
        for (other, value) in self.iter().filter(|(other, _)| *other != key) {
            push(&mut kept, other, value);
        }
        self.text = kept;
    }

    /// The pairs, in the order they have on the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        iterate(&self.text)
    }

    /// The properties string itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<String> for Properties {
    fn from(text: String) -> Self {
        Self { text }
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        $($(#[$doc])* pub const $name: &str = $key;)*

        /// Every key that RocketMQ keeps for itself: applications may not use these as their own.
        pub const RESERVED: &[&str] = &[$($key),*];
    };
}

keys! {
    /// Index keys, separated by one space.
    KEYS = "KEYS",
    /// The tag.
    TAGS = "TAGS",
    /// Whether the sender waits for the flush.
    WAIT = "WAIT",
    /// Delay level, 1-18.
    DELAY = "DELAY",
    /// Topic of a message that was sent back.
    RETRY_TOPIC = "RETRY_TOPIC",
    /// Topic behind a schedule, half or timer topic.
    REAL_TOPIC = "REAL_TOPIC",
    /// Queue behind a schedule, half or timer topic.
    REAL_QID = "REAL_QID",
    /// `true` on a half message.
    TRAN_MSG = "TRAN_MSG",
    /// Producer group, for checks back.
    PGROUP = "PGROUP",
    /// Lowest offset of the queue when the message was pulled; set by the consumer.
    MIN_OFFSET = "MIN_OFFSET",
    /// Highest offset of the queue when the message was pulled; set by the consumer.
    MAX_OFFSET = "MAX_OFFSET",
    /// Legacy.
    BUYER_ID = "BUYER_ID",
    /// The offset-message id of the first delivery.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID",
    /// Legacy.
    TRANSFER_FLAG = "TRANSFER_FLAG",
    /// Legacy.
    CORRECTION_FLAG = "CORRECTION_FLAG",
    /// Legacy.
    MQ2_FLAG = "MQ2_FLAG",
    /// Times consumed, on a re-send to a retry topic.
    RECONSUME_TIME = "RECONSUME_TIME",
    /// Region of the broker.
    MSG_REGION = "MSG_REGION",
    /// Whether the broker traces.
    TRACE_ON = "TRACE_ON",
    /// The client's message id.
    UNIQ_KEY = "UNIQ_KEY",
    /// Addition to the client's message id, for recalls.
    EXTEND_UNIQ_INFO = "EXTEND_UNIQ_INFO",
    /// Most times this message may be sent back.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES",
    /// When consumption began.
    CONSUME_START_TIME = "CONSUME_START_TIME",
    /// Messages in a stored batch.
    INNER_NUM = "INNER_NUM",
    /// First offset of a stored batch.
    INNER_BASE = "INNER_BASE",
    /// For finding duplicates.
    DUP_INFO = "DUP_INFO",
    /// Seconds before a transaction is first checked.
    CHECK_IMMUNITY_TIME_IN_SECONDS = "CHECK_IMMUNITY_TIME_IN_SECONDS",
    /// Queue offset of the half message that was put again.
    TRAN_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET",
    /// Id of the transaction.
    TRANSACTION_ID = "__transactionId__",
    /// How often a transaction was checked.
    TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES",
    /// Instance of a namespace.
    INSTANCE_ID = "INSTANCE_ID",
    /// Ties a reply to its request.
    CORRELATION_ID = "CORRELATION_ID",
    /// Client that waits for the reply.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT",
    /// How long a request is waited for, ms.
    TTL = "TTL",
    /// `reply` on a reply.
    MSG_TYPE = "MSG_TYPE",
    /// When a reply arrived.
    ARRIVE_TIME = "ARRIVE_TIME",
    /// When a reply was pushed.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME",
    /// Name of the cluster.
    CLUSTER = "CLUSTER",
    /// Pop handle.
    POP_CK = "POP_CK",
    /// Offset within a pop handle.
    POP_CK_OFFSET = "POP_CK_OFFSET",
    /// First time popped.
    FIRST_POP_TIME = "1ST_POP_TIME",
    /// Key that chose the queue.
    SHARDING_KEY = "__SHARDINGKEY",
    /// Queue that the message was forwarded to.
    FORWARD_QUEUE_ID = "PROPERTY_FORWARD_QUEUE_ID",
    /// Whether a bridge redirected it.
    REDIRECT = "REDIRECT",
    /// Light queues to dispatch to.
    INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH",
    /// Offsets in those queues.
    INNER_MULTI_QUEUE_OFFSET = "INNER_MULTI_QUEUE_OFFSET",
    /// Context of a distributed trace.
    TRACE_CONTEXT = "TRACE_CONTEXT",
    /// Delay in seconds.
    TIMER_DELAY_SEC = "TIMER_DELAY_SEC",
    /// Delay in milliseconds.
    TIMER_DELAY_MS = "TIMER_DELAY_MS",
    /// When to deliver, ms since 1970.
    TIMER_DELIVER_MS = "TIMER_DELIVER_MS",
    /// When the timer took it.
    TIMER_ENQUEUE_MS = "TIMER_ENQUEUE_MS",
    /// When the timer gave it back.
    TIMER_DEQUEUE_MS = "TIMER_DEQUEUE_MS",
    /// How often the timer rolled it.
    TIMER_ROLL_TIMES = "TIMER_ROLL_TIMES",
    /// When it leaves the timer.
    TIMER_OUT_MS = "TIMER_OUT_MS",
    /// Timer message to delete.
    TIMER_DEL_UNIQKEY = "TIMER_DEL_UNIQKEY",
    /// Level that became a timer.
    TIMER_DELAY_LEVEL = "TIMER_DELAY_LEVEL",
    /// Address of the producer behind a proxy.
    BORN_HOST = "__BORNHOST",
    /// Born time of the producer behind a proxy.
    BORN_TIMESTAMP = "BORN_TIMESTAMP",
    /// Checksum over the whole record.
    CRC32 = "__CRC32#",
    /// Topic of a dead letter.
    DLQ_ORIGIN_TOPIC = "DLQ_ORIGIN_TOPIC",
    /// Message id of a dead letter.
    DLQ_ORIGIN_MESSAGE_ID = "DLQ_ORIGIN_MESSAGE_ID",
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_separator_is_optional_and_empty_parts_are_dropped() {
        for text in [
            "a\x011\x02bb\x0122",
            "a\x011\x02bb\x0122\x02",
            "\x02\x01x\x02a\x011\x02c\x01\x02noise\x02bb\x0122",
        ] {
            assert_eq!(iterate(text).collect::<Vec<_>>(), [("a", "1"), ("bb", "22")], "{text:?}");
            assert_eq!((get(text, "a"), get(text, "bb")), (Some("1"), Some("22")));
            assert_eq!((get(text, "b"), get(text, "c"), get(text, "")), (None, None, None));
        }
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        for (key, value) in [("", "v"), ("k", ""), ("k\x01", "v"), ("k", "v\x02")] {
            assert!(encode([(key, value)]).is_err(), "{key:?} {value:?}");
        }
    }

    #[test]
    fn inserting_replaces_and_removing_leaves_the_rest() {
        let mut properties = Properties::from("a\x011\x02b\x012".to_owned());
        properties.insert("a", "3").unwrap();
        properties.insert("c", "4").unwrap();
        assert_eq!(properties.as_str(), "b\x012\x02a\x013\x02c\x014\x02");
        properties.remove("a");
        assert_eq!(properties.iter().collect::<Vec<_>>(), [("b", "2"), ("c", "4")]);
    }

    proptest! {
        #[test]
        fn pairs_round_trip(pairs in prop::collection::btree_map("[^\x01\x02]{1,9}", "[^\x01\x02]{1,9}", 0..9)) {
            let text = encode(&pairs).unwrap();
            let read: std::collections::BTreeMap<String, String> =
                iterate(&text).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            for (key, value) in &pairs {
                prop_assert_eq!(get(&text, key), Some(value.as_str()));
            }
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn looking_up_agrees_with_iterating(bytes in prop::collection::vec(0_u8..5, 0..40), key in "[\x03\x04]{0,2}") {
            let text = String::from_utf8(bytes).unwrap();
            let slow = iterate(&text).find(|(other, _)| *other == key).map(|(_, value)| value);
            prop_assert_eq!(get(&text, &key), slow);
        }
    }
}
