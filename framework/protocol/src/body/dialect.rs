//! Writing bodies the way each kind of client needs them (protocol 4.2).
//!
//! fastjson writes numeric map keys without quotes: `{0:"10.0.0.1:10911"}`. Go cuts such a map out of the text by
//! hand, C++ and Java read it, and Java tools since 4.9.4 ask for real JSON instead.

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// A map with integer keys, which the two dialects write differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdMap<V>(pub BTreeMap<i64, V>);

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> FromIterator<(i64, V)> for IdMap<V> {
    fn from_iter<I: IntoIterator<Item = (i64, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// How numeric map keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `{0:..}`, as fastjson does.
    #[default]
    Fastjson,
    /// `{"0":..}`, as the standard wants.
    Standard,
}

/// Writes a body.
pub fn write(body: &impl Serialize, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let written = match dialect {
        Dialect::Standard => body.serialize(&mut serde_json::Serializer::new(&mut out)),
        Dialect::Fastjson => {
            body.serialize(&mut serde_json::Serializer::with_formatter(&mut out, BareNumbers::default()))
        }
    };
    // Bodies have text or integer keys and a vector always takes more, so this cannot fail; should it ever, an
    // empty body is what the other side treats as no answer.
    if written.is_err() {
        out.clear();
    }
    out
}

/// Leaves out the quotes that serde_json puts around a number in key position.
///
/// They come as `begin_string`, the number, `end_string`; a text key has its fragments in between instead. So the
/// opening quote waits until it is known what follows.
#[derive(Default)]
struct BareNumbers {
    compact: CompactFormatter,
    state: Key,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Key {
    #[default]
    Outside,
    Begun,
    Opened,
    Text,
    Number,
}

impl BareNumbers {
    fn text<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.state == Key::Opened {
            self.state = Key::Text;
            writer.write_all(b"\"")?;
        }
        Ok(())
    }

    fn number(&mut self) {
        if self.state == Key::Opened {
            self.state = Key::Number;
        }
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),+) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: $type) -> io::Result<()> {
            self.number();
            self.compact.$method(writer, value)
        }
    )+};
}

impl Formatter for BareNumbers {
    numbers! {
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64,
        write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.state = Key::Begun;
        self.compact.begin_object_key(writer, first)
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.state == Key::Begun {
            self.state = Key::Opened;
            return Ok(());
        }
        self.compact.begin_string(writer)
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.text(writer)?;
        self.compact.write_string_fragment(writer, fragment)
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.text(writer)?;
        self.compact.write_char_escape(writer, escape)
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.text(writer)?;
        match std::mem::take(&mut self.state) {
            Key::Number => Ok(()),
            _ => self.compact.end_string(writer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_keys_lose_their_quotes_only_in_fastjson() {
        let ids: IdMap<BTreeMap<String, i64>> = [
            (0, BTreeMap::from([("a\"b".to_owned(), 1), (String::new(), 2)])),
            (1, BTreeMap::from([("7".to_owned(), 3)])),
        ]
        .into_iter()
        .collect();
        let text = |dialect| String::from_utf8(write(&ids, dialect)).unwrap();
        assert_eq!(text(Dialect::Fastjson), r#"{0:{"":2,"a\"b":1},1:{"7":3}}"#);
        assert_eq!(text(Dialect::Standard), r#"{"0":{"":2,"a\"b":1},"1":{"7":3}}"#);
    }
}
