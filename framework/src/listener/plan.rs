//! From attributes and configuration to groups of listeners.
//!
//! All listeners of a group share one consumer, so what belongs to the group must agree: model, start position
//! and pull size. Concurrency, attempts and batch belong to the listener and may differ.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_boot_protocol::topic::{validate_group, validate_topic};

use super::{
    ListenerEntry,
    extract::Call,
    spec::{Model, Start},
};
use crate::{
    config::{
        Config,
        key::closest,
        settings::{ListenerSettings, MAIN, Settings, Sourced},
    },
    place::Telling,
    report::Problems,
};

/// (default: 20)
const CONCURRENCY: u32 = 20;
/// The first delivery and sixteen more. (default: 17)
const MAX_ATTEMPTS: u32 = 17;

/// A listener with every setting decided.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) id: String,
    pub(crate) entry: &'static ListenerEntry,
    /// Where its function is.
    pub(crate) place: String,
    /// What the start-up table says of where its settings are from.
    pub(crate) set_by: String,
    pub(crate) topic: String,
    pub(crate) tags: Tags,
    pub(crate) concurrency: u32,
    pub(crate) max_attempts: u32,
    /// Messages per call.
    pub(crate) batch: u32,
}

/// The tags that a listener wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    All,
    Some(BTreeSet<String>),
}

impl Tags {
    fn parse(expression: &str) -> Self {
        let tags: BTreeSet<_> = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty()).collect();
        match tags.is_empty() || tags.contains("*") {
            true => Self::All,
            false => Self::Some(tags.into_iter().map(str::to_owned).collect()),
        }
    }

    /// As a subscription spells it.
    pub(crate) fn expression(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Some(tags) => tags.iter().map(String::as_str).collect::<Vec<_>>().join(" || "),
        }
    }

    /// The tags, `*` for all.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let (all, some) = match self {
            Self::All => (Some("*"), None),
            Self::Some(tags) => (None, Some(tags.iter().map(String::as_str))),
        };
        all.into_iter().chain(some.into_iter().flatten())
    }

    fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Some(tags), Self::Some(more)) => tags.extend(more.iter().cloned()),
            _ => *self = Self::All,
        }
    }
}

/// The listeners of one group, and what they share.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) model: Model,
    pub(crate) start: Start,
    pub(crate) pull_batch: Option<u32>,
    pub(crate) listeners: Vec<Listener>,
}

impl Group {
    /// Every topic of the group, with the union of the tags that its listeners want.
    pub(crate) fn subscriptions(&self) -> BTreeMap<String, Tags> {
        let mut subscriptions: BTreeMap<String, Tags> = BTreeMap::new();
        for listener in &self.listeners {
            subscriptions
                .entry(listener.topic.clone())
                .and_modify(|tags| tags.join(&listener.tags))
                .or_insert_with(|| listener.tags.clone());
        }
        subscriptions
    }

    /// How many calls may run at once.
    pub(crate) fn concurrency(&self) -> u32 {
        self.listeners.iter().fold(0, |sum, listener| sum.saturating_add(listener.concurrency))
    }

    /// The most attempts that any of its listeners allows.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.listeners.iter().map(|listener| listener.max_attempts).max().unwrap_or(MAX_ATTEMPTS)
    }

    /// The largest batch that any of its listeners takes.
    pub(crate) fn batch(&self) -> u32 {
        self.listeners.iter().map(|listener| listener.batch).max().unwrap_or(1)
    }
}

/// A listener before its group is known to agree.
struct Draft {
    listener: Listener,
    group: String,
    cluster: String,
    model: Option<Sourced<Model>>,
    start: Option<Sourced<Start>>,
    pull_batch: Option<Sourced<u32>>,
}

/// Decides every setting of every listener; conflicts are noted.
pub(crate) fn groups(
    entries: &[&'static ListenerEntry],
    settings: &Settings,
    config: &Config,
    telling: Telling,
    problems: &mut Problems,
) -> Vec<Group> {
    let mut drafts = Vec::new();
    let mut ids: BTreeMap<&str, &ListenerEntry> = BTreeMap::new();
    for entry in entries {
        let id = entry.spec.id.unwrap_or(entry.name);
        if let Some(first) = ids.insert(id, entry) {
            problems.add(
                format!("{} and {}", telling.tell(&first.place), telling.tell(&entry.place)),
                format!("two listeners are called `{id}`: give one of them `id = \"..\"`"),
            );
        }
        drafts.extend(Reading { entry, id, settings, config, telling }.draft(problems));
    }
    for (id, unused) in settings.listeners.iter().filter(|(id, _)| !ids.contains_key(id.as_str())) {
        let hint = match closest(id, ids.keys().copied()) {
            Some(name) => format!(", did you mean `{name}`?"),
            None => String::new(),
        };
        problems.add(&unused.place, format!("rocketmq.listeners.{id}: there is no such listener{hint}"));
    }
    assemble(drafts, problems)
}

struct Reading<'a> {
    entry: &'static ListenerEntry,
    id: &'a str,
    settings: &'a Settings,
    config: &'a Config,
    telling: Telling,
}

impl Reading<'_> {
    /// The listener with its settings, unless it is switched off or cannot be read.
    fn draft(&self, problems: &mut Problems) -> Option<Draft> {
        let (spec, place) = (&self.entry.spec, self.telling.tell(&self.entry.place));
        let set = self.settings.listeners.get(self.id);
        let text = |declared: Option<&str>, set: Option<&Sourced<String>>, problems: &mut Problems| match set
        {
            Some(set) => Some(set.clone()),
            None => {
                let value = self.config.text(declared?);
                let value =
                    value.map_err(|error| problems.add(&place, format!("listener `{}`: {error}", self.id)));
                Some(Sourced { value: value.ok()?, place: place.clone() })
            }
        };
        let topic = text(Some(spec.topic), set.and_then(|set| set.topic.as_ref()), problems);
        let group = text(Some(spec.group), set.and_then(|set| set.group.as_ref()), problems);
        let tag = text(spec.tag, set.and_then(|set| set.tag.as_ref()), problems);
        let cluster = text(spec.cluster, set.and_then(|set| set.cluster.as_ref()), problems);
        let (topic, group) = (topic?, group?);
        let off = (group.value.clone(), topic.value.clone());
        if set.and_then(|set| set.enabled) == Some(false) || self.settings.switched_off.contains(&off) {
            return None;
        }
        let named =
            [(&topic.place, validate_topic(&topic.value)), (&group.place, validate_group(&group.value))];
        for (place, result) in named {
            if let Err(error) = result {
                problems.add(place, format!("listener `{}`: {error}", self.id));
            }
        }
        let cluster = match cluster {
            None => MAIN.to_owned(),
            Some(cluster) => {
                self.check_cluster(&cluster, problems);
                cluster.value
            }
        };
        let listener = Listener {
            id: self.id.to_owned(),
            entry: self.entry,
            place: place.clone(),
            set_by: set.map_or_else(|| place.clone(), |set| line_of(&set.place)),
            topic: topic.value,
            tags: tag.map_or(Tags::All, |tag| Tags::parse(&tag.value)),
            concurrency: set.and_then(|set| set.concurrency).or(spec.concurrency).unwrap_or(CONCURRENCY),
            max_attempts: set.and_then(|set| set.max_attempts).or(spec.max_attempts).unwrap_or(MAX_ATTEMPTS),
            batch: self.batch(set, problems),
        };
        let at = |place: &str| place.to_owned();
        Some(Draft {
            listener,
            group: group.value,
            cluster,
            model: pick(set.and_then(|set| set.model.as_ref()), spec.model, at(&place)),
            start: pick(set.and_then(|set| set.start.as_ref()), spec.start, at(&place)),
            pull_batch: pick(set.and_then(|set| set.pull_batch.as_ref()), spec.pull_batch, at(&place)),
        })
    }

    fn check_cluster(&self, cluster: &Sourced<String>, problems: &mut Problems) {
        if !self.settings.clusters.contains_key(&cluster.value) {
            let names = self.settings.clusters.keys().map(String::as_str).filter(|name| *name != MAIN);
            let hint = match closest(&cluster.value, names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "add it under `rocketmq.clusters`".to_owned(),
            };
            let message = format!("listener `{}`: there is no cluster `{}`, {hint}", self.id, cluster.value);
            problems.add(&cluster.place, message);
        }
    }

    fn batch(&self, set: Option<&ListenerSettings>, problems: &mut Problems) -> u32 {
        let set = set.and_then(|set| set.batch.as_ref());
        match (self.entry.call, set) {
            (Call::Batch(_), set) => set.map(|set| set.value).or(self.entry.spec.batch).unwrap_or(1),
            (Call::One(_), Some(set)) if set.value > 1 => {
                problems.add(
                    &set.place,
                    format!("listener `{}` takes one message at a time: `batch` needs `batch = ..` in its attribute and `Vec` arguments", self.id),
                );
                1
            }
            (Call::One(_), _) => 1,
        }
    }
}

/// A place without its column.
fn line_of(place: &str) -> String {
    let mut parts = place.rsplitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(column), Some(line), Some(file)) if is_number(column) && is_number(line) => {
            format!("{file}:{line}")
        }
        _ => place.to_owned(),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn pick<T: Copy>(set: Option<&Sourced<T>>, declared: Option<T>, place: String) -> Option<Sourced<T>> {
    match set {
        Some(set) => Some(set.clone()),
        None => declared.map(|value| Sourced { value, place }),
    }
}

fn assemble(drafts: Vec<Draft>, problems: &mut Problems) -> Vec<Group> {
    let mut by_group: BTreeMap<(String, String), Vec<Draft>> = BTreeMap::new();
    for draft in drafts {
        by_group.entry((draft.cluster.clone(), draft.group.clone())).or_default().push(draft);
    }
    let mut groups = Vec::new();
    for ((cluster, name), drafts) in by_group {
        let model = agree(&name, drafts.iter().filter_map(|draft| draft.model.as_ref()), declared, problems);
        let start = agree(&name, drafts.iter().filter_map(|draft| draft.start.as_ref()), starts, problems);
        let pulls = drafts.iter().filter_map(|draft| draft.pull_batch.as_ref());
        let pull_batch = agree(&name, pulls, pulling, problems);
        overlaps(&name, &drafts, problems);
        groups.push(Group {
            name,
            cluster,
            model: model.unwrap_or_default(),
            start: start.unwrap_or_default(),
            pull_batch,
            listeners: drafts.into_iter().map(|draft| draft.listener).collect(),
        });
    }
    groups
}

fn declared(group: &str, one: &Model, other: &Model) -> String {
    format!("group `{group}` is declared `{one}` in one place and `{other}` in the other")
}

fn starts(group: &str, one: &Start, other: &Start) -> String {
    format!("group `{group}` starts at the `{one}` message in one place and at the `{other}` in the other")
}

fn pulling(group: &str, one: &u32, other: &u32) -> String {
    format!("group `{group}` pulls {one} messages at a time in one place and {other} in the other")
}

/// The value that all places agree on; each place that does not agree with the first is noted.
fn agree<'a, T: Copy + PartialEq + 'a>(
    group: &str,
    values: impl Iterator<Item = &'a Sourced<T>>,
    message: fn(&str, &T, &T) -> String,
    problems: &mut Problems,
) -> Option<T> {
    let mut values = values;
    let first = values.next()?;
    for other in values.filter(|other| other.value != first.value) {
        problems
            .add(format!("{} and {}", first.place, other.place), message(group, &first.value, &other.value));
    }
    Some(first.value)
}

/// Notes tags of a topic that two listeners of the group want.
fn overlaps(group: &str, drafts: &[Draft], problems: &mut Problems) {
    let mut wanted: BTreeMap<(&str, &str), &Draft> = BTreeMap::new();
    for draft in drafts {
        let topic = draft.listener.topic.as_str();
        for tag in draft.listener.tags.names() {
            let Some(first) = wanted.insert((topic, tag), draft) else { continue };
            let which = match tag {
                "*" => "all messages".to_owned(),
                tag => format!("messages with tag `{tag}`"),
            };
            let (one, other) = (&first.listener.id, &draft.listener.id);
            problems.add(
                format!("{} and {}", first.listener.place, draft.listener.place),
                format!(
                    "group `{group}` has two listeners for {which} of topic `{topic}`: `{one}` and `{other}`"
                ),
            );
        }
    }
}
