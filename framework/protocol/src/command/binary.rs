//! The ROCKETMQ binary header.
//!
//! ```text
//! i16 code | u8 language | i16 version | i32 opaque | i32 flag
//! i32 length | remark
//! i32 length | fields: repeat { i16 length | key | i32 length | value }
//! ```

use std::borrow::Cow;

use bytes::Bytes;

use super::{Command, Language};
use crate::{
    DecodeError,
    code::RequestCode,
    fields::{Fields, MAX_FIELDS},
    frame::Encoding,
};

const WHAT: &str = "binary header";

/// What the 16-bit length in front of a key can say.
const MAX_KEY_BYTES: usize = 32_767;

/// A checked cursor over big-endian bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(DecodeError::Truncated { what: WHAT, offset: self.at })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn text(&mut self, length: impl TryInto<usize>) -> Result<&'a str, DecodeError> {
        let length = length.try_into().map_err(|_| DecodeError::malformed(WHAT, "a negative length"))?;
        std::str::from_utf8(self.take(length)?).map_err(|error| DecodeError::malformed(WHAT, error))
    }
}

pub(super) fn decode(header: &[u8]) -> Result<Command, DecodeError> {
    let mut reader = Reader { bytes: header, at: 0 };
    let code = reader.i16()?;
    let [language] = reader.array()?;
    let version = i32::from(reader.i16()?);
    let opaque = reader.i32()?;
    let flag = reader.i32()?;
    let length = reader.i32()?;
    let remark = reader.text(length)?;
    let length = reader.i32()?;
    let length = usize::try_from(length).map_err(|_| DecodeError::malformed(WHAT, "a negative length"))?;
    let fields = fields(reader.take(length)?)?;
    let code =
        if flag & super::FLAG_RESPONSE == 0 { RequestCode::from_binary(code).0 } else { i32::from(code) };
    Ok(Command {
        code,
        language: Language::from_byte(language),
        version,
        opaque,
        flag,
        remark: (!remark.is_empty()).then(|| remark.to_owned()),
        fields,
        body: Bytes::new(),
        encoding: Encoding::Binary,
    })
}

/// A value of length zero decodes as absent, as in Java.
fn fields(bytes: &[u8]) -> Result<Fields, DecodeError> {
    let mut fields = Fields::new();
    let mut reader = Reader { bytes, at: 0 };
    while reader.at < bytes.len() {
        if fields.len() == MAX_FIELDS {
            return Err(DecodeError::TooLarge { what: "extFields", limit: MAX_FIELDS });
        }
        let length = reader.i16()?;
        let key = reader.text(length)?;
        let length = reader.i32()?;
        let value = reader.text(length)?;
        if !value.is_empty() {
            fields.insert(key_name(key), value);
        }
    }
    Ok(fields)
}

/// The key as a field keeps it: the ones that every answer to a send brings cost nothing.
fn key_name(key: &str) -> Cow<'static, str> {
    const COMMON: [&str; 6] = ["MSG_REGION", "TRACE_ON", "msgId", "queueId", "queueOffset", "transactionId"];
    let common = COMMON.into_iter().find(|common| *common == key);
    common.map_or_else(|| Cow::Owned(key.to_owned()), Cow::Borrowed)
}

/// A key too long for its length field is cut.
pub(super) fn encode(command: &Command, opaque: i32, out: &mut Vec<u8>) {
    let low = |number: i32| {
        let [_, _, high, low] = number.to_be_bytes();
        [high, low]
    };
    out.extend_from_slice(&low(command.code));
    out.push(command.language.to_byte());
    out.extend_from_slice(&low(command.version));
    out.extend_from_slice(&opaque.to_be_bytes());
    out.extend_from_slice(&command.flag.to_be_bytes());
    push_long(out, command.remark.as_deref().unwrap_or("").as_bytes());
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    for (key, value) in command.fields.iter() {
        let key = &key.as_bytes()[..key.floor_char_boundary(MAX_KEY_BYTES)];
        let length = i16::try_from(key.len()).unwrap_or(i16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(key);
        push_long(out, value.as_bytes());
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn push_long(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}
