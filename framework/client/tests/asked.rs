//! What brokers, and tools through them, ask of consumers.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use rocketmq_boot_client::{Client, MessageView, PushConsumerBuilder, StartFrom, Verdict};
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        dialect::{self, Dialect},
        group::QueueRef,
        lenient,
        offset::QueueOffsets,
        relay::ConsumerPositions,
        running::{ConsumerRunning, DirectResult},
    },
    header::{
        progress::{ConsumerStatus, ResetOffset},
        relay,
    },
};

use self::support::{Broker, Cluster, NEVER, Seen, draft};

const STOP: Duration = Duration::from_secs(10);

fn consumer(client: &Client) -> PushConsumerBuilder {
    let consumer = client.push_consumer("billing").subscribe("orders", "*").from(StartFrom::First);
    consumer.rebalance_every(NEVER).commit_every(NEVER).pause_after_error(Duration::from_millis(10))
}

async fn cluster(messages: usize) -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    for n in 0..messages {
        cluster.broker().append(0, draft("orders", n.to_string().as_bytes(), b""));
    }
    cluster
}

/// Asks the group's consumer, and waits for its answer.
async fn ask(broker: &Broker, mut request: Command, opaque: i32) -> Command {
    request.opaque = opaque;
    broker.tell("billing", &request);
    let answer = |broker: &Broker| {
        let state = broker.state.lock();
        state.requests.iter().find(|command| command.is_response() && command.opaque == opaque).cloned()
    };
    broker.until("answer", |broker| answer(broker).is_some()).await;
    answer(broker).unwrap()
}

fn queue() -> QueueRef {
    QueueRef { broker_name: "a".to_owned(), queue_id: 0, topic: "orders".to_owned() }
}

#[tokio::test]
async fn a_reset_makes_a_group_go_on_elsewhere() {
    let cluster = cluster(5).await;
    let broker = cluster.broker();
    let seen = Seen::default();
    let into = seen.clone();
    let handler = move |message: MessageView| {
        into.add(message);
        async {}
    };
    let consumer = consumer(&cluster.client()).start(handler).await.unwrap();
    seen.until_count(5).await;
    let header = ResetOffset { topic: "orders".into(), group: "billing".into(), ..ResetOffset::default() };
    let notice = Command::request(RequestCode::RESET_CONSUMER_CLIENT_OFFSET, &header).one_way();
    let offsets = QueueOffsets { offset_table: [(queue(), 3)].into_iter().collect() };
    broker.tell("billing", &notice.clone().with_body(dialect::write(&offsets, Dialect::Fastjson)));
    seen.until_count(7).await;
    assert_eq!(broker.committed("billing", "orders", 0), Some(3));
    // As C++ needs it; some brokers send that to everybody.
    let listed = QueueOffsets { offset_table: [(queue(), 4)].into_iter().collect() }.to_list();
    broker.tell("billing", &notice.with_body(dialect::write(&listed, Dialect::Fastjson)));
    seen.until_count(8).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1", "2", "3", "4", "3", "4", "4"]);
    assert_eq!(broker.committed("billing", "orders", 0), Some(5));
}

#[tokio::test]
async fn a_consumer_says_how_far_and_how_it_is() {
    let cluster = cluster(5).await;
    let broker = cluster.broker();
    let client = cluster.client();
    let seen = Seen::default();
    let into = seen.clone();
    let handler = move |message: MessageView| {
        let stuck = message.body == "3";
        into.add(message);
        async move {
            if stuck {
                std::future::pending::<()>().await;
            }
        }
    };
    let consumer = consumer(&client).concurrency(7).start(handler).await.unwrap();
    seen.until_count(5).await;
    let header = ConsumerStatus { topic: "orders".into(), group: "billing".into(), client_addr: None };
    let request = Command::request(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT, &header);
    let at = |answer: &Command| {
        let positions: ConsumerPositions = lenient::read("positions", &answer.body).unwrap();
        positions.message_queue_table.0.get(&queue()).copied()
    };
    let mut opaque = 1_000_000;
    // The last handler may not have returned yet.
    while at(&ask(broker, request.clone(), opaque).await) != Some(3) {
        opaque += 1;
    }
    let header = relay::ConsumerRunning {
        consumer_group: "billing".into(),
        client_id: client.id().to_owned(),
        jstack_enable: false,
    };
    let request = Command::request(RequestCode::GET_CONSUMER_RUNNING_INFO, &header);
    let running: ConsumerRunning =
        lenient::read("running", &ask(broker, request, 2_000_000).await.body).unwrap();
    assert_eq!(running.properties[ConsumerRunning::THREADS], "7");
    assert_eq!(running.properties[ConsumerRunning::ORDERLY], "false");
    assert_eq!(running.properties[ConsumerRunning::NAME_SERVERS], cluster.name_servers());
    let state = running.mq_table.0[&queue()];
    assert_eq!((state.commit_offset, state.locked), (3, false));
    assert!(state.cached_msg_count >= 1 && state.cached_msg_min_offset == 3 && state.last_pull_timestamp > 0);
    let topics: Vec<&str> = running.subscription_set.iter().map(|data| data.topic.as_str()).collect();
    assert_eq!(topics, ["orders", "%RETRY%billing"]);
    assert!(running.status_table.contains_key("orders"));
    let _ = consumer.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_message_can_be_handed_over_directly() {
    let cluster = cluster(0).await;
    let broker = cluster.broker();
    let handler = |message: MessageView| async move {
        assert!(message.body != "panic", "a handler that panics");
        if message.body == "later" { Verdict::retry() } else { Verdict::done() }
    };
    let consumer = consumer(&cluster.client()).start(handler).await.unwrap();
    let header = relay::ConsumeDirectly {
        consumer_group: "billing".into(),
        broker_name: Some("a".into()),
        ..relay::ConsumeDirectly::default()
    };
    let request = Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY, &header);
    for (opaque, body, expected) in [
        (1_000_000, "fine", "CR_SUCCESS"),
        (1_000_001, "later", "CR_LATER"),
        (1_000_002, "panic", "CR_THROW_EXCEPTION"),
    ] {
        let mut record = Vec::new();
        draft("orders", body.as_bytes(), b"").encode(7, 8, 9, &mut record).unwrap();
        let answer = ask(broker, request.clone().with_body(record), opaque).await;
        let result: DirectResult = lenient::read("result", &answer.body).unwrap();
        assert_eq!(result.consume_result, expected);
        assert_eq!(result.remark.is_some(), body == "panic");
    }
    let torn = ask(broker, request.with_body(&b"no record"[..]), 1_000_003).await;
    assert_eq!(torn.response_code(), ResponseCode::SYSTEM_ERROR);
    let header =
        relay::ConsumeDirectly { consumer_group: "other".into(), ..relay::ConsumeDirectly::default() };
    let other = Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY, &header);
    let nobody = ask(broker, other, 1_000_004).await;
    assert!(nobody.remark.unwrap().contains("no consumer of group `other`"));
    consumer.stop(STOP).await.unwrap();
    assert_eq!(broker.count(RequestCode::CONSUMER_SEND_MSG_BACK), 0);
}
