//! The JSON header: written the way fastjson writes it, read with the tolerance that real clients need.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::{Command, Language};
use crate::{
    DecodeError,
    fields::{Fields, MAX_FIELDS},
    frame::Encoding,
};

const WHAT: &str = "JSON header";

pub(super) fn decode(header: &[u8]) -> Result<Command, DecodeError> {
    let value: Value = serde_json::from_slice(header).map_err(|error| DecodeError::malformed(WHAT, error))?;
    let Value::Object(members) = value else { return Err(DecodeError::malformed(WHAT, "not an object")) };
    let mut command = Command {
        code: 0,
        language: Language::Other,
        version: 0,
        opaque: 0,
        flag: 0,
        remark: None,
        fields: Fields::new(),
        body: Bytes::new(),
        encoding: Encoding::Json,
    };
    for (key, value) in members {
        match key.as_str() {
            "code" => command.code = integer("code", &value)?,
            "version" => command.version = integer("version", &value)?,
            "opaque" => command.opaque = integer("opaque", &value)?,
            "flag" => command.flag = integer("flag", &value)?,
            "language" => command.language = language(&value),
            "remark" => command.remark = text(value),
            "extFields" => command.fields = fields(value)?,
            _ => {}
        }
    }
    Ok(command)
}

fn integer(name: &'static str, value: &Value) -> Result<i32, DecodeError> {
    let parsed = match value {
        Value::Null => Some(0),
        Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| DecodeError::wrong_type(name, "a 32-bit integer", &value.to_string()))
}

fn language(value: &Value) -> Language {
    match value {
        Value::String(name) => Language::from_name(name),
        Value::Number(number) => number
            .as_u64()
            .and_then(|byte| u8::try_from(byte).ok())
            .map_or(Language::Other, Language::from_byte),
        _ => Language::Other,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

fn fields(value: Value) -> Result<Fields, DecodeError> {
    let members = match value {
        Value::Null => return Ok(Fields::new()),
        Value::Object(members) => members,
        _ => return Err(DecodeError::malformed(WHAT, "extFields is not an object")),
    };
    if members.len() > MAX_FIELDS {
        return Err(DecodeError::TooLarge { what: "extFields", limit: MAX_FIELDS });
    }
    let mut fields = Fields::new();
    for (key, value) in members {
        if value.is_array() || value.is_object() {
            return Err(DecodeError::malformed(WHAT, format!("extFields.{key} is not a scalar")));
        }
        if let Some(value) = text(value) {
            fields.insert(Cow::Owned(key), value);
        }
    }
    Ok(fields)
}

/// `extFields` is always there: the Java producer reads it without asking (protocol 1.2).
pub(super) fn encode(command: &Command, out: &mut Vec<u8>) {
    push_number(out, b"{\"code\":", command.code);
    out.extend_from_slice(b",\"extFields\":{");
    for (at, (key, value)) in command.fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(out, key);
        out.push(b':');
        push_text(out, value);
    }
    push_number(out, b"},\"flag\":", command.flag);
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(command.language.name().as_bytes());
    push_number(out, b"\",\"opaque\":", command.opaque);
    if let Some(remark) = &command.remark {
        out.extend_from_slice(b",\"remark\":");
        push_text(out, remark);
    }
    push_number(out, b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":", command.version);
    out.push(b'}');
}

fn push_number(out: &mut Vec<u8>, label: &[u8], number: i32) {
    out.extend_from_slice(label);
    out.extend_from_slice(number.to_string().as_bytes());
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing a string to a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}
