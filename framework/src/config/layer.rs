//! One source of settings, as figment takes it: a tree of values, and where each of them was written.

use std::{collections::HashMap, sync::Arc};

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use super::node::{Node, Placed};

/// Marks a path whose key is asked for, not its value.
pub(crate) const KEY: &str = "\u{1}key";

/// A tree of values from one file, from the variables, from the arguments or from code.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    name: String,
    dict: Dict,
    places: HashMap<String, (String, String)>,
}

impl Layer {
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Remembers where a key and its value were written.
    pub(crate) fn place(&mut self, path: &[String], key: String, value: String) {
        self.places.entry(join(path)).or_insert((key, value));
    }

    /// Sets a value, unless there is one.
    pub(crate) fn set(&mut self, path: &[String], node: &Node, key: String, value: String) -> bool {
        self.place(path, key, value);
        insert(&mut self.dict, path, to_value(node))
    }

    /// Sets text at a path, replacing what is there: variables and arguments.
    pub(crate) fn set_text(&mut self, path: &[String], text: String, place: String) {
        self.places.insert(join(path), (place.clone(), place));
        if !insert(&mut self.dict, path, Value::from(text.clone())) {
            replace(&mut self.dict, path, Value::from(text));
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let places = Arc::new(self.places.clone());
        Metadata::named(self.name.clone()).interpolater(move |_, keys| {
            let (keys, of_key) = match keys.split_first() {
                Some((&KEY, rest)) => (rest, true),
                _ => (keys, false),
            };
            // A value inside a list has the place of the list.
            (1..=keys.len())
                .rev()
                .find_map(|n| places.get(&join(&keys[..n])))
                .map(|(key, value)| if of_key { key.clone() } else { value.clone() })
                .unwrap_or_default()
        })
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

fn join(path: &[impl AsRef<str>]) -> String {
    path.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\u{1f}")
}

fn insert(dict: &mut Dict, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [last] if dict.contains_key(last) => false,
        [last] => dict.insert(last.clone(), value).is_none(),
        [first, rest @ ..] => {
            let below = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            match below {
                Value::Dict(_, below) => insert(below, rest, value),
                _ => false,
            }
        }
    }
}

fn replace(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            if let Some(Value::Dict(_, below)) = dict.get_mut(first) {
                replace(below, rest, value);
            }
        }
    }
}

fn to_value(node: &Node) -> Value {
    match node {
        Node::Null => Value::from(figment::value::Empty::None),
        Node::Bool(value) => Value::from(*value),
        Node::Int(value) => Value::from(*value),
        Node::Big(value) => Value::from(*value),
        Node::Float(value) => Value::from(*value),
        Node::Text(value) => Value::from(value.clone()),
        Node::List(items) => {
            let items: Vec<Value> = items.iter().map(|item: &Placed| to_value(&item.node)).collect();
            Value::from(items)
        }
        Node::Map(entries) => {
            let dict: Dict = entries.iter().map(|e| (e.key.clone(), to_value(&e.value.node))).collect();
            Value::from(dict)
        }
    }
}
