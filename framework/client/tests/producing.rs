//! What a producer offers beside plain sends, against a broker that the test plays.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    future::IntoFuture,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::future::{join_all, try_join_all};
use parking_lot::Mutex;
use rocketmq_boot_client::{
    Attempt, AutoBatch, Client, Credentials, Error, Feature, Message, MessageQueue, Outcome, ResponseCode,
    SendError, SendHook,
};
use rocketmq_boot_protocol::{
    Command, RequestCode,
    header::send::SendMessageShort,
    message::{batch, record::Record},
};

use self::support::{Cluster, Instead, NEVER, PATIENCE};

const SEND: RequestCode = RequestCode::SEND_MESSAGE_V2;
const BATCH: RequestCode = RequestCode::SEND_BATCH_MESSAGE;

/// How brokers of 4.9.7 and 5.0.0 number their releases.
const V4_9_7: i32 = 407;
const V5_0_0: i32 = 413;

async fn cluster(brokers: usize) -> Cluster {
    let cluster = Cluster::start(brokers).await;
    cluster.topic("orders", 2);
    cluster
}

fn message() -> Message {
    Message::new("orders", "hello")
}

fn header(request: &Command) -> SendMessageShort {
    request.header().unwrap()
}

#[tokio::test]
async fn a_broker_that_would_ignore_a_timer_is_not_sent_to() {
    let cluster = cluster(1).await;
    cluster.broker().state.lock().version = Some(V4_9_7);
    let producer = cluster.client().producer("shop").await.unwrap();
    for timed in [message().delay(Duration::from_secs(60)), message().deliver_at(UNIX_EPOCH)] {
        let error = producer.send(timed.clone()).await.unwrap_err();
        let expected = matches!(
            &error,
            SendError::Unsupported { feature: Feature::Timer, version: V4_9_7, broker, .. }
                if *broker == cluster.broker().address
        );
        assert!(expected, "{error:?}");
        let error = producer.send(timed.clone()).one_way().await.unwrap_err();
        assert!(matches!(error, SendError::Unsupported { .. }), "{error:?}");
        let results = producer.send_all(vec![timed, message()]).await;
        assert!(matches!(results[..], [Err(SendError::Unsupported { .. }), Ok(_)]), "{results:?}");
    }
    assert!(!error_is_retryable(&producer.send(message().delay(NEVER)).await.unwrap_err()));
    producer.send(message().delay_level(3)).await.unwrap();
    assert_eq!(cluster.broker().stored("orders"), 3);
}

fn error_is_retryable(error: &SendError) -> bool {
    error.is_retryable()
}

#[tokio::test]
async fn a_delayed_message_is_taken_back_by_its_handle() {
    let cluster = cluster(2).await;
    let producer = cluster.client().producer("shop").await.unwrap();
    let receipt = producer.send(message().delay(Duration::from_secs(60))).await.unwrap();
    let handle = receipt.recall_handle.unwrap();
    producer.recall("orders", &handle).await.unwrap();
    let broker = cluster.brokers.iter().find(|broker| broker.name == receipt.queue.broker_name).unwrap();
    let recall = broker.requests(RequestCode::RECALL_MESSAGE).remove(0);
    assert_eq!(recall.fields.get("recallHandle"), Some(handle.as_str()));
    assert_eq!(recall.fields.get("topic"), Some("orders"));
    let other = producer.recall("others", &handle).await;
    assert!(matches!(other, Err(Error::RecallHandle { .. })), "{other:?}");
    assert_eq!(producer.send(message()).await.unwrap().recall_handle, None);
}

#[tokio::test]
async fn brokers_before_recalls_are_not_asked_for_one() {
    let cluster = cluster(1).await;
    cluster.broker().state.lock().version = Some(V5_0_0);
    let producer = cluster.client().producer("shop").await.unwrap();
    let handle = producer.send(message().delay(NEVER)).await.unwrap().recall_handle.unwrap();
    let error = producer.recall("orders", &handle).await.unwrap_err();
    assert!(
        matches!(error, Error::Unsupported { feature: Feature::Recall, version: V5_0_0, .. }),
        "{error:?}"
    );
    assert_eq!(cluster.broker().count(RequestCode::RECALL_MESSAGE), 0);
}

#[tokio::test]
async fn an_application_chooses_the_queue() {
    let cluster = cluster(2).await;
    let producer = cluster.client().producer("shop").await.unwrap();
    let queues = producer.queues("orders").await.unwrap();
    let receipt = producer.send(message()).to_selected(|queues| queues.len() - 1).await.unwrap();
    assert_eq!(Some(&receipt.queue), queues.last());
    let error = producer.send(message()).to_selected(<[MessageQueue]>::len).await.unwrap_err();
    assert!(matches!(error, SendError::NoQueue { queue: None, .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_broker_costs_one_attempt_and_is_left_alone_after_it() {
    let cluster = cluster(2).await;
    cluster.brokers[0].always(SEND, Instead::StaySilent);
    let producer = cluster
        .client()
        .producer("shop")
        .send_timeout(PATIENCE)
        .attempt_timeout(Duration::from_millis(20))
        .avoid_slow_brokers(true)
        .await
        .unwrap();
    for _ in 0..12 {
        assert_eq!(producer.send(message()).await.unwrap().queue.broker_name, "b");
    }
    assert_eq!(cluster.brokers[0].count(SEND), 1, "ten seconds have not passed");
}

#[tokio::test]
async fn codes_to_retry_on_are_the_applications() {
    let cluster = cluster(1).await;
    cluster.broker().always(SEND, Instead::Refuse(ResponseCode::MESSAGE_ILLEGAL));
    let client = cluster.client();
    let producer = client.producer("shop").retry_on([ResponseCode::MESSAGE_ILLEGAL]).await.unwrap();
    let error = producer.send(message()).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { attempts: 3, .. }), "{error:?}");
    let error = producer.send(message()).retries(0).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { attempts: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn sends_beyond_the_bound_wait_for_their_turn() {
    let cluster = cluster(1).await;
    cluster.broker().once(SEND, Instead::StaySilent);
    let client = cluster.client();
    let producer = client.producer("shop").max_in_flight(1).max_in_flight_bytes(1_000).await.unwrap();
    let stuck = tokio::spawn(producer.send(message()).timeout(PATIENCE).into_future());
    cluster.broker().until("first send", |broker| broker.count(SEND) == 1).await;
    let error = producer.send(message()).timeout(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, SendError::Timeout { attempts: 0, .. }), "{error:?}");
    assert_eq!(cluster.broker().count(SEND), 1);
    stuck.abort();
    assert!(stuck.await.unwrap_err().is_cancelled());
    producer.send(message()).timeout(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn any_messages_are_sent_in_few_requests_with_a_result_for_each() {
    let cluster = cluster(1).await;
    cluster.topic("clicks", 1);
    let producer = cluster.client().producer("shop").await.unwrap();
    let mut messages: Vec<Message> = (0..10).map(|n| Message::new("clicks", n.to_string())).collect();
    messages.insert(3, Message::new("clicks", ""));
    messages.insert(5, message().delay_level(2));
    messages.push(Message::new("no such topic", "x"));
    let results = producer.send_all(messages).max_count(4).await;
    assert!(matches!(results[12], Err(SendError::Name(_))), "{:?}", results[12]);
    assert!(results[5].is_ok());
    // The empty message spoils its own request and no other.
    let spoiled: Vec<usize> =
        (0..13).filter(|at| matches!(results[*at], Err(SendError::Empty { .. }))).collect();
    assert_eq!(spoiled, [0, 1, 2, 3]);
    let bodies: Vec<String> = cluster.broker().state.lock().topics["clicks"][0]
        .iter()
        .map(|bytes| String::from_utf8_lossy(Record::decode(bytes).unwrap().body).into_owned())
        .collect();
    assert_eq!(bodies.len(), 7);
    assert_eq!(cluster.broker().count(BATCH), 2);
    let ids: std::collections::HashSet<_> =
        results.iter().flatten().map(|receipt| &receipt.message_id).collect();
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn small_messages_of_one_moment_share_requests() {
    let cluster = cluster(1).await;
    let rules = AutoBatch::default().hold(PATIENCE).max_count(50);
    let producer = cluster.client().producer("shop").auto_batch(rules).await.unwrap();
    let sends = (0..100).map(|n| producer.send(Message::new("orders", n.to_string())).into_future());
    let receipts = try_join_all(sends).await.unwrap();
    assert_eq!(cluster.broker().count(BATCH), 2);
    assert_eq!(cluster.broker().count(SEND), 0);
    let mut places: Vec<_> =
        receipts.iter().map(|receipt| (receipt.queue.queue_id, receipt.queue_offset)).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 100);
    // What has a place of its own, or cannot be sent, does not wait for others.
    producer.send(message()).sharded_by("x").await.unwrap();
    producer.send(message().delay_level(1)).await.unwrap();
    assert!(matches!(producer.send(Message::new("orders", "")).await, Err(SendError::Empty { .. })));
    let smuggled = message().property("a", "1\u{2}b");
    assert!(matches!(producer.send(smuggled).await, Err(SendError::Message { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_stays_small_is_sent_when_its_time_is_up() {
    let cluster = cluster(1).await;
    let rules = AutoBatch::default().hold(Duration::from_millis(5));
    let producer = cluster.client().producer("shop").auto_batch(rules).await.unwrap();
    let sends = (0..3).map(|_| producer.send(message()).into_future());
    assert!(join_all(sends).await.iter().all(Result::is_ok));
    let request = cluster.broker().requests(BATCH).remove(0);
    assert_eq!(batch::items(&request.body).count(), 3);
}

/// Writes down what it sees.
#[derive(Clone, Default)]
struct Diary {
    name: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

impl SendHook for Diary {
    fn before(&self, message: &mut Message) -> Result<(), String> {
        if message.tag_name() == Some("forbidden") {
            return Err("not on my watch".to_owned());
        }
        message.properties.insert("seen".to_owned(), self.name.to_owned());
        self.lines.lock().push(format!("{} before", self.name));
        Ok(())
    }

    fn after(&self, attempt: &Attempt<'_>) {
        let outcome = match attempt.outcome {
            Outcome::Stored { .. } => "stored".to_owned(),
            Outcome::Refused { code, .. } => code.to_string(),
            other => format!("{other:?}"),
        };
        let seen = attempt.property("seen").unwrap_or_default();
        self.lines.lock().push(format!("{} after {outcome}, seen by {seen}", self.name));
    }
}

#[tokio::test]
async fn hooks_see_every_attempt_and_may_change_or_refuse_a_message() {
    let cluster = cluster(2).await;
    for broker in &cluster.brokers {
        broker.once(SEND, Instead::Refuse(ResponseCode::SYSTEM_BUSY));
    }
    let outer = Diary { name: "outer", ..Diary::default() };
    let inner = Diary { name: "inner", lines: Arc::clone(&outer.lines) };
    let client = cluster.client();
    let producer = client.producer("shop").hook(outer.clone()).hook(inner).await.unwrap();
    producer.send(message()).await.unwrap();
    let lines = std::mem::take(&mut *outer.lines.lock());
    assert_eq!(lines[..2], ["outer before", "inner before"]);
    assert_eq!(lines[2], "inner after SYSTEM_BUSY (2), seen by inner");
    assert_eq!(lines[6..], ["inner after stored, seen by inner", "outer after stored, seen by inner"]);
    let error = producer.send(message().tag("forbidden")).await.unwrap_err();
    assert!(matches!(&error, SendError::Refusal { reason, .. } if reason == "not on my watch"), "{error:?}");
    assert!(outer.lines.lock().is_empty());
}

#[tokio::test]
async fn traces_are_written_and_none_is_lost_when_the_client_closes() {
    let cluster = cluster(1).await;
    cluster.topic("RMQ_SYS_TRACE_TOPIC", 1);
    let client = cluster.client();
    let producer = client.producer("shop").trace().await.unwrap();
    let receipt = producer.send(message().tag("a").keys(["k1", "k2"])).await.unwrap();
    let batch = producer.send_batch(vec![message(), message()]).await.unwrap();
    client.close().await;
    let stored = cluster.broker().state.lock().topics["RMQ_SYS_TRACE_TOPIC"][0].clone();
    let records: Vec<Record<'_>> = stored.iter().map(|bytes| Record::decode(bytes).unwrap()).collect();
    let text: String = records.iter().map(|record| String::from_utf8_lossy(record.body)).collect();
    let lines: Vec<Vec<&str>> =
        text.split_terminator('\u{2}').map(|line| line.split('\u{1}').collect()).collect();
    let broker = cluster.broker().address.as_str();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let (id, offset_id) = (receipt.message_id.as_str(), receipt.offset_message_id.as_str());
    assert_eq!(lines[0][..1], ["Pub"]);
    assert_eq!(lines[0][2..10], ["DefaultRegion", "shop", "orders", id, "a", "k1 k2", broker, "5"]);
    assert_eq!(lines[0][11..], ["0", offset_id, "true"]);
    let ids = format!("{},{}", batch[0].message_id, batch[1].message_id);
    assert_eq!(lines[1][5..8], [ids.as_str(), "null", "null"]);
    let keys = records[0].property("KEYS").unwrap();
    assert!(["k1", "k2", id].iter().all(|key| keys.split(' ').any(|found| found == *key)), "{keys}");
}

#[tokio::test]
async fn requests_are_signed_and_names_lie_in_their_namespace() {
    let cluster = Cluster::start(1).await;
    cluster.topic("tenant%orders", 1);
    let client = Client::builder(cluster.name_servers())
        .route_refresh(NEVER)
        .heartbeat(NEVER)
        .credentials(Credentials::new("shop", "12345678"))
        .namespace("tenant")
        .unit("east")
        .unit_mode(true)
        .build();
    assert!(client.id().ends_with("@east"), "{}", client.id());
    let producer = client.producer("shop").await.unwrap();
    let receipt = producer.send(message()).await.unwrap();
    assert_eq!(receipt.queue.topic, "orders");
    producer.send(message()).to(receipt.queue.clone()).await.unwrap();
    producer.send(message()).one_way().await.unwrap();
    assert_eq!(producer.queues("orders").await.unwrap(), [receipt.queue]);
    cluster.broker().until("sends", |broker| broker.stored("tenant%orders") == 3).await;
    for request in cluster.broker().requests(SEND) {
        let header = header(&request);
        assert_eq!((header.topic.as_str(), header.producer_group.as_str()), ("tenant%orders", "tenant%shop"));
        assert!(header.unit_mode);
    }
    let all = cluster.broker().state.lock().requests.clone();
    assert!(all.iter().any(|request| request.request_code() == RequestCode::GET_ROUTEINFO_BY_TOPIC));
    for request in all {
        assert_eq!(request.fields.get("AccessKey"), Some("shop"), "{request:?}");
        assert_eq!(request.fields.get("Signature").map(str::len), Some(28), "{request:?}");
    }
}

#[tokio::test]
async fn a_topic_that_is_made_gets_the_queues_that_were_asked_for() {
    let cluster = Cluster::start(1).await;
    cluster.broker().state.lock().template = true;
    let producer = cluster.client().producer("shop").topic_queues(7).await.unwrap();
    producer.send(message()).await.unwrap();
    assert_eq!(header(&cluster.broker().requests(SEND)[0]).default_topic_queue_nums, 7);
}

#[tokio::test]
async fn a_broker_killed_in_mid_flow_fails_what_was_under_way_and_nothing_else() {
    let cluster = cluster(2).await;
    let producer = cluster.client().producer("shop").retries(5).await.unwrap();
    let sends = (0..50).map(|_| producer.send(message()).timeout(PATIENCE).into_future());
    cluster.brokers[0].once(SEND, Instead::HangUp);
    let receipts = join_all(sends).await;
    assert!(receipts.iter().all(Result::is_ok), "{:?}", receipts.iter().find(|receipt| receipt.is_err()));
    let stored: usize = cluster.brokers.iter().map(|broker| broker.stored("orders")).sum();
    assert!(stored >= 50);
}
