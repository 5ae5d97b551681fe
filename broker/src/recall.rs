//! Taking back a message that waits for its instant (370).
//!
//! Whoever sends such a message is told a handle. The recall is a message itself: it waits for the same tick, and what it
//! names is not delivered when the tick is over.

use std::sync::Arc;

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use rocketmq_boot_protocol::{
    Command, ResponseCode,
    header::recall::{RecallMessage, RecallMessageReply},
    message::{
        property as keys,
        record::{Draft, Record},
    },
    topic::PERM_WRITE,
};
use rocketmq_boot_remoting::Connection;

use crate::{
    reject::Reject,
    state::{Own, State},
};

/// The tag that recalls have, in case somebody sees one.
const TAG: &str = "_RECALL_TAG_";

/// The first word of a handle.
const VERSION: &str = "v1";

/// Java's encoder pads; its decoder takes both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a handle says.
#[derive(Debug, PartialEq, Eq)]
struct Handle {
    topic: String,
    broker: String,
    at_ms: String,
    unique_key: String,
}

/// The handle of a message that waits.
pub(crate) fn handle(topic: &str, broker: &str, out_ms: i64, unique_key: &str) -> String {
    // A millisecond more: the instant was rounded down, and a recall rounds down again.
    let at_ms = out_ms.saturating_add(1);
    BASE64.encode(format!("{VERSION} {topic} {broker} {at_ms} {unique_key}"))
}

/// How a recall names a message when the topic belongs to the name.
pub(crate) fn key_with_topic(topic: &str, unique_key: &str) -> String {
    format!("{topic}+{unique_key}")
}

impl Handle {
    fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
        let mut words = text.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        let mut word = || words.next().filter(|word| keys::check("handle", word).is_ok()).map(str::to_owned);
        Some(Self { topic: word()?, broker: word()?, at_ms: word()?, unique_key: word()? })
    }
}

impl State {
    /// Takes a message back (370).
    pub(crate) fn recall(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: &Command,
    ) -> Result<Command, Reject> {
        let header: RecallMessage = request.header()?;
        let settings = &self.settings.timers;
        if !settings.recall {
            return Err(Reject::recall(ResponseCode::NO_PERMISSION, "operation is forbidden"));
        }
        if self.settings.permission & PERM_WRITE == 0 && !settings.recall_when_read_only {
            return Err(Reject::recall(ResponseCode::SERVICE_NOT_AVAILABLE, "broker service not available"));
        }
        let topic = self.topics.find(&header.topic).ok_or_else(|| {
            let why = format!("the topic[{}] not exist", header.topic);
            Reject::recall(ResponseCode::TOPIC_NOT_EXIST, why)
        })?;
        let illegal = |why: &str| Reject::recall(ResponseCode::ILLEGAL_OPERATION, why);
        let handle =
            header.recall_handle.as_deref().and_then(Handle::parse).ok_or_else(Reject::recall_handle)?;
        if handle.topic != header.topic {
            return Err(illegal("topic not match"));
        }
        if handle.broker != self.settings.broker_name {
            return Err(illegal("broker service not available"));
        }
        let now_ms = self.clock.now_ms();
        let left_ms = handle.at_ms.parse::<i64>().unwrap_or(-1).saturating_sub(now_ms);
        if left_ms <= 0 || left_ms >= settings.max_delay_ms() {
            return Err(illegal("timestamp invalid"));
        }
        let properties = self.properties_of_recall(&handle, header.producer_group.as_deref(), now_ms)?;
        let mut bytes = Vec::new();
        let draft = Draft {
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: now_ms,
            born_host: connection.remote(),
            store_host: self.store_host(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"0",
            topic: topic.name().as_bytes(),
            properties: properties.as_bytes(),
            more_properties: &[],
        };
        draft.encode(0, 0, now_ms, &mut bytes).map_err(|error| Reject::illegal_message(error.to_string()))?;
        let record = Record::decode(&bytes).map_err(|error| Reject::illegal_message(error.to_string()))?;
        let own =
            Own { properties: &properties, reconsume_times: 0, level: 0, record: &record, committed: None };
        let stored = self.append_own(&topic, 0, &own);
        stored.map_err(|_| Reject::recall(ResponseCode::SYSTEM_ERROR, "execute error"))?;
        let mut answer =
            Command::success(request).with_header(&RecallMessageReply { message_id: handle.unique_key });
        answer.fields.insert("MSG_REGION", self.settings.region.as_str());
        Ok(answer)
    }

    fn properties_of_recall(
        &self,
        handle: &Handle,
        group: Option<&str>,
        now_ms: i64,
    ) -> Result<String, Reject> {
        let key = match self.settings.timers.recall_names_topic {
            true => key_with_topic(&handle.topic, &handle.unique_key),
            false => handle.unique_key.clone(),
        };
        let now = now_ms.to_string();
        let pairs = [
            (keys::TAGS, TAG),
            (keys::TIMER_DEL_UNIQKEY, key.as_str()),
            (keys::UNIQ_KEY, handle.unique_key.as_str()),
            (keys::TIMER_DELIVER_MS, handle.at_ms.as_str()),
            (keys::BORN_TIMESTAMP, now.as_str()),
        ];
        let group = group.filter(|group| !group.is_empty()).map(|group| (keys::PGROUP, group));
        keys::encode(pairs.into_iter().chain(group))
            .map_err(|error| Reject::illegal_message(error.to_string()))
    }

    /// How far timers have come, for a broker that copies this one (60).
    pub(crate) fn timer_progress(&self, request: &Command) -> Result<Command, Reject> {
        let progress = self.timers.progress().ok_or_else(Reject::timers_disabled)?;
        Ok(Command::success(request).with_body(progress.encode().to_vec()))
    }

    /// How many timers wait for each topic (61).
    pub(crate) fn timer_counts(&self, request: &Command) -> Result<Command, Reject> {
        let counts = self.timers.counts().ok_or_else(Reject::timers_disabled)?;
        Ok(Command::success(request).with_body(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_apaches() {
        let text = handle("orders", "broker-a", 1_790_000_000_000, "U1");
        assert_eq!(text, "djEgb3JkZXJzIGJyb2tlci1hIDE3OTAwMDAwMDAwMDEgVTE=");
        let parsed = Handle::parse(&text).unwrap();
        assert_eq!((parsed.topic.as_str(), parsed.broker.as_str()), ("orders", "broker-a"));
        assert_eq!((parsed.at_ms.as_str(), parsed.unique_key.as_str()), ("1790000000001", "U1"));
        assert_eq!(Handle::parse(text.trim_end_matches('=')), Some(parsed));
    }

    #[test]
    fn what_is_no_handle_is_none() {
        for text in ["", "v1", "v2 t b 1 k", "v1 t b 1", "v1 t b 1 k\u{2}x\u{1}y", "v1 t  1 k"] {
            assert_eq!(Handle::parse(&BASE64.encode(text)), None, "{text:?}");
        }
        assert_eq!(Handle::parse("!"), None);
        assert_eq!(Handle::parse(&BASE64.encode([0xff, 0xfe])), None);
    }
}
