//! The hot path: one-pass, borrowed decoders for the requests that come by the million, writers for their answers,
//! and the producer's writer of sends.
//!
//! Nothing here allocates once the scratch and the output buffer have grown. A decoder either says exactly what
//! [`Command::decode`](crate::Command::decode) and the typed header would say, or `None` for anything out of the
//! ordinary: nested or non-integer values, escaped keys, pretty-printed JSON, a missing field, an error. The caller
//! then takes the general way, which knows every corner and has the message for every error.
//!
//! [`code`] tells which decoder to try; the views are [`SendView`], [`PullView`] and [`OffsetView`], the answers
//! [`SendReply`], [`StoredReplies`], [`PullReply`] and [`encode_status`]; producers write [`SendRequest`].

mod binary;
mod json;
mod offset;
mod pull;
mod reply;
mod request;
mod send;
mod write;

pub use offset::OffsetView;
pub use pull::PullView;
pub use reply::{Offsets, PullReply, SendReply, Stored, StoredReplies, encode_failure, encode_status};
pub use request::SendRequest;
pub use send::SendView;

use crate::{
    DecodeError,
    code::RequestCode,
    command::FLAG_RESPONSE,
    fields::{Field, Fields},
    frame::{Encoding, Frame},
};

/// More fields than this are left to the general decoder.
const MAX_FIELDS: usize = 64;

/// The code of a request, from the first bytes of its header.
///
/// A JSON header has to begin with its code, as those of Java, Go, C++ and Node do; a binary response is told apart
/// by its flag. It is a hint: a JSON response is only found out by the decoders, which answer `None` for it.
pub fn code(frame: &Frame<'_>) -> Option<RequestCode> {
    match frame.encoding {
        Encoding::Json => json::code(frame.header),
        Encoding::Binary => binary::code(frame.header),
    }
}

/// What every header says beside its fields.
struct Top {
    code: RequestCode,
    version: i32,
    opaque: i32,
    flag: i32,
}

/// The value of a field, as found.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// Bytes of the header itself; not yet known to be UTF-8.
    Raw(&'a [u8]),
    /// Bytes of the scratch buffer, where an escaped string was unescaped to: start and end.
    Unescaped(usize, usize),
    /// A JSON `null`, which is as good as absent and takes back what came before under the same key.
    Null,
}

/// Takes the fields of a header one by one, in their order.
trait Visit<'a> {
    /// `None` gives the header up.
    fn field(&mut self, key: &[u8], value: Value<'a>) -> Option<()>;
}

/// Walks over a request's header.
fn scan<'a>(frame: &Frame<'a>, scratch: &mut Vec<u8>, fields: &mut impl Visit<'a>) -> Option<Top> {
    scratch.clear();
    let top = match frame.encoding {
        Encoding::Json => json::scan(frame.header, scratch, fields)?,
        Encoding::Binary => binary::scan(frame.header, fields)?,
    };
    (top.flag & FLAG_RESPONSE == 0).then_some(top)
}

/// Text that may lie in the scratch buffer; absent until a value is set.
#[derive(Clone, Copy, Default)]
struct Text<'a>(Option<Value<'a>>);

impl<'a> Text<'a> {
    fn set(&mut self, value: Value<'a>) -> Option<()> {
        self.0 = match value {
            Value::Null => None,
            value => Some(value),
        };
        Some(())
    }

    /// `None` when the bytes are not UTF-8.
    fn or(self, absent: &'a str, scratch: &'a [u8]) -> Option<&'a str> {
        match self.0 {
            None => Some(absent),
            Some(value) => std::str::from_utf8(value.bytes(scratch)?).ok(),
        }
    }

    /// `None` when it is absent or not UTF-8.
    fn needed(self, scratch: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(self.0?.bytes(scratch)?).ok()
    }
}

impl<'a> Value<'a> {
    fn bytes(self, scratch: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Raw(bytes) => Some(bytes),
            Self::Unescaped(start, end) => scratch.get(start..end),
            Self::Null => None,
        }
    }

    /// Plain decimal digits with at most a minus in front; 0 for a null.
    fn i64(self) -> Option<i64> {
        match self {
            Self::Null => Some(0),
            Self::Raw(bytes) => decimal(bytes),
            Self::Unescaped(..) => None,
        }
    }

    fn i32(self) -> Option<i32> {
        i32::try_from(self.i64()?).ok()
    }

    fn optional_i32(self) -> Option<Option<i32>> {
        match self {
            Self::Null => Some(None),
            value => value.i32().map(Some),
        }
    }

    /// True is `true` in any case, as for Java's `Boolean.parseBoolean`.
    fn bool(self) -> Option<bool> {
        match self {
            Self::Null | Self::Raw(b"false") => Some(false),
            Self::Raw(b"true") => Some(true),
            Self::Raw(bytes) => Some(std::str::from_utf8(bytes).ok()?.eq_ignore_ascii_case("true")),
            Self::Unescaped(..) => None,
        }
    }

    /// A field that nobody reads has to be text all the same.
    fn skip(self) -> Option<()> {
        match self {
            Self::Raw(bytes) => is_text(bytes),
            Self::Unescaped(..) | Self::Null => Some(()),
        }
    }
}

fn is_text(bytes: &[u8]) -> Option<()> {
    std::str::from_utf8(bytes).ok().map(drop)
}

/// Longer numbers than 18 digits, which always fit, are left to the general decoder.
fn decimal(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0_i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    Some(if negative { -number } else { number })
}

/// Reads fields of a general command for the `from_command` constructors.
struct Lookup<'a>(&'a Fields);

impl<'a> Lookup<'a> {
    fn needed(&self, name: &'static str) -> Result<&'a str, DecodeError> {
        self.0.get(name).ok_or(DecodeError::MissingField(name))
    }

    fn or(&self, name: &'static str, absent: &'a str) -> &'a str {
        self.0.get(name).unwrap_or(absent)
    }

    fn read<T: Field>(&self, name: &'static str) -> Result<T, DecodeError> {
        T::from_text(name, self.0.get(name))
    }
}
