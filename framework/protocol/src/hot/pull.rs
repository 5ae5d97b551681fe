//! Pulls: codes 11 and 361.

use super::{Lookup, Text, Value, Visit};
use crate::{
    Command, DecodeError,
    code::RequestCode,
    frame::{Encoding, Frame},
};

/// What [`PullView::expression_type`] is when the client says nothing.
const TAG: &str = "TAG";

/// A pull, borrowed from its frame. What the fields mean is said at [`PullMessage`](crate::header::pull::PullMessage).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented where the typed header is")]
pub struct PullView<'a> {
    pub code: RequestCode,
    pub opaque: i32,
    pub flag: i32,
    pub version: i32,
    pub encoding: Encoding,
    pub consumer_group: &'a str,
    pub topic: &'a str,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub max_message_nums: i32,
    pub sys_flag: i32,
    pub commit_offset: i64,
    pub suspend_timeout_millis: i64,
    /// Empty when the client sends none.
    pub subscription: &'a str,
    pub sub_version: i64,
    /// `TAG` when the client says nothing.
    pub expression_type: &'a str,
    pub max_message_bytes: Option<i32>,
}

fn is_pull(code: RequestCode) -> bool {
    matches!(code, RequestCode::PULL_MESSAGE | RequestCode::LITE_PULL_MESSAGE)
}

/// Java takes an empty type for `TAG` too.
fn expression_type(text: &str) -> &str {
    if text.is_empty() { TAG } else { text }
}

impl<'a> PullView<'a> {
    /// Decodes a pull in one pass; `None` for anything that the general decoder has to look at. Strings with
    /// escapes are unescaped into `scratch`.
    pub fn decode(frame: Frame<'a>, scratch: &'a mut Vec<u8>) -> Option<Self> {
        if !is_pull(super::code(&frame)?) {
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
            queue_offset: fields.queue_offset,
            max_message_nums: fields.max_message_nums,
            sys_flag: fields.sys_flag,
            commit_offset: fields.commit_offset,
            suspend_timeout_millis: fields.suspend_timeout_millis,
            subscription: fields.subscription.or("", scratch)?,
            sub_version: fields.sub_version,
            expression_type: expression_type(fields.expression_type.or(TAG, scratch)?),
            max_message_bytes: fields.max_message_bytes,
        })
    }

    /// Reads a pull that was decoded the general way.
    ///
    /// # Errors
    /// The command is no pull, or a field is missing or of the wrong type.
    pub fn from_command(command: &'a Command) -> Result<Self, DecodeError> {
        let code = command.request_code();
        if !is_pull(code) || command.is_response() {
            return Err(DecodeError::malformed("pull", format!("{code} is none")));
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
            queue_offset: fields.read("queueOffset")?,
            max_message_nums: fields.read("maxMsgNums")?,
            sys_flag: fields.read("sysFlag")?,
            commit_offset: fields.read("commitOffset")?,
            suspend_timeout_millis: fields.read("suspendTimeoutMillis")?,
            subscription: fields.or("subscription", ""),
            sub_version: fields.read("subVersion")?,
            expression_type: expression_type(fields.or("expressionType", TAG)),
            max_message_bytes: fields.read("maxMsgBytes")?,
        })
    }
}

#[derive(Default)]
struct Found<'a> {
    consumer_group: Text<'a>,
    topic: Text<'a>,
    queue_id: i32,
    queue_offset: i64,
    max_message_nums: i32,
    sys_flag: i32,
    commit_offset: i64,
    suspend_timeout_millis: i64,
    subscription: Text<'a>,
    sub_version: i64,
    expression_type: Text<'a>,
    max_message_bytes: Option<i32>,
}

impl<'a> Visit<'a> for Found<'a> {
    fn field(&mut self, key: &[u8], value: Value<'a>) -> Option<()> {
        match key {
            b"consumerGroup" => self.consumer_group.set(value)?,
            b"topic" => self.topic.set(value)?,
            b"queueId" => self.queue_id = value.i32()?,
            b"queueOffset" => self.queue_offset = value.i64()?,
            b"maxMsgNums" => self.max_message_nums = value.i32()?,
            b"sysFlag" => self.sys_flag = value.i32()?,
            b"commitOffset" => self.commit_offset = value.i64()?,
            b"suspendTimeoutMillis" => self.suspend_timeout_millis = value.i64()?,
            b"subscription" => self.subscription.set(value)?,
            b"subVersion" => self.sub_version = value.i64()?,
            b"expressionType" => self.expression_type.set(value)?,
            b"maxMsgBytes" => self.max_message_bytes = value.optional_i32()?,
            key => {
                super::is_text(key)?;
                value.skip()?;
            }
        }
        Some(())
    }
}
