//! Our client, against whatever servers: the same scenarios that the foreign clients go through against ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_boot_client::{
    Client, Compression, Message, MessageQueue, MessageView, Model, Producer, PushConsumer, StartFrom,
    Verdict,
};
use rocketmq_boot_tests::cluster::Cluster;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::servers::ours;

/// The longest is a first retry: ten seconds by the broker's ladder, and a new retry topic has to become known.
const PATIENCE: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(10);
const QUEUES: u32 = 4;

const SCENARIOS: [&str; 10] = [
    "send-sync",
    "send-pipelined",
    "send-one-way",
    "send-batch",
    "sharded",
    "tags",
    "push",
    "retry",
    "broadcast",
    "offsets",
];

#[test]
fn our_client_and_our_servers_agree() {
    run_all(Cluster::start(ours(), ""));
}

/// Runs every scenario against `cluster`, whose broker is stopped and started again in the middle of the last one.
pub(crate) fn run_all(mut cluster: Cluster) {
    for scenario in SCENARIOS {
        cluster.create_topic(&topic(scenario), QUEUES);
    }
    let runtime = tokio::runtime::Runtime::new().expect("the machine has threads");
    let address = cluster.name_server().to_owned();
    runtime.block_on(async {
        let client = client(&address, "main");
        tokio::join!(
            send_sync(&client),
            send_pipelined(&client),
            send_one_way(&client),
            send_batch(&client),
            sharded(&client),
            tags(&client),
            push(&client),
            retry(&client),
            broadcast(&address),
        );
        numbered(&client, "before").await;
        client.close().await;
    });
    cluster.stop_broker();
    cluster.start_broker();
    runtime.block_on(async {
        let client = client(&address, "after");
        // From the first offset when there is none: without the group's offsets, what was before would come again.
        numbered(&client, "after").await;
        client.close().await;
    });
}

fn topic(scenario: &str) -> String {
    format!("own-{scenario}")
}

fn client(name_server: &str, instance: &str) -> Client {
    // A new group's retry topic becomes known with the next look at the route.
    Client::builder(name_server)
        .instance(format!("own-{instance}"))
        .route_refresh(Duration::from_secs(1))
        .build()
}

async fn producer(client: &Client, scenario: &str) -> Producer {
    let group = format!("own-{scenario}-producer");
    client.producer(group).send_timeout(Duration::from_secs(10)).await.expect("a producer starts")
}

/// What a consumer has received, and a bell.
#[derive(Debug, Clone, Default)]
struct Inbox {
    messages: Arc<Mutex<Vec<MessageView>>>,
    bell: Arc<Notify>,
}

impl Inbox {
    fn put(&self, message: MessageView) {
        self.messages.lock().push(message);
        self.bell.notify_waiters();
    }

    fn all(&self) -> Vec<MessageView> {
        self.messages.lock().clone()
    }

    fn bodies(&self) -> BTreeSet<String> {
        self.messages.lock().iter().map(body).collect()
    }

    /// Waits until so many are there.
    async fn holds(&self, scenario: &str, count: usize) {
        let filled = async {
            loop {
                let rung = self.bell.notified();
                if self.messages.lock().len() >= count {
                    return;
                }
                rung.await;
            }
        };
        if timeout(PATIENCE, filled).await.is_err() {
            panic!(
                "{scenario}: {} of {count} messages in {PATIENCE:?}: {:?}",
                self.bodies().len(),
                self.bodies()
            );
        }
    }
}

async fn consume(client: &Client, scenario: &str, tags: &str) -> (PushConsumer, Inbox) {
    let inbox = Inbox::default();
    let into = inbox.clone();
    let consumer = client
        .push_consumer(format!("own-{scenario}-group"))
        .subscribe(topic(scenario), tags)
        .from(StartFrom::First)
        .start(move |message: MessageView| {
            into.put(message);
            async {}
        })
        .await
        .expect("a consumer starts");
    (consumer, inbox)
}

/// Receives exactly these bodies.
async fn receive(
    client: &Client,
    scenario: &str,
    tags: &str,
    expected: &BTreeSet<String>,
) -> Vec<MessageView> {
    let (consumer, inbox) = consume(client, scenario, tags).await;
    inbox.holds(scenario, expected.len()).await;
    consumer.stop(STOP).await.expect("a consumer stops");
    assert_eq!(inbox.bodies(), *expected, "{scenario}");
    inbox.all()
}

fn body(message: &MessageView) -> String {
    String::from_utf8_lossy(&message.body).into_owned()
}

async fn send_sync(client: &Client) {
    let scenario = "send-sync";
    let group = format!("own-{scenario}-producer");
    let mut bodies = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (kind, compression) in
        [("zlib", Compression::Zlib), ("lz4", Compression::Lz4), ("zstd", Compression::Zstd)]
    {
        let producer = client.producer(&group).compression(compression).send_timeout(Duration::from_secs(10));
        let producer = producer.await.expect("a producer starts");
        for i in 0..10 {
            // Every fifth one is long enough to be compressed.
            let filler = if i % 5 == 0 { "x".repeat(9_000) } else { String::new() };
            let text = format!("{kind}-{i}-{filler}");
            let message =
                Message::new(topic(scenario), text.clone()).tag("TagS").key(format!("key-{kind}-{i}"));
            let receipt =
                producer.send(message.property("number", i.to_string())).await.expect("a message is stored");
            assert_eq!(receipt.queue.topic, topic(scenario));
            assert_eq!(receipt.offset_message_id.len(), 32, "{receipt:?}");
            bodies.insert(text);
            ids.insert(receipt.message_id);
        }
    }
    let received = receive(client, scenario, "*", &bodies).await;
    for message in &received {
        let number = message.property("number").expect("the property came along");
        let text = body(message);
        let (kind, rest) = text.split_once('-').expect("the body has parts");
        assert!(rest.starts_with(number), "property {number} on {text}");
        assert_eq!(message.tag(), Some("TagS"));
        assert_eq!(message.keys().collect::<Vec<_>>(), [format!("key-{kind}-{number}")]);
        assert_eq!(message.reconsume_times, 0);
    }
    assert_eq!(received.into_iter().map(|message| message.message_id).collect::<BTreeSet<_>>(), ids);
}

async fn send_pipelined(client: &Client) {
    let scenario = "send-pipelined";
    let producer = producer(client, scenario).await;
    let bodies: BTreeSet<String> = (0..200).map(|i| format!("pipelined-{i}")).collect();
    let mut sends = tokio::task::JoinSet::new();
    for text in &bodies {
        let (producer, message) = (producer.clone(), Message::new(topic(scenario), text.clone()));
        sends.spawn(async move { producer.send(message).await });
    }
    let mut places = BTreeSet::new();
    while let Some(sent) = sends.join_next().await {
        let receipt = sent.expect("a send does not panic").expect("a message is stored");
        assert!(places.insert((receipt.queue.queue_id, receipt.queue_offset)), "two messages in one place");
    }
    receive(client, scenario, "*", &bodies).await;
}

async fn send_one_way(client: &Client) {
    let scenario = "send-one-way";
    let producer = producer(client, scenario).await;
    let bodies: BTreeSet<String> = (0..20).map(|i| format!("one-way-{i}")).collect();
    for text in &bodies {
        let message = Message::new(topic(scenario), text.clone());
        producer.send(message).one_way().await.expect("a message is written to the socket");
    }
    receive(client, scenario, "*", &bodies).await;
}

async fn send_batch(client: &Client) {
    let scenario = "send-batch";
    let producer = producer(client, scenario).await;
    let mut bodies = BTreeSet::new();
    for batch in 0..3 {
        let texts: Vec<String> = (0..10).map(|i| format!("batch-{batch}-{i}")).collect();
        let message = |text: &String| {
            Message::new(topic(scenario), text.clone()).tag("TagB").key(format!("key-{text}"))
        };
        let receipts =
            producer.send_batch(texts.iter().map(message).collect()).await.expect("a batch is stored");
        assert_eq!(receipts.len(), 10);
        assert!(
            receipts.windows(2).all(|pair| pair[0].queue_offset + 1 == pair[1].queue_offset),
            "{receipts:?}"
        );
        bodies.extend(texts);
    }
    for message in receive(client, scenario, "TagB", &bodies).await {
        assert_eq!(message.tag(), Some("TagB"));
        assert_eq!(message.keys().collect::<Vec<_>>(), [format!("key-{}", body(&message))]);
    }
}

async fn sharded(client: &Client) {
    let scenario = "sharded";
    let producer = producer(client, scenario).await;
    let mut bodies = BTreeSet::new();
    for step in 0..10 {
        for key in 0..6 {
            let text = format!("{key}:{step}");
            let message = Message::new(topic(scenario), text.clone());
            producer.send(message).sharded_by(format!("order-{key}")).await.expect("a message is stored");
            bodies.insert(text);
        }
    }
    let mut by_key: BTreeMap<String, Vec<(i32, i64, String)>> = BTreeMap::new();
    for message in receive(client, scenario, "*", &bodies).await {
        let text = body(&message);
        let (key, step) = text.split_once(':').expect("the body has parts");
        by_key.entry(key.to_owned()).or_default().push((
            message.queue_id,
            message.queue_offset,
            step.to_owned(),
        ));
    }
    for (key, mut places) in by_key {
        places.sort();
        let steps: Vec<&str> = places.iter().map(|(_, _, step)| step.as_str()).collect();
        assert_eq!(steps, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], "order of key {key}");
        assert!(places.iter().all(|(queue, ..)| *queue == places[0].0), "key {key} is in several queues");
    }
}

async fn tags(client: &Client) {
    let scenario = "tags";
    let producer = producer(client, scenario).await;
    let queues = client.admin().message_queues(&topic(scenario)).await.expect("the topic has a route");
    let mut expected = BTreeSet::new();
    // Three rounds over the queues of TagC, then TagA or TagB on each: when the last of every queue is there, a TagC
    // that were delivered in spite of the subscription would have been there before it.
    for (i, queue) in (0..queues.len() * 5).zip(queues.iter().cycle()) {
        let tag = if i < queues.len() * 3 { "TagC" } else { ["TagA", "TagB"][i % 2] };
        let text = format!("{tag}-{i}");
        let message = Message::new(topic(scenario), text.clone()).tag(tag);
        let receipt = producer.send(message).to(queue.clone()).await.expect("a message is stored");
        assert_eq!(receipt.queue, *queue);
        if tag != "TagC" {
            expected.insert(text);
        }
    }
    receive(client, scenario, "TagA || TagB", &expected).await;
}

async fn push(client: &Client) {
    let scenario = "push";
    let (consumer, inbox) = consume(client, scenario, "*").await;
    let producer = producer(client, scenario).await;
    let mut sent = BTreeSet::new();
    // The pulls are pending on the broker by the time of the later sends.
    for round in 0..10 {
        for i in 0..QUEUES {
            let text = format!("push-{round}-{i}");
            producer.send(Message::new(topic(scenario), text.clone())).await.expect("a message is stored");
            sent.insert(text);
        }
        inbox.holds(scenario, sent.len()).await;
    }
    consumer.stop(STOP).await.expect("a consumer stops");
    assert_eq!(inbox.bodies(), sent);
}

async fn retry(client: &Client) {
    let scenario = "retry";
    let attempts = Inbox::default();
    let into = attempts.clone();
    let consumer = client
        .push_consumer(format!("own-{scenario}-group"))
        .subscribe(topic(scenario), "*")
        .from(StartFrom::First)
        .start(move |message: MessageView| {
            let first = message.reconsume_times == 0;
            into.put(message);
            async move { if first { Verdict::retry() } else { Verdict::done() } }
        })
        .await
        .expect("a consumer starts");
    let producer = producer(client, scenario).await;
    let mut ids = BTreeSet::new();
    for i in 0..3 {
        let message = Message::new(topic(scenario), format!("retry-{i}")).tag("TagR").key(format!("key-{i}"));
        let receipt =
            producer.send(message.property("number", i.to_string())).await.expect("a message is stored");
        ids.insert(receipt.message_id);
    }
    attempts.holds(scenario, 6).await;
    consumer.stop(STOP).await.expect("a consumer stops");
    let again: Vec<MessageView> =
        attempts.all().into_iter().filter(|message| message.reconsume_times == 1).collect();
    assert_eq!(again.len(), 3, "each came back once");
    for message in &again {
        let number = message.property("number").expect("the property came along");
        assert_eq!(body(message), format!("retry-{number}"));
        assert_eq!(message.topic, topic(scenario), "a handler sees the topic that it subscribed to");
        assert_eq!(message.tag(), Some("TagR"));
        assert_eq!(message.keys().collect::<Vec<_>>(), [format!("key-{number}")]);
    }
    assert_eq!(again.into_iter().map(|message| message.message_id).collect::<BTreeSet<_>>(), ids);
}

async fn broadcast(address: &str) {
    let scenario = "broadcast";
    let offsets = tempfile::tempdir().expect("a temporary folder can be made");
    let mut members = Vec::new();
    for member in 0..2 {
        let client = client(address, &format!("broadcast-{member}"));
        let inbox = Inbox::default();
        let into = inbox.clone();
        let consumer = client
            .push_consumer(format!("own-{scenario}-group"))
            .subscribe(topic(scenario), "*")
            .model(Model::Broadcasting)
            .from(StartFrom::First)
            .offsets_dir(offsets.path())
            .start(move |message: MessageView| {
                into.put(message);
                async {}
            })
            .await
            .expect("a consumer starts");
        members.push((client, consumer, inbox));
    }
    let producer = producer(&members[0].0, scenario).await;
    let mut sent = BTreeSet::new();
    for i in 0..20 {
        let text = format!("broadcast-{i}");
        producer.send(Message::new(topic(scenario), text.clone())).await.expect("a message is stored");
        sent.insert(text);
    }
    for (client, consumer, inbox) in members {
        inbox.holds(scenario, sent.len()).await;
        consumer.stop(STOP).await.expect("a consumer stops");
        assert_eq!(inbox.bodies(), sent, "every member gets everything");
        client.close().await;
    }
}

async fn numbered(client: &Client, word: &str) {
    let scenario = "offsets";
    let producer = producer(client, scenario).await;
    let queues: Vec<MessageQueue> =
        client.admin().message_queues(&topic(scenario)).await.expect("the topic has a route");
    let mut bodies = BTreeSet::new();
    for (i, queue) in (0..12).zip(queues.iter().cycle()) {
        let text = format!("{word}-{i}");
        let message = Message::new(topic(scenario), text.clone());
        producer.send(message).to(queue.clone()).await.expect("a message is stored");
        bodies.insert(text);
    }
    receive(client, scenario, "*", &bodies).await;
}
