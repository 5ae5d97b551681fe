//! The arrows between the crates, as ARCHITECTURE.md draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What each crate may depend on within the workspace. Anything that is not here is not allowed.
const ARROWS: &[(&str, &[&str])] = &[
    ("rocketmq-boot-protocol", &[]),
    ("rocketmq-boot-macros", &[]),
    ("rocketmq-boot-remoting", &["rocketmq-boot-protocol"]),
    ("rocketmq-boot-store", &["rocketmq-boot-protocol"]),
    ("rocketmq-boot-client", &["rocketmq-boot-remoting", "rocketmq-boot-protocol"]),
    ("rocketmq-boot-namesrv", &["rocketmq-boot-remoting", "rocketmq-boot-protocol"]),
    ("rocketmq-boot-broker", &["rocketmq-boot-store", "rocketmq-boot-remoting", "rocketmq-boot-protocol"]),
    (
        "rocketmq-boot",
        &[
            "rocketmq-boot-client",
            "rocketmq-boot-macros",
            "rocketmq-boot-protocol",
            "rocketmq-boot-broker",
            "rocketmq-boot-namesrv",
        ],
    ),
];

/// The servers inside an application are a feature.
const OPTIONAL: &[(&str, &str)] =
    &[("rocketmq-boot", "rocketmq-boot-broker"), ("rocketmq-boot", "rocketmq-boot-namesrv")];

#[test]
fn every_arrow_between_crates_goes_down() {
    let metadata = metadata();
    let root = metadata.workspace_root.as_std_path();
    let packages = metadata.workspace_packages();
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let examples: BTreeSet<&str> = packages
        .iter()
        .filter(|package| is_example(package, root))
        .map(|package| package.name.as_str())
        .collect();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();

    let mut wrong = Vec::new();
    for package in &packages {
        let name = package.name.as_str();
        let allowed = |to: &str| match name {
            "rocketmq-boot-tests" => !examples.contains(to),
            _ if examples.contains(name) => to == "rocketmq-boot",
            _ => arrows.get(name).is_some_and(|arrows| arrows.contains(&to)),
        };
        if name != "rocketmq-boot-tests" && !examples.contains(name) && !arrows.contains_key(name) {
            wrong.push(format!("{name} is a crate that has no place in the list"));
        }
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            if dependency.kind == DependencyKind::Development || !names.contains(to) {
                continue;
            }
            if !allowed(to) {
                wrong.push(format!("{name} depends on {to}"));
            }
            if OPTIONAL.contains(&(name, to)) && !dependency.optional {
                wrong.push(format!("{name} depends on {to} without asking for a feature"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_without_sockets_have_no_runtime() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        if !["rocketmq-boot-protocol", "rocketmq-boot-store", "rocketmq-boot-macros"]
            .contains(&package.name.as_str())
        {
            continue;
        }
        for dependency in &package.dependencies {
            let runtime = ["tokio", "tokio-util", "mio", "socket2", "async-std", "smol"]
                .contains(&dependency.name.as_str());
            assert!(
                !runtime || dependency.kind == DependencyKind::Development,
                "{} depends on {}",
                package.name,
                dependency.name
            );
        }
    }
}

fn is_example(package: &Package, root: &Path) -> bool {
    package.manifest_path.as_std_path().starts_with(root.join("starter-examples"))
}

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo describes the workspace")
}
