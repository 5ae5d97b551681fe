//! Delay levels, failed messages, dead letters: Apache's hours in the time that the test takes.

use std::{fs, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        dialect::{Dialect, write},
        group::{LockBatch, QueueRef},
    },
    header::{
        send::{SendBack, SendMessageShort},
        topic::CreateTopic,
    },
    message::MessageView,
};

use super::wire::{START_MS, TestBroker, Wire, message, pull, pulled, send_back};

const HOLD: Option<Duration> = Some(Duration::from_secs(15));

/// When each retry comes, in seconds after the one before: levels 3 to 18.
const LADDER: [u64; 16] =
    [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];

fn wait_for(wire: &mut Wire, topic: &str, offset: i64) -> rocketmq_boot_protocol::message::MessageView {
    loop {
        let (code, _, mut messages) = wire.pull(pull("g", topic, 0, offset, HOLD));
        if code == ResponseCode::SUCCESS {
            return messages.remove(0);
        }
        assert_eq!(code, ResponseCode::PULL_NOT_FOUND);
    }
}

#[test]
fn a_delayed_message_comes_at_its_time_and_not_before() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    wire.send(message("orders", 0, "UNIQ_KEY=now;TAGS=t", "now"));
    wire.send(message("orders", 0, "UNIQ_KEY=later;TAGS=t;DELAY=2", "later"));
    let opaque = wire.post(pull("g", "orders", 0, 1, HOLD));
    broker.clock.advance(Duration::from_millis(4_999));
    producer.send(message("orders", 0, "UNIQ_KEY=between", "between"));
    let (_, _, messages) = pulled(&wire.answer_to(opaque));
    assert_eq!(messages.iter().map(|view| view.body.as_ref()).collect::<Vec<_>>(), [b"between"]);
    broker.clock.advance(Duration::from_millis(1));
    let view = wait_for(&mut wire, "orders", 2);
    assert_eq!(
        (view.body.as_ref(), view.tag(), view.property("DELAY")),
        (&b"later"[..], Some("t"), Some("2"))
    );
    assert_eq!(view.property("REAL_TOPIC"), Some("orders"));
    assert_eq!(view.store_timestamp, START_MS + 5_000);
}

#[test]
fn a_level_over_the_highest_is_the_highest() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U;DELAY=99", "x"));
    broker.clock.advance(Duration::from_secs(7_200));
    assert_eq!(wait_for(&mut wire, "orders", 0).property("DELAY"), Some("18"));
}

#[test]
fn a_message_that_always_fails_climbs_the_ladder_and_is_buried() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.heartbeat("c1", "g", "orders", "*");
    wire.send(message("orders", 0, "UNIQ_KEY=U;TAGS=t", "bad"));
    let mut view = wait_for(&mut wire, "orders", 0);
    let first_id = view.offset_message_id.clone();
    for (attempt, seconds) in (0_i32..).zip(LADDER) {
        assert_eq!(view.reconsume_times, attempt);
        wire.expect(send_back("g", &view, 0), ResponseCode::SUCCESS);
        broker.clock.advance(Duration::from_secs(seconds));
        view = wait_for(&mut wire, "%RETRY%g", i64::from(attempt));
        assert_eq!(view.property("RETRY_TOPIC"), Some("orders"));
        assert_eq!(view.property("ORIGIN_MESSAGE_ID"), Some(first_id.as_str()));
        assert_eq!((view.body.as_ref(), view.tag()), (&b"bad"[..], Some("t")));
    }
    let spent: u64 = LADDER.iter().sum();
    assert_eq!(broker.clock.now_ms() - START_MS, i64::try_from(spent * 1_000).unwrap());
    assert_eq!(view.reconsume_times, 16);
    wire.expect(send_back("g", &view, 0), ResponseCode::SUCCESS);
    let dead = wait_for(&mut wire, "%DLQ%g", 0);
    assert_eq!((dead.body.as_ref(), dead.property("RETRY_TOPIC")), (&b"bad"[..], Some("orders")));
    assert_eq!((dead.property("DELAY"), dead.property("REAL_TOPIC")), (Some("0"), Some("%RETRY%g")));
    assert_eq!(dead.reconsume_times, 17);
}

#[test]
fn a_negative_level_buries_at_once_and_a_given_level_is_kept() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.heartbeat("c1", "g", "orders", "*");
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let view = wait_for(&mut wire, "orders", 0);
    wire.expect(send_back("g", &view, -1), ResponseCode::SUCCESS);
    assert_eq!(wait_for(&mut wire, "%DLQ%g", 0).body.as_ref(), b"x");
    wire.expect(send_back("g", &view, 1), ResponseCode::SUCCESS);
    broker.clock.advance(Duration::from_secs(1));
    assert_eq!(wait_for(&mut wire, "%RETRY%g", 0).property("DELAY"), Some("1"));
}

#[test]
fn waiting_messages_survive_a_restart_and_come_once() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=a;DELAY=1", "a"));
    broker.clock.advance(Duration::from_secs(1));
    wait_for(&mut wire, "orders", 0);
    wire.send(message("orders", 0, "UNIQ_KEY=b;DELAY=1", "b"));
    broker.restart();
    broker.clock.advance(Duration::from_secs(1));
    let mut wire = broker.connect();
    assert_eq!(wait_for(&mut wire, "orders", 1).body.as_ref(), b"b");
    let (_, header, _) = wire.pull(pull("g", "orders", 0, 0, None));
    assert_eq!(header.max_offset, 2);
}

#[test]
fn a_group_that_is_unknown_is_made_when_it_sends_back() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let view = wait_for(&mut wire, "orders", 0);
    wire.expect(send_back("strangers", &view, 0), ResponseCode::SUCCESS);

    let strict = TestBroker::with(|settings| settings.auto_create_subscription_group = false);
    strict.connect().expect(send_back("strangers", &view, 0), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
}

#[test]
fn what_cannot_be_sent_back_is_refused() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let mut view = wait_for(&mut wire, "orders", 0);
    wire.heartbeat("c1", "g", "orders", "*");
    for offset in [-1, 1, 1 << 40] {
        view.physical_offset = offset;
        wire.expect(send_back("g", &view, 0), ResponseCode::SYSTEM_ERROR);
    }
}

#[test]
fn levels_are_as_configured_and_the_sender_is_told_the_real_queue() {
    let broker = TestBroker::with(|settings| {
        settings.apply("test", "messageDelayLevel=2s  1d 3m").unwrap();
    });
    let mut wire = broker.connect();
    let sent = [(1, 2, "1"), (3, 180, "3"), (2, 86_400, "2"), (4, 180, "3")];
    for (offset, (level, seconds, known)) in (0..).zip(sent) {
        let properties = format!("UNIQ_KEY=U;DELAY={level}");
        let reply = wire.send(message("orders", 2, &properties, "x"));
        assert_eq!(reply.queue_id, 2);
        broker.clock.advance(Duration::from_secs(seconds));
        let view = loop {
            let (code, _, mut messages) = wire.pull(pull("g", "orders", 2, offset, HOLD));
            if code == ResponseCode::SUCCESS {
                break messages.remove(0);
            }
        };
        assert_eq!(view.property("DELAY"), Some(known));
    }
}

#[test]
fn progress_is_kept_in_apaches_file_and_what_waits_survives_a_kill() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=a;DELAY=1", "a"));
    broker.clock.advance(Duration::from_secs(1));
    wait_for(&mut wire, "orders", 0);
    broker.restart();
    let file = broker.folder.path().join("store/config/delayOffset.json");
    let text: String = fs::read_to_string(file).unwrap().split_whitespace().collect();
    assert!(text.ends_with("\"offsetTable\":{1:1}}"), "{text}");
    assert!(text.starts_with("{\"dataVersion\":{"), "{text}");

    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=b;DELAY=18", "b"));
    let killed = broker.killed();
    killed.clock.advance(Duration::from_secs(7_200));
    let mut wire = killed.connect();
    assert_eq!(wait_for(&mut wire, "orders", 1).body.as_ref(), b"b");
}

/// A message back, with the limit that the consumer says and the version that it has.
fn back(view: &MessageView, limit: Option<i32>, version: i32) -> Command {
    let header = SendBack {
        offset: view.physical_offset,
        group: "g".into(),
        max_reconsume_times: limit,
        ..SendBack::default()
    };
    Command { version, ..Command::request(RequestCode::CONSUMER_SEND_MSG_BACK, &header) }
}

/// Has a broker start with a configuration of group `g`.
fn with_group(config: &str) -> TestBroker {
    let mut broker = TestBroker::start();
    broker.stop();
    let path = broker.folder.path().join("store/config/subscriptionGroup.json");
    let table = format!("{{\"subscriptionGroupTable\":{{\"g\":{{\"groupName\":\"g\",{config}}}}}}}");
    fs::write(path, table).unwrap();
    broker.start_again();
    broker
}

#[test]
fn a_consumers_limit_comes_before_its_groups() {
    let broker = with_group("\"retryMaxTimes\":0");
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let view = wait_for(&mut wire, "orders", 0);
    // One that does not say, one that is too old to say, one that says none at all: its group's, its group's, its own.
    for (dead, (limit, version)) in (0..).zip([(None, 475), (Some(16), 120), (Some(-1), 475), (Some(0), 475)]) {
        wire.expect(back(&view, limit, version), ResponseCode::SUCCESS);
        assert_eq!(wait_for(&mut wire, "%DLQ%g", dead).reconsume_times, 1);
    }
    wire.expect(back(&view, Some(1), 475), ResponseCode::SUCCESS);
    broker.clock.advance(Duration::from_secs(10));
    assert_eq!(wait_for(&mut wire, "%RETRY%g", 0).reconsume_times, 1);
}

#[test]
fn a_group_without_retry_queues_loses_what_it_sends_back() {
    let broker = with_group("\"retryQueueNums\":0");
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let view = wait_for(&mut wire, "orders", 0);
    wire.expect(back(&view, None, 475), ResponseCode::SUCCESS);
    let (code, _, _) = pulled(&wire.call(pull("g", "SCHEDULE_TOPIC_XXXX", 2, 0, None)));
    assert_ne!(code, ResponseCode::SUCCESS);
}

#[test]
fn a_retry_topic_that_is_not_writable_takes_nothing_back() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.heartbeat("c1", "g", "orders", "*");
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let view = wait_for(&mut wire, "orders", 0);
    let topic = CreateTopic {
        topic: "%RETRY%g".into(),
        read_queue_nums: 1,
        write_queue_nums: 1,
        perm: 4,
        ..CreateTopic::default()
    };
    wire.expect(Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &topic), ResponseCode::SUCCESS);
    let answer = wire.expect(send_back("g", &view, 0), ResponseCode::NO_PERMISSION);
    assert_eq!(answer.remark.as_deref(), Some("the topic[%RETRY%g] sending message is forbidden"));
}

/// A failed message that a consumer sends to its retry topic itself, as it does when sending it back fails.
fn resend(reconsume_times: i32, limit: i32) -> Command {
    let mut header: SendMessageShort =
        message("%RETRY%g", 0, "UNIQ_KEY=U;DELAY=1;RETRY_TOPIC=orders", "x").header().unwrap();
    (header.reconsume_times, header.max_reconsume_times) = (reconsume_times, Some(limit));
    Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body("x")
}

#[test]
fn a_send_to_the_retry_topic_is_counted_after_the_fact() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.heartbeat("c1", "g", "orders", "*");
    // Code 36 buries what has failed as often as the limit; here it has been counted already.
    wire.send(resend(2, 2));
    broker.clock.advance(Duration::from_secs(1));
    assert_eq!(wait_for(&mut wire, "%RETRY%g", 0).reconsume_times, 2);
    wire.send(resend(3, 2));
    let dead = wait_for(&mut wire, "%DLQ%g", 0);
    assert_eq!((dead.reconsume_times, dead.property("DELAY")), (3, Some("-1")));
}

#[test]
fn what_an_orderly_group_gives_up_goes_straight_to_the_dead_letters() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.heartbeat("c1", "g", "orders", "*");
    let queue = QueueRef { broker_name: "broker-a".into(), queue_id: 0, topic: "orders".into() };
    let lock = LockBatch {
        client_id: "c1".into(),
        consumer_group: "g".into(),
        mq_set: [queue].into_iter().collect(),
        only_this_broker: false,
    };
    let request = Command::bare(RequestCode::LOCK_BATCH_MQ).with_body(write(&lock, Dialect::Fastjson));
    wire.expect(request, ResponseCode::SUCCESS);
    wire.send(resend(1, 16));
    assert_eq!(wait_for(&mut wire, "%DLQ%g", 0).body.as_ref(), b"x");
    // Their consumers are ordinary ones.
    wire.heartbeat("c2", "undertakers", "%DLQ%g", "*");
    let (code, _, messages) = wire.pull(pull("undertakers", "%DLQ%g", 0, 0, None));
    assert_eq!((code, messages.len()), (ResponseCode::SUCCESS, 1));
}
