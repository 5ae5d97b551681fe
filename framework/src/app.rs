//! The application: what it is made of, and the check of everything before anything runs.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashSet,
    fmt,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    component::{Asking, ComponentEntry, Container, Erased, Plan, Provided, Source},
    config::{
        Config, Keys, Sources,
        properties::{Binder, PropertiesEntry},
        settings::{MAIN, Settings},
    },
    context::Requires,
    hook::HookEntry,
    lifecycle::{Running, launch},
    listener::{
        ListenerEntry,
        plan::{Group, groups},
    },
    place::Telling,
    report::{Problems, StartError},
};

/// An application: components, listeners and start hooks, with the configuration around them.
///
/// [`App::new`] finds everything that is marked with `#[rocketmq_listener]`, `#[on_start]` and `#[component]` in
/// the program. Naming any function here switches that off, so that several applications can live in one process.
#[derive(Default)]
#[must_use = "an application does nothing before it is started"]
pub struct App {
    given: Vec<Given>,
    named: Vec<Named>,
    alone: bool,
    sources: Sources,
    process: ProcessParts,
}

/// Which parts of the process are read when the application starts.
#[derive(Default)]
struct ProcessParts {
    arguments_given: bool,
    variables_given: bool,
}

struct Given {
    provided: Provided,
    value: Erased,
}

/// A function that was registered by hand.
struct Named {
    kind: &'static str,
    function: TypeId,
    name: &'static str,
}

const LISTENER: &str = "rocketmq_listener";
const HOOK: &str = "on_start";
const COMPONENT: &str = "component";

impl App {
    /// An application of everything that the program marks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a component.
    pub fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.given.push(Given { provided: Provided::of::<T>(), value: Arc::new(value) });
        self
    }

    /// Adds a listener by its function, and switches discovery off.
    pub fn listener<F: 'static>(self, _: F) -> Self {
        self.name::<F>(LISTENER)
    }

    /// Adds a start hook by its function, and switches discovery off.
    pub fn on_start<F: 'static>(self, _: F) -> Self {
        self.name::<F>(HOOK)
    }

    /// Adds a component constructor by its function, and switches discovery off.
    pub fn component<F: 'static>(self, _: F) -> Self {
        self.name::<F>(COMPONENT)
    }

    fn name<F: 'static>(mut self, kind: &'static str) -> Self {
        self.named.push(Named { kind, function: TypeId::of::<F>(), name: type_name::<F>() });
        self.without_discovery()
    }

    /// Takes nothing but what is named here.
    pub fn without_discovery(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The folder of `application.yaml`, from which relative paths start. (default: the current folder; under
    /// `cargo run`, the package's when only that one has the file)
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.sources.home = Some(folder.into());
        self
    }

    /// The active profiles, parted by commas; this wins over arguments and variables.
    pub fn profile(mut self, names: impl Into<String>) -> Self {
        self.sources.profile = Some(names.into());
        self
    }

    /// Sets a key of the configuration; this wins over everything else.
    pub fn set(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.sources.set.push((key.into(), value.to_string()));
        self
    }

    /// Takes these arguments in place of the command line's.
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.sources.arguments = arguments.into_iter().map(Into::into).collect();
        self.process.arguments_given = true;
        self
    }

    /// Takes these environment variables in place of the process's.
    pub fn variables<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.sources.variables =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.process.variables_given = true;
        self
    }

    /// Starts everything: the bundled server, components in their order, then the consumers. Start hooks are not
    /// run yet: [`Running::run_hooks`] does.
    ///
    /// # Errors
    /// Every problem that was found, in one report; nothing is left running.
    pub async fn start(self) -> Result<Running, StartError> {
        launch(self.check()?).await
    }

    /// Reads the configuration and checks that everything fits together.
    pub(crate) fn check(self) -> Result<Checked, StartError> {
        let mut problems = Problems::default();
        let entries = self.entries(&mut problems);
        let telling = entries.telling();
        let prefixes: Vec<&'static PropertiesEntry> = inventory::iter::<PropertiesEntry>().collect();
        let ids = entries.listeners.iter().map(|entry| entry.spec.id.unwrap_or(entry.name).to_owned());
        let keys = Keys::new(prefixes.iter().map(|entry| (entry.prefix, entry.keys)), ids.collect());
        let config = Config::load(self.process_sources(), &keys, &mut problems);
        let settings = Settings::read(&config, &mut problems);
        let groups = groups(&entries.listeners, &settings, &config, telling, &mut problems);
        let server = bundled(&settings, &config, &mut problems);

        let asking = entries.asking(telling);
        let wanted: HashSet<TypeId> = asking
            .iter()
            .flat_map(|asking| &asking.requires.types)
            .map(|(id, _)| *id)
            .chain(
                entries
                    .components
                    .iter()
                    .flat_map(|entry| Requires::of(entry.requires).types.into_iter().map(|(id, _)| id)),
            )
            .collect();
        let mut container = Container::default();
        let mut sources = Vec::new();
        for given in self.given {
            container.insert(given.provided.id, given.value);
            sources.push(Source::Ready { provided: given.provided, place: String::new() });
        }
        for entry in prefixes {
            let provided = (entry.provides)();
            let known = sources
                .iter()
                .any(|source| matches!(source, Source::Ready { provided: p, .. } if p.id == provided.id));
            if known || !wanted.contains(&provided.id) {
                continue;
            }
            if let Some(value) = (entry.bind)(&mut Binder::new(
                &config,
                entry.prefix,
                telling.tell(&entry.place),
                &mut problems,
            )) {
                container.insert(provided.id, value);
            }
            sources.push(Source::Ready { provided, place: telling.tell(&entry.place) });
        }
        sources.extend(entries.components.iter().map(|entry| Source::Made(entry)));
        let plan = Plan::make(&sources, &asking, telling, &mut problems);
        problems.check()?;
        Ok(Checked { config, settings, groups, container, plan, hooks: entries.hooks, server, telling })
    }

    fn process_sources(&self) -> Sources {
        let process = Sources::process();
        let mut sources = self.sources.clone();
        if !self.process.arguments_given {
            sources.arguments = process.arguments;
        }
        if !self.process.variables_given {
            sources.variables = process.variables;
        }
        sources
    }

    fn entries(&self, problems: &mut Problems) -> Entries {
        let mut entries = Entries::default();
        if self.alone {
            for named in &self.named {
                let found = match named.kind {
                    LISTENER => add(&mut entries.listeners, |entry: &ListenerEntry| {
                        (entry.function)() == named.function
                    }),
                    HOOK => add(&mut entries.hooks, |entry: &HookEntry| (entry.function)() == named.function),
                    _ => add(&mut entries.components, |entry: &ComponentEntry| {
                        (entry.function)() == named.function
                    }),
                };
                if !found {
                    problems.add("", format!("`{}` is not marked with `#[{}]`", named.name, named.kind));
                }
            }
        } else {
            entries.listeners.extend(inventory::iter::<ListenerEntry>());
            entries.hooks.extend(inventory::iter::<HookEntry>());
            entries.components.extend(inventory::iter::<ComponentEntry>());
        }
        // The linker's order means nothing; the order of the source is the one that people see.
        entries.listeners.sort_by_key(|entry| entry.place);
        entries.hooks.sort_by_key(|entry| entry.place);
        entries.components.sort_by_key(|entry| entry.place);
        entries
    }
}

/// Adds every entry that fits; two attributes on one function are two entries.
fn add<T: inventory::Collect>(entries: &mut Vec<&'static T>, fits: impl Fn(&T) -> bool) -> bool {
    let before = entries.len();
    entries.extend(inventory::iter::<T>().filter(|entry| fits(entry)));
    entries.len() > before
}

#[derive(Default)]
struct Entries {
    listeners: Vec<&'static ListenerEntry>,
    hooks: Vec<&'static HookEntry>,
    components: Vec<&'static ComponentEntry>,
}

impl Entries {
    /// How the places of all of them are told.
    fn telling(&self) -> Telling {
        let listeners = self.listeners.iter().map(|entry| entry.place);
        let hooks = self.hooks.iter().map(|entry| entry.place);
        Telling::of(listeners.chain(hooks).chain(self.components.iter().map(|entry| entry.place)))
    }

    fn asking(&self, telling: Telling) -> Vec<Asking> {
        let listeners = self.listeners.iter().map(|entry| Asking {
            who: format!("listener `{}`", entry.name),
            place: telling.tell(&entry.place),
            requires: Requires::of(entry.requires),
        });
        let hooks = self.hooks.iter().map(|entry| Asking {
            who: format!("start hook `{}`", entry.name),
            place: telling.tell(&entry.place),
            requires: Requires::of(entry.requires),
        });
        listeners.chain(hooks).collect()
    }
}

/// Whether the bundled server starts. Not to have any server is a problem.
fn bundled(settings: &Settings, config: &Config, problems: &mut Problems) -> bool {
    let outside = settings.clusters.get(MAIN).is_some_and(|cluster| cluster.name_server.is_some());
    let by_profile = config.profiles.iter().any(|profile| profile == "dev" || profile == "test");
    let starts = match (settings.server.enabled, outside) {
        (Some(true), true) => {
            let places = [config.place(&["rocketmq", "name-server"]), settings.server.enabled_place.clone()];
            problems.add(
                places.join(" and "),
                "`rocketmq.name-server` and `rocketmq.server.enabled` are both set: keep one of them",
            );
            false
        }
        (Some(enabled), false) => enabled,
        (None, false) => by_profile,
        (_, true) => return false,
    };
    if !starts && !outside {
        problems.add(
            settings.server.enabled_place.clone(),
            "there is no name server: set `rocketmq.name-server`, or `rocketmq.server.enabled: true` to start the bundled one",
        );
    }
    if starts && !cfg!(feature = "server") {
        problems.add(
            settings.server.enabled_place.clone(),
            "the bundled server is not built in: add the feature `server` of rocketmq-boot, or set `rocketmq.name-server`",
        );
    }
    starts
}

/// An application whose parts fit together.
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) groups: Vec<Group>,
    pub(crate) container: Container,
    pub(crate) plan: Plan,
    pub(crate) hooks: Vec<&'static HookEntry>,
    /// Whether the bundled server is to start.
    pub(crate) server: bool,
    pub(crate) telling: Telling,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.given.iter().map(|given| given.provided.name);
        let named = self.named.iter().map(|named| named.name);
        f.debug_struct("App")
            .field("given", &given.collect::<Vec<_>>())
            .field("named", &named.collect::<Vec<_>>())
            .field("discovery", &!self.alone)
            .finish_non_exhaustive()
    }
}
