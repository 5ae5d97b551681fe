//! Delay levels, failed messages, dead letters: Apache's hours in the time that the test takes.

use std::time::Duration;

use rocketmq_boot_protocol::ResponseCode;

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
fn what_cannot_be_sent_back_is_refused() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let mut view = wait_for(&mut wire, "orders", 0);
    wire.expect(send_back("strangers", &view, 0), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    wire.heartbeat("c1", "g", "orders", "*");
    for offset in [-1, 1, 1 << 40] {
        view.physical_offset = offset;
        wire.expect(send_back("g", &view, 0), ResponseCode::SYSTEM_ERROR);
    }
}
