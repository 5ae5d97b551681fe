//! The order in which components are made: each after those that it asks for.

use std::{
    any::TypeId,
    collections::{HashMap, HashSet},
};

use super::{ComponentEntry, Provided};
use crate::{context::Requires, place::Telling, report::Problems};

/// Where a component comes from.
pub(crate) enum Source {
    /// It exists already: given by hand, or read from the configuration.
    Ready { provided: Provided, place: String },
    /// A constructor makes it.
    Made(&'static ComponentEntry),
}

impl Source {
    fn provided(&self) -> Provided {
        match self {
            Self::Ready { provided, .. } => *provided,
            Self::Made(entry) => (entry.provides)(),
        }
    }

    fn place(&self, telling: Telling) -> String {
        match self {
            Self::Ready { place, .. } => place.clone(),
            Self::Made(entry) => telling.tell(&entry.place),
        }
    }
}

/// A function that asks for components: "listener `bill`", and where it is.
pub(crate) struct Asking {
    pub(crate) who: String,
    pub(crate) place: String,
    pub(crate) requires: Requires,
}

/// The constructors, in the order in which they run.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) order: Vec<&'static ComponentEntry>,
}

impl Plan {
    /// Orders the constructors; notes what is missing, what comes from two places, and what asks for itself.
    pub(crate) fn make(
        sources: &[Source],
        asking: &[Asking],
        telling: Telling,
        problems: &mut Problems,
    ) -> Self {
        let mut by_type: HashMap<TypeId, &Source> = HashMap::new();
        for source in sources {
            let provided = source.provided();
            if let Some(first) = by_type.insert(provided.id, source) {
                by_type.insert(provided.id, first);
                let places = [first.place(telling), source.place(telling)];
                let places: Vec<_> = places.into_iter().filter(|place| !place.is_empty()).collect();
                let name = short(provided.name);
                problems.add(places.join(" and "), format!("there are two components of the type `{name}`"));
            }
        }
        let mut walk =
            Walk { by_type, telling, problems, open: Vec::new(), done: HashSet::new(), order: Vec::new() };
        for asking in asking {
            for (id, name) in &asking.requires.types {
                walk.visit(*id, name, asking);
            }
        }
        for source in sources {
            if let Source::Made(entry) = source {
                let provided = source.provided();
                let asking = Asking {
                    who: format!("component `{}`", entry.name),
                    place: telling.tell(&entry.place),
                    requires: Requires::default(),
                };
                walk.visit(provided.id, provided.name, &asking);
            }
        }
        Self { order: walk.order }
    }
}

struct Walk<'a> {
    by_type: HashMap<TypeId, &'a Source>,
    telling: Telling,
    problems: &'a mut Problems,
    /// The components that are being visited, from the outermost.
    open: Vec<(TypeId, &'static ComponentEntry)>,
    done: HashSet<TypeId>,
    order: Vec<&'static ComponentEntry>,
}

impl Walk<'_> {
    fn visit(&mut self, id: TypeId, name: &'static str, asking: &Asking) {
        if self.done.contains(&id) {
            return;
        }
        if let Some(at) = self.open.iter().position(|(open, _)| *open == id) {
            let names = self.open[at..].iter().map(|(_, entry)| short((entry.provides)().name));
            let chain: Vec<_> = names.chain([short(name)]).collect();
            let place = self.telling.tell(&self.open[at].1.place);
            self.problems.add(place, format!("components ask for each other: {}", chain.join(" -> ")));
            return;
        }
        match self.by_type.get(&id) {
            None => self.missing(name, asking),
            Some(Source::Ready { .. }) => {
                self.done.insert(id);
            }
            Some(Source::Made(entry)) => {
                let entry: &'static ComponentEntry = entry;
                self.open.push((id, entry));
                for (id, name) in Requires::of(entry.requires).types {
                    self.visit(id, name, asking);
                }
                self.open.pop();
                self.done.insert(id);
                self.order.push(entry);
            }
        }
    }

    fn missing(&mut self, name: &str, asking: &Asking) {
        let path = self.open.iter().map(|(_, entry)| short((entry.provides)().name));
        let path: Vec<_> = std::iter::once(asking.who.clone()).chain(path).chain([short(name)]).collect();
        let place = self
            .open
            .last()
            .map_or_else(|| asking.place.clone(), |(_, entry)| self.telling.tell(&entry.place));
        let name = short(name);
        self.problems.add(
            place,
            format!(
                "there is no component `{name}`, needed by {}: add `#[component] async fn ..() -> {name}` or `App::with(..)`",
                path.join(" -> "),
            ),
        );
    }
}

/// A type's name without the paths in it.
pub(crate) fn short(name: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in name.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                out.push_str(&word);
                word.clear();
                out.push(c);
            }
        }
    }
    out + &word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_lose_their_paths() {
        assert_eq!(short("shop::db::Db"), "Db");
        assert_eq!(short("alloc::vec::Vec<shop::Db>"), "Vec<Db>");
    }
}
