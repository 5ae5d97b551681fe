//! Taking back a message that waits (370).

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::recall::{RecallMessage, RecallMessageReply},
};

use super::{
    timing::{await_waiting, end, wait_for},
    wire::{TestBroker, message},
};

fn recall(topic: &str, handle: &str) -> Command {
    let header = RecallMessage {
        producer_group: Some("producers".into()),
        topic: topic.into(),
        recall_handle: Some(handle.into()).filter(|handle: &String| !handle.is_empty()),
        broker_name: None,
    };
    Command::request(RequestCode::RECALL_MESSAGE, &header)
}

fn with_recall() -> TestBroker {
    TestBroker::with(|settings| settings.timers.recall = true)
}

#[test]
fn what_is_recalled_does_not_come_and_the_others_do() {
    for names_topic in [false, true] {
        let broker = TestBroker::with(|settings| {
            settings.timers.recall = true;
            settings.timers.recall_names_topic = names_topic;
        });
        let mut wire = broker.connect();
        let sent = |n: i32| format!("UNIQ_KEY=U{n};TIMER_DELAY_MS=5500");
        let replies: Vec<_> =
            (0..3).map(|n| wire.send(message("orders", 0, &sent(n), &n.to_string()))).collect();
        await_waiting(&mut wire, "orders", 3);
        let handle = replies[1].recall_handle.clone().unwrap();
        let answer = wire.expect(recall("orders", &handle), ResponseCode::SUCCESS);
        assert_eq!(answer.header::<RecallMessageReply>().unwrap().message_id, "U1");
        assert_eq!(answer.fields.get("MSG_REGION"), Some("DefaultRegion"));
        await_waiting(&mut wire, "orders", 2);
        broker.clock.advance(Duration::from_secs(6));
        await_waiting(&mut wire, "orders", 0);
        let came: Vec<_> = (0..2).map(|offset| wait_for(&mut wire, "orders", offset).body).collect();
        assert_eq!(came, ["0", "2"]);
    }
}

#[test]
fn a_recall_of_days_ahead_goes_the_same_rounds() {
    let broker = with_recall();
    let mut wire = broker.connect();
    let sent = "TIMER_DELAY_SEC=259200";
    let handle = wire.send(message("orders", 0, &format!("UNIQ_KEY=a;{sent}"), "a")).recall_handle.unwrap();
    wire.send(message("orders", 0, &format!("UNIQ_KEY=b;{sent}"), "b"));
    await_waiting(&mut wire, "orders", 2);
    // The handle says an instant of just under three days, and later than that it would be refused.
    wire.expect(recall("orders", &handle), ResponseCode::SUCCESS);
    await_waiting(&mut wire, "orders", 1);
    broker.clock.advance(Duration::from_secs(2 * 86_400 + 1));
    // Written anew: two messages and the recall.
    while end(&mut wire, "rmq_sys_wheel_timer") < 6 {
        std::thread::yield_now();
    }
    await_waiting(&mut wire, "orders", 1);
    broker.clock.advance(Duration::from_secs(86_400 - 1));
    await_waiting(&mut wire, "orders", 0);
    assert_eq!(wait_for(&mut wire, "orders", 0).body.as_ref(), b"b");
}

#[test]
fn a_recall_that_finds_nothing_changes_nothing() {
    let broker = with_recall();
    let mut wire = broker.connect();
    let handle = |n: i32| format!("UNIQ_KEY=U{n};TIMER_DELAY_SEC=5");
    let first = wire.send(message("orders", 0, &handle(0), "0")).recall_handle.unwrap();
    wire.send(message("orders", 0, &handle(1), "1"));
    await_waiting(&mut wire, "orders", 2);
    // Twice is once, and what has come is not taken back.
    wire.expect(recall("orders", &first), ResponseCode::SUCCESS);
    wire.expect(recall("orders", &first), ResponseCode::SUCCESS);
    await_waiting(&mut wire, "orders", 0);
    broker.clock.advance(Duration::from_secs(5));
    assert_eq!(wait_for(&mut wire, "orders", 0).body.as_ref(), b"1");
    wire.expect(recall("orders", &first), ResponseCode::ILLEGAL_OPERATION);
}

#[test]
fn what_cannot_be_recalled_is_refused_as_apache_does() {
    let broker = with_recall();
    let mut wire = broker.connect();
    let reply = wire.send(message("orders", 0, "UNIQ_KEY=U;TIMER_DELAY_SEC=5", "x"));
    let handle = reply.recall_handle.unwrap();
    wire.send(message("others", 0, "UNIQ_KEY=U", "x"));
    for (topic, handle, code, remark) in [
        ("missing", handle.as_str(), ResponseCode::TOPIC_NOT_EXIST, "recall failed, the topic[missing] not exist"),
        ("others", handle.as_str(), ResponseCode::ILLEGAL_OPERATION, "recall failed, topic not match"),
        ("orders", "bm90aGluZw==", ResponseCode::ILLEGAL_OPERATION, "recall handle is invalid"),
        ("orders", "", ResponseCode::ILLEGAL_OPERATION, "recall handle is invalid"),
        ("orders", "\u{e9}", ResponseCode::ILLEGAL_OPERATION, "recall handle is invalid"),
        (
            "orders",
            // v1 orders elsewhere 1790000005000 U
            "djEgb3JkZXJzIGVsc2V3aGVyZSAxNzkwMDAwMDA1MDAwIFU=",
            ResponseCode::ILLEGAL_OPERATION,
            "recall failed, broker service not available",
        ),
        (
            "orders",
            // v1 orders broker-a 1790000000000 U
            "djEgb3JkZXJzIGJyb2tlci1hIDE3OTAwMDAwMDAwMDAgVQ==",
            ResponseCode::ILLEGAL_OPERATION,
            "recall failed, timestamp invalid",
        ),
    ] {
        let answer = wire.expect(recall(topic, handle), code);
        assert_eq!(answer.remark.as_deref(), Some(remark));
    }
    let off = TestBroker::start();
    let answer = off.connect().expect(recall("orders", &handle), ResponseCode::NO_PERMISSION);
    assert_eq!(answer.remark.as_deref(), Some("recall failed, operation is forbidden"));
}
