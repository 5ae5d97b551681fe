//! The layers and their order: files by profile, variables, arguments, code.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use figment::Figment;

use super::{
    key::{self, Kind, ROCKETMQ, plain_name},
    layer::Layer,
    node::{self, Node, Placed},
    schema::Schema,
};
use crate::report::Problems;

const ARGUMENTS: &str = "arguments";
const CODE: &str = "code";

/// Whether a layer of this name wins over environment variables.
pub(super) fn above_variables(layer: &str) -> bool {
    layer == ARGUMENTS || layer == CODE
}

/// What an application is started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The folder of `application.yaml`; without it, the current one, or the package's under cargo.
    pub(crate) home: Option<PathBuf>,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) set: Vec<(String, String)>,
    pub(crate) profile: Option<String>,
}

/// Every layer in one.
pub(super) struct Merged {
    pub(super) figment: Figment,
    pub(super) variables: HashMap<String, String>,
    pub(super) home: PathBuf,
    pub(super) profiles: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Sources {
    /// The arguments and variables of this process.
    pub(crate) fn process() -> Self {
        let text = |os: std::ffi::OsString| os.into_string().ok();
        Self {
            arguments: std::env::args_os().skip(1).filter_map(text).collect(),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
                .collect(),
            ..Self::default()
        }
    }

    pub(super) fn merge(self, schema: &Schema, problems: &mut Problems) -> Merged {
        let variables: HashMap<_, _> = self.variables.iter().cloned().collect();
        let home = self.find_home(&variables);
        let (named, profile) = arguments(&self.arguments, problems);
        let base = read_files(&home, "application", problems);
        let profiles = match self.profile.or(profile).or_else(|| named_profile(&named, &variables, &base)) {
            Some(names) => profile_names(&names),
            None if cfg!(debug_assertions) => vec!["dev".to_owned()],
            None => Vec::new(),
        };

        let mut figment = Figment::new();
        let mut files = base;
        for profile in &profiles {
            files.extend(read_files(&home, &format!("application-{profile}"), problems));
        }
        for (file, documents) in &files {
            for document in documents.iter().filter(|document| is_active(document, &profiles)) {
                let mut layer = Layer::named(file);
                schema.admit(document, file, &mut layer, problems);
                figment = figment.merge(layer);
            }
        }

        let mut warnings = Vec::new();
        let mut layer = Layer::named("environment");
        let mut sorted = self.variables;
        sorted.sort();
        for (name, value) in sorted {
            match schema.variable(&name) {
                Some(path) => layer.set_text(&path, value, format!("environment variable {name}")),
                None => warnings.extend(nearly(&name)),
            }
        }
        figment = figment.merge(layer);

        for (layer, pairs) in [(ARGUMENTS, &named), (CODE, &self.set)] {
            let mut source = Layer::named(layer);
            for (name, value) in pairs {
                let place = match layer {
                    ARGUMENTS => format!("argument --{name}"),
                    _ => format!("`set(\"{name}\", ..)` in code"),
                };
                match schema.dotted(name) {
                    Ok(path) => source.set_text(&path, value.clone(), place),
                    Err(message) => problems.add(place, format!("{name}: {message}")),
                }
            }
            figment = figment.merge(source);
        }
        Merged { figment, variables, home, profiles, warnings }
    }

    fn find_home(&self, variables: &HashMap<String, String>) -> PathBuf {
        if let Some(home) = &self.home {
            return home.clone();
        }
        let here = PathBuf::from(".");
        let has_file = |home: &Path| {
            ["application.yaml", "application.yml", "config/application.yaml", "config/application.yml"]
                .iter()
                .any(|name| home.join(name).is_file())
        };
        // `cargo run -p shop` runs in the folder of the workspace and names the folder of the package.
        match variables.get("CARGO_MANIFEST_DIR").map(PathBuf::from) {
            Some(package) if !has_file(&here) && has_file(&package) => package,
            _ => here,
        }
    }
}

/// The `--a.b=c` arguments, and the value of `--profile`. Others belong to the program.
fn arguments(arguments: &[String], problems: &mut Problems) -> (Vec<(String, String)>, Option<String>) {
    let mut named = Vec::new();
    let mut profile = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        let Some(argument) = argument.strip_prefix("--") else { continue };
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument, None),
        };
        if name == "profile" {
            profile = value.or_else(|| rest.next().cloned());
            if profile.is_none() {
                problems.add("argument --profile", "a name is missing: `--profile prod`");
            }
        } else if name.contains('.') {
            named.push((name.to_owned(), value.unwrap_or_else(|| "true".to_owned())));
        }
    }
    (named, profile)
}

type Files = Vec<(String, Vec<Placed>)>;

fn read_files(home: &Path, name: &str, problems: &mut Problems) -> Files {
    let mut files = Vec::new();
    for folder in ["", "config/"] {
        let found: Vec<_> = ["yaml", "yml"]
            .into_iter()
            .map(|extension| format!("{folder}{name}.{extension}"))
            .filter(|file| home.join(file).exists())
            .collect();
        if let [first, second] = &found[..] {
            problems.add(format!("{first} and {second}"), "both exist: keep one of them");
        }
        for file in found.into_iter().take(1) {
            match read_file(&home.join(&file)) {
                Ok(text) => match node::parse(&text) {
                    Ok(documents) => files.push((file, documents)),
                    Err((mark, message)) => {
                        problems.add(format!("{file}:{}:{}", mark.line, mark.column), message);
                    }
                },
                Err(error) => problems.add(file, format!("cannot be read: {error}")),
            }
        }
    }
    files
}

fn read_file(path: &Path) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// The profile that the variables, the arguments or the base file name.
fn named_profile(
    named: &[(String, String)],
    variables: &HashMap<String, String>,
    base: &Files,
) -> Option<String> {
    const SPRING: &str = "springprofilesactive";
    let set = |text: &String| !text.trim().is_empty();
    let argument = named.iter().find(|(name, _)| plain_name(&name.replace('.', "")) == SPRING);
    let own = || variables.get("ROCKETMQ_BOOT_PROFILES_ACTIVE").cloned().filter(set);
    let spring = || variables.get("SPRING_PROFILES_ACTIVE").cloned().filter(set);
    let file = || {
        let documents = base.iter().flat_map(|(_, documents)| documents);
        documents.filter_map(|document| words_at(document, &["spring", "profiles", "active"])).next_back()
    };
    argument.map(|(_, value)| value.clone()).or_else(own).or_else(spring).or_else(file)
}

fn profile_names(names: &str) -> Vec<String> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether a document of a file with several belongs to the active profiles.
fn is_active(document: &Placed, profiles: &[String]) -> bool {
    match words_at(document, &["spring", "config", "activate", "on-profile"]) {
        Some(names) => profile_names(&names).iter().any(|name| profiles.contains(name)),
        None => true,
    }
}

/// The text at a path, or a list of texts with commas between; keys may be dotted.
fn words_at(document: &Placed, path: &[&str]) -> Option<String> {
    match (&document.node, path) {
        (Node::Text(text), []) => Some(text.clone()),
        (Node::List(items), []) => {
            let words: Vec<_> = items.iter().filter_map(|item| words_at(item, &[])).collect();
            Some(words.join(","))
        }
        (Node::Map(entries), path) => entries.iter().find_map(|entry| {
            let parts: Vec<_> = entry.key.split('.').collect();
            words_at(&entry.value, path.strip_prefix(&parts[..])?)
        }),
        _ => None,
    }
}

/// A warning about a variable that is nearly the name of a key. Others, such as `ROCKETMQ_HOME`, are not ours.
fn nearly(name: &str) -> Option<String> {
    let plain = plain_name(name.strip_prefix("ROCKETMQ_")?);
    if name.starts_with("ROCKETMQ_BOOT_") {
        return None;
    }
    let mut known = Vec::new();
    for key in ROCKETMQ {
        match key.kind {
            Kind::Table(below) => {
                known.extend(below.iter().map(|below| format!("{}-{}", key.name, below.name)))
            }
            _ => known.push(key.name.to_owned()),
        }
    }
    let meant = key::closest(&plain, known.iter().map(String::as_str))?;
    let meant = meant.replace('-', "_").to_uppercase();
    Some(format!("environment variable {name} is not known, did you mean ROCKETMQ_{meant}?"))
}
