//! Consumers that are polled, and those that are told to make every pull.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_client::{
    Client, Error, LitePullConsumer, LitePullConsumerBuilder, MessageQueue, Position, PullOutcome, StartFrom,
};
use rocketmq_boot_protocol::{Command, RequestCode, ResponseCode, header::pull::PullMessage};

use self::support::{Broker, Cluster, Instead, NEVER, PATIENCE, draft, numbers};

const LITE: RequestCode = RequestCode::LITE_PULL_MESSAGE;
const COMMIT: RequestCode = RequestCode::UPDATE_CONSUMER_OFFSET;

fn consumer(client: &Client) -> LitePullConsumerBuilder {
    let consumer = client.lite_pull_consumer("reports").from(StartFrom::First).rebalance_every(NEVER);
    consumer.pause_after_error(Duration::from_millis(10))
}

async fn cluster(queues: usize, messages: usize) -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", queues);
    for n in 0..messages {
        cluster.broker().append(n % queues, draft("orders", n.to_string().as_bytes(), b""));
    }
    cluster
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("orders", "a", id)
}

/// Polls until so many messages have come.
async fn polled(consumer: &LitePullConsumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let messages = consumer.poll(PATIENCE).await.unwrap();
        assert!(!messages.is_empty(), "only {bodies:?}");
        bodies.extend(messages.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()));
    }
    bodies
}

fn committed(broker: &Broker, id: i32) -> Option<i64> {
    broker.committed("reports", "orders", id)
}

#[tokio::test]
async fn what_was_polled_is_committed_when_asked_and_with_an_answer() {
    let cluster = cluster(2, 40).await;
    let broker = cluster.broker();
    let consumer =
        consumer(&cluster.client()).subscribe("orders", "*").auto_commit(false).start().await.unwrap();
    assert_eq!(
        polled(&consumer, 40).await.into_iter().collect::<std::collections::BTreeSet<_>>(),
        numbers(40)
    );
    assert_eq!((committed(broker, 0), committed(broker, 1)), (None, None));
    consumer.commit().await.unwrap();
    assert_eq!((committed(broker, 0), committed(broker, 1)), (Some(20), Some(20)));
    assert_eq!(consumer.committed(&queue(0)).await.unwrap(), Some(20));
    assert!(broker.requests(COMMIT).iter().all(|commit| !commit.is_one_way()));
    assert!(broker.count(LITE) > 0 && broker.count(RequestCode::PULL_MESSAGE) == 0);
    let pulls: Vec<PullMessage> = broker.requests(LITE).iter().map(|pull| pull.header().unwrap()).collect();
    assert!(pulls.iter().all(|pull| pull.sys_flag == 0x16), "suspend, subscription and lite, no commit");
    consumer.stop().await.unwrap();
    assert!(matches!(consumer.poll(Duration::ZERO).await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_poll_says_that_the_one_before_is_done() {
    let cluster = cluster(1, 4).await;
    let builder = consumer(&cluster.client()).subscribe("orders", "*").poll_batch(2);
    let consumer = builder.commit_every(Duration::ZERO).start().await.unwrap();
    assert_eq!(polled(&consumer, 2).await, ["0", "1"]);
    assert_eq!(polled(&consumer, 2).await, ["2", "3"]);
    cluster.broker().until("commit of the first", |broker| committed(broker, 0) == Some(2)).await;
    consumer.stop().await.unwrap();
    assert_eq!(committed(cluster.broker(), 0), Some(4));
}

#[tokio::test]
async fn a_broker_that_knows_no_lite_pulls_is_asked_like_any_other() {
    let cluster = cluster(1, 3).await;
    cluster.broker().always(LITE, Instead::Refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED));
    let consumer = consumer(&cluster.client()).subscribe("orders", "*").start().await.unwrap();
    assert_eq!(polled(&consumer, 3).await, ["0", "1", "2"]);
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn without_auto_commit_a_stop_commits_nothing() {
    let cluster = cluster(1, 2).await;
    let consumer =
        consumer(&cluster.client()).subscribe("orders", "*").auto_commit(false).start().await.unwrap();
    polled(&consumer, 2).await;
    consumer.stop().await.unwrap();
    assert_eq!(cluster.broker().count(COMMIT), 0);
}

#[tokio::test]
async fn seeking_goes_anywhere_in_a_queue() {
    let cluster = cluster(1, 10).await;
    let builder = consumer(&cluster.client()).subscribe("orders", "*").auto_commit(false);
    let consumer = builder.start().await.unwrap();
    polled(&consumer, 10).await;
    consumer.seek(&queue(0), Position::Offset(7)).await.unwrap();
    assert_eq!(consumer.position(&queue(0)), Some(7));
    assert_eq!(polled(&consumer, 3).await, ["7", "8", "9"]);
    consumer.seek(&queue(0), Position::Time(5)).await.unwrap();
    assert_eq!(polled(&consumer, 1).await[0], "5");
    consumer.seek(&queue(0), Position::Begin).await.unwrap();
    assert_eq!(polled(&consumer, 1).await[0], "0");
    consumer.seek(&queue(0), Position::End).await.unwrap();
    cluster.broker().append(0, draft("orders", b"new", b""));
    assert_eq!(polled(&consumer, 1).await, ["new"]);
    assert_eq!(consumer.offset_for_time(&queue(0), 3).await.unwrap(), 3);
    let wrong = consumer.seek(&queue(0), Position::Offset(99)).await.unwrap_err();
    assert!(matches!(wrong, Error::NoSuchOffset { offset: 99, min: 0, max: 11, .. }), "{wrong}");
    let elsewhere = consumer.seek(&queue(5), Position::Begin).await.unwrap_err();
    assert!(matches!(elsewhere, Error::NotAssigned { .. }));
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_paused_queue_gives_nothing_until_it_goes_on() {
    let cluster = cluster(2, 2).await;
    let consumer = consumer(&cluster.client()).assign([queue(0), queue(1)]).start().await.unwrap();
    assert_eq!(consumer.assignment(), [queue(0), queue(1)]);
    consumer.pause(&[queue(0)]);
    assert_eq!(polled(&consumer, 1).await, ["1"]);
    assert!(consumer.poll(Duration::from_millis(20)).await.unwrap().is_empty());
    consumer.resume(&[queue(0)]);
    assert_eq!(polled(&consumer, 1).await, ["0"]);
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn assigned_queues_are_nobody_elses_business() {
    let cluster = cluster(3, 9).await;
    let client = cluster.client();
    let consumer = consumer(&client).assign([queue(1)]).start().await.unwrap();
    assert_eq!(polled(&consumer, 3).await, ["1", "4", "7"]);
    consumer.assign(&[queue(2)]).await.unwrap();
    assert_eq!(consumer.assignment(), [queue(2)]);
    assert_eq!(polled(&consumer, 3).await, ["2", "5", "8"]);
    assert_eq!(committed(cluster.broker(), 1), Some(3), "a queue that is left is committed");
    assert_eq!(cluster.broker().count(RequestCode::GET_CONSUMER_LIST_BY_GROUP), 0);
    assert!(matches!(consumer.subscribe("orders", "*").await, Err(Error::Assigned { .. })));
    consumer.stop().await.unwrap();
    let both = client.lite_pull_consumer("other").subscribe("orders", "*").assign([queue(0)]);
    assert!(matches!(both.start().await, Err(Error::Subscribed { .. })));
    assert!(matches!(client.lite_pull_consumer("other").start().await, Err(Error::NoSubscription { .. })));
}

#[tokio::test]
async fn listeners_hear_of_queues_that_come_and_go() {
    let cluster = cluster(2, 0).await;
    let told: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let into = Arc::clone(&told);
    let client = Client::builder(cluster.name_servers())
        .route_refresh(Duration::from_millis(5))
        .heartbeat(NEVER)
        .build();
    let consumer = consumer(&client)
        .subscribe("orders", "*")
        .on_assignment(move |topic: &str, all: &[MessageQueue], mine: &[MessageQueue]| {
            assert_eq!(topic, "orders");
            into.lock().push((all.len(), mine.len()));
        })
        .start()
        .await
        .unwrap();
    let changes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let into = Arc::clone(&changes);
    consumer.on_queues_changed("orders", move |_, queues| into.lock().push(queues.len()));
    let broker = cluster.broker();
    broker.until("assignment", |_| *told.lock() == [(2, 2)]).await;
    // The listener knows two queues by its second look at the latest.
    let looks = broker.count(RequestCode::GET_ROUTEINFO_BY_TOPIC);
    broker.until("looks", |broker| broker.count(RequestCode::GET_ROUTEINFO_BY_TOPIC) > looks + 4).await;
    broker.state.lock().topics.get_mut("orders").unwrap().push(Vec::new());
    broker.until("a third queue", |_| *told.lock() == [(2, 2), (3, 3)] && *changes.lock() == [3]).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn every_pull_is_made_when_it_is_told_to() {
    let cluster = cluster(1, 0).await;
    let broker = cluster.broker();
    for (body, tag) in [("0", "a"), ("1", "b"), ("2", "a"), ("3", "b")] {
        broker.append(0, draft("orders", body.as_bytes(), format!("TAGS\u{1}{tag}").as_bytes()));
    }
    let client = cluster.client();
    let consumer = client.pull_consumer("audit").await.unwrap();
    assert_eq!(consumer.message_queues("orders").await.unwrap(), [queue(0)]);
    let bodies = |messages: &[rocketmq_boot_client::MessageView]| -> Vec<String> {
        messages.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect()
    };
    let pulled = consumer.pull(&queue(0), 0).max(2).await.unwrap();
    assert_eq!((pulled.outcome, pulled.next_offset, pulled.max_offset), (PullOutcome::Found, 2, 4));
    assert_eq!(bodies(&pulled.messages), ["0", "1"]);
    let tagged = consumer.pull(&queue(0), 1).tags("a").await.unwrap();
    assert_eq!((bodies(&tagged.messages), tagged.next_offset), (vec!["2".to_owned()], 4));
    let nothing = consumer.pull(&queue(0), 0).tags("c").await.unwrap();
    assert_eq!((nothing.outcome, nothing.next_offset), (PullOutcome::NoMatch, 4));
    assert_eq!(consumer.pull(&queue(0), 4).await.unwrap().outcome, PullOutcome::End);
    let beyond = consumer.pull(&queue(0), 9).await.unwrap();
    assert_eq!((beyond.outcome, beyond.next_offset), (PullOutcome::NoSuchOffset, 4));
    assert_eq!(consumer.committed(&queue(0)).await.unwrap(), None);
    consumer.commit(&queue(0), 3).await.unwrap();
    assert_eq!(consumer.committed(&queue(0)).await.unwrap(), Some(3));
    assert_eq!(
        (consumer.min_offset(&queue(0)).await.unwrap(), consumer.max_offset(&queue(0)).await.unwrap()),
        (0, 4)
    );
    let waiting = tokio::spawn(async move {
        let pulled = consumer.pull(&queue(0), 4).wait(PATIENCE).await.unwrap();
        (pulled.messages.len(), consumer)
    });
    let held = |pull: &Command| pull.header::<PullMessage>().unwrap().suspend_timeout_millis > 0;
    broker.until("held pull", |broker| broker.requests(RequestCode::PULL_MESSAGE).iter().any(held)).await;
    broker.append(0, draft("orders", b"4", b""));
    let (count, consumer) = waiting.await.unwrap();
    assert_eq!(count, 1);
    consumer.stop().await;
    assert!(client.pull_consumer("audit").await.is_ok());
}
