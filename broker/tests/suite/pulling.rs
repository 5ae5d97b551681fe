//! Pulling: codes, filters, the long poll.

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::pull::{PullMessage, sys_flag},
};

use super::wire::{TestBroker, message, pull, pulled};

const HOLD: Option<Duration> = Some(Duration::from_secs(15));

#[test]
fn offsets_outside_the_queue_are_answered_with_apaches_codes() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for _ in 0..3 {
        wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    }
    for (queue, offset, code, next, remark) in [
        (0, 0, ResponseCode::SUCCESS, 3, "FOUND"),
        (0, 3, ResponseCode::PULL_NOT_FOUND, 3, "OFFSET_OVERFLOW_ONE"),
        (0, 9, ResponseCode::PULL_OFFSET_MOVED, 3, "OFFSET_OVERFLOW_BADLY"),
        (0, -1, ResponseCode::PULL_OFFSET_MOVED, 0, "OFFSET_TOO_SMALL"),
        (1, 0, ResponseCode::PULL_NOT_FOUND, 0, "NO_MESSAGE_IN_QUEUE"),
        (1, 5, ResponseCode::PULL_OFFSET_MOVED, 0, "NO_MESSAGE_IN_QUEUE"),
    ] {
        let answer = wire.call(pull("g", "orders", queue, offset, None));
        let (got, header, _) = pulled(&answer);
        assert_eq!((got, header.next_begin_offset), (code, next), "{queue}:{offset}: {answer:?}");
        assert_eq!(answer.remark.as_deref(), Some(remark), "{queue}:{offset}");
    }
}

#[test]
fn a_held_pull_wakes_on_append_from_another_connection() {
    let broker = TestBroker::start();
    let mut producer = broker.connect();
    producer.send(message("orders", 0, "UNIQ_KEY=U", "first"));
    let mut consumers: Vec<_> = (0..8).map(|_| broker.connect()).collect();
    let opaques: Vec<i32> =
        consumers.iter_mut().map(|wire| wire.post(pull("g", "orders", 0, 1, HOLD))).collect();
    producer.send(message("orders", 0, "UNIQ_KEY=U", "second"));
    for (wire, opaque) in consumers.iter_mut().zip(opaques) {
        let (code, header, messages) = pulled(&wire.answer_to(opaque));
        assert_eq!((code, header.next_begin_offset), (ResponseCode::SUCCESS, 2));
        assert_eq!(messages[0].body.as_ref(), b"second");
    }
}

#[test]
fn a_held_pull_stays_when_only_other_tags_come() {
    let broker = TestBroker::start();
    let (mut producer, mut consumer) = (broker.connect(), broker.connect());
    producer.send(message("orders", 0, "UNIQ_KEY=U;TAGS=other", "0"));
    let mut header: PullMessage = pull("g", "orders", 0, 1, HOLD).header().unwrap();
    header.subscription = Some("wanted || also".into());
    // The group is there before the pull that is held, and what its own connection sends next comes after that pull.
    consumer.pull(pull("g", "orders", 0, 0, None));
    let opaque = consumer.post(Command::request(RequestCode::PULL_MESSAGE, &header));
    consumer.send(message("orders", 0, "UNIQ_KEY=U;TAGS=other", "1"));
    for n in 2..5 {
        producer.send(message("orders", 0, "UNIQ_KEY=U;TAGS=other", &n.to_string()));
    }
    producer.send(message("orders", 0, "UNIQ_KEY=U;TAGS=also", "5"));
    let (code, header, messages) = pulled(&consumer.answer_to(opaque));
    assert_eq!((code, header.next_begin_offset, messages.len()), (ResponseCode::SUCCESS, 6, 1));
    assert_eq!(messages[0].body.as_ref(), b"5");
}

#[test]
fn a_pull_past_unwanted_tags_is_told_where_to_go_on() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for _ in 0..5 {
        wire.send(message("orders", 0, "UNIQ_KEY=U;TAGS=other", "x"));
    }
    let mut header: PullMessage = pull("g", "orders", 0, 0, None).header().unwrap();
    header.subscription = Some("wanted".into());
    let (code, header, _) = wire.pull(Command::request(RequestCode::PULL_MESSAGE, &header));
    assert_eq!((code, header.next_begin_offset), (ResponseCode::PULL_RETRY_IMMEDIATELY, 5));
}

#[test]
fn a_hold_that_is_over_is_answered_with_not_found() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let (code, header, _) = wire.pull(pull("g", "orders", 0, 1, Some(Duration::from_millis(50))));
    assert_eq!((code, header.next_begin_offset), (ResponseCode::PULL_NOT_FOUND, 1));
}

#[test]
fn without_a_subscription_the_heartbeat_decides() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U;TAGS=a", "a"));
    wire.send(message("orders", 0, "UNIQ_KEY=U;TAGS=b", "b"));
    let mut header: PullMessage = pull("g", "orders", 0, 0, None).header().unwrap();
    header.sys_flag &= !sys_flag::SUBSCRIPTION;
    header.subscription = None;
    let request = Command::request(RequestCode::PULL_MESSAGE, &header);
    wire.expect(request.clone(), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    wire.heartbeat("c1", "g", "orders", "b");
    let (code, _, messages) = wire.pull(request);
    assert_eq!((code, messages.len(), messages[0].tag()), (ResponseCode::SUCCESS, 1, Some("b")));

    header.sub_version = 2;
    wire.expect(Command::request(RequestCode::PULL_MESSAGE, &header), ResponseCode::SUBSCRIPTION_NOT_LATEST);
    header.topic = "other".into();
    wire.expect(Command::request(RequestCode::PULL_MESSAGE, &header), ResponseCode::TOPIC_NOT_EXIST);
}

#[test]
fn sql_is_refused_as_apache_refuses_it_by_default() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let mut header: PullMessage = pull("g", "orders", 0, 0, None).header().unwrap();
    header.expression_type = Some("SQL92".into());
    header.subscription = Some("a > 1".into());
    let answer =
        wire.expect(Command::request(RequestCode::PULL_MESSAGE, &header), ResponseCode::SYSTEM_ERROR);
    assert!(answer.remark.unwrap().contains("SQL92"));
}

#[test]
fn a_long_backlog_is_read_to_its_end() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let body = "b".repeat(1_000);
    for _ in 0..3_000 {
        wire.post(message("orders", 0, "UNIQ_KEY=U", &body));
    }
    for _ in 0..3_000 {
        assert_eq!(wire.receive().unwrap().response_code(), ResponseCode::SUCCESS);
    }
    let (mut offset, mut seen) = (0, 0);
    while offset < 3_000 {
        let (code, header, messages) = wire.pull(pull("g", "orders", 0, offset, None));
        assert_eq!(code, ResponseCode::SUCCESS);
        for view in &messages {
            assert_eq!(view.queue_offset, seen);
            seen += 1;
        }
        assert!(header.next_begin_offset > offset);
        offset = header.next_begin_offset;
    }
    assert_eq!(seen, 3_000);
}
