//! Writing a send straight into the output buffer, in the binary encoding, which every broker reads.

use super::write::{counted_number, long, set_length};
use crate::{
    RequestCode,
    command::{Command, Language, VERSION},
    frame::{self, Encoding, PREFIX_BYTES},
};

/// A send of one message or of a batch: 310, 320 and 325.
///
/// What is left out is 0 or false to brokers.
#[doc(alias = "SendMessageRequestHeaderV2")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRequest<'a> {
    /// [`RequestCode::SEND_MESSAGE_V2`], [`RequestCode::SEND_BATCH_MESSAGE`] or
    /// [`RequestCode::SEND_REPLY_MESSAGE_V2`].
    pub code: RequestCode,
    /// The producer's group.
    pub group: &'a str,
    /// Where the message goes.
    pub topic: &'a str,
    /// The template for a topic that does not exist yet.
    pub default_topic: &'a str,
    /// Queues that the producer would like such a topic to have.
    pub default_topic_queues: i32,
    /// The queue.
    pub queue_id: i32,
    /// Bits of [`sys_flag`](crate::message::sys_flag).
    pub sys_flag: i32,
    /// When the producer made the message, in ms since 1970.
    pub born_timestamp: i64,
    /// The application's own flag.
    pub flag: i32,
    /// Properties in their [stored form](crate::message::property).
    pub properties: &'a str,
    /// For a message to a retry topic: deliveries that have failed already, and how many the group allows.
    pub reconsumed: Option<(i32, i32)>,
    /// Whether the producer belongs to a unit.
    pub unit_mode: bool,
    /// The broker that the client means; empty leaves it out.
    pub broker: &'a str,
    /// The message, or the batch.
    pub body: &'a [u8],
}

impl SendRequest<'_> {
    /// Appends the frame.
    pub fn encode(&self, opaque: i32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        let [_, _, c0, c1] = self.code.0.to_be_bytes();
        let [_, _, v0, v1] = VERSION.to_be_bytes();
        let [o0, o1, o2, o3] = opaque.to_be_bytes();
        // No flag and no remark; the last four are the length of the fields.
        let head = [c0, c1, Language::Rust.to_byte(), v0, v1, o0, o1, o2, o3];
        out.extend_from_slice(&head);
        out.extend_from_slice(&[0; 12]);
        let fields = out.len();
        self.fields(|key, value| {
            out.extend_from_slice(&[0, 1, key]);
            match value {
                Value::Text(text) => long(out, text.as_bytes()),
                Value::Number(number) => counted_number(out, number),
            }
        });
        set_length(out, fields);
        frame::finish(out, start, Encoding::Binary, self.body);
    }

    /// The same as a [`Command`], for whoever has to look at it or complete it before it is sent.
    pub fn to_command(&self) -> Command {
        let mut command = Command::bare(self.code).with_body(self.body.to_vec());
        command.encoding = Encoding::Binary;
        self.fields(|key, value| {
            let value = match value {
                Value::Text(text) => text.to_owned(),
                Value::Number(number) => number.to_string(),
            };
            command.fields.insert(char::from(key).to_string(), value);
        });
        command
    }

    /// Every field, by its one-letter name.
    #[inline]
    fn fields(&self, mut field: impl FnMut(u8, Value<'_>)) {
        field(b'a', Value::Text(self.group));
        field(b'b', Value::Text(self.topic));
        field(b'c', Value::Text(self.default_topic));
        field(b'd', Value::Number(self.default_topic_queues.into()));
        field(b'e', Value::Number(self.queue_id.into()));
        field(b'f', Value::Number(self.sys_flag.into()));
        field(b'g', Value::Number(self.born_timestamp));
        field(b'h', Value::Number(self.flag.into()));
        field(b'i', Value::Text(self.properties));
        if let Some((times, limit)) = self.reconsumed {
            field(b'j', Value::Number(times.into()));
            field(b'l', Value::Number(limit.into()));
        }
        if self.unit_mode {
            field(b'k', Value::Text("true"));
        }
        if self.code == RequestCode::SEND_BATCH_MESSAGE {
            field(b'm', Value::Text("true"));
        }
        if !self.broker.is_empty() {
            field(b'n', Value::Text(self.broker));
        }
    }
}

/// The value of a field.
enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{fields::Header, frame::Frame, header::send::SendMessageShort};

    proptest! {
        /// The general decoder and the general writer are the oracles.
        #[test]
        fn what_is_written_is_what_the_general_writer_writes(
            numbers in any::<[i32; 4]>(),
            born_timestamp in any::<i64>(),
            texts in prop::array::uniform4("[^\x00]{1,40}"),
            reconsumed in any::<Option<(i32, i32)>>(),
            batch in any::<bool>(),
            unit_mode in any::<bool>(),
            body in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let [queue_id, sys_flag, flag, opaque] = numbers;
            let [group, topic, properties, broker] = &texts;
            let request = SendRequest {
                code: if batch { RequestCode::SEND_BATCH_MESSAGE } else { RequestCode::SEND_MESSAGE_V2 },
                group,
                topic,
                default_topic: "TBW102",
                default_topic_queues: 4,
                queue_id,
                sys_flag,
                born_timestamp,
                flag,
                properties,
                reconsumed,
                unit_mode,
                broker,
                body: &body,
            };
            let mut frame = Vec::new();
            request.encode(opaque, &mut frame);
            let command = request.to_command();
            let mut general = Vec::new();
            command.encode_as(opaque, &mut general);
            prop_assert_eq!(&frame, &general);
            let decoded = Command::decode(Frame::split(&frame).unwrap().unwrap().0).unwrap();
            prop_assert_eq!(decoded.opaque, opaque);
            prop_assert_eq!(&decoded.body[..], &body[..]);
            let header = SendMessageShort::read(&decoded.fields).unwrap();
            prop_assert_eq!((header.queue_id, header.sys_flag, header.flag), (queue_id, sys_flag, flag));
            prop_assert_eq!((header.born_timestamp, header.batch, header.unit_mode), (born_timestamp, batch, unit_mode));
            prop_assert_eq!((&header.producer_group, &header.topic), (group, topic));
            prop_assert_eq!(header.properties.as_ref(), Some(properties));
            prop_assert_eq!(header.broker_name.as_ref(), Some(broker));
            prop_assert_eq!(header.max_reconsume_times, reconsumed.map(|(_, limit)| limit));
        }
    }
}
