//! Messages that come at an instant: days of waiting in the time that the test takes.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    Clock, Command, RequestCode, ResponseCode,
    header::{
        offset::{OffsetReply, QueueOffset},
        send::{SendMessageReply, SendMessageShort},
        topic::{CreateTopic, TopicName},
    },
    message::{MessageView, batch, record::Draft},
};
use rocketmq_boot_store::{Append, Options, Store, disk::RealDisk};

use super::wire::{START_MS, TestBroker, Wire, message, pull, pulled, send_back};

const HOLD: Option<Duration> = Some(Duration::from_secs(15));
const DAY: Duration = Duration::from_secs(86_400);

/// How many timers wait for a topic, once it is `expected` many.
pub(crate) fn await_waiting(wire: &mut Wire, topic: &str, expected: i64) {
    let text = format!("\"{topic}\":{{\"count\":{expected},");
    for _ in 0..200_000 {
        let answer = wire.expect(Command::bare(RequestCode::GET_TIMER_METRICS), ResponseCode::SUCCESS);
        if String::from_utf8_lossy(&answer.body).contains(&text) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{expected} timers never waited for {topic}");
}

/// The offset behind the last message of queue 0.
pub(crate) fn end(wire: &mut Wire, topic: &str) -> i64 {
    let header = QueueOffset { topic: topic.into(), queue_id: 0 };
    let answer = wire.call(Command::request(RequestCode::GET_MAX_OFFSET, &header));
    answer.header::<OffsetReply>().unwrap().offset
}

pub(crate) fn wait_for(wire: &mut Wire, topic: &str, offset: i64) -> MessageView {
    loop {
        let (code, _, mut messages) = wire.pull(pull("g", topic, 0, offset, HOLD));
        if code == ResponseCode::SUCCESS {
            return messages.remove(0);
        }
        assert!(
            matches!(code, ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_OFFSET_MOVED),
            "{code:?}"
        );
    }
}

fn bodies(wire: &mut Wire, topic: &str) -> Vec<String> {
    let (mut found, mut offset) = (Vec::new(), 0);
    while offset < end(wire, topic) {
        let (_, header, messages) = wire.pull(pull("g", topic, 0, offset, None));
        found.extend(messages.iter().map(|view| String::from_utf8(view.body.to_vec()).unwrap()));
        offset = header.next_begin_offset;
    }
    found
}

#[test]
fn a_timer_comes_when_its_tick_is_over_and_not_before() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    wire.send(message("orders", 0, "UNIQ_KEY=now", "now"));
    let reply = wire.send(message("orders", 0, "UNIQ_KEY=later;TAGS=t;TIMER_DELAY_MS=2300", "later"));
    assert_eq!((reply.queue_id, reply.transaction_id.as_deref()), (0, Some("later")));
    await_waiting(&mut wire, "orders", 1);
    let opaque = wire.post(pull("g", "orders", 0, 1, HOLD));
    broker.clock.advance(Duration::from_millis(2_999));
    producer.send(message("orders", 0, "UNIQ_KEY=between", "between"));
    let (_, _, messages) = pulled(&wire.answer_to(opaque));
    assert_eq!(messages.iter().map(|view| view.body.as_ref()).collect::<Vec<_>>(), [b"between"]);
    broker.clock.advance(Duration::from_millis(1));
    let view = wait_for(&mut wire, "orders", 2);
    assert_eq!((view.body.as_ref(), view.tag(), view.store_timestamp), (&b"later"[..], Some("t"), START_MS + 3_000));
    let expected = [
        ("TIMER_DELAY_MS", "2300".to_owned()),
        ("TIMER_OUT_MS", (START_MS + 2_000).to_string()),
        ("TIMER_ENQUEUE_MS", START_MS.to_string()),
        ("TIMER_DEQUEUE_MS", (START_MS + 3_000).to_string()),
        ("REAL_TOPIC", "orders".to_owned()),
        ("REAL_QID", "0".to_owned()),
        ("CLUSTER", "DefaultCluster".to_owned()),
    ];
    for (key, value) in expected {
        assert_eq!(view.property(key), Some(value.as_str()), "{key}");
    }
    assert_eq!(view.property("TIMER_ROLL_TIMES"), None);
    await_waiting(&mut wire, "orders", 0);
}

#[test]
fn timers_of_one_tick_come_in_the_order_in_which_they_were_sent() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let deliver = START_MS + 60_000;
    let opaques: Vec<i32> = (0..1_000)
        .map(|n| {
            // Later ticks between them.
            let at = deliver + 1_000 * (n % 2);
            wire.post(message("orders", 0, &format!("UNIQ_KEY=U{n};TIMER_DELIVER_MS={at}"), &n.to_string()))
        })
        .collect();
    for opaque in opaques {
        assert_eq!(wire.answer_to(opaque).response_code(), ResponseCode::SUCCESS);
    }
    await_waiting(&mut wire, "orders", 1_000);
    broker.clock.advance(Duration::from_secs(60));
    await_waiting(&mut wire, "orders", 500);
    broker.clock.advance(Duration::from_secs(1));
    await_waiting(&mut wire, "orders", 0);
    let expected: Vec<String> =
        (0..1_000).step_by(2).chain((1..1_000).step_by(2)).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&mut wire, "orders"), expected);
}

#[test]
fn three_days_are_waited_in_rounds_and_kept_to_the_second() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U;TIMER_DELAY_SEC=259200", "x"));
    await_waiting(&mut wire, "orders", 1);
    // The wheel reaches two days: when that tick is over the message is written anew.
    broker.clock.advance(DAY * 2 + Duration::from_secs(1));
    while end(&mut wire, "rmq_sys_wheel_timer") < 2 {
        std::thread::yield_now();
    }
    await_waiting(&mut wire, "orders", 1);
    broker.clock.advance(DAY - Duration::from_secs(2));
    wire.send(message("orders", 0, "UNIQ_KEY=V", "before"));
    broker.clock.advance(Duration::from_secs(1));
    let view = wait_for(&mut wire, "orders", 1);
    assert_eq!((view.body.as_ref(), view.store_timestamp), (&b"x"[..], START_MS + 259_200_000));
    assert_eq!(view.property("TIMER_ROLL_TIMES"), Some("1"));
    assert_eq!(view.born_timestamp, START_MS);
    assert_eq!(bodies(&mut wire, "orders"), ["before", "x"]);
}

#[test]
fn a_level_comes_before_an_instant() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U;DELAY=1;TIMER_DELAY_SEC=100", "x"));
    broker.clock.advance(Duration::from_secs(1));
    let view = wait_for(&mut wire, "orders", 0);
    assert_eq!((view.property("DELAY"), view.property("TIMER_DELAY_SEC")), (Some("1"), None));
}

#[test]
fn what_has_passed_comes_at_once() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for properties in ["TIMER_DELAY_SEC=0", "TIMER_DELIVER_MS=5", "TIMER_DELAY_MS=-1"] {
        let reply = wire.send(message("orders", 0, &format!("UNIQ_KEY=U;{properties}"), "x"));
        assert_eq!(reply.recall_handle, None);
    }
    let (_, _, messages) = wire.pull(pull("g", "orders", 0, 0, None));
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|view| view.property("TIMER_OUT_MS").is_none()));
}

#[test]
fn what_cannot_wait_is_refused_in_apaches_words() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let remark = "timer message illegal, the delay time should not be bigger than the max delay 259200000ms; or if set \
                  del msg, the delay time should be bigger than the current time";
    let room = "y".repeat(32_600);
    for properties in
        ["TIMER_DELAY_SEC=259201", "TIMER_DELIVER_MS=tomorrow", "TIMER_DELAY_SEC=0;TIMER_DEL_UNIQKEY=k"]
    {
        let answer = wire.expect(message("orders", 0, properties, "x"), ResponseCode::MESSAGE_ILLEGAL);
        assert_eq!(answer.remark.as_deref(), Some(remark), "{properties}");
    }
    // What would be delivered with more properties than a message can have.
    let full = format!("UNIQ_KEY=U;TIMER_DELAY_SEC=1;x={room}");
    wire.expect(message("orders", 0, &full, "x"), ResponseCode::MESSAGE_ILLEGAL);
    wire.expect(message("orders", 0, &format!("UNIQ_KEY=U;x={room}"), "x"), ResponseCode::SUCCESS);

    let broker = TestBroker::with(|settings| settings.timers.enabled = false);
    let answer = broker.connect().expect(message("orders", 0, "TIMER_DELAY_SEC=1", "x"), ResponseCode::SYSTEM_ERROR);
    assert_eq!(
        answer.remark.as_deref(),
        Some("accurate timer message is not enabled, timerWheelEnable is false")
    );
}

#[test]
fn a_batch_does_not_wait() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let mut body = Vec::new();
    for properties in ["UNIQ_KEY\u{1}a\u{2}TIMER_DELAY_SEC\u{1}9\u{2}", "UNIQ_KEY\u{1}b\u{2}DELAY\u{1}3\u{2}"] {
        let item = batch::Item { flag: 0, body: b"x", properties: properties.as_bytes() };
        batch::encode(&item, &mut body).unwrap();
    }
    let request = |properties: &str| {
        let mut header: SendMessageShort = message("orders", 0, properties, "").header().unwrap();
        header.batch = true;
        Command::request(RequestCode::SEND_BATCH_MESSAGE, &header).with_body(body.clone())
    };
    let answer = wire.expect(request("WAIT=true"), ResponseCode::SUCCESS);
    assert_eq!(answer.header::<SendMessageReply>().unwrap().recall_handle, None);
    assert_eq!(end(&mut wire, "orders"), 2);
    for properties in ["TIMER_DELAY_SEC=9", "DELAY=3"] {
        wire.expect(request(properties), ResponseCode::MESSAGE_ILLEGAL);
    }
}

#[test]
fn a_crowded_instant_takes_no_more() {
    let broker = TestBroker::with(|settings| settings.timers.congested_at = 2);
    let mut wire = broker.connect();
    let mut refused = None;
    let sent = "UNIQ_KEY=U;TIMER_DELIVER_MS=1790000060000";
    for waiting in 1..=5 {
        let answer = wire.call(message("orders", 0, sent, "x"));
        if answer.response_code() != ResponseCode::SUCCESS {
            refused = Some((waiting, answer.remark.unwrap_or_default()));
            break;
        }
        await_waiting(&mut wire, "orders", waiting);
    }
    let (waiting, remark) = refused.expect("five waited where two are many");
    assert!(waiting > 3, "{waiting}");
    assert!(remark.contains("max num limit is 4"), "{remark}");
    wire.send(message("orders", 0, "UNIQ_KEY=U;TIMER_DELIVER_MS=1790000070000", "x"));
}

#[test]
fn a_delivered_timer_that_fails_is_retried_and_not_timed_again() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.heartbeat("c1", "g", "orders", "*");
    wire.send(message("orders", 0, "UNIQ_KEY=U;TIMER_DELAY_SEC=5", "x"));
    broker.clock.advance(Duration::from_secs(5));
    let view = wait_for(&mut wire, "orders", 0);
    wire.expect(send_back("g", &view, 1), ResponseCode::SUCCESS);
    broker.clock.advance(Duration::from_secs(1));
    let view = wait_for(&mut wire, "%RETRY%g", 0);
    assert_eq!((view.body.as_ref(), view.property("TIMER_DELAY_SEC")), (&b"x"[..], None));
    wire.expect(send_back("g", &view, -1), ResponseCode::SUCCESS);
    assert_eq!(wait_for(&mut wire, "%DLQ%g", 0).body.as_ref(), b"x");
}

#[test]
fn timers_survive_stops_and_kills_and_come_once() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=a;TIMER_DELAY_SEC=1", "a"));
    wire.send(message("orders", 0, "UNIQ_KEY=b;TIMER_DELAY_SEC=10", "b"));
    wire.send(message("orders", 0, "UNIQ_KEY=c;TIMER_DELAY_SEC=259200", "c"));
    await_waiting(&mut wire, "orders", 3);
    broker.clock.advance(Duration::from_secs(1));
    await_waiting(&mut wire, "orders", 2);
    broker.restart();
    broker.clock.advance(Duration::from_secs(1));
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=d;TIMER_DELAY_SEC=8", "d"));
    await_waiting(&mut wire, "orders", 3);

    let killed = broker.killed();
    let mut wire = killed.connect();
    // Due while nobody ran: it comes as soon as somebody does. Which of the two of this second is first does not matter
    // to anybody, but both have come when the second after it is over.
    killed.clock.advance(Duration::from_secs(9));
    let mut came = [wait_for(&mut wire, "orders", 1), wait_for(&mut wire, "orders", 2)];
    came.sort_by_key(|view| view.body.clone());
    assert_eq!(came.iter().map(|view| view.body.as_ref()).collect::<Vec<_>>(), [b"b", b"d"]);
    killed.clock.advance(DAY * 3);
    let last = loop {
        if end(&mut wire, "orders") > 3 {
            break wait_for(&mut wire, "orders", 3);
        }
        std::thread::yield_now();
    };
    assert_eq!(last.body.as_ref(), b"c");
    assert_eq!(end(&mut wire, "orders"), 4);
}

#[test]
fn lost_timer_files_are_made_again_from_the_log() {
    for lost in [&["timerwheel"][..], &["timerlog"], &["timerlog", "timerwheel"]] {
        let mut broker = TestBroker::start();
        let mut wire = broker.connect();
        wire.send(message("orders", 0, "UNIQ_KEY=a;TIMER_DELAY_SEC=1", "a"));
        wire.send(message("orders", 0, "UNIQ_KEY=b;TIMER_DELAY_SEC=10", "b"));
        await_waiting(&mut wire, "orders", 2);
        broker.clock.advance(Duration::from_secs(1));
        await_waiting(&mut wire, "orders", 1);
        broker.stop();
        for name in lost {
            remove(&broker.folder.path().join("store").join(name));
        }
        broker.start_again();
        let mut wire = broker.connect();
        broker.clock.advance(Duration::from_secs(9));
        assert_eq!(wait_for(&mut wire, "orders", 1).body.as_ref(), b"b", "{lost:?}");
        wire.send(message("orders", 0, "UNIQ_KEY=c;TIMER_DELAY_SEC=1", "c"));
        broker.clock.advance(Duration::from_secs(1));
        assert_eq!(wait_for(&mut wire, "orders", 2).body.as_ref(), b"c", "{lost:?}");
        assert_eq!(end(&mut wire, "orders"), 3, "{lost:?}");
    }
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

#[test]
fn a_timer_that_can_go_nowhere_holds_up_no_other() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let topic = CreateTopic { topic: "gone".into(), read_queue_nums: 1, write_queue_nums: 1, perm: 6, ..CreateTopic::default() };
    wire.expect(Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &topic), ResponseCode::SUCCESS);
    for (name, body) in [("orders", "a"), ("gone", "x"), ("orders", "b")] {
        wire.send(message(name, 0, "UNIQ_KEY=U;TIMER_DELIVER_MS=1790000010000", body));
    }
    await_waiting(&mut wire, "orders", 2);
    let topic = TopicName { topic: "gone".into(), ..TopicName::default() };
    wire.expect(Command::request(RequestCode::DELETE_TOPIC_IN_BROKER, &topic), ResponseCode::SUCCESS);
    broker.clock.advance(Duration::from_secs(10));
    await_waiting(&mut wire, "orders", 0);
    assert_eq!(bodies(&mut wire, "orders"), ["a", "b"]);
}

#[test]
fn a_clock_that_is_set_back_loses_no_timer_and_repeats_none() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    broker.clock.advance(Duration::from_secs(3_600));
    wire.send(message("orders", 0, "UNIQ_KEY=a;TIMER_DELAY_SEC=5", "a"));
    wire.send(message("orders", 0, "UNIQ_KEY=b;TIMER_DELAY_SEC=10", "b"));
    await_waiting(&mut wire, "orders", 2);
    broker.clock.advance(Duration::from_secs(5));
    await_waiting(&mut wire, "orders", 1);
    broker.stop();
    broker.clock = Clock::manual(START_MS);
    broker.start_again();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=c;TIMER_DELAY_SEC=5", "c"));
    await_waiting(&mut wire, "orders", 2);
    broker.clock.advance(Duration::from_secs(5));
    await_waiting(&mut wire, "orders", 1);
    broker.clock.advance(Duration::from_secs(3_605));
    await_waiting(&mut wire, "orders", 0);
    assert_eq!(bodies(&mut wire, "orders"), ["a", "c", "b"]);
}

#[test]
fn a_poisoned_timer_topic_holds_up_nobody() {
    let mut broker = TestBroker::start();
    broker.connect().send(message("orders", 0, "UNIQ_KEY=U", "first"));
    broker.stop();
    poison(&broker.folder.path().join("store"), broker.settings.consume_queue_file_entries);
    broker.start_again();
    let mut wire = broker.connect();
    // One of them waits for the end of time, one for the end of this second.
    await_waiting(&mut wire, "orders", 2);
    wire.send(message("orders", 0, "UNIQ_KEY=U;TIMER_DELAY_SEC=1", "x"));
    await_waiting(&mut wire, "orders", 3);
    broker.clock.advance(Duration::from_secs(1));
    assert_eq!(wait_for(&mut wire, "orders", 1).body.as_ref(), b"x");
    await_waiting(&mut wire, "orders", 1);
}

/// Puts records into the timer topic that no broker would.
fn poison(root: &Path, consume_queue_file_entries: u32) {
    let options = Options { commit_log_file_bytes: 1 << 20, consume_queue_file_entries, ..Options::new(root) };
    let (store, _) = Store::open(options, Clock::manual(START_MS), Arc::new(RealDisk)).unwrap();
    let queue = store.queue("rmq_sys_wheel_timer", 0);
    let host = "127.0.0.1:1".parse().unwrap();
    for properties in [
        "",
        "TIMER_OUT_MS\u{1}soon\u{2}REAL_TOPIC\u{1}orders\u{2}REAL_QID\u{1}0\u{2}",
        "TIMER_OUT_MS\u{1}1790000000000\u{2}REAL_QID\u{1}0\u{2}",
        "TIMER_OUT_MS\u{1}1790000000000\u{2}REAL_TOPIC\u{1}orders\u{2}",
        "TIMER_OUT_MS\u{1}-9223372036854775808\u{2}REAL_TOPIC\u{1}nowhere\u{2}REAL_QID\u{1}0\u{2}",
        "TIMER_OUT_MS\u{1}9223372036854775807\u{2}REAL_TOPIC\u{1}orders\u{2}REAL_QID\u{1}0\u{2}",
    ] {
        let draft = Draft {
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: START_MS,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"poison",
            topic: b"rmq_sys_wheel_timer",
            properties: properties.as_bytes(),
            more_properties: &[],
        };
        let mut append = [Append { queue: &queue, draft, tags_code: 0, joined: false, outcome: None }];
        store.append(&mut append);
        append[0].outcome.take().unwrap().unwrap();
    }
    store.close().unwrap();
}
