//! Members, offsets and locks.

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        dialect::{Dialect, write},
        group::{ConsumerIds, LockBatch, LockedQueues, QueueRef},
        lenient,
    },
    header::{
        group::{ConsumerGroup, UnregisterClient},
        offset::{OffsetReply, QueryConsumerOffset, QueueOffset, SearchOffset, UpdateConsumerOffset},
        topic::{CreateTopic, TopicName},
    },
};

use super::wire::{START_MS, TestBroker, Wire, message};

fn members(wire: &mut Wire) -> Vec<String> {
    let header = ConsumerGroup { consumer_group: "g".into() };
    let answer = wire.call(Command::request(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &header));
    if answer.response_code() != ResponseCode::SUCCESS {
        return Vec::new();
    }
    lenient::read::<ConsumerIds>("members", &answer.body).unwrap().consumer_id_list
}

fn committed(wire: &mut Wire, queue_id: i32) -> Option<i64> {
    let header = QueryConsumerOffset {
        consumer_group: "g".into(),
        topic: "orders".into(),
        queue_id,
        set_zero_if_not_found: Some(false),
    };
    let answer = wire.call(Command::request(RequestCode::QUERY_CONSUMER_OFFSET, &header));
    match answer.response_code() {
        ResponseCode::QUERY_NOT_FOUND => None,
        _ => Some(answer.header::<OffsetReply>().unwrap().offset),
    }
}

fn commit(queue_id: i32, offset: i64) -> Command {
    let header = UpdateConsumerOffset {
        consumer_group: "g".into(),
        topic: "orders".into(),
        queue_id,
        commit_offset: offset,
    };
    Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header)
}

#[test]
fn members_are_told_when_somebody_joins_or_leaves() {
    let broker = TestBroker::start();
    let (mut first, mut second) = (broker.connect(), broker.connect());
    first.heartbeat("c1", "g", "orders", "*");
    second.heartbeat("c2", "g", "orders", "*");
    let told = |wire: &mut Wire| loop {
        let command = wire.receive().unwrap();
        if !command.is_response() {
            assert_eq!(command.request_code(), RequestCode::NOTIFY_CONSUMER_IDS_CHANGED);
            assert!(command.is_one_way());
            assert_eq!(command.header::<ConsumerGroup>().unwrap().consumer_group, "g");
            return;
        }
    };
    told(&mut first);
    assert_eq!(members(&mut first), ["c1", "c2"]);
    let header =
        UnregisterClient { client_id: "c2".into(), consumer_group: Some("g".into()), ..Default::default() };
    second.expect(Command::request(RequestCode::UNREGISTER_CLIENT, &header), ResponseCode::SUCCESS);
    told(&mut first);
    assert_eq!(members(&mut first), ["c1"]);
}

#[test]
fn a_closed_connection_leaves_its_groups_at_once() {
    let broker = TestBroker::start();
    let (mut first, mut second) = (broker.connect(), broker.connect());
    first.heartbeat("c1", "g", "orders", "*");
    second.heartbeat("c2", "g", "orders", "*");
    drop(second);
    // The notice of the goodbye comes behind that of the greeting.
    for _ in 0..2 {
        while first.receive().unwrap().is_response() {}
    }
    assert_eq!(members(&mut first), ["c1"]);
}

#[test]
fn a_strange_heartbeat_costs_nobody_anything() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.expect(Command::bare(RequestCode::HEART_BEAT).with_body("{}"), ResponseCode::SUCCESS);
    wire.expect(Command::bare(RequestCode::HEART_BEAT).with_body("]["), ResponseCode::SYSTEM_ERROR);
    wire.expect(
        Command::bare(RequestCode::HEART_BEAT).with_body(vec![0xFF; 100]),
        ResponseCode::SYSTEM_ERROR,
    );
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
}

#[test]
fn offsets_go_forward_while_somebody_consumes_and_survive_a_restart() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    wire.expect(commit(0, 5), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    wire.heartbeat("c1", "g", "orders", "*");
    assert_eq!(committed(&mut wire, 0), None);
    wire.expect(commit(0, 5), ResponseCode::SUCCESS);
    wire.expect(commit(0, 3), ResponseCode::SUCCESS);
    assert_eq!(committed(&mut wire, 0), Some(5));
    wire.expect(commit(99, 1), ResponseCode::INVALID_PARAMETER);
    wire.post(commit(1, 7).one_way());
    assert_eq!(committed(&mut wire, 1), Some(7));

    broker.restart();
    let mut wire = broker.connect();
    assert_eq!((committed(&mut wire, 0), committed(&mut wire, 1)), (Some(5), Some(7)));
    // Nobody consumes now, so a lower offset is somebody's decision.
    wire.expect(commit(0, 3), ResponseCode::SUCCESS);
    assert_eq!(committed(&mut wire, 0), Some(3));
}

#[test]
fn a_new_group_starts_at_zero_while_the_queue_is_whole() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    let header =
        QueryConsumerOffset { consumer_group: "g".into(), topic: "orders".into(), ..Default::default() };
    let answer =
        wire.expect(Command::request(RequestCode::QUERY_CONSUMER_OFFSET, &header), ResponseCode::SUCCESS);
    assert_eq!(answer.header::<OffsetReply>().unwrap().offset, 0);
}

#[test]
fn queues_tell_their_ends_and_find_times() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for _ in 0..4 {
        wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
        broker.clock.advance(Duration::from_secs(10));
    }
    let mut offset = |code, header: Command| {
        let answer = wire.expect(Command { code: RequestCode::into(code), ..header }, ResponseCode::SUCCESS);
        answer.header::<OffsetReply>().unwrap().offset
    };
    let queue = || {
        Command::request(RequestCode::GET_MAX_OFFSET, &QueueOffset { topic: "orders".into(), queue_id: 0 })
    };
    assert_eq!(offset(RequestCode::GET_MAX_OFFSET, queue()), 4);
    assert_eq!(offset(RequestCode::GET_MIN_OFFSET, queue()), 0);
    let at = |seconds: i64| {
        let timestamp = START_MS + seconds * 1_000;
        let header = SearchOffset { topic: "orders".into(), queue_id: 0, timestamp, boundary_type: None };
        Command::request(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &header)
    };
    assert_eq!(offset(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, at(-5)), 0);
    assert_eq!(offset(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, at(10)), 1);
    let answer = wire.expect(
        Command { code: RequestCode::GET_EARLIEST_MSG_STORETIME.into(), ..queue() },
        ResponseCode::SUCCESS,
    );
    assert_eq!(answer.fields.get("timestamp"), Some(START_MS.to_string().as_str()));
}

#[test]
fn a_queue_is_locked_for_one_client() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let mut lock = |client: &str| {
        let queue = QueueRef { broker_name: "broker-a".into(), queue_id: 0, topic: "orders".into() };
        let wanted = LockBatch {
            client_id: client.into(),
            consumer_group: "g".into(),
            mq_set: vec![queue],
            only_this_broker: false,
        };
        let request = Command::bare(RequestCode::LOCK_BATCH_MQ).with_body(write(&wanted, Dialect::Fastjson));
        let answer = wire.expect(request, ResponseCode::SUCCESS);
        lenient::read::<LockedQueues>("locks", &answer.body).unwrap().lock_ok_mq_set.len()
    };
    assert_eq!((lock("c1"), lock("c2"), lock("c1")), (1, 0, 1));
    broker.clock.advance_monotonic(Duration::from_secs(61));
    assert_eq!(lock("c2"), 1);
}

#[test]
fn topics_are_made_and_deleted_by_request() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    let mut header = CreateTopic {
        topic: "made".into(),
        read_queue_nums: 2,
        write_queue_nums: 2,
        perm: 6,
        ..CreateTopic::default()
    };
    wire.expect(Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header), ResponseCode::SUCCESS);
    wire.send(message("made", 1, "UNIQ_KEY=U", "x"));
    wire.expect(message("made", 2, "UNIQ_KEY=U", "x"), ResponseCode::INVALID_PARAMETER);
    header.topic = "TBW102".into();
    wire.expect(
        Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header),
        ResponseCode::INVALID_PARAMETER,
    );

    broker.restart();
    let mut wire = broker.connect();
    wire.expect(message("made", 2, "UNIQ_KEY=U", "x"), ResponseCode::INVALID_PARAMETER);
    let header = TopicName { topic: "made".into(), ..TopicName::default() };
    wire.expect(Command::request(RequestCode::DELETE_TOPIC_IN_BROKER, &header), ResponseCode::SUCCESS);
    let header = QueueOffset { topic: "made".into(), queue_id: 0 };
    wire.expect(Command::request(RequestCode::GET_MAX_OFFSET, &header), ResponseCode::TOPIC_NOT_EXIST);
}
