//! The JSON header: written the way fastjson writes it, read with the tolerance that real clients need.
//!
//! Reading goes straight from the text into the command, without a tree in between.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Command, Language};
use crate::{
    DecodeError,
    fields::{Fields, MAX_FIELDS},
    frame::Encoding,
};

const WHAT: &str = "JSON header";

pub(super) fn decode(header: &[u8]) -> Result<Command, DecodeError> {
    let text = std::str::from_utf8(header).map_err(|error| DecodeError::malformed(WHAT, error))?;
    let Top(command) = serde_json::from_str(text).map_err(|error| DecodeError::malformed(WHAT, error))?;
    Ok(command)
}

/// The header's object. Members that are not known may hold anything; of one that comes twice, the last counts.
struct Top(Command);

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> Visitor<'de> for TopVisitor {
    type Value = Top;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Top, A::Error> {
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
        while let Some(key) = members.next_key::<Cow<'de, str>>()? {
            match &*key {
                "code" => command.code = integer("code", &members.next_value()?)?,
                "version" => command.version = integer("version", &members.next_value()?)?,
                "opaque" => command.opaque = integer("opaque", &members.next_value()?)?,
                "flag" => command.flag = integer("flag", &members.next_value()?)?,
                "language" => command.language = language(&members.next_value()?),
                "remark" => command.remark = members.next_value::<Scalar>()?.into_text(),
                "extFields" => {
                    command.fields =
                        members.next_value::<Option<ExtFields>>()?.map_or_else(Fields::new, |ext| ext.0);
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Top(command))
    }
}

fn integer<E: de::Error>(name: &'static str, value: &Scalar) -> Result<i32, E> {
    let parsed = match value {
        Scalar::Null => Some(0),
        Scalar::Integer(number) => i32::try_from(*number).ok(),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Bool(_) | Scalar::Float(_) | Scalar::Nested => None,
    };
    parsed.ok_or_else(|| E::custom(format_args!("{name} is no 32-bit integer")))
}

fn language(value: &Scalar) -> Language {
    match value {
        Scalar::Text(name) => Language::from_name(name),
        Scalar::Integer(number) => u8::try_from(*number).map_or(Language::Other, Language::from_byte),
        _ => Language::Other,
    }
}

/// The header's fields: scalars as text. A null is as good as absent, and takes back what came before.
struct ExtFields(Fields);

impl<'de> Deserialize<'de> for ExtFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ExtFieldsVisitor)
    }
}

struct ExtFieldsVisitor;

impl<'de> Visitor<'de> for ExtFieldsVisitor {
    type Value = ExtFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object in extFields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ExtFields, A::Error> {
        let mut fields = Fields::new();
        while let Some((key, value)) = members.next_entry::<String, Scalar>()? {
            if let Scalar::Nested = value {
                return Err(de::Error::custom(format_args!("extFields.{key} is not a scalar")));
            }
            match value.into_text() {
                Some(text) => fields.insert(key, text),
                None => drop(fields.remove(&key)),
            }
            if fields.len() > MAX_FIELDS {
                return Err(de::Error::custom(format_args!("extFields has more than {MAX_FIELDS} members")));
            }
        }
        Ok(ExtFields(fields))
    }
}

/// Any JSON value, of which only scalars are kept.
enum Scalar {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Nested,
}

impl Scalar {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(number) => Some(number.to_string()),
            Self::Float(number) => serde_json::Number::from_f64(number).map(|number| number.to_string()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Null | Self::Nested => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

/// `extFields` is always there: the Java producer reads it without asking.
pub(super) fn encode(command: &Command, opaque: i32, out: &mut Vec<u8>) {
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
    push_number(out, b"\",\"opaque\":", opaque);
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
