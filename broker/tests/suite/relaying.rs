//! What the broker asks clients for others, heartbeats that leave out what is known, and who holds a queue.

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        ConsumerData, Heartbeat, SubscriptionData,
        dialect::{Dialect, QueueMap, write},
        group::{LockBatch, LockedQueues, QueueRef},
        lenient,
        offset::QueueOffsets,
        relay::ConsumerPositions,
    },
    header::{
        group::HeartBeatReply,
        offset::UpdateConsumerOffset,
        progress::{ConsumerStatus, ResetOffset},
        relay::{ConsumeDirectly, ConsumerRunning},
    },
    command::Language,
    message::{hash::java_hash, record::Record},
};

use super::wire::{START_MS, TestBroker, Wire, message, pull};

fn running(client: &str) -> Command {
    let header =
        ConsumerRunning { consumer_group: "g".into(), client_id: client.into(), jstack_enable: true };
    Command::request(RequestCode::GET_CONSUMER_RUNNING_INFO, &header)
}

/// The next request that the broker has for a client; notices that the group changed are passed over.
fn question(client: &mut Wire) -> Command {
    loop {
        let command = client.receive().unwrap();
        if !command.is_response() && command.request_code() != RequestCode::NOTIFY_CONSUMER_IDS_CHANGED {
            return command;
        }
    }
}

#[test]
fn a_consumer_is_asked_what_it_is_doing() {
    let broker = TestBroker::start();
    let (mut consumer, mut tool) = (broker.connect(), broker.connect());
    consumer.heartbeat("c1", "g", "orders", "*");
    let opaque = tool.post(running("c1"));
    let asked = question(&mut consumer);
    assert_eq!(asked.request_code(), RequestCode::GET_CONSUMER_RUNNING_INFO);
    assert_eq!(asked.fields.get("jstackEnable"), Some("true"));
    let mut answer = Command::success(&asked).with_body("{\"properties\":{}}").with_remark("fine");
    answer.fields.insert("extra", "1");
    consumer.write(&answer.to_bytes());
    let answer = tool.answer_to(opaque);
    assert_eq!((answer.response_code(), answer.remark.as_deref()), (ResponseCode::SUCCESS, Some("fine")));
    assert_eq!((answer.body.as_ref(), answer.fields.get("extra")), (&b"{\"properties\":{}}"[..], Some("1")));
    let refused = tool.expect(running("c2"), ResponseCode::SYSTEM_ERROR);
    assert_eq!(refused.remark.as_deref(), Some("The Consumer <g> <c2> not online"));
}

#[test]
fn a_consumer_whose_connection_breaks_is_told_of_at_once() {
    let broker = TestBroker::start();
    let (mut consumer, mut tool) = (broker.connect(), broker.connect());
    consumer.heartbeat("c1", "g", "orders", "*");
    let opaque = tool.post(running("c1"));
    question(&mut consumer);
    drop(consumer);
    let answer = tool.answer_to(opaque);
    assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
    assert!(answer.remark.is_some_and(|remark| remark.starts_with("invoke consumer <g> <c1> Exception: ")));
}

#[test]
fn a_consumer_takes_one_message_again() {
    let broker = TestBroker::start();
    let (mut consumer, mut tool) = (broker.connect(), broker.connect());
    consumer.heartbeat("c1", "g", "orders", "*");
    let sent = tool.send(message("orders", 0, "UNIQ_KEY=U;TAGS=t", "again"));
    let header = ConsumeDirectly {
        consumer_group: "g".into(),
        client_id: "c1".into(),
        message_id: Some(sent.message_id.clone()),
        topic: Some("orders".into()),
        ..ConsumeDirectly::default()
    };
    let opaque = tool.post(Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY, &header));
    let asked = question(&mut consumer);
    let seen: ConsumeDirectly = asked.header().unwrap();
    assert_eq!(seen.broker_name.as_deref(), Some("broker-a"));
    assert_eq!((seen.topic_sys_flag, seen.group_sys_flag), (Some(0), Some(0)));
    let record = Record::decode(&asked.body).unwrap();
    assert_eq!((record.topic, record.body, record.property("TAGS")), ("orders", &b"again"[..], Some("t")));
    consumer.write(&Command::success(&asked).with_body("{\"consumeResult\":\"CR_SUCCESS\"}").to_bytes());
    assert_eq!(tool.answer_to(opaque).body, "{\"consumeResult\":\"CR_SUCCESS\"}");
    for id in [None, Some("nonsense".to_owned()), Some(sent.message_id.replace("0000", "00FF"))] {
        let header = ConsumeDirectly { message_id: id, ..header.clone() };
        tool.expect(
            Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY, &header),
            ResponseCode::SYSTEM_ERROR,
        );
    }
}

#[test]
fn consumers_say_where_they_are() {
    let broker = TestBroker::start();
    let (mut first, mut second, mut tool) = (broker.connect(), broker.connect(), broker.connect());
    let status = |client: Option<&str>| {
        let header = ConsumerStatus {
            topic: "orders".into(),
            group: "g".into(),
            client_addr: client.map(str::to_owned),
        };
        Command::request(RequestCode::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, &header)
    };
    let refused = tool.expect(status(None), ResponseCode::SYSTEM_ERROR);
    assert_eq!(refused.remark.as_deref(), Some("No Any Consumer online in the consumer group: [g]"));
    first.heartbeat("c1", "g", "orders", "*");
    second.heartbeat("c2", "g", "orders", "*");
    let queue = QueueRef { broker_name: "broker-a".into(), queue_id: 0, topic: "orders".into() };
    let told = |client: &mut Wire, offset: i64| {
        let asked = question(client);
        assert_eq!(asked.request_code(), RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT);
        assert_eq!((asked.fields.get("topic"), asked.fields.get("group")), (Some("orders"), Some("g")));
        let body = ConsumerPositions {
            message_queue_table: QueueMap([(queue.clone(), offset)].into()),
            ..ConsumerPositions::default()
        };
        client.write(&Command::success(&asked).with_body(write(&body, Dialect::Fastjson)).to_bytes());
    };
    let opaque = tool.post(status(None));
    told(&mut first, 5);
    told(&mut second, 7);
    let body: ConsumerPositions = lenient::read("positions", &tool.answer_to(opaque).body).unwrap();
    let of = |client: &str| body.consumer_table[client].0[&queue];
    assert_eq!((body.consumer_table.len(), of("c1"), of("c2")), (2, 5, 7));
    let opaque = tool.post(status(Some("c2")));
    told(&mut second, 8);
    let body: ConsumerPositions = lenient::read("positions", &tool.answer_to(opaque).body).unwrap();
    assert_eq!(body.consumer_table.keys().collect::<Vec<_>>(), ["c2"]);
}

#[test]
fn consumers_are_told_to_move_when_the_broker_does_not_move_them() {
    let broker = TestBroker::with(|settings| settings.server_side_reset = false);
    let (mut consumer, mut tool) = (broker.connect(), broker.connect());
    for _ in 0..4 {
        tool.send(message("orders", 0, "UNIQ_KEY=U", "x"));
        broker.clock.advance(Duration::from_secs(10));
    }
    let reset = |topic: &str, seconds: i64, is_force: bool| {
        let timestamp = START_MS + seconds * 1_000;
        let header =
            ResetOffset { topic: topic.into(), group: "g".into(), timestamp, is_force, ..ResetOffset::default() };
        Command::request(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &header)
    };
    tool.expect(reset("nowhere", 0, true), ResponseCode::TOPIC_NOT_EXIST);
    let unknown = tool.expect(reset("orders", 0, true), ResponseCode::SYSTEM_ERROR);
    assert_eq!(unknown.remark.as_deref(), Some("THe consumer group <g> not exist"));
    consumer.heartbeat("c1", "g", "orders", "*");
    for queue_id in 0..4 {
        let header = UpdateConsumerOffset {
            consumer_group: "g".into(),
            topic: "orders".into(),
            queue_id,
            commit_offset: if queue_id == 0 { 2 } else { 0 },
        };
        let commit = Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header);
        consumer.expect(commit, ResponseCode::SUCCESS);
    }
    let first = QueueRef { broker_name: "broker-a".into(), queue_id: 0, topic: "orders".into() };
    for (seconds, is_force, expected) in [(10, false, 1), (30, false, 2), (30, true, 3)] {
        let answer = tool.expect(reset("orders", seconds, is_force), ResponseCode::SUCCESS);
        let answered: QueueOffsets = lenient::read("offsets", &answer.body).unwrap();
        assert_eq!((answered.offset_table.0.len(), answered.offset_table.0[&first]), (4, expected));
        let told = question(&mut consumer);
        assert_eq!(told.request_code(), RequestCode::RESET_CONSUMER_CLIENT_OFFSET);
        assert!(told.is_one_way());
        assert_eq!(lenient::read::<QueueOffsets>("offsets", &told.body).unwrap(), answered);
        assert_eq!((told.fields.get("topic"), told.fields.get("group")), (Some("orders"), Some("g")));
    }
    let for_cpp = Command { language: Language::Cpp, ..reset("orders", 10, false) };
    tool.expect(for_cpp, ResponseCode::SUCCESS);
    let told = String::from_utf8(question(&mut consumer).body.to_vec()).unwrap();
    let entry = r#"{"brokerName":"broker-a","offset":1,"queueId":0,"topic":"orders"}"#;
    assert!(told.starts_with(&format!(r#"{{"offsetTable":[{entry},"#)), "{told}");
    drop(consumer);
    // The group is gone as soon as the broker has seen its last member go.
    let answer = loop {
        let answer = tool.call(reset("orders", 10, false));
        if answer.response_code() != ResponseCode::SUCCESS {
            break answer;
        }
    };
    assert_eq!(answer.response_code(), ResponseCode::CONSUMER_NOT_ONLINE);
}

/// Sends a heartbeat of 5.x; answers whether it is understood and whether subscriptions have to follow.
fn beat(wire: &mut Wire, client: &str, fingerprint: i32, topic: Option<&str>) -> (bool, bool) {
    let heartbeat = Heartbeat {
        client_id: client.into(),
        heartbeat_fingerprint: fingerprint,
        without_sub: topic.is_none(),
        consumer_data_set: vec![ConsumerData {
            group_name: "g".into(),
            subscription_data_set: topic
                .map(|topic| SubscriptionData::tags(topic, "*", 1, java_hash))
                .into_iter()
                .collect(),
            ..ConsumerData::default()
        }],
        ..Heartbeat::default()
    };
    let request = Command::bare(RequestCode::HEART_BEAT).with_body(write(&heartbeat, Dialect::Fastjson));
    let reply: HeartBeatReply = wire.expect(request, ResponseCode::SUCCESS).header().unwrap();
    (reply.is_support_heart_beat_v2, reply.is_sub_change)
}

/// A pull that leaves its subscription to the heartbeats.
fn pull_by_heartbeat(wire: &mut Wire) -> ResponseCode {
    let mut request = pull("g", "orders", 0, 0, None);
    request.fields.insert("sysFlag", "0");
    wire.call(request).response_code()
}

#[test]
fn a_heartbeat_may_leave_out_subscriptions_that_are_known() {
    let broker = TestBroker::start();
    let (mut wire, mut other) = (broker.connect(), broker.connect());
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    assert_eq!(beat(&mut wire, "c1", 0, Some("orders")), (true, true), "old clients always send them");
    drop(wire);
    let mut wire = broker.connect();
    assert!(beat(&mut wire, "c1", 77, Some("orders")).0);
    assert_eq!(beat(&mut wire, "c1", 77, None), (true, false));
    assert_eq!(pull_by_heartbeat(&mut wire), ResponseCode::SUCCESS);
    // Another member with other subscriptions: whoever left his out is asked for them.
    beat(&mut other, "c2", 88, Some("payments"));
    assert_eq!(beat(&mut wire, "c1", 77, None), (true, true));
    assert_eq!(pull_by_heartbeat(&mut wire), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    assert_eq!(beat(&mut wire, "c1", 77, Some("orders")), (true, true));
    assert_eq!(pull_by_heartbeat(&mut wire), ResponseCode::SUCCESS);
}

#[test]
fn a_group_that_is_known_by_bare_heartbeats_only_is_asked_for_more() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
    assert_eq!(beat(&mut wire, "c1", 77, Some("orders")), (true, false));
    broker.restart();
    let mut wire = broker.connect();
    assert_eq!(beat(&mut wire, "c1", 77, None), (true, true));
    assert_eq!(beat(&mut wire, "c1", 77, Some("orders")), (true, false));
    assert_eq!(beat(&mut wire, "c1", 77, None), (true, false));
    assert_eq!(pull_by_heartbeat(&mut wire), ResponseCode::SUCCESS);
}

#[test]
fn a_queue_has_one_holder_when_a_consumer_is_lost() {
    let broker = TestBroker::start();
    let (mut first, mut second) = (broker.connect(), broker.connect());
    first.heartbeat("c1", "g", "orders", "*");
    second.heartbeat("c2", "g", "orders", "*");
    let batch = |client: &str, queues: &[i32]| LockBatch {
        client_id: client.into(),
        consumer_group: "g".into(),
        mq_set: queues
            .iter()
            .map(|id| QueueRef { broker_name: "broker-a".into(), queue_id: *id, topic: "orders".into() })
            .collect(),
        only_this_broker: true,
    };
    let lock = |wire: &mut Wire, client: &str, queues: &[i32]| -> Vec<i32> {
        let body = write(&batch(client, queues), Dialect::Fastjson);
        let answer = wire.expect(Command::bare(RequestCode::LOCK_BATCH_MQ).with_body(body), ResponseCode::SUCCESS);
        let locked: LockedQueues = lenient::read("locks", &answer.body).unwrap();
        locked.lock_ok_mq_set.iter().map(|queue| queue.queue_id).collect()
    };
    assert_eq!(lock(&mut first, "c1", &[0, 1]), [0, 1]);
    assert_eq!(lock(&mut second, "c2", &[0, 1, 2]), [2]);
    // What the lost client may still be working on is nobody else's until its lock has run out.
    drop(first);
    broker.clock.advance_monotonic(Duration::from_secs(60));
    assert_eq!(lock(&mut second, "c2", &[0, 1, 2]), [2]);
    broker.clock.advance_monotonic(Duration::from_millis(1));
    assert_eq!(lock(&mut second, "c2", &[0, 1, 2]), [0, 1, 2]);
    let freed = Command::bare(RequestCode::UNLOCK_BATCH_MQ)
        .with_body(write(&batch("c2", &[0, 1]), Dialect::Fastjson));
    second.expect(freed, ResponseCode::SUCCESS);
    let mut third = broker.connect();
    assert_eq!(lock(&mut third, "c3", &[0, 1, 2]), [0, 1]);
}
