//! Looking for messages: by key, by their place in the log, by their place in a queue.

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{lenient, query::QueueEntries},
    header::query::{QueryConsumeQueue, QueryMessage, QueryMessageReply, UNIQUE_KEY_QUERY, ViewMessage},
    message::{hash::tags_code, record::records},
};

use super::wire::{START_MS, TestBroker, Wire, message, pull};

fn by_key(key: &str, max_num: i32) -> QueryMessage {
    QueryMessage {
        topic: "orders".into(),
        key: key.into(),
        max_num,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
        ..QueryMessage::default()
    }
}

fn query(header: &QueryMessage) -> Command {
    Command::request(RequestCode::QUERY_MESSAGE, header)
}

/// The queue offsets of the messages that are found.
fn found(wire: &mut Wire, request: Command) -> Vec<i64> {
    let answer = wire.expect(request, ResponseCode::SUCCESS);
    records(&answer.body).map(|record| record.unwrap().queue_offset).collect()
}

fn not_found(wire: &mut Wire, request: Command) {
    let answer = wire.expect(request, ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(answer.remark.as_deref(), Some("can not find message, maybe time range not correct"));
    assert_eq!(answer.header::<QueryMessageReply>().unwrap(), QueryMessageReply::default());
}

/// Sends messages `0..count`, which share the keys `k1` and `k2` and the tag `ta`.
fn send_keyed(wire: &mut Wire, count: usize) {
    for n in 0..count {
        wire.send(message("orders", 0, &format!("UNIQ_KEY=U{n};KEYS=k1 k2 k{n}x;TAGS=ta"), &n.to_string()));
    }
}

#[test]
fn messages_are_found_by_each_of_their_keys() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    send_keyed(&mut wire, 5);
    wire.send(message("other", 0, "UNIQ_KEY=O;KEYS=k1", "other"));
    for round in ["before a restart", "after it"] {
        let mut wire = broker.connect();
        assert_eq!(found(&mut wire, query(&by_key("k1", 32))), [0, 1, 2, 3, 4], "{round}");
        assert_eq!(found(&mut wire, query(&by_key("k2", 2))), [3, 4], "{round}: the newest");
        assert_eq!(found(&mut wire, query(&by_key("k3x", 32))), [3], "{round}");
        assert_eq!(found(&mut wire, query(&by_key("U2", 32))), [2], "{round}");
        not_found(&mut wire, query(&by_key("ta", 32)));
        not_found(&mut wire, query(&by_key("k", 32)));
        not_found(&mut wire, query(&by_key("k1", 0)));
        not_found(&mut wire, query(&by_key("k1", -1)));
        broker.restart();
    }
}

#[test]
fn the_kind_of_key_is_said_in_todays_way_or_in_the_old_one() {
    let broker = TestBroker::with(|settings| settings.default_query_max = 3);
    let mut wire = broker.connect();
    send_keyed(&mut wire, 5);
    let typed = |key: &str, kind: &str| QueryMessage { index_type: Some(kind.into()), ..by_key(key, 32) };
    assert_eq!(found(&mut wire, query(&typed("ta", "T"))), [0, 1, 2, 3, 4]);
    assert_eq!(found(&mut wire, query(&typed("k1", "K"))), [0, 1, 2, 3, 4]);
    assert_eq!(found(&mut wire, query(&typed("U1", "U"))), [1]);
    not_found(&mut wire, query(&typed("ta", "K")));
    // A query for a unique key takes the broker's number of messages and not its own.
    let mut unique = query(&by_key("k1", 1));
    unique.fields.insert(UNIQUE_KEY_QUERY, "true");
    assert_eq!(found(&mut wire, unique), [2, 3, 4]);
    let mut unique = query(&typed("ta", "T"));
    unique.fields.insert(UNIQUE_KEY_QUERY, "true");
    not_found(&mut wire, unique);
}

#[test]
fn an_answer_says_how_far_the_index_is_and_holds_what_is_stored() {
    let broker = TestBroker::with(|settings| settings.max_query = 4);
    let mut wire = broker.connect();
    send_keyed(&mut wire, 3);
    let (_, _, pulled) = wire.pull(pull("g", "orders", 0, 0, None));
    let stored = wire.call(pull("g", "orders", 0, 0, None)).body;
    let answer = wire.expect(query(&by_key("k1", 32)), ResponseCode::SUCCESS);
    assert_eq!(answer.body, stored);
    let header: QueryMessageReply = answer.header().unwrap();
    assert_eq!(header.index_last_update_timestamp, START_MS);
    assert_eq!(header.index_last_update_phyoffset, pulled[2].physical_offset);
    send_keyed(&mut wire, 3);
    assert_eq!(found(&mut wire, query(&by_key("k1", 1_000))), [2, 3, 4, 5], "no more than the broker gives");
}

#[test]
fn only_messages_of_the_time_are_found() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for n in 0..4 {
        wire.send(message("orders", 0, &format!("UNIQ_KEY=U{n};KEYS=k"), "x"));
        broker.clock.advance(std::time::Duration::from_secs(60));
    }
    let between = |from: i64, to: i64| {
        let (begin_timestamp, end_timestamp) = (START_MS + from * 1_000, START_MS + to * 1_000);
        query(&QueryMessage { begin_timestamp, end_timestamp, ..by_key("k", 32) })
    };
    assert_eq!(found(&mut wire, between(0, 180)), [0, 1, 2, 3]);
    assert_eq!(found(&mut wire, between(60, 120)), [1, 2]);
    assert_eq!(found(&mut wire, between(-9, 0)), [0]);
    not_found(&mut wire, between(61, 119));
    not_found(&mut wire, between(181, 1_000));
}

#[test]
fn large_messages_do_not_make_an_answer_that_no_client_takes() {
    let broker = TestBroker::with(|settings| settings.commit_log_file_bytes = 64 << 20);
    let mut wire = broker.connect();
    let body = "b".repeat(3 << 20);
    for n in 0..4 {
        wire.send(message("orders", 0, &format!("UNIQ_KEY=U{n};KEYS=k"), &body));
    }
    assert_eq!(found(&mut wire, query(&by_key("k", 32))), [2, 3]);
}

#[test]
fn without_an_index_nothing_is_found() {
    let broker = TestBroker::with(|settings| settings.message_index = false);
    let mut wire = broker.connect();
    send_keyed(&mut wire, 1);
    not_found(&mut wire, query(&by_key("k1", 32)));
    assert!(!broker.settings.store_root.join("index").exists());
}

#[test]
fn a_message_is_given_by_its_place_in_the_log_and_nothing_else_is() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    send_keyed(&mut wire, 3);
    let (_, _, pulled) = wire.pull(pull("g", "orders", 0, 0, None));
    let stored = wire.call(pull("g", "orders", 0, 1, None)).body;
    let view = |offset| {
        let header = ViewMessage { topic: Some("orders".into()), offset };
        Command::request(RequestCode::VIEW_MESSAGE_BY_ID, &header)
    };
    let answer = wire.expect(view(pulled[1].physical_offset), ResponseCode::SUCCESS);
    assert!(!answer.body.is_empty() && stored.starts_with(&answer.body));
    let own = pulled[1].physical_offset;
    for offset in [own + 1, own - 1, 7, -1, i64::MIN, i64::MAX, 1 << 20, (1 << 20) - 1, 1 << 40] {
        let answer = wire.expect(view(offset), ResponseCode::SYSTEM_ERROR);
        assert_eq!(answer.remark, Some(format!("can not find message by the offset, {offset}")));
    }
    let bare = Command::request(RequestCode::VIEW_MESSAGE_BY_ID, &ViewMessage { topic: None, offset: own });
    wire.expect(bare, ResponseCode::SUCCESS);
}

#[test]
fn entries_of_a_queue_are_shown_as_they_are() {
    let broker = TestBroker::with(|settings| settings.property_filter = true);
    let mut wire = broker.connect();
    send_keyed(&mut wire, 3);
    let (_, _, pulled) = wire.pull(pull("g", "orders", 0, 0, None));
    let ask = |topic: &str, queue_id, index, count, group: Option<&str>| {
        let consumer_group = group.map(ToOwned::to_owned);
        let header = QueryConsumeQueue { topic: topic.into(), queue_id, index, count, consumer_group };
        Command::request(RequestCode::QUERY_CONSUME_QUEUE, &header)
    };
    let shown = |wire: &mut Wire, request| -> QueueEntries {
        let answer = wire.expect(request, ResponseCode::SUCCESS);
        lenient::read("entries", &answer.body).unwrap()
    };
    let body = shown(&mut wire, ask("orders", 0, 1, 10, None));
    assert_eq!((body.min_queue_index, body.max_queue_index), (0, 3));
    assert_eq!((body.filter_data, body.subscription_data), (None, None));
    let entries = body.queue_data.unwrap();
    let places: Vec<_> = entries.iter().map(|entry| entry.physic_offset).collect();
    assert_eq!(places, [pulled[1].physical_offset, pulled[2].physical_offset]);
    assert!(entries.iter().all(|entry| entry.tags_code == tags_code("ta") && !entry.eval));
    assert_eq!(shown(&mut wire, ask("orders", 0, 0, 2, None)).queue_data.unwrap().len(), 2);
    assert_eq!(shown(&mut wire, ask("orders", 0, 0, -1, None)).queue_data.unwrap().len(), 0);

    let offline = shown(&mut wire, ask("orders", 0, 0, 1, Some("g")));
    assert_eq!(offline.filter_data.as_deref(), Some("g@orders is not online!"));
    wire.heartbeat("c1", "g", "orders", "ta");
    let online = shown(&mut wire, ask("orders", 0, 0, 1, Some("g")));
    assert_eq!(online.subscription_data.unwrap().sub_string, "ta");

    for index in [3, -1, i64::MAX] {
        let answer = wire.expect(ask("orders", 0, index, 1, None), ResponseCode::SUCCESS);
        assert_eq!(answer.remark, Some(format!("Index {index} of 0@orders is not exist!")));
        assert!(answer.body.is_empty());
    }
    for (topic, queue_id) in [("orders", 9), ("orders", -1), ("nowhere", 0)] {
        let answer = wire.expect(ask(topic, queue_id, 0, 1, None), ResponseCode::SYSTEM_ERROR);
        assert_eq!(answer.remark, Some(format!("{queue_id}@{topic} is not exist!")));
    }
}
