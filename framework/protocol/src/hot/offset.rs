//! Committed offsets: code 15.

use super::{Lookup, Text, Value, Visit};
use crate::{
    Command, DecodeError,
    code::RequestCode,
    frame::{Encoding, Frame},
};

/// A committed offset, borrowed from its frame. What the fields mean is said at
/// [`UpdateConsumerOffset`](crate::header::offset::UpdateConsumerOffset).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented where the typed header is")]
pub struct OffsetView<'a> {
    pub code: RequestCode,
    pub opaque: i32,
    pub flag: i32,
    pub version: i32,
    pub encoding: Encoding,
    pub consumer_group: &'a str,
    pub topic: &'a str,
    pub queue_id: i32,
    pub commit_offset: i64,
}

impl<'a> OffsetView<'a> {
    /// Decodes a committed offset in one pass; `None` for anything that the general decoder has to look at.
    /// Strings with escapes are unescaped into `scratch`.
    pub fn decode(frame: Frame<'a>, scratch: &'a mut Vec<u8>) -> Option<Self> {
        if super::code(&frame)? != RequestCode::UPDATE_CONSUMER_OFFSET {
            return None;
        }
        let mut fields = Found::default();
        let top = super::scan(&frame, scratch, &mut fields)?;
        let scratch: &'a [u8] = scratch;
        Some(Self {
            code: top.code,
            opaque: top.opaque,
            flag: top.flag,
            version: top.version,
            encoding: frame.encoding,
            consumer_group: fields.consumer_group.needed(scratch)?,
            topic: fields.topic.needed(scratch)?,
            queue_id: fields.queue_id,
            commit_offset: fields.commit_offset,
        })
    }

    /// Reads a committed offset that was decoded the general way.
    ///
    /// # Errors
    /// The command commits no offset, or a field is missing or of the wrong type.
    pub fn from_command(command: &'a Command) -> Result<Self, DecodeError> {
        let code = command.request_code();
        if code != RequestCode::UPDATE_CONSUMER_OFFSET || command.is_response() {
            return Err(DecodeError::malformed("committed offset", format!("{code} is none")));
        }
        let fields = Lookup(&command.fields);
        Ok(Self {
            code,
            opaque: command.opaque,
            flag: command.flag,
            version: command.version,
            encoding: command.encoding,
            consumer_group: fields.needed("consumerGroup")?,
            topic: fields.needed("topic")?,
            queue_id: fields.read("queueId")?,
            commit_offset: fields.read("commitOffset")?,
        })
    }
}

#[derive(Default)]
struct Found<'a> {
    consumer_group: Text<'a>,
    topic: Text<'a>,
    queue_id: i32,
    commit_offset: i64,
}

impl<'a> Visit<'a> for Found<'a> {
    fn field(&mut self, key: &[u8], value: Value<'a>) -> Option<()> {
        match key {
            b"consumerGroup" => self.consumer_group.set(value)?,
            b"topic" => self.topic.set(value)?,
            b"queueId" => self.queue_id = value.i32()?,
            b"commitOffset" => self.commit_offset = value.i64()?,
            key => {
                super::is_text(key)?;
                value.skip()?;
            }
        }
        Some(())
    }
}
