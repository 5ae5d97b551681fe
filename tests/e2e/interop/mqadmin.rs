//! Apache's mqadmin 5.5.0 against Apache's servers and against ours: what it prints must mean the same.

use std::collections::BTreeSet;

use rocketmq_boot_tests::cluster::{Cluster, Servers};
use rocketmq_boot_tests::foreign;
use rocketmq_boot_tests::wire::{Request, Wire};
use serde_json::json;

use crate::servers::{ours, scratch};

/// How what a command prints is compared.
enum Compare {
    /// Line by line, without numbers, addresses and times.
    Lines,
    /// Both have these words.
    Has(&'static [&'static str]),
    /// Ours has every key that Apache's has, of those in front of a colon or an equals sign, but for the named ones.
    Keys(&'static [&'static str]),
}

/// A command with its words behind the name servers' option.
struct Run {
    command: &'static str,
    words: &'static str,
    compare: Compare,
}

const fn run(command: &'static str, words: &'static str, compare: Compare) -> Run {
    Run { command, words, compare }
}

use Compare::{Has, Keys, Lines};

const RUNS: &[Run] = &[
    run(
        "updateTopic",
        "-b BROKER -t mq-orders -r 2 -w 2 -a +message.type=NORMAL",
        Has(&["create topic to", "success"]),
    ),
    run("updateTopic", "-b BROKER -t mq-other -r 1 -w 1", Has(&["create topic to", "success"])),
    run("updateTopic", "-b BROKER -t bad*name", Has(&["CODE: 29"])),
    run(
        "topicList",
        "",
        Has(&["mq-orders", "mq-other", "%RETRY%mq-online", "TBW102", "SCHEDULE_TOPIC_XXXX"]),
    ),
    run("topicRoute", "-t mq-orders", Lines),
    run("sendMessage", "-t mq-orders -p hello -k key -c tag -b broker-a -i 1", Has(&["broker-a", "SEND_OK"])),
    run("topicStatus", "-t mq-orders", Lines),
    run("updateSubGroup", "-b BROKER -g mq-group", Has(&["create subscription group to", "success"])),
    run("updateSubGroup", "-b BROKER -g mq-copy", Has(&["create subscription group to", "success"])),
    run("clusterList", "", Has(&["DefaultCluster", "broker-a", "V5_5_0", "true"])),
    run("brokerStatus", "-b BROKER", Keys(&["commitLogDiskRatio_", "scheduleMessageOffset_"])),
    run("printMsg", "-t mq-orders", Has(&["MSGID:", "hello", "tag"])),
    run("queryMsgByOffset", "-t mq-orders -b broker-a -i 1 -o 0", Has(&["mq-orders", "[tag]", "[key]"])),
    run("queryMsgByKey", "-t mq-orders -k key", Has(&["#Message ID"])),
    run("consumeMessage", "-t mq-orders -g mq-group", Has(&["Consume ok", "hello"])),
    run("consumerProgress", "-g mq-online", Lines),
    run("consumerConnection", "-g mq-online", Lines),
    run("producerConnection", "-g mq-producers -t mq-orders", Lines),
    run("resetOffsetByTime", "-g mq-group -t mq-orders -s 0", Has(&["broker-a", "0"])),
    run("resetOffsetByTime", "-g mq-group -t mq-orders -s -1", Has(&["broker-a", "1"])),
    run("cloneGroupOffset", "-s mq-group -d mq-copy -t mq-orders -o true", Lines),
    run("consumerProgress", "-g mq-copy -t mq-orders", Lines),
    run("statsAll", "-t mq-orders", Has(&["mq-orders"])),
    run("brokerConsumeStats", "-b BROKER", Has(&["mq-orders", "mq-group", "Diff Total: 1"])),
    run("getConsumerConfig", "-g mq-group", Lines),
    run(
        "getBrokerConfig",
        "-b BROKER",
        Has(&["brokerName", "listenPort", "fileReservedTime", "messageDelayLevel"]),
    ),
    run("updateOrderConf", "-t mq-orders -m put -v broker-a:2", Lines),
    run("updateOrderConf", "-t mq-orders -m get", Lines),
    run("updateOrderConf", "-t mq-orders -m delete", Lines),
    run("wipeWritePerm", "-b broker-a", Has(&["wipe write perm of broker[broker-a]", "OK"])),
    run("addWritePerm", "-b broker-a", Has(&["add write perm of broker[broker-a]", "OK"])),
    run("updateTopicPerm", "-b BROKER -t mq-orders -p 4", Has(&["update topic perm from 6 to 4"])),
    run("cleanUnusedTopic", "-b BROKER", Lines),
    run("cleanExpiredCQ", "-b BROKER", Lines),
    run("haStatus", "-b BROKER", Lines),
    run("exportMetadata", "-b BROKER -t", Has(&["export"])),
    run(
        "deleteTopic",
        "-c DefaultCluster -t mq-orders",
        Has(&["delete topic [mq-orders] from cluster [DefaultCluster] success"]),
    ),
    run("deleteSubGroup", "-b BROKER -g mq-copy", Has(&["delete subscription group", "success"])),
    run("topicStatus", "-t mq-orders", Has(&["CODE: 17"])),
];

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn mqadmin_prints_the_same_of_both_servers() {
    let theirs = run_all(&Cluster::start(Servers::Apache("5.5.0"), ""));
    let ours = run_all(&Cluster::start(ours(), ""));
    let mut wrong = Vec::new();
    for (run, (theirs, ours)) in RUNS.iter().zip(theirs.iter().zip(&ours)) {
        if let Err(why) = compare(&run.compare, theirs, ours) {
            let Run { command, words, .. } = run;
            wrong.push(format!("== {command} {words}: {why}\n-- theirs:\n{theirs}\n-- ours:\n{ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), RUNS.len(), wrong.join("\n"));
}

fn run_all(cluster: &Cluster) -> Vec<String> {
    let mut application = Wire::connect(cluster.broker()).expect("the broker listens");
    cluster.create_topic("mq-orders", 2);
    let subscription = json!({"classFilterMode": false, "codeSet": [], "expressionType": "TAG", "subString": "*",
        "subVersion": 1, "tagsSet": [], "topic": "mq-orders"});
    let heartbeat = json!({
        "clientID": "127.0.0.1@online",
        "consumerDataSet": [{
            "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "consumeType": "CONSUME_PASSIVELY",
            "groupName": "mq-online", "messageModel": "CLUSTERING", "subscriptionDataSet": [subscription],
            "unitMode": false,
        }],
        "producerDataSet": [{"groupName": "mq-producers"}],
    });
    application.call(&Request::new(34).body(heartbeat.to_string())).expect("the broker answers").success();
    let commit = Request::new(15).field("consumerGroup", "mq-online").field("topic", "mq-orders");
    let commit = commit.field("queueId", 0).field("commitOffset", 0);
    application.call(&commit).expect("the broker answers").success();
    rocketmq_boot_tests::route::wait(cluster.name_server(), "%RETRY%mq-online", cluster.broker());
    let commands: Vec<Vec<String>> = RUNS
        .iter()
        .map(|run| {
            let words = run.words.split_whitespace().map(|word| word.replace("BROKER", cluster.broker()));
            let named = [run.command, "-n", cluster.name_server()].map(str::to_owned);
            named.into_iter().chain(words).collect()
        })
        .collect();
    foreign::mqadmin(scratch(), &commands)
}

fn compare(how: &Compare, theirs: &str, ours: &str) -> Result<(), String> {
    match how {
        Lines => {
            let (theirs, ours) = (lines(theirs), lines(ours));
            if theirs == ours { Ok(()) } else { Err(format!("{theirs:?}\n is not\n{ours:?}")) }
        }
        Has(words) => {
            let missing = |text: &str| words.iter().find(|word| !text.contains(**word)).copied();
            match (missing(theirs), missing(ours)) {
                (Some(word), _) => Err(format!("Apache's says nothing of {word:?}")),
                (_, Some(word)) => Err(format!("ours says nothing of {word:?}")),
                _ => Ok(()),
            }
        }
        Keys(but) => {
            let (theirs, ours) = (keys(theirs), keys(ours));
            let missing = theirs.difference(&ours).filter(|key| !but.iter().any(|but| key.starts_with(but)));
            let missing: Vec<_> = missing.collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("ours lacks {missing:?}")) }
        }
    }
}

/// Lines in order of their letters, with every number as `#` and every blank once.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(plain).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

fn plain(line: &str) -> String {
    let mut plain = String::new();
    for character in line.trim().chars() {
        let next = match character {
            '0'..='9' => '#',
            character if character.is_whitespace() => ' ',
            character => character,
        };
        if !(plain.ends_with(next) && matches!(next, '#' | ' ')) {
            plain.push(next);
        }
    }
    plain
}

fn keys(text: &str) -> BTreeSet<String> {
    let keys = text.lines().filter_map(|line| line.split_once([':', '=']));
    keys.map(|(key, _)| key.trim().to_owned()).collect()
}
