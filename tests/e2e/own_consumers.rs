//! Our client's consumers and its administration, against whatever servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_boot_client::{
    Client, Error, Filter, LitePullConsumer, Message, MessageQueue, MessageView, Order, Position,
    PullOutcome, PushConsumer, Scope, StartFrom, Verdict,
};
use rocketmq_boot_protocol::ResponseCode;
use rocketmq_boot_tests::cluster::Cluster;
use tokio::time::{sleep, timeout};

use crate::servers::ours;

const PATIENCE: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
const QUEUES: u32 = 4;

const TOPICS: [&str; 5] = ["con-orderly", "con-shared", "con-lite", "con-pull", "con-direct"];

#[test]
fn our_consumers_and_our_servers_agree() {
    run_all(&Cluster::start(ours(), ""));
}

/// Runs every scenario against `cluster`.
pub(crate) fn run_all(cluster: &Cluster) {
    for topic in TOPICS {
        cluster.create_topic(topic, QUEUES);
    }
    let runtime = tokio::runtime::Runtime::new().expect("the machine has threads");
    let address = cluster.name_server();
    runtime.block_on(async {
        let client = client(address);
        tokio::join!(
            orderly(&client),
            shared(address),
            lite(&client),
            pull(&client),
            direct(&client),
            administer(&client)
        );
        client.close().await;
    });
}

fn client(name_server: &str) -> Client {
    Client::builder(name_server).route_refresh(Duration::from_secs(1)).build()
}

/// Waits until something is so.
async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            sleep(LOOK).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}: not within {PATIENCE:?}");
}

/// Waits until servers say that something is so.
async fn eventually(what: &str, done: impl AsyncFn() -> bool) {
    let wait = async {
        while !done().await {
            sleep(LOOK).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}: not within {PATIENCE:?}");
}

async fn send(client: &Client, topic: &str, count: usize) -> BTreeSet<String> {
    let producer =
        client.producer("con-producers").send_timeout(Duration::from_secs(10)).await.expect("it starts");
    let mut bodies = BTreeSet::new();
    for n in 0..count {
        let text = format!("{topic}-{n}");
        let message = Message::new(topic, text.clone()).tag(["a", "b"][n % 2]).key(format!("key-{n}"));
        producer.send(message).sharded_by((n % 7).to_string()).await.expect("a message is stored");
        bodies.insert(text);
    }
    bodies
}

fn body(message: &MessageView) -> String {
    String::from_utf8_lossy(&message.body).into_owned()
}

type Handled = Arc<Mutex<Vec<MessageView>>>;

fn bodies(handled: &Handled) -> BTreeSet<String> {
    handled.lock().iter().map(body).collect()
}

async fn in_order(
    client: &Client,
    group: &str,
    topic: &str,
    handled: &Handled,
    fails: &'static str,
) -> PushConsumer {
    let handled = Arc::clone(handled);
    let consumer =
        client.push_consumer(group).subscribe(topic, "*").from(StartFrom::First).order(Order::Orderly);
    consumer
        .suspend(Duration::from_millis(10))
        .max_attempts(3)
        .start(move |message: MessageView| {
            let verdict = match body(&message).ends_with(fails) {
                true => Verdict::retry(),
                false => Verdict::done(),
            };
            if verdict == Verdict::Done {
                handled.lock().push(message);
            }
            async move { verdict }
        })
        .await
        .expect("a consumer starts")
}

/// Each queue's messages come in order, and one that always fails ends up in the dead letters.
async fn orderly(client: &Client) {
    let (topic, group) = ("con-orderly", "con-orderly-group");
    let mut sent = send(client, topic, 40).await;
    let handled = Handled::default();
    let consumer = in_order(client, group, topic, &handled, "-17").await;
    sent.remove("con-orderly-17");
    until(topic, || bodies(&handled) == sent).await;
    let dead = format!("%DLQ%{group}");
    let admin = client.admin();
    let buried = timeout(PATIENCE, async {
        loop {
            let queues = admin.message_queues(&dead).await.unwrap_or_default();
            match queues.first() {
                Some(queue) if admin.max_offset(queue).await.is_ok_and(|end| end > 0) => return,
                _ => sleep(LOOK).await,
            }
        }
    });
    assert!(buried.await.is_ok(), "no dead letter");
    consumer.stop(STOP).await.expect("a consumer stops");
    let mut queues: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for message in handled.lock().iter() {
        queues.entry(message.queue_id).or_default().push(message.queue_offset);
    }
    assert!(queues.values().all(|offsets| offsets.is_sorted()), "{queues:?}");
    assert_eq!(handled.lock().len(), 39, "each was handled once");
    for queue in admin.message_queues(topic).await.expect("a route") {
        let end = admin.max_offset(&queue).await.expect("an answer");
        let committed = admin.committed_offset(group, &queue).await.expect("an answer");
        assert_eq!(committed.unwrap_or(0), end, "{queue}");
    }
}

/// Members of an orderly group come and go, and every message is handled exactly once.
async fn shared(address: &str) {
    let (topic, group) = ("con-shared", "con-shared-group");
    let (one, two) = (client(address), client(address));
    let handled = Handled::default();
    let first = in_order(&one, group, topic, &handled, "never").await;
    let mut sent = send(&one, topic, 30).await;
    let of_topic =
        |consumer: &PushConsumer| consumer.queues().into_iter().filter(|queue| queue.topic == topic).count();
    let second = in_order(&two, group, topic, &handled, "never").await;
    until("division", || (of_topic(&first), of_topic(&second)) == (2, 2)).await;
    let producer = one.producer("con-producers").await.expect("it starts");
    for n in 0..30 {
        let text = format!("{topic}-later-{n}");
        producer.send(Message::new(topic, text.clone())).await.expect("a message is stored");
        sent.insert(text);
    }
    until("both halves", || bodies(&handled) == sent).await;
    second.stop(STOP).await.expect("a consumer stops");
    until("take-over", || of_topic(&first) == 4).await;
    let last = producer.send(Message::new(topic, "last")).await.expect("a message is stored");
    sent.insert("last".to_owned());
    until("the last message", || handled.lock().iter().any(|message| message.message_id == last.message_id))
        .await;
    first.stop(STOP).await.expect("a consumer stops");
    assert_eq!((bodies(&handled), handled.lock().len()), (sent.clone(), sent.len()));
    one.close().await;
    two.close().await;
}

async fn poll(consumer: &LitePullConsumer, count: usize) -> BTreeSet<String> {
    let mut polled = BTreeSet::new();
    while polled.len() < count {
        let messages = consumer.poll(PATIENCE).await.expect("the consumer runs");
        assert!(!messages.is_empty(), "only {polled:?}");
        polled.extend(messages.iter().map(body));
    }
    polled
}

async fn lite(client: &Client) {
    let topic = "con-lite";
    let sent = send(client, topic, 40).await;
    let builder = client.lite_pull_consumer("con-lite-group").subscribe(topic, "*").from(StartFrom::First);
    let consumer = builder.auto_commit(false).start().await.expect("a consumer starts");
    assert_eq!(poll(&consumer, 40).await, sent);
    consumer.commit().await.expect("a commit");
    let queues = consumer.assignment();
    assert_eq!(queues.len(), 4);
    let mut ends = 0;
    for queue in &queues {
        let end = client.admin().max_offset(queue).await.expect("an answer");
        // At least once: a queue that was given away and taken again in between gives its messages again.
        let commits = async {
            while consumer.committed(queue).await.expect("an answer") != Some(end) {
                consumer.poll(Duration::from_millis(200)).await.expect("the consumer runs");
                consumer.commit().await.expect("a commit");
            }
        };
        tokio::time::timeout(PATIENCE, commits).await.expect("what was polled is committed");
        ends += end;
        consumer.seek(queue, Position::Begin).await.expect("a seek");
    }
    assert_eq!(ends, 40);
    assert_eq!(poll(&consumer, 40).await, sent, "from the beginning once more");
    consumer.stop().await.expect("a consumer stops");
}

async fn pull(client: &Client) {
    let topic = "con-pull";
    let sent = send(client, topic, 40).await;
    let consumer = client.pull_consumer("con-pull-group").await.expect("a consumer starts");
    let (mut all, mut tagged) = (BTreeSet::new(), BTreeSet::new());
    for queue in consumer.message_queues(topic).await.expect("a route") {
        for (filter, into) in [(Filter::all(), &mut all), (Filter::tags("b"), &mut tagged)] {
            let mut offset = 0;
            loop {
                let pulled = consumer.pull(&queue, offset).filter(filter.clone()).await.expect("an answer");
                offset = pulled.next_offset;
                into.extend(pulled.messages.iter().map(body));
                if matches!(pulled.outcome, PullOutcome::End | PullOutcome::NoSuchOffset) {
                    break;
                }
            }
        }
        let end = consumer.max_offset(&queue).await.expect("an answer");
        consumer.commit(&queue, end).await.expect("a commit");
        assert_eq!(consumer.committed(&queue).await.expect("an answer"), Some(end));
    }
    let odd = |text: &&String| {
        text.rsplit('-').next().and_then(|n| n.parse().ok()).is_some_and(|n: u32| n % 2 == 1)
    };
    assert_eq!(tagged, sent.iter().filter(odd).cloned().collect());
    assert_eq!(all, sent);
    consumer.stop().await;
}

/// Tools ask a consumer through its broker.
async fn direct(client: &Client) {
    let (topic, group) = ("con-direct", "con-direct-group");
    let sent = send(client, topic, 8).await;
    let handled = Handled::default();
    let into = Arc::clone(&handled);
    let consumer = client
        .push_consumer(group)
        .subscribe(topic, "*")
        .from(StartFrom::First)
        .start(move |message: MessageView| {
            into.lock().push(message);
            async {}
        })
        .await
        .expect("a consumer starts");
    until(topic, || bodies(&handled) == sent).await;
    let admin = client.admin();
    let running = admin.consumer_running(group, client.id()).await.expect("the consumer answers");
    // The queues of its retry topic may come between the two questions.
    let of_topic = |queue: &MessageQueue| queue.topic == topic;
    let told = running.mq_table.0.keys().cloned().map(MessageQueue::from);
    let queues: BTreeSet<MessageQueue> = told.filter(of_topic).collect();
    assert!(!queues.is_empty());
    assert_eq!(queues, consumer.queues().into_iter().filter(of_topic).collect());
    assert_eq!(running.subscription_set.len(), 2);
    consumer.stop(STOP).await.expect("a consumer stops");
}

/// A topic and a group from their making to their end.
async fn administer(client: &Client) {
    let (topic, group, everywhere) = ("con-admin", "con-admin-group", Scope::All);
    let admin = client.admin();
    admin.create_topic(topic, 4).await.expect("a topic is made");
    admin.create_group(group).max_retries(3).await.expect("a group is made");
    eventually("route", async || admin.route(topic).await.is_ok()).await;
    let sent = send(client, topic, 12).await;
    let handled = Handled::default();
    let into = Arc::clone(&handled);
    let consumer = client
        .push_consumer(group)
        .subscribe(topic, "*")
        .from(StartFrom::First)
        .commit_every(Duration::from_millis(100))
        .start(move |message: MessageView| {
            into.lock().push(message);
            async {}
        })
        .await
        .expect("a consumer starts");
    until(topic, || bodies(&handled) == sent).await;

    configurations(client, topic, group).await;
    let ends = admin.topic_stats(topic).await.expect("statistics");
    assert_eq!(
        ends.offset_table.0.values().map(|queue| queue.max_offset - queue.min_offset).sum::<i64>(),
        12
    );
    assert!(admin.topics().await.expect("topics").contains(&topic.to_owned()));
    let caught_up =
        async || admin.consume_stats(group, Some(topic)).await.is_ok_and(|stats| stats.behind() == 0);
    eventually("progress", caught_up).await;
    let groups = admin.groups_of_topic(topic).await.expect("groups");
    assert!(groups.contains(&group.to_owned()), "{groups:?}");
    let members = admin.consumer_connections(group).await.expect("members");
    assert_eq!(
        (members.connection_set.len(), members.connection_set[0].client_id.as_str()),
        (1, client.id())
    );
    assert!(members.subscription_table.contains_key(topic));
    messages(client, topic, group, &handled).await;

    // The members are told, or learn it from their next pulls.
    let before = handled.lock().len();
    let offsets = admin.reset_offsets(group, topic, Some(0)).await.expect("a reset");
    assert!(offsets.values().all(|offset| *offset == 0), "{offsets:?}");
    until("the second round", || handled.lock().len() >= before + 12).await;
    consumer.stop(STOP).await.expect("a consumer stops");

    admin.delete_group(&everywhere, group, true).await.expect("a group is deleted");
    admin.delete_topic(&everywhere, topic).await.expect("a topic is deleted");
    eventually("deletion", async || {
        admin.topics().await.is_ok_and(|topics| !topics.contains(&topic.to_owned()))
    })
    .await;
    admin.put_kv("con-space", "key", "value").await.expect("a value is kept");
    assert_eq!(admin.kv("con-space", "key").await.expect("an answer").as_deref(), Some("value"));
    assert_eq!(admin.kvs("con-space").await.expect("an answer").len(), 1);
    admin.delete_kv("con-space", "key").await.expect("a value is deleted");
    assert_eq!(admin.kv("con-space", "key").await.expect("an answer"), None);
}

/// What brokers say of a topic, a group and themselves. Those before 5.0 do not know the first two questions.
async fn configurations(client: &Client, topic: &str, group: &str) {
    let admin = client.admin();
    for broker in admin.masters(&Scope::All).await.expect("masters") {
        match admin.topic_config(&broker, topic).await {
            Ok(config) => assert_eq!(config.expect("it has the topic").read_queue_nums, 4),
            Err(Error::Refused { code, .. }) => assert_eq!(code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
            Err(error) => panic!("{error}"),
        }
        match admin.group_config(&broker, group).await {
            Ok(config) => assert_eq!(config.expect("it has the group").retry_max_times, 3),
            Err(Error::Refused { code, .. }) => assert_eq!(code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
            Err(error) => panic!("{error}"),
        }
        assert!(admin.topic_configs(&broker).await.expect("topics").contains_key(topic));
        assert!(admin.group_configs(&broker).await.expect("groups").contains_key(group));
        // Apache's 4.9.7 fails at this until it has measured itself for the first time.
        let facts = async {
            loop {
                match admin.broker_runtime(&broker).await {
                    Err(Error::Refused { code: ResponseCode::SYSTEM_ERROR, .. }) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    told => break told.expect("facts"),
                }
            }
        };
        let facts = tokio::time::timeout(PATIENCE, facts).await.expect("the broker measures itself");
        assert!(facts.contains_key("brokerVersionDesc"));
        assert!(admin.broker_config(&broker).await.expect("a configuration").contains("brokerName"));
    }
}

/// Messages are found by key, by id and by place, and handed to a member.
async fn messages(client: &Client, topic: &str, group: &str, handled: &Handled) {
    let admin = client.admin();
    let message =
        handled.lock().iter().find(|message| body(message) == "con-admin-5").cloned().expect("it came");
    let by_key = async || admin.messages_by_key(topic, "key-5").await.is_ok_and(|found| found.len() == 1);
    eventually("a message by its key", by_key).await;
    let by_id = admin.messages_by_id(topic, message.message_id.as_str()).await.expect("an answer");
    assert_eq!(by_id.iter().map(body).collect::<Vec<_>>(), ["con-admin-5"]);
    let there = admin.message_at(topic, &message.offset_message_id).await.expect("an answer");
    assert_eq!(there.map(|message| message.message_id), Some(message.message_id.clone()));
    let result = admin.consume_directly(group, client.id(), topic, &message.offset_message_id).await;
    assert_eq!(result.expect("the consumer answers").consume_result, "CR_SUCCESS");
    assert_eq!(handled.lock().iter().filter(|again| again.message_id == message.message_id).count(), 2);
}
