//! The keys of a record, as hashes.
//!
//! A message is found by its unique key and by each of its keys, as `topic#key`, and by its tag, as `topic#T#tag`. The
//! hash is Java's, without its sign; whoever finds something by it compares the key itself.

use rocketmq_boot_protocol::message::{property, record::Record, sys_flag::Transaction};

/// What a message is looked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Its unique key, or one of its keys.
    Key,
    /// Its tag.
    Tag,
}

/// Java's hash, of a text that goes on.
#[derive(Debug, Clone, Copy, Default)]
struct Hash(i32);

impl Hash {
    fn and(self, text: &str) -> Self {
        let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
        Self(match text.is_ascii() {
            true => text.bytes().fold(self.0, |hash, byte| step(hash, u16::from(byte))),
            false => text.encode_utf16().fold(self.0, step),
        })
    }

    /// Without its sign. The one number that has no positive counterpart becomes 0.
    fn unsigned(self) -> u32 {
        self.0.checked_abs().unwrap_or(0).unsigned_abs()
    }
}

/// The hash of one key.
pub(super) fn hash(topic: &str, key: &str, kind: KeyKind) -> u32 {
    let of_topic = Hash::default().and(topic).and("#");
    match kind {
        KeyKind::Key => of_topic.and(key).unsigned(),
        KeyKind::Tag => of_topic.and("T#").and(key).unsigned(),
    }
}

/// The properties that a message is found by.
#[derive(Debug, Clone, Copy, Default)]
struct Keys<'a> {
    unique: Option<&'a str>,
    keys: Option<&'a str>,
    tags: Option<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(properties: &'a str) -> Self {
        let mut found = Self::default();
        for (name, value) in property::iterate(properties) {
            match name {
                property::UNIQ_KEY => found.unique = Some(value),
                property::KEYS => found.keys = Some(value),
                property::TAGS => found.tags = Some(value),
                _ => {}
            }
        }
        found
    }

    fn each(self) -> impl Iterator<Item = &'a str> {
        self.keys.unwrap_or_default().split(' ').filter(|key| !key.is_empty())
    }
}

/// Fills `out` with the hashes of a record's keys, in the order in which Apache's broker puts them.
pub(super) fn hashes(record: &Record<'_>, out: &mut Vec<u32>) {
    out.clear();
    if Transaction::of(record.sys_flag) == Transaction::Rollback {
        return;
    }
    let text = record.text();
    let found = Keys::of(&text);
    let of_topic = Hash::default().and(record.topic).and("#");
    out.extend(found.unique.into_iter().chain(found.each()).map(|key| of_topic.and(key).unsigned()));
    out.extend(found.tags.map(|tag| of_topic.and("T#").and(tag).unsigned()));
}

/// Whether a record really has the key that its hash stood for.
pub(super) fn has(record: &Record<'_>, topic: &str, key: &str, kind: KeyKind) -> bool {
    let text = record.text();
    let found = Keys::of(&text);
    record.topic == topic
        && match kind {
            KeyKind::Key => found.unique == Some(key) || found.each().any(|own| own == key),
            KeyKind::Tag => found.tags == Some(key),
        }
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::message::hash::java_hash;

    use super::*;

    #[test]
    fn hashes_are_javas_without_their_sign() {
        for (topic, key) in [("t", "k"), ("polygene", "lubricants"), ("主题", "键😀")] {
            let java = java_hash(&format!("{topic}#{key}"));
            assert_eq!(hash(topic, key, KeyKind::Key), java.checked_abs().unwrap_or(0).unsigned_abs());
        }
        assert_eq!(Hash(i32::MIN).unsigned(), 0);
        assert_eq!(hash("t", "a", KeyKind::Tag), hash("t", "T#a", KeyKind::Key));
    }
}
