//! What stands around a body: destination, keys and headers, checked before anything is sent.
//!
//! Nothing that the caller asks for is dropped: what cannot be honoured is an error that names the way to do it.

use rocketmq_boot_protocol::message::property;

use super::{
    payload::Payload,
    send::{Message, SendError},
};

/// A message under construction. The first mistake is kept, and told when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    message: Message,
    mistake: Option<String>,
}

impl Envelope {
    /// Parts `topic:tag` at the first colon, and encodes the body.
    pub(crate) fn new(destination: &str, payload: impl Payload) -> Self {
        let (topic, tag) = match destination.split_once(':') {
            Some((topic, tag)) => (topic, Some(tag)),
            None => (destination, None),
        };
        let message = Message::new(topic, bytes::Bytes::new());
        let mut envelope = Self { message, mistake: None };
        if topic.is_empty() {
            envelope.refuse(format!(
                "the destination `{destination}` has no topic: it is `topic` or `topic:tag`"
            ));
        }
        if let Some(tag) = tag {
            envelope.tag(tag);
        }
        match payload.into_body() {
            Ok(body) => {
                envelope.message.body = body.bytes;
                if let Some(content_type) = body.content_type {
                    envelope.property("contentType", content_type);
                }
            }
            Err(error) => envelope.refuse(error),
        }
        envelope
    }

    pub(crate) fn tag(&mut self, tag: &str) {
        if tag.trim().is_empty() || tag.contains("||") || tag == "*" {
            return self.refuse(format!("`{tag}` is not a tag: a message has one name or none"));
        }
        self.property(property::TAGS, tag);
    }

    pub(crate) fn keys(&mut self, key: &str) {
        if key.trim().is_empty() {
            return self.refuse("a key is empty".to_owned());
        }
        let joined = match self.message.properties.get(property::KEYS) {
            Some(keys) => format!("{keys} {key}"),
            None => key.to_owned(),
        };
        self.property(property::KEYS, &joined);
    }

    pub(crate) fn delay_level(&mut self, level: u32) {
        match level {
            0 => self.refuse("delay levels begin at 1".to_owned()),
            level => self.property(property::DELAY, &level.to_string()),
        }
    }

    /// Sets a header: RocketMQ's own are honoured or refused, all others are properties of the application.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        let plain = name.strip_prefix("rocketmq_").unwrap_or(name);
        match plain {
            "KEYS" => self.keys(value),
            "TAGS" => self.tag(value),
            "FLAG" => match value.trim().parse() {
                Ok(flag) => self.message.flag = flag,
                Err(_) => self.refuse(format!("the header `{name}` is a whole number, not `{value}`")),
            },
            "DELAY" => match value.trim().parse() {
                Ok(level) => self.delay_level(level),
                Err(_) => self.refuse(format!("the header `{name}` is a delay level, not `{value}`")),
            },
            "WAIT_STORE_MSG_OK" | "WAIT" => match value.trim() {
                "true" | "false" => self.property(property::WAIT, value.trim()),
                _ => self.refuse(format!("the header `{name}` is `true` or `false`, not `{value}`")),
            },
            _ if property::RESERVED.contains(&plain) => {
                self.refuse(format!("the header `{name}` belongs to RocketMQ and cannot be set"));
            }
            _ if value.trim().is_empty() => self.refuse(format!("the header `{name}` is empty")),
            _ => self.property(name, value),
        }
    }

    fn property(&mut self, key: &str, value: &str) {
        match property::check(key, value) {
            Ok(()) => {
                self.message.properties.insert(key.to_owned(), value.to_owned());
            }
            Err(error) => self.refuse(error.to_string()),
        }
    }

    fn refuse(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }

    /// The message, or the first mistake made on the way.
    pub(crate) fn seal(self) -> Result<Message, SendError> {
        match self.mistake {
            Some(reason) => Err(SendError::Unbuilt { topic: self.message.topic, reason }),
            None => Ok(self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    #[test]
    fn a_destination_is_parted_at_its_first_colon() {
        let message = Envelope::new("orders:placed:eu", "x").seal().unwrap();
        assert_eq!((message.topic.as_str(), message.tag_name()), ("orders", Some("placed:eu")));
        assert_eq!(Envelope::new("orders", "x").seal().unwrap().tag_name(), None);
        for wrong in [":placed", "", "orders:", "orders:a || b", "orders:*"] {
            assert!(Envelope::new(wrong, "x").seal().is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_of_rocketmq_are_honoured_or_refused_never_dropped() {
        let with = |name: &str, value: &str| {
            let mut envelope = Envelope::new("t", "x");
            envelope.header(name, value);
            envelope.seal()
        };
        assert_eq!(with("KEYS", "7").unwrap().properties[property::KEYS], "7");
        assert_eq!(with("rocketmq_TAGS", "a").unwrap().tag_name(), Some("a"));
        assert_eq!(with("FLAG", "3").unwrap().flag, 3);
        assert_eq!(with("DELAY", "4").unwrap().properties[property::DELAY], "4");
        assert_eq!(with("tenant", "acme").unwrap().properties["tenant"], "acme");
        assert!(with("UNIQ_KEY", "x").unwrap_err().to_string().contains("belongs to RocketMQ"));
        assert!(with("FLAG", "x").is_err());
        assert!(with("tenant", "  ").unwrap_err().to_string().contains("is empty"));
        assert!(with("tenant", "a\u{1}b").is_err());
    }

    #[test]
    fn keys_add_up_and_json_says_its_type() {
        let mut envelope = Envelope::new("t", Json([1, 2]));
        envelope.keys("1");
        envelope.keys("2");
        let message = envelope.seal().unwrap();
        assert_eq!(message.properties[property::KEYS], "1 2");
        assert_eq!(&message.body[..], b"[1,2]");
        assert_eq!(message.properties["contentType"], "application/json");
    }
}
