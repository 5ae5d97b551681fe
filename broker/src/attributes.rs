//! Attributes of topics and groups: what RocketMQ 5.x can say of them beside their fixed members, and how it changes.
//!
//! A change is text such as `+message.type=FIFO,-lite.topic.expiration`. What this broker would take and not do
//! (compaction, batch consume queues, a time to keep a topic's messages) is refused.

use std::collections::BTreeMap;

use crate::reject::Reject;

/// Attributes by key.
pub(crate) type Attributes = BTreeMap<String, String>;

/// The attribute that says what messages a topic is for.
pub(crate) const MESSAGE_TYPE: &str = "message.type";

/// What a topic may take every kind of message by.
pub(crate) const MIXED: &str = "MIXED";

/// What an attribute may be, and whether it may change once it is set.
struct Known {
    key: &'static str,
    values: &'static [&'static str],
    refused: &'static [&'static str],
    changeable: bool,
}

const TOPIC: &[Known] = &[
    Known {
        key: MESSAGE_TYPE,
        values: &["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", MIXED],
        refused: &["LITE", "PRIORITY"],
        changeable: true,
    },
    Known { key: "queue.type", values: &["SimpleCQ"], refused: &["BatchCQ"], changeable: false },
    Known { key: "cleanup.policy", values: &["DELETE"], refused: &["COMPACTION"], changeable: false },
];

/// Changes in the order of their keys, each with its sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes(Vec<(Change, String, String)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Set,
    Remove,
}

impl Changes {
    /// Reads `+key=value,-key`.
    pub(crate) fn of_text(text: &str) -> Result<Self, Reject> {
        let mut changes = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if changes.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(Reject::failed(format!("key duplication: {key}")));
            }
        }
        Self::of_table(&changes)
    }

    /// Reads keys with their signs in front.
    pub(crate) fn of_table(table: &Attributes) -> Result<Self, Reject> {
        let change = |(signed, value): (&String, &String)| {
            let (change, key) = match (signed.strip_prefix('+'), signed.strip_prefix('-')) {
                (Some(key), _) => (Change::Set, key),
                (_, Some(key)) => (Change::Remove, key),
                _ => return Err(Reject::failed(format!("wrong format key: {signed}"))),
            };
            if key.is_empty() || key.contains(['+', '-']) {
                return Err(Reject::failed("kv string format wrong."));
            }
            Ok((change, key.to_owned(), value.clone()))
        };
        let changes = table.iter().map(change).collect::<Result<Vec<_>, _>>()?;
        let twice = |at: usize| changes[..at].iter().any(|(_, key, _)| *key == changes[at].1);
        if let Some(at) = (0..changes.len()).find(|at| twice(*at)) {
            return Err(Reject::failed(format!("alter duplication key. key: {}", changes[at].1)));
        }
        Ok(Self(changes))
    }

    /// Keys with their signs in front.
    pub(crate) fn into_table(self) -> Attributes {
        let signed = |(change, key, value): (Change, String, String)| match change {
            Change::Set => (format!("+{key}"), value),
            Change::Remove => (format!("-{key}"), value),
        };
        self.0.into_iter().map(signed).collect()
    }

    /// The value that a key is to have.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(change, name, _)| *change == Change::Set && name == key)
            .map(|(.., value)| value.as_str())
    }

    /// What becomes of a topic's attributes; `None` for a topic that is made now.
    pub(crate) fn to_topic(&self, current: Option<&Attributes>) -> Result<Attributes, Reject> {
        self.apply(TOPIC, current)
    }

    /// What becomes of a group's attributes. RocketMQ 5.5 knows none that would mean anything here.
    pub(crate) fn to_group(&self, current: Option<&Attributes>) -> Result<Attributes, Reject> {
        self.apply(&[], current)
    }

    fn apply(&self, known: &[Known], current: Option<&Attributes>) -> Result<Attributes, Reject> {
        let mut attributes = current.cloned().unwrap_or_default();
        for (change, key, value) in &self.0 {
            let found = known.iter().find(|known| known.key == key);
            match change {
                Change::Remove if current.is_none() => {
                    return Err(Reject::failed(format!(
                        "only add attribute is supported while creating topic. key: {key}"
                    )));
                }
                Change::Remove if attributes.remove(key).is_none() => {
                    return Err(Reject::failed(format!("attempt to delete a nonexistent key: {key}")));
                }
                Change::Remove => {}
                Change::Set => {
                    let attribute = found.ok_or_else(|| Reject::failed(format!("unsupported key: {key}")))?;
                    attribute.check(value)?;
                    attributes.insert(key.clone(), value.clone());
                }
            }
            let existed = current.is_some();
            if existed && found.is_some_and(|known| !known.changeable) {
                return Err(Reject::failed(format!(
                    "attempt to update an unchangeable attribute. key: {key}"
                )));
            }
        }
        Ok(attributes)
    }
}

impl Known {
    fn check(&self, value: &str) -> Result<(), Reject> {
        if self.refused.contains(&value) {
            return Err(Reject::failed(format!("{}={value} is not supported by this broker", self.key)));
        }
        if !self.values.contains(&value) {
            return Err(Reject::failed(format!("value is not in set: {:?}", self.values)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn apply(text: &str, current: Option<&Attributes>) -> Result<Attributes, String> {
        Changes::of_text(text).and_then(|changes| changes.to_topic(current)).map_err(|reject| reject.remark)
    }

    #[test]
    fn attributes_are_set_changed_and_taken_away() {
        assert_eq!(apply("", None), Ok(table(&[])));
        let fifo = table(&[("message.type", "FIFO")]);
        assert_eq!(apply("+message.type=FIFO", None), Ok(fifo.clone()));
        assert_eq!(apply("+message.type=DELAY", Some(&fifo)), Ok(table(&[("message.type", "DELAY")])));
        assert_eq!(apply("-message.type", Some(&fifo)), Ok(table(&[])));
        assert_eq!(apply("", Some(&fifo)), Ok(fifo));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_apaches_words() {
        let none = table(&[]);
        for (text, current, why) in [
            ("+no.such=1", None, "unsupported key: no.such"),
            ("message.type=FIFO", None, "wrong format key: message.type"),
            (
                "-message.type",
                None,
                "only add attribute is supported while creating topic. key: message.type",
            ),
            ("-message.type", Some(&none), "attempt to delete a nonexistent key: message.type"),
            (
                "+queue.type=SimpleCQ",
                Some(&none),
                "attempt to update an unchangeable attribute. key: queue.type",
            ),
            ("+a=1,+a=2", None, "key duplication: +a"),
            ("+=1", None, "kv string format wrong."),
            ("+cleanup.policy=COMPACTION", None, "cleanup.policy=COMPACTION is not supported by this broker"),
        ] {
            assert_eq!(apply(text, current), Err(why.to_owned()), "{text}");
        }
        assert!(apply("+message.type=SOON", None).unwrap_err().starts_with("value is not in set"));
        assert!(apply("+message.type=FIFO,-message.type", Some(&none)).unwrap_err().contains("duplication"));
    }
}
