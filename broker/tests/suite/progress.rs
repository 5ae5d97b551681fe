//! How far groups are, moving them, and who is connected.

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        Heartbeat, ProducerData,
        connection::{ConsumerConnections, ProducerConnections, ProducerTable},
        dialect::{Dialect, write},
        lenient,
        offset::QueueOffsets,
        progress::{AllConsumeStats, ConsumeStats, GroupList, TimeSpans},
    },
    header::{
        group::{ConsumerGroup, ProducerGroup},
        offset::{OffsetReply, QueryConsumerOffset, UpdateConsumerOffset},
        progress::{CloneGroupOffset, ConsumeStatsOf, ConsumeStatsOfAll, ResetOffset, TopicOfGroup},
        topic::TopicName,
    },
};

use super::wire::{START_MS, TestBroker, Wire, message, pull, pulled};

fn commit(wire: &mut Wire, group: &str, offset: i64) {
    let header = UpdateConsumerOffset {
        consumer_group: group.into(),
        topic: "orders".into(),
        queue_id: 0,
        commit_offset: offset,
    };
    wire.expect(Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header), ResponseCode::SUCCESS);
}

fn committed(wire: &mut Wire, group: &str) -> i64 {
    let header = QueryConsumerOffset {
        consumer_group: group.into(),
        topic: "orders".into(),
        queue_id: 0,
        set_zero_if_not_found: Some(false),
    };
    let request = Command::request(RequestCode::QUERY_CONSUMER_OFFSET, &header);
    wire.expect(request, ResponseCode::SUCCESS).header::<OffsetReply>().unwrap().offset
}

fn reset(timestamp: i64, queue_id: i32, offset: i64) -> Command {
    let header = ResetOffset {
        topic: "orders".into(),
        group: "g".into(),
        timestamp,
        is_force: true,
        queue_id: Some(queue_id),
        offset: Some(offset),
    };
    Command::request(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &header)
}

fn stats(wire: &mut Wire, topic: Option<&str>) -> ConsumeStats {
    let header =
        ConsumeStatsOf { consumer_group: "g".into(), topic: topic.map(str::to_owned), topic_list: None };
    let answer = wire.expect(Command::request(RequestCode::GET_CONSUME_STATS, &header), ResponseCode::SUCCESS);
    lenient::read("progress", &answer.body).unwrap()
}

/// Five messages on queue 0, ten seconds apart, of which the group has pulled all and consumed three.
fn consumed(broker: &TestBroker) -> Wire {
    let mut wire = broker.connect();
    for _ in 0..5 {
        wire.send(message("orders", 0, "", "x"));
        broker.clock.advance(Duration::from_secs(10));
    }
    wire.heartbeat("c1", "g", "orders", "*");
    assert_eq!(wire.pull(pull("g", "orders", 0, 0, None)).2.len(), 5);
    commit(&mut wire, "g", 3);
    wire
}

#[test]
fn progress_is_told_by_queue() {
    let broker = TestBroker::start();
    let mut wire = consumed(&broker);
    let all = stats(&mut wire, None);
    assert_eq!(all.offset_table.0.len(), 4, "every queue of the topic");
    assert_eq!((all.behind(), all.in_flight()), (2, 2));
    let queue = all.offset_table.0.values().next().unwrap();
    assert_eq!((queue.broker_offset, queue.consumer_offset, queue.pull_offset), (5, 3, 5));
    assert_eq!(queue.last_timestamp, START_MS + 20_000);
    assert!(all.consume_tps > 0.0);
    assert!(stats(&mut wire, Some("none")).offset_table.0.is_empty());

    let header = ConsumeStatsOfAll { is_order: false };
    let answer =
        wire.expect(Command::request(RequestCode::GET_BROKER_CONSUME_STATS, &header), ResponseCode::SUCCESS);
    let all: AllConsumeStats = lenient::read("progress", &answer.body).unwrap();
    assert_eq!((all.total_diff, all.total_inflight_diff), (2, 2));
    let of = |group: &str| all.consume_stats_list.iter().find_map(|entry| entry.get(group)).unwrap().len();
    assert_eq!((of("g"), of("TOOLS_CONSUMER")), (1, 0));

    let header = TopicOfGroup { topic: "orders".into(), group: "g".into() };
    let answer =
        wire.expect(Command::request(RequestCode::QUERY_CONSUME_TIME_SPAN, &header), ResponseCode::SUCCESS);
    let spans: TimeSpans = lenient::read("spans", &answer.body).unwrap();
    let span = &spans.consume_time_span_set[0];
    assert_eq!((span.min_time_stamp, span.max_time_stamp), (START_MS, START_MS + 40_000));
    assert_eq!((span.consume_time_stamp, span.delay_time), (START_MS + 20_000, 20_000));
}

#[test]
fn a_reset_group_is_told_by_its_waiting_pull() {
    let broker = TestBroker::start();
    let mut wire = consumed(&broker);
    let mut tool = broker.connect();
    let waiting = wire.post(pull("g", "orders", 0, 5, Some(Duration::from_secs(20))));
    // Its turn has come when the next answer is there: requests of a connection are taken in order.
    commit(&mut wire, "g", 4);
    let answer = tool.expect(reset(START_MS + 15_000, -1, -1), ResponseCode::SUCCESS);
    let moved: QueueOffsets = lenient::read("offsets", &answer.body).unwrap();
    assert_eq!(moved.offset_table.0.values().copied().collect::<Vec<_>>(), [2, 0, 0, 0]);
    assert_eq!(committed(&mut tool, "g"), 2);
    // It may come before the answer to the commit is asked for, so it is looked for by its number.
    let (code, reply, messages) = pulled(&wire.answer_to(waiting));
    assert_eq!((code, reply.next_begin_offset, messages.len()), (ResponseCode::PULL_OFFSET_MOVED, 2, 0));
    // It is told once.
    assert_eq!(wire.pull(pull("g", "orders", 0, 2, None)).2.len(), 3);
}

#[test]
fn a_reset_holds_against_commits_until_it_is_known() {
    let broker = TestBroker::start();
    let mut wire = consumed(&broker);
    wire.expect(reset(0, 0, 1), ResponseCode::SUCCESS);
    commit(&mut wire, "g", 5);
    assert_eq!(committed(&mut wire, "g"), 1);
    let (code, reply, _) = wire.pull(pull("g", "orders", 0, 5, None));
    assert_eq!((code, reply.next_begin_offset), (ResponseCode::PULL_OFFSET_MOVED, 1));
    // The consumer's own late commit, then what it goes on with, as Java's does it.
    commit(&mut wire, "g", 5);
    commit(&mut wire, "g", 1);
    assert_eq!(committed(&mut wire, "g"), 1);
    broker.clock.advance_monotonic(Duration::from_secs(61));
    commit(&mut wire, "g", 3);
    commit(&mut wire, "g", 2);
    assert_eq!(committed(&mut wire, "g"), 3, "and from then on it goes forward only");
}

#[test]
fn offsets_can_be_reset_of_a_group_that_is_not_there() {
    let broker = TestBroker::start();
    drop(consumed(&broker));
    let mut tool = broker.connect();
    tool.expect(reset(-1, -1, -1), ResponseCode::SUCCESS);
    assert_eq!(committed(&mut tool, "g"), 5);
    let remark = tool.expect(reset(0, 0, 99), ResponseCode::SYSTEM_ERROR).remark.unwrap();
    assert_eq!(remark, "Target offset 99 not in consume queue range [0-5]");
    tool.expect(reset(0, 99, 1), ResponseCode::INVALID_PARAMETER);
    let unknown = |topic: &str, group: &str| {
        let header = ResetOffset { topic: topic.into(), group: group.into(), ..ResetOffset::default() };
        Command::request(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &header)
    };
    tool.expect(unknown("none", "g"), ResponseCode::TOPIC_NOT_EXIST);
    tool.expect(unknown("orders", "none"), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
}

#[test]
fn a_group_gets_the_offsets_of_another() {
    let broker = TestBroker::start();
    let mut wire = consumed(&broker);
    let clone = |to: &str| {
        let header = CloneGroupOffset { src_group: "g".into(), dest_group: to.into(), ..Default::default() };
        Command::request(RequestCode::CLONE_GROUP_OFFSET, &header)
    };
    wire.expect(clone("copy"), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    wire.heartbeat("c1", "copy", "orders", "*");
    wire.expect(clone("copy"), ResponseCode::SUCCESS);
    assert_eq!(committed(&mut wire, "copy"), 3);
}

#[test]
fn connections_name_their_clients() {
    let broker = TestBroker::start();
    let mut wire = consumed(&broker);
    let heartbeat = Heartbeat {
        client_id: "p1".into(),
        producer_data_set: vec![ProducerData { group_name: "pg".into() }],
        ..Heartbeat::default()
    };
    let beat = Command::bare(RequestCode::HEART_BEAT).with_body(write(&heartbeat, Dialect::Fastjson));
    wire.expect(beat, ResponseCode::SUCCESS);

    let asked = ConsumerGroup { consumer_group: "g".into() };
    let answer = wire
        .expect(Command::request(RequestCode::GET_CONSUMER_CONNECTION_LIST, &asked), ResponseCode::SUCCESS);
    let consumers: ConsumerConnections = lenient::read("consumers", &answer.body).unwrap();
    assert_eq!(consumers.connection_set[0].client_id, "c1");
    assert_eq!(consumers.connection_set[0].language, "RUST");
    assert!(consumers.subscription_table.contains_key("orders"));
    let asked = ConsumerGroup { consumer_group: "none".into() };
    wire.expect(
        Command::request(RequestCode::GET_CONSUMER_CONNECTION_LIST, &asked),
        ResponseCode::CONSUMER_NOT_ONLINE,
    );

    let asked = |group: &str| {
        let header = ProducerGroup { producer_group: group.into() };
        Command::request(RequestCode::GET_PRODUCER_CONNECTION_LIST, &header)
    };
    let answer = wire.expect(asked("pg"), ResponseCode::SUCCESS);
    let producers: ProducerConnections = lenient::read("producers", &answer.body).unwrap();
    assert_eq!(producers.connection_set[0].client_id, "p1");
    wire.expect(asked("none"), ResponseCode::SYSTEM_ERROR);
    let answer = wire.expect(Command::bare(RequestCode::GET_ALL_PRODUCER_INFO), ResponseCode::SUCCESS);
    let table: ProducerTable = lenient::read("producers", &answer.body).unwrap();
    assert!(table.data["pg"][0].remote_ip.starts_with("/127.0.0.1:"), "{table:?}");

    let asked = TopicName { topic: "orders".into(), ..TopicName::default() };
    let answer =
        wire.expect(Command::request(RequestCode::QUERY_TOPIC_CONSUME_BY_WHO, &asked), ResponseCode::SUCCESS);
    assert_eq!(lenient::read::<GroupList>("groups", &answer.body).unwrap().group_list, ["g"]);
}
