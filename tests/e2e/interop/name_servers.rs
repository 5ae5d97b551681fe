//! Every request of tools and brokers to a name server, to Apache's and to ours: both give the same.

use std::collections::BTreeMap;

use rocketmq_boot_tests::{
    cluster::{self, Servers},
    wire::{Answer, Request, Wire, code},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::servers::ours;

const PUT_KV: i32 = 100;
const GET_KV: i32 = 101;
const DELETE_KV: i32 = 102;
const UNREGISTER: i32 = 104;
const WIPE_WRITE: i32 = 205;
const ALL_TOPICS: i32 = 206;
const DELETE_TOPIC: i32 = 216;
const REGISTER_TOPIC: i32 = 217;
const KV_LIST: i32 = 219;
const TOPICS_OF_CLUSTER: i32 = 224;
const SYSTEM_TOPICS: i32 = 304;
const UNIT_TOPICS: i32 = 311;
const UPDATE_CONFIG: i32 = 318;
const GET_CONFIG: i32 = 319;
const DATA_VERSION: i32 = 322;
const ADD_WRITE: i32 = 327;
const MEMBERS: i32 = 901;
const BEAT: i32 = 904;

fn register(broker: &str, id: i64, counter: i64, topics: &[(&str, i32)]) -> Request {
    let topic = |(name, flags): &(&str, i32)| {
        format!(
            r#""{name}":{{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"{name}","topicSysFlag":{flags},"writeQueueNums":8}}"#
        )
    };
    let table: Vec<String> = topics.iter().map(topic).collect();
    let body = format!(
        r#"{{"filterServerList":[],"topicConfigSerializeWrapper":{{"dataVersion":{},"topicConfigTable":{{{}}}}}}}"#,
        version(counter),
        table.join(",")
    );
    identity(code::REGISTER_BROKER, broker, id).field("haServerAddr", format!("10.0.0.1:2{id}")).body(body)
}

fn identity(code: i32, broker: &str, id: i64) -> Request {
    Request::new(code)
        .field("brokerName", broker)
        .field("brokerAddr", format!("{broker}.test:1{id}"))
        .field("clusterName", "C")
        .field("brokerId", id)
}

fn version(counter: i64) -> String {
    format!(r#"{{"counter":{counter},"stateVersion":0,"timestamp":1700000000000}}"#)
}

fn of(code: i32, fields: &[(&str, &str)]) -> Request {
    fields.iter().fold(Request::new(code), |request, (key, value)| request.field(key, value))
}

fn route(topic: &str) -> Request {
    of(code::ROUTE, &[("topic", topic)])
}

/// What is asked, one after the other; a name says what for.
fn script() -> Vec<(&'static str, Request)> {
    let order = |code, key: &str| of(code, &[("namespace", "ORDER_TOPIC_CONFIG"), ("key", key)]);
    let a = [("brokerName", "a")];
    vec![
        ("clusters of none", Request::new(code::CLUSTER)),
        ("a route of nothing", route("t")),
        ("a single topic of an unknown broker", register("a", 0, 1, &[("t", 0)])),
        ("a master", register("a", 0, 1, &[("t", 0), ("unit", 1), ("sub", 2), ("both", 3)])),
        ("its slave", register("a", 1, 1, &[("t", 0), ("x", 0)])),
        ("another master", register("b", 0, 1, &[("t", 0), ("x", 0)])),
        ("a damaged registration", register("b", 0, 1, &[("t", 0), ("x", 0)]).field("bodyCrc32", 7)),
        ("clusters", Request::new(code::CLUSTER)),
        ("a route", route("t")),
        ("a known version", identity(DATA_VERSION, "a", 0).body(version(1))),
        ("a new version", identity(DATA_VERSION, "a", 0).body(version(2))),
        ("an unknown broker's version", identity(DATA_VERSION, "z", 0).body(version(1))),
        ("a change of one topic", register("a", 0, 2, &[("new", 0)])),
        ("the route of it", route("new")),
        ("all topics", Request::new(ALL_TOPICS)),
        ("topics of a cluster", of(TOPICS_OF_CLUSTER, &[("cluster", "C")])),
        ("topics of no cluster", of(TOPICS_OF_CLUSTER, &[("cluster", "none")])),
        ("unit topics", Request::new(UNIT_TOPICS)),
        ("topics that units subscribe to", Request::new(UNIT_TOPICS + 1)),
        ("those that are of no unit", Request::new(UNIT_TOPICS + 2)),
        ("members", of(MEMBERS, &[("clusterName", "C"), ("brokerName", "a")])),
        ("members of nobody", of(MEMBERS, &[("clusterName", "C"), ("brokerName", "z")])),
        ("a beat", identity(BEAT, "a", 0)),
        ("write permission taken", of(WIPE_WRITE, &a)),
        ("a route without it", route("t")),
        ("write permission given", of(ADD_WRITE, &a)),
        ("a route with it", route("t")),
        ("write permission of nobody", of(WIPE_WRITE, &[("brokerName", "z")])),
        ("a setting that is not there", order(GET_KV, "t")),
        ("settings that are not there", of(KV_LIST, &[("namespace", "none")])),
        ("a setting", order(PUT_KV, "t").field("value", "a:4;b:4")),
        ("the setting", order(GET_KV, "t")),
        ("all settings of it", of(KV_LIST, &[("namespace", "ORDER_TOPIC_CONFIG")])),
        ("a registration that is told settings", register("b", 0, 1, &[("t", 0), ("x", 0)])),
        ("a setting deleted", order(DELETE_KV, "t")),
        ("a setting deleted twice", order(DELETE_KV, "t")),
        ("queues of a topic", of(REGISTER_TOPIC, &[("topic", "static")]).body(
            r#"{"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":2,"writeQueueNums":2,"topicSysFlag":0}]}"#,
        )),
        ("their route", route("static")),
        ("a topic deleted on a cluster", of(DELETE_TOPIC, &[("topic", "t"), ("clusterName", "C")])),
        ("a topic deleted", of(DELETE_TOPIC, &[("topic", "x")])),
        ("what is left", Request::new(ALL_TOPICS)),
        ("a black-listed setting", Request::new(UPDATE_CONFIG).body("kvConfigPath=/x\n")),
        ("an unknown code", Request::new(4_711)),
    ]
}

/// A body as a value: fastjson's bare numbers as keys are quoted, and lists without an order are sorted.
fn value(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let text = String::from_utf8_lossy(body);
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find(['{', ',']) {
        let (before, behind) = rest.split_at(at + 1);
        quoted.push_str(before);
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && behind[digits..].starts_with(':') {
            quoted.push_str(&format!("\"{}\"", &behind[..digits]));
            rest = &behind[digits..];
        } else {
            rest = behind;
        }
    }
    quoted.push_str(rest);
    let mut value = serde_json::from_str(&quoted).unwrap_or_else(|error| panic!("{error} in {quoted}"));
    sort(&mut value);
    value
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_key(ToString::to_string);
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}

fn seen(answer: &Answer) -> (i32, BTreeMap<String, String>, Value) {
    let body = match value(&answer.body) {
        // An empty table, and none at all, say the same to a broker.
        Value::Object(fields)
            if fields.len() == 1
                && fields.get("table").is_some_and(|t| t == &Value::Object(Default::default())) =>
        {
            Value::Null
        }
        body => body,
    };
    (answer.code, answer.fields.clone(), body)
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn both_name_servers_answer_tools_and_brokers_alike() {
    let home = TempDir::new().expect("a temporary folder can be made");
    let apache = cluster::start_name_server(&Servers::Apache("5.5.0"), &home.path().join("apache"));
    let own = cluster::start_name_server(&ours(), &home.path().join("ours"));
    let [mut to_apache, mut to_ours] =
        [&apache, &own].map(|server| Wire::connect(&server.address).expect("the name server listens"));
    let mut differ = Vec::new();
    for (what, request) in script() {
        let [theirs, ours] = [&mut to_apache, &mut to_ours]
            .map(|wire| wire.call(&request).unwrap_or_else(|error| panic!("{what}: no answer: {error}")));
        if seen(&theirs) != seen(&ours) {
            differ.push(format!(
                "{what}:\n  Apache: {:?} {}\n  ours:   {:?} {}",
                seen(&theirs),
                theirs.remark,
                seen(&ours),
                ours.remark
            ));
        }
    }
    assert!(differ.is_empty(), "{} answers differ:\n{}", differ.len(), differ.join("\n"));

    // The settings differ; what the dashboard shows of them is there.
    let printed = to_ours.call(&Request::new(GET_CONFIG)).expect("the name server answers").success();
    let printed = String::from_utf8_lossy(&printed.body).into_owned();
    for key in ["listenPort", "kvConfigPath", "productEnvName", "scanNotActiveBrokerInterval"] {
        assert!(
            printed.lines().any(|line| line.starts_with(&format!("{key}="))),
            "{key} is not in\n{printed}"
        );
    }
    // Which broker it names depends on the order of a hash table.
    for wire in [&mut to_apache, &mut to_ours] {
        let system = wire.call(&Request::new(SYSTEM_TOPICS)).expect("the name server answers").success();
        let system = value(&system.body);
        assert_eq!(system["topicList"], serde_json::json!(["C", "a", "b"]));
        assert!(system["brokerAddr"].as_str().is_some_and(|address| address.contains(".test:1")));
        wire.call(&identity(UNREGISTER, "b", 0)).expect("the name server answers").success();
    }
}
