//! Where settings come from, and what they are after everything is merged.
//!
//! Later layers win: `application.yaml`, `application-{profile}.yaml`, environment variables, command-line
//! arguments, what the program sets in code. Every value remembers its place, so that a mistake is told with
//! file, line and column. Nothing here knows what a setting means: that is [`settings`].

pub(crate) mod key;
mod layer;
mod node;
mod placeholder;
pub(crate) mod properties;
mod schema;
pub(crate) mod setting;
pub(crate) mod settings;
mod sources;

use std::{collections::HashMap, path::PathBuf};

use figment::{
    Figment, Profile, Provider,
    value::{Dict, Value},
};

use self::{
    key::{Key, Kind, plain_name},
    schema::{Schema, split_key},
    setting::Setting,
};
use crate::report::Problems;

pub(crate) use self::{schema::Schema as Keys, sources::Sources};

/// The merged settings of one application.
pub(crate) struct Config {
    figment: Figment,
    tree: Dict,
    variables: HashMap<String, String>,
    /// The folder that relative paths start from.
    pub(crate) home: PathBuf,
    pub(crate) profiles: Vec<String>,
    /// What was accepted and has no effect.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads and merges every layer.
    pub(crate) fn load(sources: Sources, schema: &Schema, problems: &mut Problems) -> Self {
        let merged = sources.merge(schema, problems);
        let tree = match merged.figment.data() {
            Ok(mut data) => data.remove(&Profile::Default).unwrap_or_default(),
            Err(error) => {
                problems.add("", error.to_string());
                Dict::new()
            }
        };
        let mut config = Self {
            figment: merged.figment,
            tree,
            variables: merged.variables,
            home: merged.home,
            profiles: merged.profiles,
            warnings: merged.warnings,
        };
        config.weigh(&mut vec!["rocketmq".to_owned()], key::ROCKETMQ, problems);
        config
    }

    /// A setting, when there is one and it can be read; what cannot be read is noted.
    pub(crate) fn read<T: Setting>(&self, path: &[&str], problems: &mut Problems) -> Option<T> {
        let value = self.find(path)?;
        if matches!(value, Value::Empty(..)) {
            return None;
        }
        let read = self.resolved(value).and_then(|value| T::from_value(&value));
        read.map_err(|message| problems.add(self.place(path), format!("{}: {message}", path.join(".")))).ok()
    }

    /// The value at a canonical path.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Value> {
        let (last, parents) = path.split_last()?;
        let mut dict = &self.tree;
        for part in parents {
            match dict.get(*part)? {
                Value::Dict(_, below) => dict = below,
                _ => return None,
            }
        }
        dict.get(*last)
    }

    /// The names below a path.
    pub(crate) fn names(&self, path: &[&str]) -> Vec<String> {
        match self.find(path) {
            Some(Value::Dict(_, dict)) => dict.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Where the value at a path was written.
    pub(crate) fn place(&self, path: &[&str]) -> String {
        self.told(path, path)
    }

    /// Where the key of a path was written.
    pub(crate) fn key_place(&self, path: &[&str]) -> String {
        let marked: Vec<_> = std::iter::once(layer::KEY).chain(path.iter().copied()).collect();
        self.told(path, &marked)
    }

    fn told(&self, path: &[&str], asked: &[&str]) -> String {
        let Some(value) = self.find(path) else { return String::new() };
        let metadata = self.figment.get_metadata(value.tag());
        let place =
            metadata.map(|metadata| metadata.interpolate(&Profile::Default, asked)).unwrap_or_default();
        match value {
            // A table that only variables or arguments speak of has the place of its first value.
            Value::Dict(_, dict) if place.is_empty() => match dict.keys().next() {
                Some(first) => self.place(&[path, &[first.as_str()]].concat()),
                None => place,
            },
            _ => place,
        }
    }

    /// Text with its placeholders replaced.
    pub(crate) fn text(&self, text: &str) -> Result<String, String> {
        self.text_within(text, &mut Vec::new())
    }

    /// A value with the placeholders of every text in it replaced.
    pub(crate) fn resolved(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(tag, text) if text.contains("${") => Value::String(*tag, self.text(text)?),
            Value::Array(tag, items) => {
                Value::Array(*tag, items.iter().map(|item| self.resolved(item)).collect::<Result<_, _>>()?)
            }
            Value::Dict(tag, dict) => {
                let resolve = |(key, value): (&String, &Value)| Ok((key.clone(), self.resolved(value)?));
                Value::Dict(*tag, dict.iter().map(resolve).collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }

    fn text_within(&self, text: &str, open: &mut Vec<String>) -> Result<String, String> {
        placeholder::resolve(text, &mut |key| {
            let plain = plain_name(key);
            if open.iter().any(|earlier| plain_name(earlier) == plain) {
                return Err(format!("`${{{key}}}` refers to itself: {} -> {key}", open.join(" -> ")));
            }
            let Some(found) = self.lookup(key)? else { return Ok(None) };
            open.push(key.to_owned());
            let text = self.text_within(&found, open);
            open.pop();
            text.map(Some)
        })
    }

    /// What a key of a placeholder stands for, with the placeholders still in it.
    fn lookup(&self, key: &str) -> Result<Option<String>, String> {
        // The tree holds the variables of declared keys already, and arguments win over variables.
        let in_tree = self.find_loosely(key);
        if let Some(value) = in_tree
            && self.is_argument(value)
        {
            return scalar(key, value);
        }
        if let Some(text) = self.variable(key) {
            return Ok(Some(text.to_owned()));
        }
        in_tree.map_or(Ok(None), |value| scalar(key, value))
    }

    fn is_argument(&self, value: &Value) -> bool {
        self.figment
            .get_metadata(value.tag())
            .is_some_and(|metadata| sources::above_variables(&metadata.name))
    }

    fn variable(&self, key: &str) -> Option<&str> {
        let spellings = [
            key.to_owned(),
            key.replace(['.', '-'], "_").to_uppercase(),
            key.replace('.', "_").replace('-', "").to_uppercase(),
        ];
        spellings.iter().find_map(|name| self.variables.get(name)).map(String::as_str)
    }

    fn find_loosely(&self, key: &str) -> Option<&Value> {
        let parts = split_key(key);
        let (first, rest) = parts.split_first()?;
        rest.iter().try_fold(loosely(&self.tree, first)?, |value, part| match value {
            Value::Dict(_, dict) => loosely(dict, part),
            _ => None,
        })
    }

    /// Weighs the keys that are known and not honoured: without effect, or not supported yet.
    fn weigh(&mut self, path: &mut Vec<String>, keys: &'static [Key], problems: &mut Problems) {
        for key in keys {
            path.push(key.name.to_owned());
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            let dotted = parts.join(".");
            match key.kind {
                Kind::Value => {}
                Kind::Table(below) => self.weigh(path, below, problems),
                Kind::Named(below) => {
                    for name in self.names(&parts) {
                        path.push(name);
                        self.weigh(path, below, problems);
                        path.pop();
                    }
                }
                Kind::Idle(why) if self.find(&parts).is_some() => {
                    self.warnings.push(format!("{}  {dotted} has no effect: {why}", self.key_place(&parts)));
                }
                Kind::Later(harmless) => {
                    let text: Option<String> = match self.find(&parts) {
                        Some(Value::Bool(_, value)) => Some(value.to_string()),
                        Some(_) => self.read(&parts, problems),
                        None => None,
                    };
                    if text.is_some_and(|text| !harmless.contains(&text.as_str())) {
                        problems.add(self.key_place(&parts), format!("{dotted} is not supported yet"));
                    }
                }
                Kind::Idle(_) => {}
            }
            path.pop();
        }
    }
}

fn loosely<'a>(dict: &'a Dict, part: &str) -> Option<&'a Value> {
    dict.get(part).or_else(|| {
        let plain = plain_name(part);
        dict.iter().find(|(name, _)| plain_name(name) == plain).map(|(_, value)| value)
    })
}

fn scalar(key: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::String(_, text) => Ok(Some(text.clone())),
        Value::Char(_, c) => Ok(Some(c.to_string())),
        Value::Bool(_, value) => Ok(Some(value.to_string())),
        Value::Num(_, number) => Ok(Some(match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(number), ..) => number.to_string(),
            (_, Some(number), _) => number.to_string(),
            (.., Some(number)) => number.to_string(),
            _ => String::new(),
        })),
        Value::Empty(..) => Ok(Some(String::new())),
        Value::Dict(..) | Value::Array(..) => Err(format!("`${{{key}}}` is not a single value")),
    }
}

#[cfg(test)]
mod tests;
