//! Rules of the house that no lint knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 800;

/// Split, so that this file does not break the rule that it keeps.
const OUTSIDE: &str = concat!("../", "shared");
const UNSAFE_LINT: &str = concat!("unsafe", "_code");

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<String> = sources()
        .filter_map(|path| {
            let lines = read(&path)?.lines().count();
            (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines:\n{}", long.join("\n"));
}

#[test]
fn unsafe_code_is_in_one_crate_only() {
    let root = root();
    let manifest = read(&root.join("Cargo.toml")).expect("the workspace has a manifest");
    assert!(
        manifest.contains(&format!("{UNSAFE_LINT} = \"deny\"")),
        "the workspace does not deny unsafe code"
    );

    let mut lax = Vec::new();
    let mut users = BTreeSet::new();
    for manifest in files().filter(|path| path.ends_with("Cargo.toml") && *path != root.join("Cargo.toml")) {
        let folder = manifest.parent().expect("a manifest is in a folder");
        let text = read(&manifest).expect("a manifest is text");
        if !text.contains("[lints]\nworkspace = true") {
            lax.push(manifest.display().to_string());
        }
        // With the lint denied everywhere, unsafe code has to name it to be compiled.
        let excepts = |path: &PathBuf| read(path).is_some_and(|text| text.contains(UNSAFE_LINT));
        if sources()
            .filter(|path| crate_of(path) == Some(folder))
            .any(|path| !path.ends_with(file!()) && excepts(&path))
        {
            users.insert(folder.to_owned());
        }
    }
    assert!(lax.is_empty(), "these crates do not take the workspace's lints: {lax:?}");
    let store = root.join("broker/store");
    assert!(users.iter().all(|user| *user == store), "unsafe code outside the store: {users:?}");
}

#[test]
fn the_repository_stands_alone() {
    let outside: Vec<String> = files()
        .filter_map(|path| {
            let text = read(&path)?;
            let line = text.lines().position(|line| line.contains(OUTSIDE))?;
            Some(format!("{}:{}", path.display(), line + 1))
        })
        .collect();
    assert!(outside.is_empty(), "these name what is not in the repository:\n{}", outside.join("\n"));
}

/// The nearest folder above with a manifest.
fn crate_of(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|folder| folder.join("Cargo.toml").exists())
}

fn sources() -> impl Iterator<Item = PathBuf> {
    files().filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
}

/// Every file of the repository, without what is built or fetched.
fn files() -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository can be read") {
            let entry = entry.expect("the repository can be read");
            let name = entry.file_name();
            if entry.file_type().expect("an entry has a type").is_dir() {
                if ![".git", "target", "node_modules", "data"].iter().any(|skipped| name == *skipped) {
                    folders.push(entry.path());
                }
            } else {
                found.push(entry.path());
            }
        }
    }
    found.into_iter()
}

/// `None` for what is not text.
fn read(path: &Path) -> Option<String> {
    String::from_utf8(fs::read(path).expect("the repository can be read")).ok()
}

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the workspace is above this crate")
}
