//! Names that want to be paths.

use std::fs;
use std::path::{Path, PathBuf};

use rocketmq_boot_tests::wire::{self, Request, Wire, code};
use serde_json::json;

use super::Target;

fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "../escaped",
        "../../../../../../tmp/escaped",
        "..",
        ".",
        "/tmp/escaped",
        "a/../../escaped",
        "a/b",
        "a\\b",
        "nul\0byte",
        "line\nbreak",
        "%RETRY%../escaped",
        "%DLQ%../escaped",
        "with space",
        "umlaut-\u{fc}",
        "\u{202e}reversed",
        "",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(300));
    names.push("x".repeat(70_000));
    names
}

/// RocketMQ's alphabet has a percent sign: prefixes of groups and of namespaces are made with it. It means nothing here.
#[test]
fn a_percent_sign_in_a_topic_is_only_a_character() {
    let mut target = Target::start();
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    let names = ["%2e%2e%2fcontained", "instance%topic", "%00", "%", "%s%n"];
    for name in names {
        wire.call(&wire::create_topic(name, 1)).expect("the broker answers").success();
        wire.call(&wire::send(name, 0, name.as_bytes())).expect("the broker answers").success();
        let pulled = wire.call(&wire::pull("group", name, 0, 0)).expect("the broker answers").success();
        assert_eq!(rocketmq_boot_tests::record::records(&pulled.body)[0].body, name.as_bytes());
    }
    target.cluster.stop_broker();
    for name in names {
        assert!(target.cluster.store().join("consumequeue").join(name).is_dir(), "{name} has another folder");
    }
    assert!(!target.cluster.home().join("broker/contained").exists(), "a name was taken for a path");
}

#[test]
fn a_hostile_topic_is_refused_and_makes_no_file() {
    let mut target = Target::start();
    let before = listing(target.cluster.home());
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    for name in hostile_names() {
        let shown: String = name.chars().take(40).collect();
        for (how, request) in [
            ("sent to", wire::send(&name, 0, b"hostile")),
            ("created", wire::create_topic(&name, 4)),
            ("pulled from", wire::pull("group", &name, 0, 0)),
            ("asked for its end", Request::new(code::MAX_OFFSET).field("topic", &name).field("queueId", 0)),
        ] {
            let answer =
                wire.call(&request).unwrap_or_else(|error| panic!("{shown:?} {how}: no answer: {error}"));
            // A topic that does not exist may have an end all the same: nothing.
            let harmless =
                how == "asked for its end" && answer.fields.get("offset").is_some_and(|end| end == "0");
            assert!(answer.code != 0 || harmless, "{shown:?} could be {how}");
            assert!(
                answer.code == 0 || !answer.remark.is_empty(),
                "{shown:?} {how} is refused without a reason"
            );
        }
    }
    target.is_unharmed("hostile topics");
    assert_contained(target.cluster.home(), &before);
}

#[test]
fn a_hostile_group_makes_no_file() {
    let mut target = Target::start();
    let before = listing(target.cluster.home());
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    for name in hostile_names() {
        let shown: String = name.chars().take(40).collect();
        let heartbeat = json!({
            "clientID": format!("10.0.0.1@{name}"),
            "producerDataSet": [{ "groupName": name }],
            "consumerDataSet": [{
                "groupName": name, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
                "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "unitMode": false,
                "subscriptionDataSet": [{
                    "classFilterMode": false, "topic": super::TOPIC, "subString": "*", "tagsSet": [], "codeSet": [],
                    "subVersion": 1, "expressionType": "TAG",
                }],
            }],
        });
        let requests = [
            Request::new(code::HEARTBEAT).body(heartbeat.to_string()),
            wire::pull(&name, super::TOPIC, 0, 0),
            Request::new(code::UPDATE_OFFSET)
                .field("consumerGroup", &name)
                .field("topic", super::TOPIC)
                .field("queueId", 0)
                .field("commitOffset", 1),
        ];
        for request in requests {
            wire.call(&request).unwrap_or_else(|error| panic!("{shown:?}: no answer: {error}"));
        }
    }
    target.is_unharmed("hostile groups");
    target.cluster.stop_broker();
    assert_contained(target.cluster.home(), &before);
    target.cluster.start_broker();
}

/// New files are those that an honest broker makes, and none is outside the folder of the test.
fn assert_contained(home: &Path, before: &[PathBuf]) {
    for path in listing(home) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let honest = name.chars().all(|each| each.is_ascii_alphanumeric() || "._-".contains(each))
            || name.starts_with("%RETRY%")
            || name.starts_with("%DLQ%");
        assert!(
            before.contains(&path) || (honest && !name.contains("escaped")),
            "{} was made",
            path.display()
        );
    }
    for outside in
        [home.join("../escaped"), home.join("../../escaped"), "/tmp/escaped".into(), "/escaped".into()]
    {
        assert!(!outside.exists(), "{} was made", outside.display());
    }
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.path().is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found
}
