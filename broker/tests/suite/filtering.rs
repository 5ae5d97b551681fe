//! Filters by SQL92: in pulls, in heartbeats, on held pulls, on retry topics, and the check before a consumer starts.

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        SubscriptionData,
        dialect::{Dialect, write},
        query::ClientCheck,
    },
    header::pull::{PullMessage, sys_flag},
};

use super::wire::{TestBroker, Wire, message, pull, pulled};

const HOLD: Option<Duration> = Some(Duration::from_secs(15));

fn filtering() -> TestBroker {
    TestBroker::with(|settings| settings.property_filter = true)
}

fn sql(topic: &str, expression: &str, sub_version: i64) -> SubscriptionData {
    SubscriptionData {
        expression_type: "SQL92".into(),
        sub_string: expression.into(),
        sub_version,
        topic: topic.into(),
        ..SubscriptionData::default()
    }
}

/// A pull that brings its expression along.
fn pull_by(topic: &str, offset: i64, expression: &str, hold: Option<Duration>) -> Command {
    let mut header: PullMessage = pull("g", topic, 0, offset, hold).header().unwrap();
    header.expression_type = Some("SQL92".into());
    header.subscription = Some(expression.into());
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

/// A pull that leaves it to the heartbeat what the group wants.
fn pull_as_subscribed(topic: &str, sub_version: i64) -> Command {
    let mut header: PullMessage = pull("g", topic, 0, 0, None).header().unwrap();
    header.sys_flag &= !sys_flag::SUBSCRIPTION;
    header.sub_version = sub_version;
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

fn bodies(wire: &mut Wire, request: Command) -> Vec<String> {
    let (code, _, messages) = wire.pull(request);
    assert_eq!(code, ResponseCode::SUCCESS);
    messages.iter().map(|view| String::from_utf8(view.body.to_vec()).unwrap()).collect()
}

/// Sends messages `0..count` with `n` set to their number.
fn send_numbered(wire: &mut Wire, count: usize) {
    for n in 0..count {
        wire.send(message("orders", 0, &format!("UNIQ_KEY=U{n};n={n};even={}", n % 2 == 0), &n.to_string()));
    }
}

#[test]
fn a_pull_gets_the_messages_of_whose_properties_its_expression_is_true() {
    let broker = filtering();
    let mut wire = broker.connect();
    send_numbered(&mut wire, 6);
    assert_eq!(bodies(&mut wire, pull_by("orders", 0, "n > 1 AND even = 'true'", None)), ["2", "4"]);
    assert_eq!(bodies(&mut wire, pull_by("orders", 0, "UNIQ_KEY IN ('U5', 'U0')", None)), ["0", "5"]);
    assert_eq!(bodies(&mut wire, pull_by("orders", 3, "nothing IS NULL", None)), ["3", "4", "5"]);
    let (code, header, _) = wire.pull(pull_by("orders", 0, "n = 9", None));
    assert_eq!((code, header.next_begin_offset), (ResponseCode::PULL_RETRY_IMMEDIATELY, 6));
    // Texts that are no numbers raise, which drops the message whatever else is said.
    let (code, ..) = wire.pull(pull_by("orders", 0, "even > 1 OR n >= 0", None));
    assert_eq!(code, ResponseCode::PULL_RETRY_IMMEDIATELY);
}

#[test]
fn filtered_pulls_read_on_where_nothing_is_in_memory() {
    let mut broker = filtering();
    let mut wire = broker.connect();
    send_numbered(&mut wire, 300);
    broker.restart();
    let mut wire = broker.connect();
    let (mut offset, mut seen) = (0, Vec::new());
    while offset < 300 {
        let (_, header, messages) = wire.pull(pull_by("orders", offset, "n BETWEEN 100 AND 199", None));
        assert!(header.next_begin_offset > offset);
        seen.extend(messages.iter().map(|view| view.queue_offset));
        offset = header.next_begin_offset;
    }
    assert_eq!(seen, (100..200).collect::<Vec<_>>());
}

#[test]
fn the_heartbeats_expression_counts_until_a_newer_one_comes() {
    let broker = filtering();
    let mut wire = broker.connect();
    send_numbered(&mut wire, 4);
    wire.expect(pull_as_subscribed("orders", 1), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    wire.heartbeat_of("c1", "g", sql("orders", "n < 2", 1));
    assert_eq!(bodies(&mut wire, pull_as_subscribed("orders", 1)), ["0", "1"]);
    wire.expect(pull_as_subscribed("orders", 2), ResponseCode::SUBSCRIPTION_NOT_LATEST);
    wire.heartbeat_of("c1", "g", sql("orders", "n >= 2", 2));
    assert_eq!(bodies(&mut wire, pull_as_subscribed("orders", 2)), ["2", "3"]);
    wire.heartbeat_of("c1", "g", sql("orders", "n = 0", 1));
    assert_eq!(bodies(&mut wire, pull_as_subscribed("orders", 2)), ["2", "3"], "an older one is late");

    wire.heartbeat_of("c1", "g", sql("orders", "n >", 3));
    let refused = wire.expect(pull_as_subscribed("orders", 3), ResponseCode::FILTER_DATA_NOT_EXIST);
    assert!(refused.remark.unwrap().contains("position 4"));
}

#[test]
fn a_held_pull_wakes_for_the_message_that_its_expression_wants() {
    let broker = filtering();
    let (mut producer, mut consumer) = (broker.connect(), broker.connect());
    send_numbered(&mut producer, 2);
    // The group is there before the pull that is held, and what its own connection sends next comes after that pull.
    consumer.pull(pull_by("orders", 0, "n = 0", None));
    let opaque = consumer.post(pull_by("orders", 2, "n = 'wanted'", HOLD));
    consumer.send(message("orders", 0, "UNIQ_KEY=U;n=other", "other"));
    for _ in 0..3 {
        producer.send(message("orders", 0, "UNIQ_KEY=U;n=other", "other"));
    }
    producer.send(message("orders", 0, "UNIQ_KEY=U;n=wanted", "wanted"));
    let (code, header, messages) = pulled(&consumer.answer_to(opaque));
    assert_eq!((code, header.next_begin_offset, messages.len()), (ResponseCode::SUCCESS, 7, 1));
    assert_eq!(messages[0].body.as_ref(), b"wanted");
}

#[test]
fn expressions_that_cannot_be_compiled_are_refused_and_say_where() {
    let broker = filtering();
    let mut wire = broker.connect();
    send_numbered(&mut wire, 1);
    for (expression, position) in [("n >", "position 4"), ("n = ;", "position 5"), ("n > 'x'", "position 5")] {
        let refused =
            wire.expect(pull_by("orders", 0, expression, None), ResponseCode::SUBSCRIPTION_PARSE_FAILED);
        assert!(refused.remark.unwrap().contains(position), "{expression}");
    }
    let hostile = "(".repeat(100_000);
    wire.expect(pull_by("orders", 0, &hostile, None), ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    wire.expect(pull_by("orders", 0, "", None), ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    let mut header: PullMessage = pull_by("orders", 0, "n = 0", None).header().unwrap();
    header.expression_type = Some("SQL99".into());
    let request = Command::request(RequestCode::PULL_MESSAGE, &header);
    wire.expect(request, ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    assert_eq!(bodies(&mut wire, pull_by("orders", 0, "n = 0", None)), ["0"]);
}

#[test]
fn clients_are_told_before_they_start_whether_they_will_be_served() {
    let check = |subscription: SubscriptionData| {
        let check = ClientCheck {
            client_id: "c1".into(),
            group: "g".into(),
            subscription_data: Some(subscription),
            ..ClientCheck::default()
        };
        Command::bare(RequestCode::CHECK_CLIENT_CONFIG).with_body(write(&check, Dialect::Fastjson))
    };
    let tags = || SubscriptionData::tags("orders", "a || b", 1, |_| 0);
    let broker = filtering();
    let mut wire = broker.connect();
    wire.expect(check(tags()), ResponseCode::SUCCESS);
    wire.expect(check(sql("orders", "a > 1", 1)), ResponseCode::SUCCESS);
    wire.expect(Command::bare(RequestCode::CHECK_CLIENT_CONFIG), ResponseCode::SUCCESS);
    let refused = wire.expect(check(sql("orders", "a > NULL", 1)), ResponseCode::SUBSCRIPTION_PARSE_FAILED);
    assert!(refused.remark.unwrap().contains("position 5"));

    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.expect(check(tags()), ResponseCode::SUCCESS);
    let refused = wire.expect(check(sql("orders", "a > 1", 1)), ResponseCode::SYSTEM_ERROR);
    assert_eq!(
        refused.remark.as_deref(),
        Some("The broker does not support consumer to filter message by SQL92")
    );
}

#[test]
fn a_retry_topic_is_filtered_as_the_topic_that_its_messages_come_from() {
    for filter_retry in [false, true] {
        let broker = TestBroker::with(|settings| {
            settings.property_filter = true;
            settings.filter_retry = filter_retry;
        });
        let mut wire = broker.connect();
        send_numbered(&mut wire, 1);
        wire.heartbeat_of("c1", "g", sql("orders", "n = 1", 1));
        for (n, origin) in [(0, "orders"), (1, "orders"), (2, "elsewhere")] {
            let properties = format!("UNIQ_KEY=U;n={n};RETRY_TOPIC={origin}");
            wire.send(message("%RETRY%g", 0, &properties, &n.to_string()));
        }
        // What the pull itself asks for counts only without the switch.
        let expected = if filter_retry { ["1", "2"].as_slice() } else { &["0"] };
        assert_eq!(bodies(&mut wire, pull_by("%RETRY%g", 0, "n = 0", None)), expected);
        assert_eq!(bodies(&mut wire, pull("g", "%RETRY%g", 0, 0, None)), ["0", "1", "2"], "by tags, all");
    }
}

#[test]
fn an_expression_that_costs_much_goes_on_with_the_next_pull() {
    let broker = filtering();
    let mut wire = broker.connect();
    let long = "x".repeat(20_000);
    for n in 0..40 {
        wire.send(message("orders", 0, &format!("UNIQ_KEY=U{n};n={n};long={long}"), &n.to_string()));
    }
    let costly = format!("n = 39 AND ({})", ["long CONTAINS 'y'"; 80].join(" OR ")).replacen("'y'", "'x'", 1);
    let (mut offset, mut pulls) = (0, 0);
    loop {
        let (code, header, messages) = wire.pull(pull_by("orders", offset, &costly, None));
        assert!(header.next_begin_offset > offset, "every pull comes further");
        (offset, pulls) = (header.next_begin_offset, pulls + 1);
        if code == ResponseCode::SUCCESS {
            assert_eq!((messages.len(), messages[0].queue_offset), (1, 39));
            break;
        }
        assert_eq!(code, ResponseCode::PULL_RETRY_IMMEDIATELY);
    }
    assert!(pulls > 1, "{pulls}");
    assert_eq!(bodies(&mut wire, pull_by("orders", 0, "n > 37", None)), ["38", "39"]);
}
