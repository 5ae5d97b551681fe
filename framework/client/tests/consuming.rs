//! Push consumers against brokers that notify, hold, refuse and hang up.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rocketmq_boot_client::{
    ByConfig, Client, ConsumeHook, Consumption, DEAD_LETTER_REASON, Error, Filter, Handler, MessageQueue,
    MessageView, Model, PushConsumer, PushConsumerBuilder, StartFrom, StopError, Verdict,
};
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::{
        offset::UpdateConsumerOffset,
        pull::PullMessage,
        send::{SendBack, SendMessageShort},
    },
    message::record::Record,
};
use tokio::sync::Semaphore;

use self::support::{Broker, Cluster, Instead, NEVER, PATIENCE, Seen, draft, numbers};

const BACK: RequestCode = RequestCode::CONSUMER_SEND_MSG_BACK;
const PULL: RequestCode = RequestCode::PULL_MESSAGE;
const STOP: Duration = Duration::from_secs(10);

/// A consumer of `orders` whose intervals do not run out during a test.
fn consumer(client: &Client) -> PushConsumerBuilder {
    let consumer = client.push_consumer("billing").subscribe("orders", "*").from(StartFrom::First);
    consumer.rebalance_every(NEVER).commit_every(NEVER).pause_after_error(Duration::from_millis(10))
}

async fn start(builder: PushConsumerBuilder, seen: &Seen) -> PushConsumer {
    start_with(builder, seen, |_| Verdict::done()).await
}

async fn start_with(
    builder: PushConsumerBuilder,
    seen: &Seen,
    judge: impl Fn(&MessageView) -> Verdict + Send + Sync + 'static,
) -> PushConsumer {
    let seen = seen.clone();
    let handler = move |message: MessageView| {
        let verdict = judge(&message);
        seen.add(message);
        async move { verdict }
    };
    builder.start(handler).await.unwrap()
}

fn append(broker: &Broker, queue: usize, body: &str) {
    broker.append(queue, draft("orders", body.as_bytes(), b""));
}

async fn one_queue() -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    cluster
}

fn queues_of(consumer: &PushConsumer, topic: &str) -> BTreeSet<MessageQueue> {
    consumer.queues().into_iter().filter(|queue| queue.topic == topic).collect()
}

#[tokio::test]
async fn a_tag_that_only_hashes_alike_is_left_out() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    for (body, tag) in [("0", "Aa"), ("x", "BB"), ("y", "C"), ("1", "Aa")] {
        broker.append(0, draft("orders", body.as_bytes(), format!("TAGS\u{1}{tag}").as_bytes()));
    }
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()).subscribe("orders", "Aa"), &seen).await;
    seen.until_count(2).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1"]);
    assert_eq!(broker.committed("billing", "orders", 0), Some(4));
}

#[tokio::test]
async fn members_divide_queues_when_a_broker_says_that_they_changed() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 3);
    let seen = Seen::default();
    let (one, two) = (cluster.client(), cluster.client());
    let first = start(consumer(&one), &seen).await;
    let second = start(consumer(&two), &seen).await;
    let settled = |_: &Broker| {
        let (first, second) = (queues_of(&first, "orders"), queues_of(&second, "orders"));
        first.len() == 3 && second.len() == 3 && first.is_disjoint(&second)
    };
    cluster.broker().until("division", settled).await;
    for broker in &cluster.brokers {
        for queue in 0..3 {
            append(broker, queue, &format!("{}{queue}", broker.name));
        }
    }
    seen.until_count(6).await;
    second.stop(STOP).await.unwrap();
    cluster.broker().until("take-over", |_| queues_of(&first, "orders").len() == 6).await;
    first.stop(STOP).await.unwrap();
    assert_eq!((seen.set().len(), seen.bodies().len()), (6, 6), "{:?}", seen.bodies());
}

#[tokio::test]
async fn a_full_queue_is_not_pulled_until_there_is_room() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    for n in 0..40 {
        append(broker, 0, &n.to_string());
    }
    let gate = Arc::new(Semaphore::new(0));
    let seen = Seen::default();
    let handler = (seen.clone(), Arc::clone(&gate));
    let limited = consumer(&cluster.client()).pull_batch(4).max_cached_messages(8).concurrency(1);
    let consumer = limited
        .start(move |message: MessageView| {
            let (seen, gate) = handler.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                seen.add(message);
            }
        })
        .await
        .unwrap();
    let offset_of = |request: &Command| request.header::<PullMessage>().unwrap().queue_offset;
    let furthest = |broker: &Broker| {
        broker
            .requests(PULL)
            .iter()
            .filter(|pull| pull.fields.get("topic") == Some("orders"))
            .map(offset_of)
            .max()
    };
    broker.until("second pull", |broker| furthest(broker) == Some(4)).await;
    // Eight messages are out; the next pull needs one of them settled.
    gate.add_permits(1);
    broker.until("third pull", |broker| furthest(broker) == Some(8)).await;
    assert_eq!(furthest(broker), Some(8));
    gate.add_permits(1_000);
    seen.until_count(40).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.set(), numbers(40));
}

#[tokio::test]
async fn no_more_handlers_run_than_allowed() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 4);
    for n in 0..40 {
        append(cluster.broker(), n % 4, &n.to_string());
    }
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Seen::default();
    let handler = (seen.clone(), Arc::clone(&running), Arc::clone(&most));
    let consumer = consumer(&cluster.client()).concurrency(3).start(move |message: MessageView| {
        let (seen, running, most) = handler.clone();
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            seen.add(message);
        }
    });
    let consumer = consumer.await.unwrap();
    seen.until_count(40).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_batch_handler_judges_each_message() {
    struct Odd(Seen);
    #[async_trait::async_trait]
    impl Handler for Odd {
        async fn handle(&self, messages: Vec<MessageView>) -> Vec<Verdict> {
            assert!(messages.len() <= 4, "{}", messages.len());
            let verdict = |message: &MessageView| match message.queue_offset % 2 {
                1 if message.reconsume_times == 0 => Verdict::retry(),
                _ => Verdict::done(),
            };
            let verdicts = messages.iter().map(verdict).collect();
            messages.into_iter().for_each(|message| self.0.add(message));
            verdicts
        }
    }
    let cluster = one_queue().await;
    for n in 0..10 {
        append(cluster.broker(), 0, &n.to_string());
    }
    let seen = Seen::default();
    let consumer = consumer(&cluster.client()).batch(4).start(Odd(seen.clone())).await.unwrap();
    seen.until_count(15).await;
    consumer.stop(STOP).await.unwrap();
    let again: BTreeSet<String> = seen
        .all()
        .iter()
        .filter(|message| message.reconsume_times == 1)
        .map(|message| String::from_utf8_lossy(&message.body).into_owned())
        .collect();
    assert_eq!(again, ["1", "3", "5", "7", "9"].map(ToOwned::to_owned).into());
}

#[tokio::test]
async fn a_failed_message_comes_back_under_its_own_topic_until_it_is_buried() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    let seen = Seen::default();
    let failing = consumer(&cluster.client()).max_attempts(3);
    let consumer = start_with(failing, &seen, |_| Verdict::retry()).await;
    cluster.broker().until("burial", |broker| broker.stored("%DLQ%billing") == 1).await;
    consumer.stop(STOP).await.unwrap();
    let attempts: Vec<_> =
        seen.all().iter().map(|message| (message.topic.clone(), message.reconsume_times)).collect();
    assert_eq!(attempts, [0, 1, 2].map(|times| ("orders".to_owned(), times)));
    let header: SendBack = cluster.broker().requests(BACK)[0].header().unwrap();
    assert_eq!((header.delay_level, header.max_reconsume_times), (0, Some(2)));
}

#[tokio::test]
async fn verdicts_choose_the_level() {
    let cluster = one_queue().await;
    for body in ["level", "after", "dead", "drop"] {
        append(cluster.broker(), 0, body);
    }
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |message| match &*message.body {
        _ if message.reconsume_times > 0 => Verdict::done(),
        b"level" => Verdict::retry_level(7),
        b"after" => Verdict::retry_after(Duration::from_secs(60)),
        b"dead" => Verdict::dead_letter("no such order"),
        _ => Verdict::drop(),
    })
    .await;
    seen.until_count(6).await;
    consumer.stop(STOP).await.unwrap();
    let level = |request: &Command| {
        let header: SendBack = request.header().unwrap();
        (header.offset, header.delay_level)
    };
    let levels: BTreeSet<_> = cluster.broker().requests(BACK).iter().map(level).collect();
    assert_eq!(levels, [(0, 7), (1, 5)].into());
    // A dead letter is sent rather than sent back: only so can it say why it is one.
    let dead = cluster.broker().records("%DLQ%billing").remove(0);
    let dead = Record::decode(&dead).unwrap();
    assert_eq!((dead.property(DEAD_LETTER_REASON), dead.body), (Some("no such order"), &b"dead"[..]));
    assert_eq!(cluster.broker().committed("billing", "orders", 0), Some(4));
}

#[tokio::test]
async fn a_panic_is_a_failure_of_its_message() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    append(cluster.broker(), 0, "y");
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |message| {
        assert!(message.reconsume_times > 0 || message.body == "y", "a handler that panics");
        Verdict::done()
    })
    .await;
    seen.until_count(2).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.set(), ["x", "y"].map(ToOwned::to_owned).into());
}

#[tokio::test]
async fn a_copy_is_sent_when_the_broker_does_not_take_a_message_back() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    cluster.broker().always(BACK, Instead::Refuse(ResponseCode::SYSTEM_ERROR));
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |message| match message.reconsume_times {
        0 => Verdict::retry(),
        _ => Verdict::done(),
    })
    .await;
    seen.until_count(2).await;
    consumer.stop(STOP).await.unwrap();
    let copy = cluster.broker().requests(RequestCode::SEND_MESSAGE_V2).remove(0);
    let header: SendMessageShort = copy.header().unwrap();
    assert_eq!((header.topic.as_str(), header.reconsume_times), ("%RETRY%billing", 1));
    assert_eq!(header.max_reconsume_times, Some(16));
    assert_eq!(seen.all()[1].topic, "orders");
}

#[tokio::test]
async fn a_message_that_nobody_takes_back_is_handled_again_here() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    cluster.broker().always(BACK, Instead::Refuse(ResponseCode::SYSTEM_ERROR));
    cluster.broker().always(RequestCode::SEND_MESSAGE_V2, Instead::Refuse(ResponseCode::MESSAGE_ILLEGAL));
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |message| match message.reconsume_times {
        0 | 1 => Verdict::retry(),
        _ => Verdict::done(),
    })
    .await;
    seen.until_count(3).await;
    consumer.stop(STOP).await.unwrap();
    let times: Vec<_> = seen.all().iter().map(|message| message.reconsume_times).collect();
    assert_eq!(times, [0, 1, 2]);
    assert_eq!(cluster.broker().committed("billing", "orders", 0), Some(1));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_buried_and_the_queue_goes_on() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    append(broker, 0, "x");
    let mut bomb = draft("orders", b"this is not zlib", b"");
    bomb.sys_flag = rocketmq_boot_protocol::message::sys_flag::COMPRESSED;
    broker.append(0, bomb);
    append(broker, 0, "y");
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    seen.until_count(2).await;
    broker.until("burial", |broker| broker.stored("%DLQ%billing") == 1).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["x", "y"]);
    assert_eq!(broker.committed("billing", "orders", 0), Some(3));
}

#[tokio::test]
async fn stopping_waits_for_handlers_and_for_the_commit() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    let gate = Arc::new(Semaphore::new(0));
    let seen = Seen::default();
    let handler = (seen.clone(), Arc::clone(&gate));
    let client = cluster.client();
    let consumer = consumer(&client)
        .start(move |message: MessageView| {
            let (seen, gate) = handler.clone();
            async move {
                seen.add(message);
                gate.acquire().await.unwrap().forget();
            }
        })
        .await
        .unwrap();
    seen.until_count(1).await;
    let consumer = Arc::new(consumer);
    let stopping = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.stop(PATIENCE).await }
    });
    tokio::task::yield_now().await;
    assert!(!stopping.is_finished());
    gate.add_permits(1);
    stopping.await.unwrap().unwrap();
    let broker = cluster.broker();
    let commits = broker.requests(RequestCode::UPDATE_CONSUMER_OFFSET);
    let last: UpdateConsumerOffset = commits
        .iter()
        .rfind(|commit| commit.fields.get("topic") == Some("orders"))
        .unwrap()
        .header()
        .unwrap();
    assert_eq!(last.commit_offset, 1);
    assert!(commits.iter().all(|commit| !commit.is_one_way()));
    assert_eq!(broker.count(RequestCode::UNREGISTER_CLIENT), 1);
    let pulls = broker.count(PULL);
    append(broker, 0, "later");
    consumer.stop(STOP).await.unwrap();
    assert_eq!((broker.count(PULL), seen.bodies().len()), (pulls, 1));
    assert!(client.push_consumer("billing").subscribe("orders", "*").start(|_| async {}).await.is_ok());
}

#[tokio::test]
async fn handlers_that_do_not_end_are_cut_off_and_their_messages_stay() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "done");
    append(cluster.broker(), 0, "stuck");
    append(cluster.broker(), 0, "done too");
    let seen = Seen::default();
    let handler = seen.clone();
    let consumer = consumer(&cluster.client())
        .start(move |message: MessageView| {
            let stuck = message.body == "stuck";
            handler.add(message);
            async move {
                if stuck {
                    std::future::pending::<()>().await;
                }
            }
        })
        .await
        .unwrap();
    seen.until_count(3).await;
    let error = consumer.stop(Duration::from_millis(1)).await.unwrap_err();
    assert!(matches!(error, StopError::CutOff { handlers: 1, .. }), "{error:?}");
    assert_eq!(cluster.broker().committed("billing", "orders", 0), Some(1));
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_the_group_told() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    append(broker, 0, "0");
    seen.until_count(1).await;
    let before = broker.count(RequestCode::HEART_BEAT);
    broker.hang_up();
    broker.until("heartbeat", |broker| broker.count(RequestCode::HEART_BEAT) > before).await;
    append(broker, 0, "1");
    seen.until_count(2).await;
    broker.until("membership", |broker| broker.state.lock().members["billing"].len() == 1).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1"]);
}

#[tokio::test]
async fn refused_and_lost_pulls_are_made_again() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    for instead in [
        Instead::Refuse(ResponseCode::SYSTEM_BUSY),
        Instead::Refuse(ResponseCode::SUBSCRIPTION_NOT_EXIST),
        Instead::Refuse(ResponseCode::GO_AWAY),
        Instead::HangUp,
    ] {
        broker.once(PULL, instead);
    }
    append(broker, 0, "x");
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn an_offset_that_is_gone_is_replaced_by_the_brokers() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    for n in 0..5 {
        append(broker, 0, &n.to_string());
    }
    broker.commit("billing", "orders", 0, 1);
    broker.state.lock().min_offset = 3;
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    seen.until_count(2).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["3", "4"]);
    assert_eq!(broker.committed("billing", "orders", 0), Some(5));
}

#[tokio::test]
async fn a_new_group_starts_where_it_was_told() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "old");
    let client = cluster.client();
    let (first, last) = (Seen::default(), Seen::default());
    let one = start(consumer(&client), &first).await;
    let fresh = client.push_consumer("audit").subscribe("orders", "*").from(StartFrom::Last);
    let two = start(fresh.rebalance_every(NEVER).commit_every(NEVER), &last).await;
    let pulls_of = |broker: &Broker, group: &str| {
        let pulls = broker.requests(PULL);
        let of = |pull: &&Command| {
            pull.fields.get("consumerGroup") == Some(group) && pull.fields.get("topic") == Some("orders")
        };
        pulls.iter().filter(of).count()
    };
    cluster.broker().until("pull at the end", |broker| pulls_of(broker, "audit") > 0).await;
    append(cluster.broker(), 0, "new");
    first.until_count(2).await;
    last.until_count(1).await;
    one.stop(STOP).await.unwrap();
    two.stop(STOP).await.unwrap();
    assert_eq!((first.bodies(), last.bodies()), (vec!["old".into(), "new".into()], vec!["new".into()]));
}

#[tokio::test]
async fn offsets_are_committed_one_way_while_running() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    let seen = Seen::default();
    let often = consumer(&cluster.client()).commit_every(Duration::from_millis(5));
    let consumer = start(often, &seen).await;
    let committed = |broker: &Broker| broker.committed("billing", "orders", 0) == Some(1);
    cluster.broker().until("commit", committed).await;
    let commits = cluster.broker().requests(RequestCode::UPDATE_CONSUMER_OFFSET);
    assert!(commits.iter().all(Command::is_one_way));
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn broadcasting_members_get_everything_and_remember_it_here() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 2);
    for n in 0..6 {
        append(cluster.broker(), n % 2, &n.to_string());
    }
    let dir = tempfile::tempdir().unwrap();
    let member = |name: &str| {
        let client = Client::builder(cluster.name_servers()).instance(name).build();
        consumer(&client).model(Model::Broadcasting).offsets_dir(dir.path())
    };
    let (one, two) = (Seen::default(), Seen::default());
    let first = start(member("one"), &one).await;
    // A message that fails is not retried: nobody else could tell that it was.
    let second = start_with(member("two"), &two, |_| Verdict::retry()).await;
    one.until_count(6).await;
    two.until_count(6).await;
    first.stop(STOP).await.unwrap();
    second.stop(STOP).await.unwrap();
    append(cluster.broker(), 0, "new");
    let again = Seen::default();
    let first = start(member("one"), &again).await;
    again.until_count(1).await;
    first.stop(STOP).await.unwrap();
    assert_eq!((one.set(), two.set()), (numbers(6), numbers(6)));
    assert_eq!(again.bodies(), ["new"]);
    let broker = cluster.broker();
    let asked = [BACK, RequestCode::UPDATE_CONSUMER_OFFSET, RequestCode::QUERY_CONSUMER_OFFSET];
    assert_eq!(asked.map(|code| broker.count(code)), [0, 0, 0]);
}

#[tokio::test]
async fn offsets_that_cannot_be_read_stop_a_broadcasting_consumer_from_starting() {
    let cluster = one_queue().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("127.0.0.1@x/billing/offsets.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{\"offsetTable\":{{").unwrap();
    let client = Client::builder(cluster.name_servers()).instance("x").build();
    let consumer = consumer(&client).model(Model::Broadcasting).offsets_dir(dir.path());
    let error = consumer.start(|_| async {}).await.unwrap_err();
    assert!(matches!(&error, Error::OffsetsFile { path, .. } if *path == file), "{error}");
}

#[tokio::test]
async fn a_topic_can_be_added_and_left_while_running() {
    let cluster = one_queue().await;
    cluster.topic("refunds", 1);
    let broker = cluster.broker();
    broker.append(0, draft("refunds", b"refund", b""));
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    consumer.subscribe("refunds", "*").await.unwrap();
    seen.until_count(1).await;
    let subscribed = broker.state.lock().members["billing"].values().next().unwrap().subscriptions.clone();
    assert!(subscribed.iter().any(|data| data.topic == "refunds"));
    consumer.unsubscribe("refunds").await;
    let left = |broker: &Broker| broker.committed("billing", "refunds", 0) == Some(1);
    broker.until("commit on leaving", left).await;
    assert!(queues_of(&consumer, "refunds").is_empty());
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_comes_later_is_consumed_then() {
    let cluster = Cluster::start(1).await;
    cluster.topic("other", 1);
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    append(cluster.broker(), 0, "x");
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_group_has_one_consumer_in_a_client() {
    let cluster = one_queue().await;
    let client = cluster.client();
    let first = start(consumer(&client), &Seen::default()).await;
    let second = consumer(&client).start(|_| async {}).await;
    assert!(matches!(second, Err(Error::GroupInUse { .. })));
    drop(first);
    assert!(consumer(&client).start(|_| async {}).await.is_ok());
}

#[tokio::test]
async fn requests_of_a_broker_that_are_not_supported_are_answered_so() {
    let cluster = one_queue().await;
    let consumer = start(consumer(&cluster.client()), &Seen::default()).await;
    let mut request = Command::bare(RequestCode::SUSPEND_CONSUMER);
    request.opaque = 4_711;
    cluster.broker().tell("billing", &request);
    let answer = |broker: &Broker| {
        let state = broker.state.lock();
        state.requests.iter().find(|command| command.is_response() && command.opaque == 4_711).cloned()
    };
    cluster.broker().until("answer", |broker| answer(broker).is_some()).await;
    let code = answer(cluster.broker()).unwrap().response_code();
    assert_eq!(code, ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn dropping_a_consumer_and_its_client_leaves_no_connection() {
    let cluster = one_queue().await;
    let client = cluster.client();
    let consumer = start(consumer(&client), &Seen::default()).await;
    cluster.broker().until("pull", |broker| broker.count(PULL) > 0).await;
    drop((consumer, client));
    cluster.broker().until("connections", |broker| broker.connections() == 0).await;
}

#[tokio::test]
async fn calls_can_become_more_and_fewer_while_running() {
    let cluster = one_queue().await;
    for n in 0..6 {
        append(cluster.broker(), 0, &n.to_string());
    }
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let handler = (seen.clone(), Arc::clone(&gate));
    let consumer = consumer(&cluster.client()).concurrency(1).start(move |message: MessageView| {
        let (seen, gate) = handler.clone();
        async move {
            seen.add(message);
            gate.acquire().await.unwrap().forget();
        }
    });
    let consumer = consumer.await.unwrap();
    seen.until_count(1).await;
    consumer.set_concurrency(3);
    seen.until_count(3).await;
    consumer.set_concurrency(1);
    assert_eq!(consumer.concurrency(), 1);
    gate.add_permits(100);
    seen.until_count(6).await;
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_cut_off_and_its_message_comes_again() {
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    let seen = Seen::default();
    let handler = seen.clone();
    let limited = consumer(&cluster.client()).concurrency(1).consume_timeout(Duration::from_millis(20));
    let consumer = limited.start(move |message: MessageView| {
        let stuck = message.reconsume_times == 0;
        handler.add(message);
        async move {
            if stuck {
                std::future::pending::<()>().await;
            }
        }
    });
    let consumer = consumer.await.unwrap();
    seen.until_count(2).await;
    consumer.stop(STOP).await.unwrap();
    let header: SendBack = cluster.broker().requests(BACK)[0].header().unwrap();
    assert_eq!(header.delay_level, 3);
}

#[tokio::test]
async fn a_filter_that_a_broker_does_not_take_stops_the_start() {
    let cluster = one_queue().await;
    let broker = cluster.broker();
    broker.once(RequestCode::CHECK_CLIENT_CONFIG, Instead::Refuse(ResponseCode::SUBSCRIPTION_PARSE_FAILED));
    let client = cluster.client();
    let vip = || consumer(&client).subscribe("orders", Filter::sql("cents >"));
    let error = vip().start(|_| async {}).await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: ResponseCode::SUBSCRIPTION_PARSE_FAILED, .. }), "{error}");
    // The consumer that did not start is not in the way of the next.
    let consumer = vip().start(|_| async {}).await.unwrap();
    broker.until("pull", |broker| broker.count(PULL) > 0).await;
    let of_orders = |pull: &Command| pull.header::<PullMessage>().ok().filter(|pull| pull.topic == "orders");
    broker.until("pull", |broker| broker.requests(PULL).iter().any(|pull| of_orders(pull).is_some())).await;
    let pull = broker.requests(PULL).iter().find_map(of_orders).unwrap();
    assert_eq!(
        (pull.expression_type.as_deref(), pull.subscription.as_deref()),
        (Some("SQL92"), Some("cents >"))
    );
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn hooks_see_every_call_in_their_order() {
    struct Note(&'static str, Arc<parking_lot::Mutex<Vec<String>>>);
    impl ConsumeHook for Note {
        fn before(&self, call: &Consumption<'_>) {
            assert_eq!((call.group, call.messages.len()), ("billing", 1));
            self.1.lock().push(format!("before {}", self.0));
        }
        fn after(&self, call: &Consumption<'_>, verdicts: &[Verdict], _: Duration) {
            self.1.lock().push(format!("after {} {:?}", self.0, verdicts[0]));
            assert!(self.0 != "b" || call.messages[0].body != "x", "a hook that panics");
        }
    }
    let cluster = one_queue().await;
    append(cluster.broker(), 0, "x");
    let notes = Arc::default();
    let hooked =
        consumer(&cluster.client()).hook(Note("a", Arc::clone(&notes))).hook(Note("b", Arc::clone(&notes)));
    let seen = Seen::default();
    let consumer = start(hooked, &seen).await;
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(*notes.lock(), ["before a", "before b", "after b Done", "after a Done"]);
}

#[tokio::test]
async fn a_member_can_keep_to_the_strategy_that_it_was_given() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 4);
    let seen = Seen::default();
    let client = cluster.client();
    let member = consumer(&client).allocate(ByConfig(vec![MessageQueue::new("orders", "b", 2)]));
    let consumer = start(member, &seen).await;
    cluster.broker().until("assignment", |_| !queues_of(&consumer, "orders").is_empty()).await;
    assert_eq!(consumer.queues(), [MessageQueue::new("orders", "b", 2)]);
    consumer.stop(STOP).await.unwrap();
}
