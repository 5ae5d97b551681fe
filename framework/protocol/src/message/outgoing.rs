//! A message on its way out, as an application builds it.

use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use thiserror::Error;

use super::{
    property::{self, PropertyError},
    record::MAX_PROPERTIES_BYTES,
};

/// A message to be sent.
///
/// ```
/// use rocketmq_boot_protocol::message::Message;
/// let message = Message::new("orders", "hello").tag("placed").key("4711").property("tenant", "acme");
/// assert_eq!(message.tag_name(), Some("placed"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    pub body: Bytes,
    /// The application's own flag; consumers see it unchanged.
    pub flag: i32,
    /// Everything else, RocketMQ's own properties among it.
    pub properties: BTreeMap<String, String>,
}

/// A message whose properties cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A property with a forbidden byte in it, or an empty one.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// All properties together are longer than the protocol allows.
    #[error("properties of {bytes} bytes are more than the {MAX_PROPERTIES_BYTES} that a message may carry")]
    TooLong {
        /// Their length as they would be sent.
        bytes: usize,
    },
}

impl Message {
    /// Starts a message.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), body: body.into(), flag: 0, properties: BTreeMap::new() }
    }

    /// Sets the tag that consumers select by.
    #[must_use]
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.property(property::TAGS, tag)
    }

    /// Adds a key that the message can be found by.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        let keys = self.properties.entry(property::KEYS.to_owned()).or_default();
        if !keys.is_empty() {
            keys.push(' ');
        }
        keys.push_str(key.as_ref());
        self
    }

    /// Adds several keys.
    #[must_use]
    pub fn keys<K: AsRef<str>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().fold(self, Self::key)
    }

    /// Sets a property.
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// Delivers it later: level 1-18 of the broker's ladder, by default from 1 s to 2 h.
    #[must_use]
    pub fn delay_level(self, level: u32) -> Self {
        self.property(property::DELAY, level.to_string())
    }

    /// Delivers it this much later, to the second: the broker's timer, which 5.0 brought. Over three days are
    /// refused unless the broker was configured for them.
    #[doc(alias = "setDelayTimeMs")]
    #[doc(alias = "setDelayTimeSec")]
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.property(property::TIMER_DELAY_MS, delay.as_millis().to_string())
    }

    /// Delivers it at this time, to the second, by the broker's timer; a time that has passed means at once.
    #[doc(alias = "setDeliverTimeMs")]
    #[must_use]
    pub fn deliver_at(self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.property(property::TIMER_DELIVER_MS, since.as_millis().to_string())
    }

    /// Whether the broker's timer is to hold it: [`Message::delay`] or [`Message::deliver_at`].
    pub fn is_timed(&self) -> bool {
        // These two, and the third timer property between them, are the only keys in this range.
        let timers = (Bound::Included(property::TIMER_DELAY_MS), Bound::Included(property::TIMER_DELIVER_MS));
        self.properties.range::<str, _>(timers).next().is_some()
    }

    /// Sets the application's own flag.
    #[must_use]
    pub fn flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// The tag.
    pub fn tag_name(&self) -> Option<&str> {
        self.properties.get(property::TAGS).map(String::as_str)
    }

    /// The id that the client gave it, once it was sent.
    pub fn message_id(&self) -> Option<&str> {
        self.properties.get(property::UNIQ_KEY).map(String::as_str)
    }

    /// The properties string to send.
    ///
    /// # Errors
    /// [`MessageError`] for a property that the string cannot hold, or too many of them.
    pub fn encode_properties(&self) -> Result<String, MessageError> {
        let text = property::encode(&self.properties)?;
        if text.len() > MAX_PROPERTIES_BYTES {
            return Err(MessageError::TooLong { bytes: text.len() });
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_in_the_properties_string() {
        let message = Message::new("t", "b").tag("a").keys(["k1", "k2"]).key("k3").delay_level(3).flag(4);
        assert_eq!(message.encode_properties().unwrap(), "DELAY\x013\x02KEYS\x01k1 k2 k3\x02TAGS\x01a\x02");
        assert_eq!((message.flag, message.tag_name(), message.message_id()), (4, Some("a"), None));
    }

    #[test]
    fn each_timer_is_told_from_what_sorts_beside_it() {
        let message = || Message::new("t", "b");
        assert!(message().delay(Duration::from_millis(1_500)).is_timed());
        assert!(message().deliver_at(UNIX_EPOCH + Duration::from_secs(2)).is_timed());
        assert!(message().property(property::TIMER_DELAY_SEC, "1").is_timed());
        for other in [property::TIMER_DELAY_LEVEL, property::TIMER_DEL_UNIQKEY, property::TIMER_ENQUEUE_MS] {
            assert!(!message().property(other, "1").delay_level(3).is_timed(), "{other}");
        }
        let at = message().deliver_at(UNIX_EPOCH + Duration::from_secs(2));
        assert_eq!(at.encode_properties().unwrap(), "TIMER_DELIVER_MS\x012000\x02");
    }

    #[test]
    fn separators_and_too_many_properties_are_refused() {
        let smuggled = Message::new("t", "b").property("a", "1\x02TAGS\x01other");
        assert!(matches!(smuggled.encode_properties(), Err(MessageError::Property(_))));
        let long = Message::new("t", "b").property("a", "x".repeat(32_765));
        assert_eq!(long.encode_properties(), Err(MessageError::TooLong { bytes: 32_768 }));
    }
}
