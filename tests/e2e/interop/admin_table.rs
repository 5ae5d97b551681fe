//! What tools ask of a broker, asked of Apache's 5.5.0 and of ours: the code, the names of the fields and those of the
//! body's members must be the same, but for a list of exceptions, each with its reason.

use std::collections::BTreeSet;

use rocketmq_boot_tests::cluster::{Cluster, Servers};
use rocketmq_boot_tests::shape;
use rocketmq_boot_tests::wire::{Answer, Request, Wire, create_topic, pull, send};
use serde_json::json;

use crate::servers::ours;

const TOPIC: &str = "table-orders";
const GROUP: &str = "table-group";

/// What an answer looks like without its values.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    code: i32,
    fields: BTreeSet<String>,
    members: BTreeSet<String>,
}

/// Requests that are answered differently here, with the code that they get, and why.
struct Exception {
    labels: &'static [&'static str],
    code: i32,
    why: &'static str,
}

const NOT_SERVED: i32 = 3;
const REFUSED: i32 = 16;
const NO_GROUP: i32 = 26;
const OFFSET_MOVED: i32 = 21;

const EXCEPTIONS: &[Exception] = &[
    Exception {
        labels: &["25 update"],
        code: REFUSED,
        why: "changes over the wire are off unless broker.conf allows them",
    },
    Exception { labels: &["352 unknown"], code: NO_GROUP, why: "asking for a group does not make it" },
    Exception { labels: &["401 pull", "402"], code: NOT_SERVED, why: "there is one mode without POP" },
    Exception {
        labels: &["2001", "2002", "2003"],
        code: NOT_SERVED,
        why: "cold reads are not throttled by group",
    },
    Exception { labels: &["2004"], code: NOT_SERVED, why: "reading ahead is left to the kernel" },
    Exception {
        labels: &["3001", "3002", "3003", "3004", "3005", "3006", "3007", "3008", "3009", "3010"],
        code: NOT_SERVED,
        why: "there is no authentication; Apache's broker is not set up for it and answers 1",
    },
    Exception {
        labels: &["43"],
        code: 0,
        why: "the topics of a group follow from its offsets, and where it pulls is not kept over a restart",
    },
    Exception { labels: &["303"], code: 0, why: "times are not said a second time as text" },
    Exception {
        labels: &["11 after reset"],
        code: OFFSET_MOVED,
        why: "topicSysFlag and groupSysFlag are optional, and for units only",
    },
    Exception {
        labels: &["11 then"],
        code: 0,
        why: "topicSysFlag and groupSysFlag are optional, and for units only",
    },
];

/// Members that come and go with what the broker has done so far, or with where it keeps its data; and the old spelling
/// of one, for tools from before 4.9.3.
fn is_volatile(member: &str) -> bool {
    let prefixes = ["table.commitLogDiskRatio_", "table.scheduleMessageOffset_", "table.getTransferedTps"];
    prefixes.iter().any(|prefix| member.starts_with(prefix))
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn every_admin_request_is_answered_as_5_5_0_answers_it() {
    let theirs = ask_all(&Cluster::start(Servers::Apache("5.5.0"), ""));
    let ours = ask_all(&Cluster::start(ours(), ""));
    let mut wrong = Vec::new();
    for ((label, theirs, _), (_, ours, remark)) in theirs.iter().zip(&ours) {
        match EXCEPTIONS.iter().find(|exception| exception.labels.contains(label)) {
            None if theirs != ours => wrong.push(differ(label, theirs, ours, remark)),
            Some(exception) if ours.code != exception.code || theirs == ours => {
                wrong.push(format!("{label} is no exception ({}): {theirs:?}, {ours:?}", exception.why));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {} answers differ:\n{}", wrong.len(), ours.len(), wrong.join("\n"));
}

fn differ(label: &str, theirs: &Look, ours: &Look, remark: &str) -> String {
    let mut text = format!("{label}: ");
    if theirs.code != ours.code {
        text.push_str(&format!("code {} and not {} ({remark}); ", ours.code, theirs.code));
    }
    for (what, theirs, ours) in
        [("fields", &theirs.fields, &ours.fields), ("members", &theirs.members, &ours.members)]
    {
        let missing: Vec<_> = theirs.difference(ours).collect();
        let more: Vec<_> = ours.difference(theirs).collect();
        if !missing.is_empty() || !more.is_empty() {
            text.push_str(&format!("{what} missing {missing:?}, too many {more:?}; "));
        }
    }
    text
}

type Asked = Vec<(&'static str, Look, String)>;

fn ask_all(cluster: &Cluster) -> Asked {
    // The application keeps its connection: it is what tools ask about.
    let mut application = Wire::connect(cluster.broker()).expect("the broker listens");
    prepare(cluster, &mut application);
    let mut tool = Wire::connect(cluster.broker()).expect("the broker listens");
    let requests = requests();
    let mut asked = Vec::new();
    for (label, request) in requests {
        let answer = tool.call(&request).unwrap_or_else(|error| panic!("{label}: {error}"));
        asked.push((label, look(label, &answer), answer.remark));
    }
    asked
}

fn look(label: &str, answer: &Answer) -> Look {
    let text = label.starts_with("26");
    let mut members = match answer.body.as_slice() {
        [] => BTreeSet::new(),
        _ if label.starts_with("11 ") => BTreeSet::from(["messages".to_owned()]),
        // Properties: the ones that tools read, for Apache prints hundreds.
        body if text => properties(body),
        body => shape::paths(body).unwrap_or_else(|error| panic!("{label}: {error}")),
    };
    members.retain(|member| !is_volatile(member));
    Look { code: answer.code, fields: answer.fields.keys().cloned().collect(), members }
}

fn properties(body: &[u8]) -> BTreeSet<String> {
    const READ_BY_TOOLS: [&str; 16] = [
        "autoCreateSubscriptionGroup",
        "autoCreateTopicEnable",
        "brokerClusterName",
        "brokerId",
        "brokerName",
        "brokerPermission",
        "brokerRole",
        "fileReservedTime",
        "flushDiskType",
        "listenPort",
        "maxMessageSize",
        "messageDelayLevel",
        "msgTraceTopicName",
        "slaveReadEnable",
        "traceOn",
        "traceTopicEnable",
    ];
    let text = String::from_utf8_lossy(body).into_owned();
    let keys = text.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key);
    keys.filter(|key| READ_BY_TOOLS.contains(key)).map(str::to_owned).collect()
}

/// A topic with messages, a consumer that has read some of them, and a producer.
fn prepare(cluster: &Cluster, application: &mut Wire) {
    cluster.create_topic(TOPIC, 2);
    cluster.create_topic("table-to-delete", 1);
    for _ in 0..3 {
        application.call(&send(TOPIC, 0, b"hello")).expect("the broker answers").success();
    }
    let subscription = |topic: &str| {
        json!({"classFilterMode": false, "codeSet": [], "expressionType": "TAG", "subString": "*", "subVersion": 1,
            "tagsSet": [], "topic": topic})
    };
    let heartbeat = json!({
        "clientID": "127.0.0.1@table",
        "consumerDataSet": [{
            "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "consumeType": "CONSUME_PASSIVELY", "groupName": GROUP,
            "messageModel": "CLUSTERING", "subscriptionDataSet": [subscription(TOPIC)], "unitMode": false,
        }],
        "producerDataSet": [{"groupName": "table-producers"}],
    });
    let beat = Request::new(34).body(heartbeat.to_string());
    application.call(&beat).expect("the broker answers").success();
    application.call(&pull(GROUP, TOPIC, 0, 0)).expect("the broker answers").success();
    application.call(&commit(GROUP, TOPIC, 2)).expect("the broker answers").success();
}

fn commit(group: &str, topic: &str, offset: i64) -> Request {
    of_queue(15, topic).field("consumerGroup", group).field("commitOffset", offset)
}

fn of_queue(code: i32, topic: &str) -> Request {
    Request::new(code).field("topic", topic).field("queueId", 0)
}

fn of_topic(code: i32, topic: &str) -> Request {
    Request::new(code).field("topic", topic)
}

fn of_group(code: i32, group: &str) -> Request {
    Request::new(code).field("consumerGroup", group)
}

fn reset(topic: &str, group: &str, timestamp: i64, queue: i32, offset: i64) -> Request {
    of_topic(222, topic)
        .field("group", group)
        .field("timestamp", timestamp)
        .field("isForce", true)
        .field("queueId", queue)
        .field("offset", offset)
}

fn stats(name: &str, key: &str) -> Request {
    Request::new(315).field("statsName", name).field("statsKey", key)
}

fn group_config(name: &str) -> serde_json::Value {
    json!({
        "attributes": {}, "brokerId": 0, "consumeBroadcastEnable": true, "consumeEnable": true,
        "consumeFromMinEnable": true, "consumeMessageOrderly": false, "consumeTimeoutMinute": 15, "groupName": name,
        "groupRetryPolicy": {"type": "CUSTOMIZED"}, "groupSysFlag": 0, "notifyConsumerIdsChangedEnable": true,
        "retryMaxTimes": 16, "retryQueueNums": 1, "whichBrokerWhenConsumeSlowly": 1,
    })
}

fn topic_config(name: &str) -> serde_json::Value {
    json!({
        "attributes": {}, "order": false, "perm": 6, "readQueueNums": 2, "topicFilterType": "SINGLE_TAG",
        "topicName": name, "topicSysFlag": 0, "writeQueueNums": 2,
    })
}

/// Every request, in an order in which each finds what it needs.
fn requests() -> Vec<(&'static str, Request)> {
    let mut all = topic_requests();
    all.extend(group_requests());
    all.extend(offset_requests());
    all.extend(broker_requests());
    all.extend(user_requests());
    all
}

fn topic_requests() -> Vec<(&'static str, Request)> {
    let attributes = |text: &str| create_topic("table-fifo", 1).field("attributes", text);
    vec![
        ("17 with attributes", attributes("+message.type=FIFO")),
        ("17 again", attributes("")),
        ("17 unknown attribute", attributes("+no.such=1")),
        ("17 wrong value", attributes("+message.type=SOON")),
        ("17 mixed", attributes("+message.type=MIXED")),
        ("17 removed attribute", attributes("-message.type")),
        ("17 bad name", create_topic("bad*name", 1)),
        ("17 system", create_topic("TBW102", 1)),
        ("18", Request::new(18).body(json!({"topicConfigList": [topic_config("table-listed")]}).to_string())),
        ("18 bad", Request::new(18).body(json!({"topicConfigList": [topic_config("a b")]}).to_string())),
        ("21", Request::new(21)),
        ("21 page", Request::new(21).field("topicSeq", 0).field("maxTopicNum", 3).field("dataVersion", "")),
        ("351", of_topic(351, TOPIC).field("lo", true)),
        ("351 fifo", of_topic(351, "table-fifo").field("lo", true)),
        ("351 unknown", of_topic(351, "table-none")),
        ("202", of_topic(202, TOPIC)),
        ("202 unknown", of_topic(202, "table-none")),
        ("300", of_topic(300, TOPIC)),
        ("300 nobody", of_topic(300, "table-fifo")),
        ("305", Request::new(305)),
        ("215", of_topic(215, "table-to-delete")),
        ("215 unknown", of_topic(215, "table-none")),
        ("215 system", of_topic(215, "TBW102")),
    ]
}

fn group_requests() -> Vec<(&'static str, Request)> {
    let list = |name: &str| json!({"groupConfigList": [group_config(name)]}).to_string();
    vec![
        ("200", Request::new(200).body(group_config("table-made").to_string())),
        ("200 bad", Request::new(200).body(group_config("a b").to_string())),
        ("225", Request::new(225).body(list("table-listed"))),
        ("225 bad", Request::new(225).body(list("a b"))),
        ("201", Request::new(201)),
        ("201 page", Request::new(201).field("groupSeq", 0).field("maxGroupNum", 3).field("dataVersion", "")),
        ("352", Request::new(352).field("group", GROUP)),
        ("352 unknown", Request::new(352).field("group", "table-asked")),
        ("38", of_group(38, GROUP)),
        ("38 nobody", of_group(38, "table-made")),
        ("203", of_group(203, GROUP)),
        ("203 nobody", of_group(203, "table-made")),
        ("204", Request::new(204).field("producerGroup", "table-producers").field("topic", TOPIC)),
        ("204 nobody", Request::new(204).field("producerGroup", "table-nobody").field("topic", TOPIC)),
        ("328", Request::new(328)),
        ("343", Request::new(343).field("group", GROUP)),
        ("345", of_topic(345, TOPIC).field("group", GROUP)),
        ("345 nobody", of_topic(345, TOPIC).field("group", "table-made")),
        ("207", Request::new(207).field("groupName", "table-listed").field("cleanOffset", true)),
        ("207 unknown", Request::new(207).field("groupName", "table-none").field("cleanOffset", true)),
    ]
}

fn offset_requests() -> Vec<(&'static str, Request)> {
    vec![
        ("14", of_queue(14, TOPIC).field("consumerGroup", GROUP)),
        ("15", commit("table-made", TOPIC, 1)),
        ("15 unknown group", commit("table-%no", TOPIC, 1)),
        ("15 unknown topic", commit(GROUP, "table-none", 1)),
        ("29", of_queue(29, TOPIC).field("timestamp", 0).field("boundaryType", "LOWER")),
        ("30", of_queue(30, TOPIC).field("committed", true)),
        ("31", of_queue(31, TOPIC)),
        ("32", of_queue(32, TOPIC)),
        ("43", Request::new(43)),
        ("45", Request::new(45)),
        ("208", of_group(208, GROUP)),
        ("208 topic", of_group(208, GROUP).field("topic", TOPIC)),
        ("208 list", of_group(208, GROUP).field("topicList", format!("{TOPIC};table-none"))),
        ("208 unknown group", of_group(208, "table-%no")),
        ("303", of_topic(303, TOPIC).field("group", GROUP)),
        ("303 unknown", of_topic(303, "table-none").field("group", GROUP)),
        ("308", of_topic(308, TOPIC).field("compareGroup", GROUP)),
        (
            "314",
            of_topic(314, TOPIC)
                .field("srcGroup", GROUP)
                .field("destGroup", "table-made")
                .field("offline", true),
        ),
        ("317", Request::new(317).field("isOrder", false)),
        ("222 all", reset(TOPIC, GROUP, 0, -1, -1)),
        ("222 one", reset(TOPIC, GROUP, 0, 0, 1)),
        ("222 end", reset(TOPIC, GROUP, -1, -1, -1)),
        ("222 out of range", reset(TOPIC, GROUP, 0, 0, 99)),
        ("222 unknown topic", reset("table-none", GROUP, 0, -1, -1)),
        ("222 unknown group", reset(TOPIC, "table-%no", 0, -1, -1)),
        ("11 after reset", pull(GROUP, TOPIC, 0, 1)),
        ("11 then", pull(GROUP, TOPIC, 0, 1)),
    ]
}

fn broker_requests() -> Vec<(&'static str, Request)> {
    vec![
        ("26", Request::new(26)),
        ("25 black list", Request::new(25).body("brokerConfigPath=/tmp/x\n")),
        ("25 update", Request::new(25).body("longPollingEnable=true\n")),
        ("28", Request::new(28)),
        ("315 topic", stats("TOPIC_PUT_NUMS", TOPIC)),
        ("315 size", stats("TOPIC_PUT_SIZE", TOPIC)),
        ("315 group", stats("GROUP_GET_NUMS", &format!("{TOPIC}@{GROUP}"))),
        ("315 broker", stats("BROKER_PUT_NUMS", "DefaultCluster")),
        ("315 not counted", stats("TOPIC_PUT_NUMS", "table-none")),
        ("306", Request::new(306)),
        ("316", Request::new(316)),
        ("329", Request::new(329)),
        ("354", Request::new(354).field("checkStoreTime", 0).field("topic", TOPIC)),
        ("907", Request::new(907)),
        ("908", Request::new(908).field("masterFlushOffset", 0)),
        ("1007", Request::new(1007)),
        (
            "401 pull",
            Request::new(401).body(
                json!({"consumerGroup": GROUP, "mode": "PULL", "popShareQueueNum": 0, "topic": TOPIC})
                    .to_string(),
            ),
        ),
        ("402", Request::new(402)),
        ("2001", Request::new(2001).body("table-group=1024\n")),
        ("2002", Request::new(2002).body("table-group")),
        ("2003", Request::new(2003)),
        ("2004", Request::new(2004).field("READ_AHEAD_MODE", 0)),
        ("5001", Request::new(5001).field("E_T", "F")),
        ("200074", Request::new(200_074)),
        ("4711", Request::new(4711)),
    ]
}

fn user_requests() -> Vec<(&'static str, Request)> {
    let user = json!({"password": "secret123", "userType": "Normal", "username": "u"}).to_string();
    let acl =
        json!({"policies": [{"entries": [{"actions": ["Pub"], "decision": "Allow", "resource": "Topic:T",
        "sourceIps": []}]}], "subject": "User:u"})
        .to_string();
    vec![
        ("3001", Request::new(3001).field("username", "u").body(user.clone())),
        ("3002", Request::new(3002).field("username", "u").body(user)),
        ("3004", Request::new(3004).field("username", "u")),
        ("3005", Request::new(3005)),
        ("3006", Request::new(3006).field("subject", "User:u").body(acl.clone())),
        ("3007", Request::new(3007).field("subject", "User:u").body(acl)),
        ("3009", Request::new(3009).field("subject", "User:u")),
        ("3010", Request::new(3010)),
        ("3008", Request::new(3008).field("subject", "User:u")),
        ("3003", Request::new(3003).field("username", "u")),
    ]
}
