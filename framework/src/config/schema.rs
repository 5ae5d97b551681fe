//! Which keys are checked: `rocketmq`, and every prefix that a struct of properties declares.
//!
//! Whatever stands outside these prefixes belongs to others and is left alone.

use super::{
    key::{self, Key, Kind, ROCKETMQ, plain_name},
    layer::Layer,
    node::{Entry, Node, Placed},
};
use crate::report::Problems;

/// The checked prefixes.
pub(crate) struct Schema {
    roots: Vec<Root>,
    /// Names below `rocketmq.listeners` that exist, for variables that cannot spell them.
    listeners: Vec<String>,
}

struct Root {
    path: Vec<String>,
    keys: &'static [Key],
}

/// What is known of the keys at some place of the tree.
#[derive(Clone)]
enum Level {
    /// Nothing: they belong to others.
    Open,
    /// They must be in one of these tables.
    Keys(Vec<&'static [Key]>),
    /// Names of the user's choice, each with this table below.
    Names(&'static [Key]),
    /// The inside of a value.
    Value,
}

impl Schema {
    pub(crate) fn new(
        prefixes: impl IntoIterator<Item = (&'static str, &'static [Key])>,
        listeners: Vec<String>,
    ) -> Self {
        let split = |path: &str| path.split('.').map(str::to_owned).collect();
        let own = std::iter::once(("rocketmq", ROCKETMQ));
        let roots = own.chain(prefixes).map(|(path, keys)| Root { path: split(path), keys }).collect();
        Self { roots, listeners }
    }

    /// Takes a document into a layer, with every checked key under its canonical name. What is in no table is
    /// noted with its place and left out.
    pub(crate) fn admit(&self, document: &Placed, file: &str, layer: &mut Layer, problems: &mut Problems) {
        match &document.node {
            Node::Map(entries) => {
                let mut walk = Walk { schema: self, file, layer, problems };
                walk.table(entries, &mut Vec::new(), &self.level(&[], Level::Open));
            }
            Node::Null => {}
            _ => problems.add(
                format!("{file}:{}:{}", document.mark.line, document.mark.column),
                "expected `key: value` lines",
            ),
        }
    }

    /// The canonical path of a dotted name, as arguments and code write it.
    pub(crate) fn dotted(&self, name: &str) -> Result<Vec<String>, String> {
        let mut path = Vec::new();
        let mut level = self.level(&[], Level::Open);
        for part in split_key(name) {
            let (name, next) = self.step(&path, &level, &part)?;
            path.push(name);
            level = next;
        }
        match level {
            Level::Keys(_) | Level::Names(_) => Err("is a table, not a value".to_owned()),
            Level::Open | Level::Value => Ok(path),
        }
    }

    /// The path that an environment variable means: `ROCKETMQ_PRODUCER_SEND_MESSAGE_TIMEOUT`.
    pub(crate) fn variable(&self, name: &str) -> Option<Vec<String>> {
        let words: Vec<_> = name.split('_').map(str::to_lowercase).collect();
        self.roots.iter().find_map(|root| {
            let rest = root.path.iter().try_fold(&words[..], |words, part| {
                let plain = plain_name(part);
                (1..=words.len()).rev().find(|n| words[..*n].concat() == plain).map(|n| &words[n..])
            })?;
            let below = self.words(rest, root.keys)?;
            Some(root.path.iter().cloned().chain(below).collect())
        })
    }

    fn words(&self, words: &[String], keys: &'static [Key]) -> Option<Vec<String>> {
        (1..=words.len()).rev().find_map(|n| {
            let key = key::find(keys, &words[..n].concat())?;
            let rest = &words[n..];
            let below = match key.kind {
                Kind::Value | Kind::Idle(_) | Kind::Later(_) => rest.is_empty().then(Vec::new)?,
                Kind::Table(keys) => self.words(rest, keys)?,
                Kind::Named(keys) => (1..rest.len()).find_map(|m| {
                    let below = self.words(&rest[m..], keys)?;
                    Some(std::iter::once(self.listener(&rest[..m])).chain(below).collect())
                })?,
            };
            Some(std::iter::once(key.name.to_owned()).chain(below).collect())
        })
    }

    fn listener(&self, words: &[String]) -> String {
        let plain = words.concat();
        let known = self.listeners.iter().find(|id| plain_name(id) == plain);
        known.cloned().unwrap_or_else(|| words.join("_"))
    }

    /// The level at a path: what its parent says, and the prefixes that begin there.
    fn level(&self, path: &[String], inherited: Level) -> Level {
        let begun: Vec<_> =
            self.roots.iter().filter(|root| root.path == path).map(|root| root.keys).collect();
        match inherited {
            Level::Open if !begun.is_empty() => Level::Keys(begun),
            Level::Keys(mut tables) => {
                tables.extend(begun);
                Level::Keys(tables)
            }
            other => other,
        }
    }

    /// The canonical name of a key at some level, and the level below it.
    fn step(&self, path: &[String], level: &Level, name: &str) -> Result<(String, Level), String> {
        let (name, next) = match level {
            Level::Value => (name.to_owned(), Level::Value),
            Level::Names(keys) => (name.to_owned(), Level::Keys(vec![keys])),
            Level::Open => (self.declared(path, name).unwrap_or_else(|| name.to_owned()), Level::Open),
            Level::Keys(tables) => match tables.iter().find_map(|keys| key::find(keys, name)) {
                Some(key) => (key.name.to_owned(), below(key)),
                None => match self.declared(path, name) {
                    Some(name) => (name, Level::Open),
                    None => return Err(key::unknown(&tables.concat(), name)),
                },
            },
        };
        let path: Vec<_> = path.iter().cloned().chain([name.clone()]).collect();
        let next = self.level(&path, next);
        Ok((name, next))
    }

    /// The spelling of a part of a declared prefix.
    fn declared(&self, path: &[String], name: &str) -> Option<String> {
        let plain = plain_name(name);
        let next = self.roots.iter().filter_map(|root| root.path.strip_prefix(path)?.first());
        next.into_iter().find(|part| plain_name(part) == plain).cloned()
    }
}

fn below(key: &Key) -> Level {
    match key.kind {
        Kind::Value | Kind::Idle(_) | Kind::Later(_) => Level::Value,
        Kind::Table(keys) => Level::Keys(vec![keys]),
        Kind::Named(keys) => Level::Names(keys),
    }
}

/// The parts of `a.b.c`. A part in brackets, `[a.b]`, is one part.
pub(crate) fn split_key(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut bracket = false;
    for c in name.chars() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            '.' if !bracket => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts
}

struct Walk<'a> {
    schema: &'a Schema,
    file: &'a str,
    layer: &'a mut Layer,
    problems: &'a mut Problems,
}

impl Walk<'_> {
    fn table(&mut self, entries: &[Entry], path: &mut Vec<String>, level: &Level) {
        for entry in entries {
            let depth = path.len();
            let place = format!("{}:{}:{}", self.file, entry.mark.line, entry.mark.column);
            let mut level = level.clone();
            let mut refused = None;
            for part in split_key(&entry.key) {
                match self.schema.step(path, &level, &part) {
                    Ok((name, next)) => {
                        path.push(name);
                        level = next;
                    }
                    Err(message) => {
                        refused = Some(format!("{}: {message}", [&path[..], &[part]].concat().join(".")));
                        break;
                    }
                }
            }
            match refused {
                Some(message) => self.problems.add(place, message),
                None => self.value(&entry.value, place, path, &level),
            }
            path.truncate(depth);
        }
    }

    fn value(&mut self, value: &Placed, key_place: String, path: &mut Vec<String>, level: &Level) {
        let place = format!("{}:{}:{}", self.file, value.mark.line, value.mark.column);
        match (&value.node, level) {
            (Node::Map(entries), level) => {
                self.layer.place(path, key_place, place);
                self.table(entries, path, level);
            }
            (Node::Null, Level::Keys(_) | Level::Names(_)) => {}
            (_, Level::Keys(_) | Level::Names(_)) => {
                self.problems.add(place, format!("{}: expected keys below it", path.join(".")));
            }
            (node, _) => {
                if !self.layer.set(path, node, key_place.clone(), place) {
                    self.problems
                        .add(key_place, format!("{}: given twice, in two spellings", path.join(".")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &[Key] = &[Key::any("fee-cents"), Key::table("tax", &[Key::any("rate")])];

    const BILLING: &[Key] = &[Key::any("day")];

    fn schema() -> Schema {
        Schema::new([("shop", SHOP), ("shop.billing", BILLING)], vec!["thankYou".to_owned()])
    }

    #[test]
    fn variables_find_their_key_whatever_the_dashes() {
        let path = |name| schema().variable(name).map(|path| path.join("."));
        assert_eq!(path("ROCKETMQ_NAME_SERVER").as_deref(), Some("rocketmq.name-server"));
        assert_eq!(path("ROCKETMQ_NAMESERVER").as_deref(), Some("rocketmq.name-server"));
        assert_eq!(
            path("ROCKETMQ_PRODUCER_SEND_MESSAGE_TIMEOUT").as_deref(),
            Some("rocketmq.producer.send-message-timeout")
        );
        assert_eq!(
            path("ROCKETMQ_LISTENERS_THANK_YOU_CONSUME_THREAD_NUMBER").as_deref(),
            Some("rocketmq.listeners.thankYou.concurrency")
        );
        assert_eq!(
            path("ROCKETMQ_LISTENERS_PLACE_ORDER_TAG").as_deref(),
            Some("rocketmq.listeners.place_order.tag")
        );
        assert_eq!(path("SHOP_FEE_CENTS").as_deref(), Some("shop.fee-cents"));
        assert_eq!(path("SHOP_TAX_RATE").as_deref(), Some("shop.tax.rate"));
        assert_eq!(path("SHOP_BILLING_DAY").as_deref(), Some("shop.billing.day"));
        assert_eq!(path("ROCKETMQ_HOME"), None);
        assert_eq!(path("SHOPS_FEE_CENTS"), None);
    }

    #[test]
    fn dotted_names_are_checked_below_declared_prefixes_only() {
        assert_eq!(schema().dotted("server.port").unwrap(), ["server", "port"]);
        assert_eq!(schema().dotted("rocketmq.nameServer").unwrap(), ["rocketmq", "name-server"]);
        assert_eq!(schema().dotted("shop.billing.day").unwrap(), ["shop", "billing", "day"]);
        assert_eq!(
            schema().dotted("rocketmq.producer.grup").unwrap_err(),
            "unknown key, did you mean `group`?"
        );
        assert!(schema().dotted("rocketmq.producer").is_err());
    }
}
