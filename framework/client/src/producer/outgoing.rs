//! A message, or a batch, ready to be sent to whichever queue is chosen.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocketmq_boot_protocol::{
    RequestCode,
    hot::SendRequest,
    message::{
        Message, MessageError,
        compress::{Compression, compress},
        property,
        record::MAX_PROPERTIES_BYTES,
        sys_flag,
    },
    topic::{AUTO_CREATE_TOPIC, is_sendable, validate_topic},
};

use super::{SendError, options::Options};
use crate::{Feature, core::Core, route::DEFAULT_TOPIC_QUEUES};

/// The most that the id adds to the properties.
const STAMP_BYTES: usize = 80;

/// What goes into the request, apart from the queue.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) code: RequestCode,
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) body: Bytes,
    pub(crate) properties: String,
    pub(crate) sys_flag: i32,
    pub(crate) flag: i32,
    pub(crate) born_timestamp: i64,
    /// For a message on its way to a retry topic: failed deliveries, and how many it may have.
    pub(crate) reconsumed: Option<(i32, i32)>,
    /// Queues that a topic gets which does not exist yet.
    pub(crate) topic_queues: i32,
    /// What the broker must be able to do.
    pub(crate) needs: Option<Feature>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            code: RequestCode::SEND_MESSAGE_V2,
            group: String::new(),
            topic: String::new(),
            body: Bytes::new(),
            properties: String::new(),
            sys_flag: 0,
            flag: 0,
            born_timestamp: 0,
            reconsumed: None,
            topic_queues: DEFAULT_TOPIC_QUEUES,
            needs: None,
        }
    }
}

impl Outgoing {
    /// Checks a message and makes it ready; gives the id that it was given.
    pub(super) fn message(
        core: &Core,
        group: &str,
        options: &Options,
        message: Message,
    ) -> Result<(Self, String), SendError> {
        let needs = message.is_timed().then_some(Feature::Timer);
        let topic = core.namespace.wrap_owned(message.topic);
        check_topic(&topic)?;
        check_body(&topic, message.body.len(), options.max_message_bytes)?;
        let born_timestamp = core.options.clock.now_ms();
        let (properties, message_id) = stamp(core, &topic, &message.properties, born_timestamp)?;
        let (body, sys_flag) = pack(message.body, options);
        let outgoing = Self {
            group: group.to_owned(),
            topic,
            body,
            properties,
            sys_flag,
            flag: message.flag,
            born_timestamp,
            topic_queues: options.topic_queues,
            needs,
            ..Self::default()
        };
        Ok((outgoing, message_id))
    }

    /// The request that sends it to a queue.
    pub(crate) fn request<'a>(&'a self, queue_id: i32, broker: &'a str, unit_mode: bool) -> SendRequest<'a> {
        SendRequest {
            code: self.code,
            group: &self.group,
            topic: &self.topic,
            default_topic: AUTO_CREATE_TOPIC,
            default_topic_queues: self.topic_queues,
            queue_id,
            sys_flag: self.sys_flag,
            born_timestamp: self.born_timestamp,
            flag: self.flag,
            properties: &self.properties,
            reconsumed: self.reconsumed,
            unit_mode,
            broker,
            body: &self.body,
        }
    }
}

/// Checks all of a message that can be wrong, without making it ready.
pub(super) fn check(core: &Core, options: &Options, message: &Message) -> Result<(), SendError> {
    let topic = core.namespace.wrap(&message.topic);
    check_topic(&topic)?;
    check_body(&topic, message.body.len(), options.max_message_bytes)?;
    let wrong = |source| SendError::Message { topic: message.topic.clone(), source };
    let mut bytes = STAMP_BYTES;
    for (key, value) in &message.properties {
        property::check(key, value).map_err(|error| wrong(error.into()))?;
        bytes += key.len() + value.len() + 2;
    }
    if bytes > MAX_PROPERTIES_BYTES {
        return Err(wrong(MessageError::TooLong { bytes }));
    }
    Ok(())
}

pub(super) fn check_topic(topic: &str) -> Result<(), SendError> {
    validate_topic(topic)?;
    if !is_sendable(topic) {
        return Err(SendError::Reserved { topic: topic.to_owned() });
    }
    Ok(())
}

pub(super) fn check_body(topic: &str, bytes: usize, limit: usize) -> Result<(), SendError> {
    if bytes == 0 {
        return Err(SendError::Empty { topic: topic.to_owned() });
    }
    if bytes > limit {
        return Err(SendError::TooLarge { topic: topic.to_owned(), bytes, limit });
    }
    Ok(())
}

/// The properties string with an id in it, and the id. A message that has one keeps it.
pub(super) fn stamp(
    core: &Core,
    topic: &str,
    properties: &BTreeMap<String, String>,
    now_ms: i64,
) -> Result<(String, String), SendError> {
    let wrong = |source| SendError::Message { topic: topic.to_owned(), source };
    let mut text = property::encode(properties).map_err(|error| wrong(error.into()))?;
    let message_id = match properties.get(property::UNIQ_KEY) {
        Some(id) => id.clone(),
        None => {
            let id = core.keys.next(now_ms);
            text.reserve(property::UNIQ_KEY.len() + id.len() + 2);
            text.push_str(property::UNIQ_KEY);
            text.push(char::from(property::NAME_SEPARATOR));
            text.push_str(&id);
            text.push(char::from(property::SEPARATOR));
            id
        }
    };
    if text.len() > MAX_PROPERTIES_BYTES {
        return Err(wrong(MessageError::TooLong { bytes: text.len() }));
    }
    Ok((text, message_id))
}

/// Compresses a body that is worth it.
fn pack(body: Bytes, options: &Options) -> (Bytes, i32) {
    if body.len() < options.compress_over {
        return (body, 0);
    }
    let kind = match options.compression {
        // Without a kind, every client since 3.0 takes it for zlib.
        Compression::Zlib => 0,
        Compression::Lz4 => sys_flag::COMPRESSION_LZ4,
        Compression::Zstd => sys_flag::COMPRESSION_ZSTD,
    };
    match compress(options.compression, &body, options.compression_level) {
        Ok(packed) => (packed.into(), sys_flag::COMPRESSED | kind),
        Err(error) => {
            tracing::warn!(%error, "body is sent as it is");
            (body, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::{
        fields::Header, header::send::SendMessageShort, message::compress::decompress,
    };

    use super::*;
    use crate::Client;

    fn outgoing(message: Message) -> Result<(Outgoing, String), SendError> {
        let client = Client::connect("127.0.0.1:1");
        Outgoing::message(&client.core, "shop", &Options::default(), message)
    }

    #[test]
    fn the_request_reads_back_as_the_typed_header() {
        let (outgoing, id) = outgoing(Message::new("orders", "x").tag("a").flag(9)).unwrap();
        let command = outgoing.request(3, "broker-a", false).to_command();
        let header = SendMessageShort::read(&command.fields).unwrap();
        assert_eq!(
            header,
            SendMessageShort {
                producer_group: "shop".to_owned(),
                topic: "orders".to_owned(),
                default_topic: "TBW102".to_owned(),
                default_topic_queue_nums: 4,
                queue_id: 3,
                born_timestamp: outgoing.born_timestamp,
                flag: 9,
                properties: Some(format!("TAGS\u{1}a\u{2}UNIQ_KEY\u{1}{id}\u{2}")),
                broker_name: Some("broker-a".to_owned()),
                ..SendMessageShort::default()
            }
        );
        assert_eq!(command.code, 310);
    }

    #[test]
    fn bodies_over_the_threshold_are_packed() {
        let (small, _) = outgoing(Message::new("t", vec![7; 4_095])).unwrap();
        assert_eq!((small.body.len(), small.sys_flag), (4_095, 0));
        let (large, _) = outgoing(Message::new("t", vec![7; 4_096])).unwrap();
        assert_eq!(large.sys_flag, sys_flag::COMPRESSED);
        assert_eq!(decompress(Compression::Zlib, &large.body, 4_096).unwrap(), vec![7; 4_096]);
    }

    #[test]
    fn an_id_that_is_there_is_kept() {
        let (outgoing, id) = outgoing(Message::new("t", "x").property("UNIQ_KEY", "mine")).unwrap();
        assert_eq!((id.as_str(), outgoing.properties.as_str()), ("mine", "UNIQ_KEY\u{1}mine\u{2}"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_here() {
        let error = |message| outgoing(message).unwrap_err();
        assert!(matches!(error(Message::new("../x", "b")), SendError::Name(_)));
        assert!(matches!(error(Message::new("SCHEDULE_TOPIC_XXXX", "b")), SendError::Reserved { .. }));
        assert!(matches!(error(Message::new("t", "")), SendError::Empty { .. }));
        let large = Message::new("t", vec![0; (4 << 20) + 1]);
        assert!(matches!(error(large), SendError::TooLarge { bytes: 4_194_305, .. }));
        let smuggled = Message::new("t", "b").property("a", "1\u{2}TAGS\u{1}other");
        assert!(matches!(error(smuggled), SendError::Message { .. }));
        let wide = Message::new("t", "b").property("a", "x".repeat(32_760));
        assert!(matches!(error(wide), SendError::Message { source: MessageError::TooLong { .. }, .. }));
    }
}
