//! Walking over a ROCKETMQ binary header; its layout is drawn in `command::binary`.

use super::{MAX_FIELDS, Top, Value, Visit};
use crate::{code::RequestCode, command::FLAG_RESPONSE};

/// Code, language, version, opaque and flag.
const FIXED_BYTES: usize = 13;

pub(super) fn code(header: &[u8]) -> Option<RequestCode> {
    let top = top(header.first_chunk()?);
    (top.flag & FLAG_RESPONSE == 0).then_some(top.code)
}

fn top(fixed: &[u8; FIXED_BYTES]) -> Top {
    let [c0, c1, _, v0, v1, o0, o1, o2, o3, f0, f1, f2, f3] = *fixed;
    Top {
        code: RequestCode::from_binary(i16::from_be_bytes([c0, c1])),
        version: i32::from(i16::from_be_bytes([v0, v1])),
        opaque: i32::from_be_bytes([o0, o1, o2, o3]),
        flag: i32::from_be_bytes([f0, f1, f2, f3]),
    }
}

pub(super) fn scan<'a>(header: &'a [u8], fields: &mut impl Visit<'a>) -> Option<Top> {
    let (fixed, rest) = header.split_first_chunk()?;
    let (remark, rest) = long(rest)?;
    super::is_text(remark)?;
    let (mut pairs, _) = long(rest)?;
    let mut count = 0;
    while !pairs.is_empty() {
        count += 1;
        if count > MAX_FIELDS {
            return None;
        }
        let (key, rest) = short(pairs)?;
        let (value, rest) = long(rest)?;
        pairs = rest;
        // An empty value is an absent one, and does not take back an earlier one.
        match value {
            [] => super::is_text(key)?,
            value => fields.field(key, Value::Raw(value))?,
        }
    }
    Some(top(fixed))
}

/// Bytes behind a 16-bit length, and the rest.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(i16::from_be_bytes(*length)).ok()?)
}

/// Bytes behind a 32-bit length, and the rest.
fn long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)
}
