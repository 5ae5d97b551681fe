//! Structs that are read from the configuration: what `#[derive(Properties)]` is made of.

use std::{
    any::{Any, TypeId},
    sync::Arc,
    time::Duration,
};

use figment::{
    error::Kind,
    value::{Dict, Value},
};
use serde::de::DeserializeOwned;

use super::{Config, key::Key, setting::Setting};
use crate::{component::Provided, place::Place, report::Problems};

/// A struct that is read from the configuration, field by field.
///
/// Derive it; the keys are the fields' names with dashes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not read from the configuration",
    note = "add `#[derive(Properties)]`"
)]
pub trait Properties: Sized + Send + Sync + 'static {
    /// The keys below the prefix.
    const KEYS: &'static [Key];

    /// Reads every field. What is missing or wrong is noted, and the result is then `None`.
    fn bind(binder: &mut Binder<'_>) -> Option<Self>;
}

/// A struct that declares a prefix, as its derive registers it.
#[doc(hidden)]
#[derive(Debug)]
pub struct PropertiesEntry {
    pub name: &'static str,
    pub place: Place,
    pub prefix: &'static str,
    pub keys: &'static [Key],
    pub provides: fn() -> Provided,
    pub bind: fn(&mut Binder<'_>) -> Option<Arc<dyn Any + Send + Sync>>,
}

inventory::collect!(PropertiesEntry);

/// What a derive knows of a field that is a struct of properties itself.
pub struct Nested<T> {
    #[doc(hidden)]
    pub keys: &'static [Key],
    #[doc(hidden)]
    pub bind: fn(&mut Binder<'_>) -> Option<T>,
}

impl<T> std::fmt::Debug for Nested<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nested").field("keys", &self.keys).finish_non_exhaustive()
    }
}

#[doc(hidden)]
pub const fn nested<T: Properties>() -> Nested<T> {
    Nested { keys: T::KEYS, bind: T::bind }
}

/// Reads the fields of one struct of properties.
pub struct Binder<'a> {
    config: &'a Config,
    path: Vec<String>,
    /// Where the struct is declared, for what is written nowhere.
    declared: String,
    problems: &'a mut Problems,
}

impl std::fmt::Debug for Binder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<'a> Binder<'a> {
    pub(crate) fn new(
        config: &'a Config,
        prefix: &str,
        declared: impl Into<String>,
        problems: &'a mut Problems,
    ) -> Self {
        let path = prefix.split('.').map(str::to_owned).collect();
        Self { config, path, declared: declared.into(), problems }
    }

    /// A field that must be set.
    pub fn required<T: DeserializeOwned + 'static>(&mut self, key: &str) -> Option<T> {
        match self.read(key) {
            Read::Value(value) => Some(value),
            Read::Wrong => None,
            Read::Absent => {
                let prefix: Vec<&str> = self.path.iter().map(String::as_str).collect();
                let (place, path) = (self.config.key_place(&prefix), self.path.join("."));
                let place = if place.is_empty() { self.declared.clone() } else { place };
                self.problems.add(place, format!("{path}.{key} is not set and has no default"));
                None
            }
        }
    }

    /// A field that is an `Option`.
    pub fn optional<T: DeserializeOwned + Default + 'static>(&mut self, key: &str) -> Option<T> {
        self.or_else(key, T::default)
    }

    /// A field with a default.
    pub fn or_else<T: DeserializeOwned + 'static>(
        &mut self,
        key: &str,
        default: impl FnOnce() -> T,
    ) -> Option<T> {
        match self.read(key) {
            Read::Value(value) => Some(value),
            Read::Wrong => None,
            Read::Absent => Some(default()),
        }
    }

    /// A field that is a struct of properties itself.
    pub fn nested<T>(&mut self, key: &str, nested: &Nested<T>) -> Option<T> {
        self.path.push(key.to_owned());
        let bound = (nested.bind)(self);
        self.path.pop();
        bound
    }

    fn read<T: DeserializeOwned + 'static>(&mut self, key: &str) -> Read<T> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).chain([key]).collect();
        let value = match self.config.find(&path) {
            None | Some(Value::Empty(..)) => return Read::Absent,
            Some(value) => value,
        };
        match self.config.resolved(value).and_then(|value| deserialize(&value)) {
            Ok(value) => Read::Value(value),
            Err(message) => {
                self.problems.add(self.config.place(&path), format!("{}: {message}", path.join(".")));
                Read::Wrong
            }
        }
    }
}

enum Read<T> {
    Value(T),
    Absent,
    Wrong,
}

fn deserialize<T: DeserializeOwned + 'static>(value: &Value) -> Result<T, String> {
    let is_duration = TypeId::of::<T>() == TypeId::of::<Duration>()
        || TypeId::of::<T>() == TypeId::of::<Option<Duration>>();
    if is_duration && !matches!(value, Value::Dict(..)) {
        let duration = Duration::from_value(value)?;
        // serde's own form of a duration.
        let fields =
            [("secs", Value::from(duration.as_secs())), ("nanos", Value::from(duration.subsec_nanos()))];
        let dict: Dict = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        return told(Value::from(dict).deserialize());
    }
    let read = value.deserialize();
    match (read, value) {
        // Variables, arguments and placeholders are text, whatever the type of the field.
        (Err(error), Value::String(_, text)) => match typed(text).deserialize() {
            Ok(value) => Ok(value),
            Err(_) => told(Err(error)),
        },
        (read, _) => told(read),
    }
}

fn told<T>(read: figment::Result<T>) -> Result<T, String> {
    read.map_err(|error| {
        let what = match &error.kind {
            Kind::InvalidValue(found, expected) => {
                format!("invalid value: found {found}, expected {expected}")
            }
            kind => kind.to_string(),
        };
        match error.path.is_empty() {
            true => what,
            false => format!("{what} in `{}`", error.path.join(".")),
        }
    })
}

/// The value that a text spells: a truth value, a number, or a list with commas.
fn typed(text: &str) -> Value {
    let text = text.trim();
    let truth = text.parse::<bool>().ok().map(Value::from);
    truth.or_else(|| number(text)).unwrap_or_else(|| {
        let items = text.split(',').map(str::trim);
        Value::from(items.map(|item| number(item).unwrap_or_else(|| Value::from(item))).collect::<Vec<_>>())
    })
}

fn number(text: &str) -> Option<Value> {
    let signed = || text.parse::<i64>().ok().map(Value::from);
    let unsigned = || text.parse::<u64>().ok().map(Value::from);
    let float = || text.parse::<f64>().ok().map(Value::from);
    signed().or_else(unsigned).or_else(float)
}
