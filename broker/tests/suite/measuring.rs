//! What the broker measures and how it is set up.

use std::{collections::BTreeMap, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{KvTable, lenient, stats::BrokerStats},
    header::stats::ViewStats,
    properties_file::Properties,
};

use super::wire::{TestBroker, Wire, message, pull, send_back};

fn runtime(wire: &mut Wire) -> BTreeMap<String, String> {
    let answer = wire.expect(Command::bare(RequestCode::GET_BROKER_RUNTIME_INFO), ResponseCode::SUCCESS);
    lenient::read::<KvTable>("runtime", &answer.body).unwrap().table
}

fn view(name: &str, key: &str) -> Command {
    let header = ViewStats { stats_name: name.into(), stats_key: key.into() };
    Command::request(RequestCode::VIEW_BROKER_STATS_DATA, &header)
}

fn measured(wire: &mut Wire, name: &str, key: &str) -> BrokerStats {
    let answer = wire.expect(view(name, key), ResponseCode::SUCCESS);
    lenient::read("stats", &answer.body).unwrap()
}

#[test]
fn messages_are_counted_in_and_out() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let remark = wire.expect(view("TOPIC_PUT_NUMS", "orders"), ResponseCode::SYSTEM_ERROR).remark.unwrap();
    assert_eq!(remark, "The stats <TOPIC_PUT_NUMS> <orders> not exist");
    for _ in 0..20 {
        wire.send(message("orders", 0, "", "x"));
    }
    wire.heartbeat("c1", "g", "orders", "*");
    let messages = wire.pull(pull("g", "orders", 0, 0, None)).2;
    assert_eq!(messages.len(), 20);
    wire.expect(send_back("g", &messages[0], 18), ResponseCode::SUCCESS);
    broker.clock.advance(Duration::from_secs(10));

    let put = measured(&mut wire, "TOPIC_PUT_NUMS", "orders");
    assert_eq!((put.stats_minute.sum, put.stats_hour.sum, put.stats_day.sum), (20, 20, 20));
    assert_eq!((put.stats_minute.avgpt, put.stats_minute.tps), (1.0, 2.0));
    assert!(measured(&mut wire, "TOPIC_PUT_SIZE", "orders").stats_minute.sum > 20 * 91);
    let got = measured(&mut wire, "GROUP_GET_NUMS", "orders@g").stats_minute;
    assert_eq!((got.sum, got.avgpt), (20, 20.0));
    assert!(measured(&mut wire, "GROUP_GET_SIZE", "orders@g").stats_minute.sum > 20 * 91);
    measured(&mut wire, "GROUP_GET_LATENCY", "orders@g");
    assert_eq!(measured(&mut wire, "SNDBCK_PUT_NUMS", "orders@g").stats_minute.sum, 1);
    // The one that came back lies in the schedule topic.
    assert_eq!(measured(&mut wire, "BROKER_PUT_NUMS", "DefaultCluster").stats_minute.sum, 21);
    assert_eq!(measured(&mut wire, "BROKER_GET_NUMS", "DefaultCluster").stats_minute.sum, 20);

    for _ in 0..8 {
        broker.clock.advance(Duration::from_secs(10));
        measured(&mut wire, "TOPIC_PUT_NUMS", "orders");
    }
    let put = measured(&mut wire, "TOPIC_PUT_NUMS", "orders");
    assert_eq!((put.stats_minute.sum, put.stats_hour.sum), (0, 20));
}

#[test]
fn the_runtime_has_every_key_that_tools_read() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for _ in 0..30 {
        wire.send(message("orders", 0, "", "x"));
    }
    wire.send(message("orders", 0, "DELAY=18", "x"));
    broker.clock.advance(Duration::from_secs(10));
    let table = runtime(&mut wire);
    for key in [
        "bootTimestamp",
        "brokerActive",
        "commitLogDirCapacity",
        "commitLogDiskRatio",
        "commitLogMinOffset",
        "consumeQueueDiskRatio",
        "dispatchBehindBytes",
        "dispatchMaxBuffer",
        "EndTransactionQueueSize",
        "EndTransactionThreadPoolQueueCapacity",
        "litePullThreadPoolQueueHeadWaitTimeMills",
        "pageCacheLockTimeMills",
        "putMessageDistributeTime",
        "sendThreadPoolQueueSize",
        "timerReadBehind",
    ] {
        assert!(table.contains_key(key), "{key}");
    }
    assert_eq!(table["brokerVersionDesc"], "V5_5_0");
    assert_eq!(table["runtime"], "[ 0 days, 0 hours, 0 minutes, 10 seconds ]");
    // The one that is delayed lies in a topic of the system's.
    let totals = ["putMessageTimesTotal", "msgPutTotalTodayNow", "msgPutTotalTodayMorning"];
    assert_eq!(totals.map(|key| table[key].as_str()), ["31", "30", "0"]);
    assert_eq!(table["putTps"], "3.1 3.1 3.1");
    assert_eq!(table["getTransferredTps"], "0.0 0.0 0.0");
    assert_eq!(table["earliestMessageTimeStamp"], super::wire::START_MS.to_string());
    assert_ne!(table["commitLogMaxOffset"], "0");

    broker.clock.advance(Duration::from_secs(24 * 3_600));
    let table = runtime(&mut wire);
    // The delayed one has been delivered meanwhile, or is about to be.
    let morning: u64 = table["msgPutTotalTodayMorning"].parse().unwrap();
    assert!((30..=31).contains(&morning), "{morning}");
    assert_eq!(table["msgPutTotalYesterdayMorning"], "0");
}

#[test]
fn the_configuration_is_printed_and_not_changed_unless_that_is_allowed() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let answer = wire.expect(Command::bare(RequestCode::GET_BROKER_CONFIG), ResponseCode::SUCCESS);
    let properties = Properties::parse(&answer.body).unwrap();
    let value = |key: &str| properties.get(key).unwrap().value.clone();
    assert_eq!((value("brokerName"), value("brokerPermission")), ("broker-a".into(), "6".into()));
    assert!(answer.fields.get("version").unwrap().contains("stateVersion"));
    let change = Command::bare(RequestCode::UPDATE_BROKER_CONFIG).with_body("brokerPermission=4\n");
    let remark = wire.expect(change, ResponseCode::NO_PERMISSION).remark.unwrap();
    assert!(remark.contains("configUpdateEnable=true"), "{remark}");
}

#[test]
fn changed_keys_hold_at_once_and_after_a_restart() {
    let mut broker = TestBroker::with(|settings| settings.config_update = true);
    let mut wire = broker.connect();
    let change = |body: &str| Command::bare(RequestCode::UPDATE_BROKER_CONFIG).with_body(body.to_owned());
    let printed = |wire: &mut Wire, key: &str| {
        let answer = wire.expect(Command::bare(RequestCode::GET_BROKER_CONFIG), ResponseCode::SUCCESS);
        Properties::parse(&answer.body).unwrap().get(key).unwrap().value.clone()
    };
    wire.send(message("orders", 0, "", "x"));
    for (body, why) in [
        ("brokerConfigPath=/x\n", "Can not update config in black list."),
        ("brokerPermission=4\nlistenPort=1\n", "listenPort: cannot be changed while the broker runs"),
        ("noSuchKey=1\n", "noSuchKey: this broker has no such key"),
        ("configUpdateEnable=false\n", "configUpdateEnable: cannot be changed while the broker runs"),
        ("longPollingEnable=maybe\n", "longPollingEnable: true or false is expected, not `maybe`"),
    ] {
        assert_eq!(wire.expect(change(body), ResponseCode::NO_PERMISSION).remark.unwrap(), why);
    }
    assert_eq!(printed(&mut wire, "brokerPermission"), "6", "all or none");

    wire.expect(change("brokerPermission=2\nautoCreateTopicEnable=false\n"), ResponseCode::SUCCESS);
    assert_eq!(printed(&mut wire, "brokerPermission"), "2");
    wire.expect(pull("g", "orders", 0, 0, None), ResponseCode::NO_PERMISSION);
    wire.expect(message("new", 0, "", "x"), ResponseCode::TOPIC_NOT_EXIST);

    broker.restart();
    let mut wire = broker.connect();
    assert_eq!(printed(&mut wire, "brokerPermission"), "2");
    wire.expect(pull("g", "orders", 0, 0, None), ResponseCode::NO_PERMISSION);
    wire.expect(change("brokerPermission=6\nautoCreateTopicEnable=true\n"), ResponseCode::SUCCESS);
    wire.send(message("new", 0, "", "x"));
    assert_eq!(wire.pull(pull("g", "orders", 0, 0, None)).2.len(), 1);
}

#[test]
fn codes_that_are_not_served_are_refused_by_name() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for code in [
        RequestCode::SET_COMMITLOG_READ_MODE,
        RequestCode::POP_MESSAGE,
        RequestCode::UPDATE_AND_CREATE_STATIC_TOPIC,
        RequestCode(4_711),
    ] {
        let remark = wire.expect(Command::bare(code), ResponseCode::REQUEST_CODE_NOT_SUPPORTED).remark.unwrap();
        assert!(remark.starts_with(&format!(" request type {} not supported", code.0)), "{remark}");
        assert!(code.name().is_none_or(|name| remark.ends_with(name)), "{remark}");
    }
}
