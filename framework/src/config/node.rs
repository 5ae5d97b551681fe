//! A YAML document in which every key and every value knows its line and column.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// Line and column in a file, both from 1; line 0 means that it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A value, and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) mark: Mark,
    pub(crate) node: Node,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Big(u64),
    Float(f64),
    Text(String),
    List(Vec<Placed>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Placed,
}

/// Reads the documents of a file, in order. The error is a place in it and what is wrong there.
pub(crate) fn parse(text: &str) -> Result<Vec<Placed>, (Mark, String)> {
    let documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple(text).map_err(|error| {
        let mark = error.location().map_or(Mark { line: 0, column: 0 }, Mark::from);
        (mark, one_line(&error))
    })?;
    Ok(documents.into_iter().map(Placed::from).collect())
}

/// The parser's message without the drawing of the source around it.
fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match first.rfind(" at line ") {
        Some(at) => first[..at].trim_end_matches(',').to_owned(),
        None => first.to_owned(),
    }
}

impl From<Spanned<Node>> for Placed {
    fn from(spanned: Spanned<Node>) -> Self {
        Self { mark: spanned.referenced.into(), node: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Big(value), Node::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push(item.into());
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            map.push(Entry { mark: key.referenced.into(), key: key.value, value: value.into() });
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_know_their_places_in_flow_maps_too() {
        let documents = parse("a:\n  b: { c: 8, d: [x, y] }\n").unwrap();
        let Node::Map(top) = &documents[0].node else { panic!("{documents:?}") };
        let Node::Map(inner) = &top[0].value.node else { panic!("{documents:?}") };
        let Node::Map(flow) = &inner[0].value.node else { panic!("{documents:?}") };
        assert_eq!((flow[0].mark.line, flow[0].mark.column), (2, 8));
        assert_eq!((flow[0].value.mark.line, flow[0].value.mark.column), (2, 11));
        assert_eq!((flow[1].mark.line, flow[1].mark.column), (2, 14));
    }

    #[test]
    fn a_syntax_error_and_a_key_given_twice_have_a_place() {
        let (mark, message) = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(mark.line >= 2 && !message.contains('\n'), "{mark:?} {message}");
        let (mark, message) = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(mark.line, 3, "{message}");
        assert!(message.contains("duplicate"), "{message}");
    }
}
