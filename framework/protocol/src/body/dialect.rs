//! Writing bodies the way each kind of client needs them.
//!
//! fastjson writes numeric map keys without quotes, `{0:"10.0.0.1:10911"}`, and objects as keys where a table is
//! keyed by queues. Go cuts such maps out of the text by hand, C++ and Java read them, and Java tools since 4.9.4
//! ask for real JSON instead: quoted numbers, pairs in place of object keys, and nothing but ASCII.

use std::{collections::BTreeMap, fmt, io, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess},
    ser::SerializeMap,
};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use super::{group::QueueRef, lenient};

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

/// A map whose keys are queues: `{{"brokerName":"b","queueId":0,"topic":"t"}:1}` to fastjson, pairs of queue and
/// value in real JSON. [`write()`] writes both, [`lenient::read`] reads both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMap<V>(pub BTreeMap<QueueRef, V>);

impl<V> Default for QueueMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> FromIterator<(QueueRef, V)> for QueueMap<V> {
    fn from_iter<I: IntoIterator<Item = (QueueRef, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// Serializers have no words for an object as a key. So each entry becomes two, with booleans as keys, which no
/// body has: `true` in front of the queue, `false` in front of the value. `Shape` makes one entry of them.
impl<V: Serialize> Serialize for QueueMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len() * 2))?;
        for (queue, value) in &self.0 {
            map.serialize_entry(&true, queue)?;
            map.serialize_entry(&false, value)?;
        }
        map.end()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for QueueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QueueMapVisitor(PhantomData))
    }
}

struct QueueMapVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> de::Visitor<'de> for QueueMapVisitor<V> {
    type Value = QueueMap<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with queues as keys, or pairs of queue and value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(QueueMap::default())
    }

    /// [`lenient`] hands an object key on as its text.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, V>()? {
            let queue = lenient::read("queue", key.as_bytes()).map_err(de::Error::custom)?;
            map.insert(queue, value);
        }
        Ok(QueueMap(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((queue, value)) = pairs.next_element()? {
            map.insert(queue, value);
        }
        Ok(QueueMap(map))
    }
}

/// What a body looks like where fastjson leaves the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `{0:..}` and `{{..}:..}`, as fastjson does.
    #[default]
    Fastjson,
    /// `{"0":..}` and `[[{..},..]]`, as the standard wants, and ASCII only.
    Standard,
}

/// Writes a body.
pub fn write(body: &impl Serialize, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let shape = Shape {
        dialect,
        compact: CompactFormatter,
        key: Key::Outside,
        comma: false,
        open: false,
        nest: Vec::new(),
    };
    // Bodies have text, integers or queues as keys and a vector always takes more, so this cannot fail; should it
    // ever, an empty body is what the other side treats as no answer.
    if body.serialize(&mut serde_json::Serializer::with_formatter(&mut out, shape)).is_err() {
        out.clear();
    }
    out
}

/// Writes compact JSON, except that what opens a key or an object waits until it is known what the key is.
struct Shape {
    dialect: Dialect,
    compact: CompactFormatter,
    key: Key,
    /// Whether the waiting key follows another one.
    comma: bool,
    /// Whether the bracket of the innermost object is still to be written.
    open: bool,
    nest: Vec<Nest>,
}

#[derive(Clone, Copy, PartialEq)]
enum Key {
    /// What is written is no key.
    Outside,
    /// A key has begun.
    Waiting,
    Text,
    /// A number without quotes.
    Bare,
    /// One of the two keys of an entry of a [`QueueMap`].
    Queue,
    Value,
}

#[derive(Clone, Copy, PartialEq)]
enum Nest {
    Object,
    /// A [`QueueMap`], at the queue of an entry.
    AtQueue,
    /// A [`QueueMap`], at the value of an entry.
    AtValue,
}

impl Shape {
    /// Writes what has waited for a key of this kind.
    fn settle<W: ?Sized + io::Write>(&mut self, writer: &mut W, key: Key) -> io::Result<()> {
        if self.key != Key::Waiting {
            return Ok(());
        }
        let standard = self.dialect == Dialect::Standard;
        let key = if standard && key == Key::Bare { Key::Text } else { key };
        self.key = key;
        let nest = match key {
            Key::Queue => Nest::AtQueue,
            Key::Value => Nest::AtValue,
            _ => Nest::Object,
        };
        if std::mem::take(&mut self.open) {
            self.nest.push(nest);
            writer.write_all(if standard && nest != Nest::Object { b"[" } else { b"{" })?;
        } else if let Some(last) = self.nest.last_mut() {
            *last = nest;
        }
        if self.comma && (standard || nest != Nest::AtValue) {
            writer.write_all(b",")?;
        }
        match key {
            Key::Text => writer.write_all(b"\""),
            Key::Queue if standard => writer.write_all(b"["),
            _ => Ok(()),
        }
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),+) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: $type) -> io::Result<()> {
            self.settle(writer, Key::Bare)?;
            self.compact.$method(writer, value)
        }
    )+};
}

impl Formatter for Shape {
    numbers! {
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64,
        write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64
    }

    fn write_bool<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        if self.key == Key::Waiting {
            return self.settle(writer, if value { Key::Queue } else { Key::Value });
        }
        self.compact.write_bool(writer, value)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.open = true;
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if std::mem::take(&mut self.open) {
            return writer.write_all(b"{}");
        }
        match self.nest.pop() {
            Some(Nest::AtQueue | Nest::AtValue) if self.dialect == Dialect::Standard => {
                writer.write_all(b"]")
            }
            _ => writer.write_all(b"}"),
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        self.key = Key::Waiting;
        self.comma = !first;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.nest.last() {
            Some(Nest::AtQueue) => Ok(()),
            Some(Nest::AtValue) if self.dialect == Dialect::Standard => Ok(()),
            _ => writer.write_all(b":"),
        }
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.nest.last() {
            Some(Nest::AtValue) if self.dialect == Dialect::Standard => writer.write_all(b"]"),
            _ => Ok(()),
        }
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.key {
            Key::Waiting => Ok(()),
            _ => self.compact.begin_string(writer),
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.settle(writer, Key::Text)?;
        if self.dialect == Dialect::Fastjson || fragment.is_ascii() {
            return self.compact.write_string_fragment(writer, fragment);
        }
        for character in fragment.chars() {
            if character.is_ascii() {
                writer.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04X}")?;
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.settle(writer, Key::Text)?;
        self.compact.write_char_escape(writer, escape)
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.settle(writer, Key::Text)?;
        match std::mem::replace(&mut self.key, Key::Outside) {
            Key::Bare | Key::Queue | Key::Value => Ok(()),
            _ => self.compact.end_string(writer),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(body: &impl Serialize, dialect: Dialect) -> String {
        String::from_utf8(write(body, dialect)).unwrap()
    }

    fn queue(topic: &str, queue_id: i32) -> QueueRef {
        QueueRef { broker_name: "b".into(), queue_id, topic: topic.into() }
    }

    #[test]
    fn numeric_keys_lose_their_quotes_only_in_fastjson() {
        let ids: IdMap<BTreeMap<String, i64>> = [
            (0, BTreeMap::from([("a\"b".to_owned(), 1), (String::new(), 2)])),
            (-1, BTreeMap::from([("7".to_owned(), 3)])),
            (2, BTreeMap::new()),
        ]
        .into_iter()
        .collect();
        assert_eq!(text(&ids, Dialect::Fastjson), r#"{-1:{"7":3},0:{"":2,"a\"b":1},2:{}}"#);
        assert_eq!(text(&ids, Dialect::Standard), r#"{"-1":{"7":3},"0":{"":2,"a\"b":1},"2":{}}"#);
    }

    #[test]
    fn queues_are_object_keys_in_fastjson_and_pairs_in_the_standard() {
        let table: BTreeMap<&str, QueueMap<IdMap<i64>>> = BTreeMap::from([
            ("none", QueueMap::default()),
            (
                "some",
                [(queue("t", 0), [(7, 1)].into_iter().collect()), (queue("t", 1), IdMap::default())]
                    .into_iter()
                    .collect(),
            ),
            ("then", QueueMap::default()),
        ]);
        assert_eq!(
            text(&table, Dialect::Fastjson),
            concat!(
                r#"{"none":{},"some":{{"brokerName":"b","queueId":0,"topic":"t"}:{7:1},"#,
                r#"{"brokerName":"b","queueId":1,"topic":"t"}:{}},"then":{}}"#
            )
        );
        assert_eq!(
            text(&table, Dialect::Standard),
            concat!(
                r#"{"none":{},"some":[[{"brokerName":"b","queueId":0,"topic":"t"},{"7":1}],"#,
                r#"[{"brokerName":"b","queueId":1,"topic":"t"},{}]],"then":{}}"#
            )
        );
        for dialect in [Dialect::Fastjson, Dialect::Standard] {
            let read: BTreeMap<String, QueueMap<IdMap<i64>>> =
                lenient::read("table", &write(&table, dialect)).unwrap();
            assert_eq!(read["some"], table["some"]);
            assert_eq!(read["none"], table["none"]);
        }
    }

    #[test]
    fn a_queue_with_hostile_names_reads_back_as_itself() {
        let map: QueueMap<bool> =
            [(queue("t\"},{\\\u{1}é", -1), true), (queue("", 0), false)].into_iter().collect();
        for dialect in [Dialect::Fastjson, Dialect::Standard] {
            assert_eq!(lenient::read::<QueueMap<bool>>("map", &write(&map, dialect)).unwrap(), map);
        }
    }

    #[test]
    fn the_standard_dialect_is_ascii_and_json() {
        let value = json!({"ключ": ["é\n\u{1F600}", true, null, 1.5, {"a": {}}, []]});
        let standard = text(&value, Dialect::Standard);
        assert!(standard.is_ascii(), "{standard}");
        assert!(standard.contains(r#""\u00E9\n\uD83D\uDE00""#), "{standard}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&standard).unwrap(), value);
        assert_eq!(text(&value, Dialect::Fastjson), serde_json::to_string(&value).unwrap());
    }
}
