//! Orderly consumers: one message after the other, behind a lock that the broker keeps.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rocketmq_boot_client::{
    Client, DEAD_LETTER_REASON, Handler, MessageView, Order, PushConsumer, PushConsumerBuilder, StartFrom,
    Verdict,
};
use rocketmq_boot_protocol::{RequestCode, ResponseCode, message::record::Record};
use tokio::sync::Semaphore;

use self::support::{Broker, Cluster, Instead, NEVER, PATIENCE, Seen, draft, numbers};

const STOP: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);

fn consumer(client: &Client) -> PushConsumerBuilder {
    let consumer = client.push_consumer("stock").subscribe("orders", "*").from(StartFrom::First);
    let consumer = consumer.order(Order::Orderly).suspend(MOMENT).lock_every(NEVER);
    consumer.rebalance_every(NEVER).commit_every(NEVER).pause_after_error(MOMENT)
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

async fn cluster(queues: usize, messages: usize) -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", queues);
    for n in 0..messages {
        cluster.broker().append(n % queues, draft("orders", n.to_string().as_bytes(), b""));
    }
    cluster
}

fn lock_of(broker: &Broker, queue: i32) -> Option<String> {
    broker.state.lock().locks.get(&("stock".to_owned(), "orders".to_owned(), queue)).cloned()
}

#[tokio::test]
async fn a_queue_is_handled_in_order_and_queues_beside_each_other() {
    let cluster = cluster(4, 80).await;
    let seen = Seen::default();
    let busy: Arc<Mutex<BTreeMap<i32, usize>>> = Arc::default();
    let (most, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (into, shared) = (seen.clone(), (Arc::clone(&busy), Arc::clone(&most), Arc::clone(&all)));
    let consumer = consumer(&cluster.client()).concurrency(3).start(move |message: MessageView| {
        let (into, (busy, most, all)) = (into.clone(), shared.clone());
        async move {
            let queue = message.queue_id;
            *busy.lock().entry(queue).or_default() += 1;
            most.fetch_max(busy.lock()[&queue], Ordering::SeqCst);
            all.fetch_max(busy.lock().values().sum(), Ordering::SeqCst);
            tokio::task::yield_now().await;
            *busy.lock().get_mut(&queue).unwrap() -= 1;
            into.add(message);
        }
    });
    let consumer = consumer.await.unwrap();
    seen.until_count(80).await;
    consumer.stop(STOP).await.unwrap();
    let mut queues: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for message in seen.all() {
        queues.entry(message.queue_id).or_default().push(message.queue_offset);
    }
    assert!(queues.values().all(|offsets| *offsets == (0..20).collect::<Vec<_>>()), "{queues:?}");
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert!(all.load(Ordering::SeqCst) <= 3);
    for queue in 0..4 {
        assert_eq!(cluster.broker().committed("stock", "orders", queue), Some(20));
        assert_eq!(lock_of(cluster.broker(), queue), None, "a stop unlocks");
    }
}

#[tokio::test]
async fn a_message_that_fails_holds_up_those_behind_it() {
    let cluster = cluster(1, 3).await;
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |message| match message.reconsume_times {
        0 if message.body == "1" => Verdict::retry(),
        1 => Verdict::suspend(MOMENT),
        2 => Verdict::retry_after(MOMENT),
        _ => Verdict::done(),
    })
    .await;
    seen.until_count(6).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1", "1", "1", "1", "2"]);
    let times: Vec<_> = seen.all().iter().map(|message| message.reconsume_times).collect();
    assert_eq!(times, [0, 0, 1, 2, 3, 0]);
    assert_eq!(cluster.broker().count(RequestCode::CONSUMER_SEND_MSG_BACK), 0);
}

#[tokio::test]
async fn in_a_batch_what_follows_a_failure_comes_again_behind_it() {
    struct Once(Seen, AtomicBool);
    #[async_trait::async_trait]
    impl Handler for Once {
        async fn handle(&self, messages: Vec<MessageView>) -> Vec<Verdict> {
            let mut verdicts = vec![Verdict::done(); messages.len()];
            if messages.len() == 4 && !self.1.swap(true, Ordering::SeqCst) {
                verdicts[1] = Verdict::retry();
            }
            messages.into_iter().for_each(|message| self.0.add(message));
            verdicts
        }
    }
    let cluster = cluster(1, 4).await;
    let seen = Seen::default();
    let handler = Once(seen.clone(), AtomicBool::new(false));
    let consumer = consumer(&cluster.client()).batch(4).start(handler).await.unwrap();
    seen.until_count(7).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1", "2", "3", "1", "2", "3"]);
    let times: Vec<_> = seen.all().iter().map(|message| message.reconsume_times).collect();
    assert_eq!(times, [0, 0, 0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn who_has_failed_too_often_is_buried_and_the_queue_goes_on() {
    let cluster = cluster(1, 2).await;
    let seen = Seen::default();
    let limited = consumer(&cluster.client()).max_attempts(3);
    let consumer = start_with(limited, &seen, |message| match &*message.body {
        b"0" => panic!("a handler that panics"),
        _ => Verdict::done(),
    });
    let consumer = consumer.await;
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["1"]);
    let dead = cluster.broker().records("%DLQ%stock");
    let dead = Record::decode(&dead[0]).unwrap();
    assert_eq!((dead.body, dead.property(DEAD_LETTER_REASON)), (&b"0"[..], Some("failed 3 times")));
    assert_eq!(dead.property("DELAY"), None);
    assert_eq!(cluster.broker().committed("stock", "orders", 0), Some(2));
}

#[tokio::test]
async fn a_letter_that_no_broker_buries_holds_up_its_queue() {
    let cluster = cluster(1, 2).await;
    let broker = cluster.broker();
    for code in [RequestCode::SEND_MESSAGE_V2, RequestCode::CONSUMER_SEND_MSG_BACK] {
        broker.once(code, Instead::Refuse(ResponseCode::MESSAGE_ILLEGAL));
    }
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |message| match &*message.body {
        b"0" => Verdict::dead_letter("no such order"),
        _ => Verdict::done(),
    })
    .await;
    seen.until_count(3).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "0", "1"]);
    assert_eq!(broker.stored("%DLQ%stock"), 1);
}

#[tokio::test]
async fn a_queue_that_somebody_else_has_locked_is_waited_for() {
    let cluster = cluster(1, 1).await;
    let broker = cluster.broker();
    let key = ("stock".to_owned(), "orders".to_owned(), 0);
    broker.state.lock().locks.insert(key.clone(), "somebody".to_owned());
    let seen = Seen::default();
    let consumer = start_with(consumer(&cluster.client()), &seen, |_| Verdict::done()).await;
    broker.until("two attempts", |broker| locks_of_orders(broker) >= 2).await;
    assert_eq!(seen.bodies().len(), 0);
    broker.state.lock().locks.remove(&key);
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
}

/// How often the lock of the topic's queue was asked for.
fn locks_of_orders(broker: &Broker) -> usize {
    let asked = broker.requests(RequestCode::LOCK_BATCH_MQ);
    asked.iter().filter(|request| String::from_utf8_lossy(&request.body).contains("\"orders\"")).count()
}

#[tokio::test]
async fn a_lost_lock_stops_a_queue_until_it_is_back_and_commits_nothing() {
    let cluster = cluster(1, 2).await;
    let broker = Arc::clone(cluster.broker());
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let handler = (seen.clone(), Arc::clone(&gate));
    let renewing = consumer(&cluster.client()).lock_every(Duration::from_millis(5));
    let consumer = renewing.start(move |message: MessageView| {
        let (seen, gate) = handler.clone();
        async move {
            seen.add(message);
            gate.acquire().await.unwrap().forget();
        }
    });
    let consumer = consumer.await.unwrap();
    seen.until_count(1).await;
    let key = ("stock".to_owned(), "orders".to_owned(), 0);
    broker.state.lock().locks.insert(key.clone(), "somebody".to_owned());
    let before = locks_of_orders(&broker);
    // The renewal that is refused, and the task's own question after it.
    broker.until("loss", |broker| locks_of_orders(broker) >= before + 3).await;
    // Somebody else handles the first message meanwhile.
    broker.commit("stock", "orders", 0, 1);
    gate.add_permits(10);
    broker.state.lock().locks.remove(&key);
    seen.until_count(2).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1"]);
    assert_eq!(broker.committed("stock", "orders", 0), Some(2));
}

#[tokio::test]
async fn a_queue_changes_hands_between_two_messages_and_none_comes_twice() {
    let cluster = cluster(2, 0).await;
    let broker = cluster.broker();
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let handler = (seen.clone(), Arc::clone(&gate));
    let (one, two) = (cluster.client(), cluster.client());
    let first = consumer(&one).start(move |message: MessageView| {
        let (seen, gate) = handler.clone();
        async move {
            seen.add(message);
            gate.acquire().await.unwrap().forget();
        }
    });
    let first = first.await.unwrap();
    for n in 0..20 {
        broker.append(n % 2, draft("orders", n.to_string().as_bytes(), b""));
    }
    seen.until_count(2).await;
    let other = Seen::default();
    let second = start_with(consumer(&two), &other, |_| Verdict::done()).await;
    let orders = |consumer: &PushConsumer| {
        consumer.queues().into_iter().filter(|queue| queue.topic == "orders").count()
    };
    let divided = |_: &Broker| (orders(&first), orders(&second)) == (1, 1);
    broker.until("division", divided).await;
    let waits = |broker: &Broker| {
        let by_second = broker.requests(RequestCode::LOCK_BATCH_MQ);
        by_second.iter().any(|request| String::from_utf8_lossy(&request.body).contains(two.id()))
    };
    broker.until("a question for the lock", waits).await;
    assert!(other.bodies().is_empty(), "the message in hand is not finished yet");
    gate.add_permits(1_000);
    let together = Duration::from_millis(5);
    let both = async {
        while seen.set().union(&other.set()).count() < 20 {
            tokio::time::sleep(together).await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    second.stop(STOP).await.unwrap();
    first.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies().len() + other.bodies().len(), 20, "{:?} {:?}", seen.bodies(), other.bodies());
    let all: std::collections::BTreeSet<_> = seen.set().union(&other.set()).cloned().collect();
    assert_eq!(all, numbers(20));
}

#[tokio::test]
async fn a_pause_lets_no_call_begin() {
    let cluster = cluster(1, 3).await;
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let handler = (seen.clone(), Arc::clone(&gate));
    let often = consumer(&cluster.client()).commit_every(Duration::from_millis(5));
    let consumer = often.start(move |message: MessageView| {
        let (seen, gate) = handler.clone();
        async move {
            seen.add(message);
            gate.acquire().await.unwrap().forget();
        }
    });
    let consumer = consumer.await.unwrap();
    seen.until_count(1).await;
    consumer.pause();
    gate.add_permits(10);
    assert!(consumer.is_paused());
    let broker = cluster.broker();
    broker.until("commit", |broker| broker.committed("stock", "orders", 0) == Some(1)).await;
    let commits = broker.count(RequestCode::UPDATE_CONSUMER_OFFSET);
    broker.until("a while", |broker| broker.count(RequestCode::UPDATE_CONSUMER_OFFSET) > commits + 4).await;
    assert_eq!(seen.bodies(), ["0"]);
    consumer.resume();
    seen.until_count(3).await;
    consumer.stop(STOP).await.unwrap();
}
