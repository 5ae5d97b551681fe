//! Sends: codes 10 and 324 with long names, 310, 320 and 325 with short ones.

use std::fmt;

use super::{Lookup, Text, Value, Visit};
use crate::{
    Command, DecodeError,
    code::RequestCode,
    frame::{Encoding, Frame},
};

/// A send, borrowed from its frame. What the fields mean is said at [`SendMessage`](crate::header::send::SendMessage).
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented where the typed header is")]
pub struct SendView<'a> {
    pub code: RequestCode,
    pub opaque: i32,
    /// The frame's flag, not the message's.
    pub flag: i32,
    pub version: i32,
    pub encoding: Encoding,
    pub producer_group: &'a str,
    pub topic: &'a str,
    pub default_topic: &'a str,
    pub default_topic_queue_nums: i32,
    pub queue_id: i32,
    pub sys_flag: i32,
    pub born_timestamp: i64,
    /// The application's own flag.
    pub message_flag: i32,
    pub properties: &'a str,
    pub reconsume_times: i32,
    pub max_reconsume_times: Option<i32>,
    /// Whether the body is a batch.
    pub batch: bool,
    pub body: &'a [u8],
}

impl<'a> SendView<'a> {
    /// Decodes a send in one pass; `None` for anything that the general decoder has to look at. Strings with
    /// escapes are unescaped into `scratch`.
    pub fn decode(frame: Frame<'a>, scratch: &'a mut Vec<u8>) -> Option<Self> {
        let names = Names::of(super::code(&frame)?)?;
        let mut fields = Found { names, ..Found::default() };
        let top = super::scan(&frame, scratch, &mut fields)?;
        let scratch: &'a [u8] = scratch;
        Some(Self {
            code: top.code,
            opaque: top.opaque,
            flag: top.flag,
            version: top.version,
            encoding: frame.encoding,
            producer_group: fields.producer_group.needed(scratch)?,
            topic: fields.topic.needed(scratch)?,
            default_topic: fields.default_topic.needed(scratch)?,
            default_topic_queue_nums: fields.default_topic_queue_nums,
            queue_id: fields.queue_id,
            sys_flag: fields.sys_flag,
            born_timestamp: fields.born_timestamp,
            message_flag: fields.message_flag,
            properties: fields.properties.or("", scratch)?,
            reconsume_times: fields.reconsume_times,
            max_reconsume_times: fields.max_reconsume_times,
            batch: fields.batch,
            body: frame.body,
        })
    }

    /// Reads a send that was decoded the general way.
    ///
    /// # Errors
    /// The command is no send, or a field is missing or of the wrong type.
    pub fn from_command(command: &'a Command) -> Result<Self, DecodeError> {
        let code = command.request_code();
        let names = match Names::of(code) {
            Some(names) if !command.is_response() => names.table(),
            _ => return Err(DecodeError::malformed("send", format!("{code} is none"))),
        };
        let fields = Lookup(&command.fields);
        Ok(Self {
            code,
            opaque: command.opaque,
            flag: command.flag,
            version: command.version,
            encoding: command.encoding,
            producer_group: fields.needed(names[0])?,
            topic: fields.needed(names[1])?,
            default_topic: fields.needed(names[2])?,
            default_topic_queue_nums: fields.read(names[3])?,
            queue_id: fields.read(names[4])?,
            sys_flag: fields.read(names[5])?,
            born_timestamp: fields.read(names[6])?,
            message_flag: fields.read(names[7])?,
            properties: fields.or(names[8], ""),
            reconsume_times: fields.read(names[9])?,
            max_reconsume_times: fields.read(names[10])?,
            batch: fields.read(names[11])?,
            body: &command.body,
        })
    }
}

impl fmt::Debug for SendView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendView")
            .field("code", &self.code)
            .field("opaque", &self.opaque)
            .field("flag", &self.flag)
            .field("version", &self.version)
            .field("encoding", &self.encoding)
            .field("producer_group", &self.producer_group)
            .field("topic", &self.topic)
            .field("default_topic", &self.default_topic)
            .field("default_topic_queue_nums", &self.default_topic_queue_nums)
            .field("queue_id", &self.queue_id)
            .field("sys_flag", &self.sys_flag)
            .field("born_timestamp", &self.born_timestamp)
            .field("message_flag", &self.message_flag)
            .field("properties", &self.properties)
            .field("reconsume_times", &self.reconsume_times)
            .field("max_reconsume_times", &self.max_reconsume_times)
            .field("batch", &self.batch)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Which of the two spellings a request uses.
#[derive(Clone, Copy, Default, PartialEq)]
enum Names {
    #[default]
    Long,
    Short,
}

impl Names {
    fn of(code: RequestCode) -> Option<Self> {
        match code {
            RequestCode::SEND_MESSAGE | RequestCode::SEND_REPLY_MESSAGE => Some(Self::Long),
            RequestCode::SEND_MESSAGE_V2
            | RequestCode::SEND_BATCH_MESSAGE
            | RequestCode::SEND_REPLY_MESSAGE_V2 => Some(Self::Short),
            _ => None,
        }
    }

    /// The names in the order of [`SendView`]'s members from the producer group on.
    const fn table(self) -> [&'static str; 12] {
        match self {
            Self::Long => [
                "producerGroup",
                "topic",
                "defaultTopic",
                "defaultTopicQueueNums",
                "queueId",
                "sysFlag",
                "bornTimestamp",
                "flag",
                "properties",
                "reconsumeTimes",
                "maxReconsumeTimes",
                "batch",
            ],
            Self::Short => ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "l", "m"],
        }
    }

    /// The short name of a key.
    fn short(self, key: &[u8]) -> u8 {
        match (self, key) {
            (Self::Short, [letter]) => *letter,
            (Self::Short, _) => 0,
            (Self::Long, key) => match key {
                b"producerGroup" => b'a',
                b"topic" => b'b',
                b"defaultTopic" => b'c',
                b"defaultTopicQueueNums" => b'd',
                b"queueId" => b'e',
                b"sysFlag" => b'f',
                b"bornTimestamp" => b'g',
                b"flag" => b'h',
                b"properties" => b'i',
                b"reconsumeTimes" => b'j',
                b"maxReconsumeTimes" => b'l',
                b"batch" => b'm',
                _ => 0,
            },
        }
    }
}

#[derive(Default)]
struct Found<'a> {
    names: Names,
    producer_group: Text<'a>,
    topic: Text<'a>,
    default_topic: Text<'a>,
    default_topic_queue_nums: i32,
    queue_id: i32,
    sys_flag: i32,
    born_timestamp: i64,
    message_flag: i32,
    properties: Text<'a>,
    reconsume_times: i32,
    max_reconsume_times: Option<i32>,
    batch: bool,
}

impl<'a> Visit<'a> for Found<'a> {
    fn field(&mut self, key: &[u8], value: Value<'a>) -> Option<()> {
        match self.names.short(key) {
            b'a' => self.producer_group.set(value)?,
            b'b' => self.topic.set(value)?,
            b'c' => self.default_topic.set(value)?,
            b'd' => self.default_topic_queue_nums = value.i32()?,
            b'e' => self.queue_id = value.i32()?,
            b'f' => self.sys_flag = value.i32()?,
            b'g' => self.born_timestamp = value.i64()?,
            b'h' => self.message_flag = value.i32()?,
            b'i' => self.properties.set(value)?,
            b'j' => self.reconsume_times = value.i32()?,
            b'l' => self.max_reconsume_times = value.optional_i32()?,
            b'm' => self.batch = value.bool()?,
            _ => {
                super::is_text(key)?;
                value.skip()?;
            }
        }
        Some(())
    }
}
