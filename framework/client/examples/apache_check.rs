//! Runs the client against a live cluster: `apache_check host:port[;host:port]`.
//!
//! Each check prints a line; the exit code is 1 when one of them failed. Names of topics and groups are new in every
//! run. The cluster must create topics and groups by itself, as brokers do unless told otherwise.

#![expect(clippy::print_stderr, reason = "a program for the terminal")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rocketmq_boot_client::{
    Client, Compression, Message, MessageQueue, MessageView, Model, Producer, PushConsumer, SendReceipt,
    StartFrom, Verdict,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Checked = Result<(), Failure>;

/// How long anything may take. A first retry over a topic that was just made takes the longest.
const PATIENCE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);

macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+).into());
        }
    };
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(name_servers) = std::env::args().nth(1) else {
        eprintln!("usage: apache_check host:port[;host:port]");
        return ExitCode::from(2);
    };
    match run(&name_servers).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(name_servers: &str) -> Result<u32, Failure> {
    let client = Client::connect(name_servers);
    let producer = client.producer("check_producers").await?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let bench = Bench { name_servers: name_servers.to_owned(), client, producer, run };
    let mut failed = 0;
    macro_rules! check {
        ($($name:ident),+ $(,)?) => {$(
            let started = Instant::now();
            let outcome = $name(&bench).await;
            let took = started.elapsed().as_millis();
            match outcome {
                Ok(()) => println!("ok      {:<48} {took:>6} ms", stringify!($name)),
                Err(error) => {
                    failed += 1;
                    println!("FAILED  {:<48} {took:>6} ms  {error}", stringify!($name));
                }
            }
        )+};
    }
    check!(
        a_send_makes_its_topic,
        sends_are_answered_with_their_place,
        one_way_messages_are_stored,
        a_batch_lies_together,
        messages_of_a_key_keep_their_order,
        bodies_of_every_compression_come_back,
        only_subscribed_tags_arrive,
        offsets_survive_the_consumer,
        two_members_share_the_queues,
        a_failed_message_comes_back_once,
        a_dead_letter_is_buried,
        every_broadcasting_member_gets_everything,
        a_time_is_a_place_to_start,
    );
    bench.client.close().await;
    Ok(failed)
}

struct Bench {
    name_servers: String,
    client: Client,
    producer: Producer,
    run: u128,
}

impl Bench {
    fn name(&self, what: &str) -> String {
        format!("check_{what}_{}", self.run)
    }

    async fn topic(&self, what: &str, queues: u16) -> Result<String, Failure> {
        let topic = self.name(what);
        let admin = self.client.admin();
        admin.create_topic(&topic, queues).await?;
        let deadline = Instant::now() + PATIENCE;
        while admin.message_queues(&topic).await.is_err() {
            ensure!(Instant::now() < deadline, "no route to {topic}");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(topic)
    }

    async fn send(
        &self,
        topic: &str,
        bodies: impl IntoIterator<Item = String>,
    ) -> Result<Vec<SendReceipt>, Failure> {
        let mut receipts = Vec::new();
        for body in bodies {
            receipts.push(self.producer.send(Message::new(topic, body)).await?);
        }
        Ok(receipts)
    }
}

/// What a handler was given.
#[derive(Clone, Default)]
struct Seen {
    messages: Arc<Mutex<Vec<MessageView>>>,
    more: Arc<Notify>,
}

impl Seen {
    fn add(&self, message: MessageView) {
        self.messages.lock().push(message);
        self.more.notify_one();
    }

    fn bodies(&self) -> BTreeSet<String> {
        self.messages
            .lock()
            .iter()
            .map(|message| String::from_utf8_lossy(&message.body).into_owned())
            .collect()
    }

    fn len(&self) -> usize {
        self.messages.lock().len()
    }

    async fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) -> Checked {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let waited = timeout_at(deadline, self.more.notified()).await;
            ensure!(waited.is_ok(), "{what}: {} messages after {PATIENCE:?}", self.len());
        }
        Ok(())
    }

    async fn consume(
        &self,
        client: &Client,
        group: &str,
        topic: &str,
        tags: &str,
    ) -> Result<PushConsumer, Failure> {
        let seen = self.clone();
        let consumer = client.push_consumer(group).subscribe(topic, tags).from(StartFrom::First);
        Ok(consumer
            .start(move |message| {
                let seen = seen.clone();
                async move { seen.add(message) }
            })
            .await?)
    }
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| n.to_string())
}

async fn a_send_makes_its_topic(bench: &Bench) -> Checked {
    let receipt = bench.producer.send(Message::new(bench.name("automatic"), "x")).await?;
    ensure!(receipt.queue_offset == 0, "offset {}", receipt.queue_offset);
    Ok(())
}

async fn sends_are_answered_with_their_place(bench: &Bench) -> Checked {
    let topic = bench.topic("sync", 4).await?;
    let receipts = bench.send(&topic, numbers(40)).await?;
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| &receipt.message_id).collect();
    ensure!(ids.len() == 40, "{} ids", ids.len());
    for queue in bench.client.admin().message_queues(&topic).await? {
        let offsets: Vec<i64> = receipts
            .iter()
            .filter(|receipt| receipt.queue == queue)
            .map(|receipt| receipt.queue_offset)
            .collect();
        ensure!(offsets == (0..10).collect::<Vec<_>>(), "{queue}: {offsets:?}");
        // Apache's brokers build their consume queues a moment after they answer.
        let deadline = Instant::now() + PATIENCE;
        while bench.client.admin().max_offset(&queue).await? != 10 {
            ensure!(Instant::now() < deadline, "{queue} does not end at 10");
            sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

async fn one_way_messages_are_stored(bench: &Bench) -> Checked {
    let topic = bench.topic("oneway", 1).await?;
    for body in numbers(20) {
        bench.producer.send(Message::new(&topic, body)).one_way().await?;
    }
    let seen = Seen::default();
    let consumer = seen.consume(&bench.client, &bench.name("oneway"), &topic, "*").await?;
    seen.wait("one-way", |seen| seen.bodies() == numbers(20).collect()).await?;
    Ok(consumer.stop(STOP).await?)
}

async fn a_batch_lies_together(bench: &Bench) -> Checked {
    let topic = bench.topic("batch", 4).await?;
    let messages = numbers(50).map(|body| Message::new(&topic, body).tag("b")).collect();
    let receipts = bench.producer.send_batch(messages).await?;
    let offsets: Vec<i64> = receipts.iter().map(|receipt| receipt.queue_offset).collect();
    ensure!(offsets == (0..50).collect::<Vec<_>>(), "{offsets:?}");
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| &receipt.offset_message_id).collect();
    ensure!(ids.len() == 50, "{} places", ids.len());
    let seen = Seen::default();
    let consumer = seen.consume(&bench.client, &bench.name("batch"), &topic, "b").await?;
    seen.wait("batch", |seen| seen.bodies() == numbers(50).collect()).await?;
    let known: BTreeSet<_> = receipts.iter().map(|receipt| receipt.message_id.clone()).collect();
    let arrived: BTreeSet<_> =
        seen.messages.lock().iter().map(|message| message.message_id.clone()).collect();
    ensure!(known == arrived, "ids differ");
    Ok(consumer.stop(STOP).await?)
}

async fn messages_of_a_key_keep_their_order(bench: &Bench) -> Checked {
    let topic = bench.topic("keys", 8).await?;
    let mut queues: BTreeMap<String, BTreeSet<MessageQueue>> = BTreeMap::new();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for n in 0..60 {
        let key = format!("customer-{}", n % 5);
        let receipt = bench.producer.send(Message::new(&topic, n.to_string())).sharded_by(&key).await?;
        let before = last.insert(key.clone(), receipt.queue_offset);
        ensure!(before.is_none_or(|before| before < receipt.queue_offset), "{key} went backwards");
        queues.entry(key).or_default().insert(receipt.queue);
    }
    ensure!(queues.values().all(|queues| queues.len() == 1), "{queues:?}");
    let named = bench.client.admin().message_queues(&topic).await?.remove(3);
    let receipt = bench.producer.send(Message::new(&topic, "there")).to(named.clone()).await?;
    ensure!(receipt.queue == named, "{}", receipt.queue);
    Ok(())
}

async fn bodies_of_every_compression_come_back(bench: &Bench) -> Checked {
    let topic = bench.topic("packed", 1).await?;
    let body = "all work and no play ".repeat(2_000);
    for kind in [Compression::Zlib, Compression::Lz4, Compression::Zstd] {
        let producer = bench.client.producer("check_producers").compression(kind).await?;
        producer.send(Message::new(&topic, body.clone()).property("kind", format!("{kind:?}"))).await?;
    }
    let seen = Seen::default();
    let consumer = seen.consume(&bench.client, &bench.name("packed"), &topic, "*").await?;
    seen.wait("packed", |seen| seen.len() == 3).await?;
    ensure!(seen.messages.lock().iter().all(|message| message.body == body), "bodies differ");
    Ok(consumer.stop(STOP).await?)
}

async fn only_subscribed_tags_arrive(bench: &Bench) -> Checked {
    let topic = bench.topic("tags", 4).await?;
    // "Aa" and "BB" have the same hash, which is all that a broker compares.
    for tag in ["Aa", "BB", "c", "d"] {
        for n in 0..10 {
            bench.producer.send(Message::new(&topic, format!("{tag}{n}")).tag(tag)).await?;
        }
    }
    let seen = Seen::default();
    let consumer = seen.consume(&bench.client, &bench.name("tags"), &topic, "Aa || c").await?;
    let wanted: BTreeSet<String> = (0..10).flat_map(|n| [format!("Aa{n}"), format!("c{n}")]).collect();
    seen.wait("tags", |seen| seen.len() >= wanted.len()).await?;
    ensure!(seen.bodies() == wanted, "{:?}", seen.bodies());
    Ok(consumer.stop(STOP).await?)
}

async fn offsets_survive_the_consumer(bench: &Bench) -> Checked {
    let (topic, group) = (bench.topic("offsets", 4).await?, bench.name("offsets"));
    bench.send(&topic, numbers(40)).await?;
    let first = Seen::default();
    let consumer = first.consume(&bench.client, &group, &topic, "*").await?;
    first.wait("first round", |seen| seen.len() == 40).await?;
    consumer.stop(STOP).await?;
    for queue in bench.client.admin().message_queues(&topic).await? {
        let committed = bench.client.admin().committed_offset(&group, &queue).await?;
        ensure!(committed == Some(10), "{queue}: {committed:?}");
    }
    bench.send(&topic, ["new".to_owned()]).await?;
    let second = Seen::default();
    let consumer = second.consume(&bench.client, &group, &topic, "*").await?;
    second.wait("second round", |seen| seen.len() == 1).await?;
    ensure!(second.bodies().contains("new"), "{:?}", second.bodies());
    Ok(consumer.stop(STOP).await?)
}

async fn two_members_share_the_queues(bench: &Bench) -> Checked {
    let (topic, group) = (bench.topic("share", 8).await?, bench.name("share"));
    let seen = Seen::default();
    let other = Client::connect(&*bench.name_servers);
    let one = seen.consume(&bench.client, &group, &topic, "*").await?;
    let two = seen.consume(&other, &group, &topic, "*").await?;
    let of_topic = |consumer: &PushConsumer| -> BTreeSet<MessageQueue> {
        consumer.queues().into_iter().filter(|queue| queue.topic == topic).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while of_topic(&one).len() != 4
        || of_topic(&two).len() != 4
        || !of_topic(&one).is_disjoint(&of_topic(&two))
    {
        ensure!(Instant::now() < deadline, "{:?} and {:?}", of_topic(&one), of_topic(&two));
        sleep(Duration::from_millis(20)).await;
    }
    let members = bench.client.admin().consumer_ids(&group, &topic).await?;
    ensure!(members.len() == 2, "{members:?}");
    bench.send(&topic, numbers(80)).await?;
    seen.wait("shared", |seen| seen.bodies().len() == 80).await?;
    two.stop(STOP).await?;
    while of_topic(&one).len() != 8 {
        ensure!(Instant::now() < deadline, "queues of the member that left: {:?}", of_topic(&one));
        sleep(Duration::from_millis(20)).await;
    }
    other.close().await;
    Ok(one.stop(STOP).await?)
}

async fn a_failed_message_comes_back_once(bench: &Bench) -> Checked {
    let (topic, group) = (bench.topic("retry", 2).await?, bench.name("retry"));
    let seen = Seen::default();
    let handler = seen.clone();
    let consumer = bench.client.push_consumer(&group).subscribe(&topic, "*").from(StartFrom::First);
    let consumer = consumer
        .start(move |message: MessageView| {
            let verdict = match message.reconsume_times {
                0 => Verdict::retry_level(1),
                _ => Verdict::done(),
            };
            handler.add(message);
            async move { verdict }
        })
        .await?;
    let receipts = bench.send(&topic, numbers(10)).await?;
    seen.wait("retried", |seen| seen.len() >= 20).await?;
    consumer.stop(STOP).await?;
    let messages = seen.messages.lock().clone();
    for receipt in &receipts {
        let times: Vec<i32> = messages
            .iter()
            .filter(|message| message.message_id == receipt.message_id && message.topic == topic)
            .map(|message| message.reconsume_times)
            .collect();
        ensure!(times == [0, 1], "{}: {times:?}", receipt.message_id);
    }
    Ok(())
}

async fn a_dead_letter_is_buried(bench: &Bench) -> Checked {
    let (topic, group) = (bench.topic("dead", 2).await?, bench.name("dead"));
    let seen = Seen::default();
    let handler = seen.clone();
    let consumer = bench.client.push_consumer(&group).subscribe(&topic, "*").from(StartFrom::First);
    let consumer = consumer
        .start(move |message: MessageView| {
            handler.add(message);
            async { Verdict::dead_letter("unreadable") }
        })
        .await?;
    bench.send(&topic, numbers(5)).await?;
    seen.wait("failed", |seen| seen.len() == 5).await?;
    consumer.stop(STOP).await?;
    let buried = Seen::default();
    let dlq = format!("%DLQ%{group}");
    let consumer = buried.consume(&bench.client, &bench.name("undertaker"), &dlq, "*").await?;
    buried.wait("buried", |seen| seen.bodies() == numbers(5).collect()).await?;
    Ok(consumer.stop(STOP).await?)
}

async fn every_broadcasting_member_gets_everything(bench: &Bench) -> Checked {
    let (topic, group) = (bench.topic("broadcast", 4).await?, bench.name("broadcast"));
    let dir = std::env::temp_dir().join(bench.name("offsets_dir"));
    bench.send(&topic, numbers(20)).await?;
    let member = async |name: &str, seen: &Seen| -> Result<(Client, PushConsumer), Failure> {
        let client = Client::builder(&*bench.name_servers).instance(format!("{name}-{}", bench.run)).build();
        let handler = seen.clone();
        let consumer = client.push_consumer(&group).subscribe(&topic, "*").from(StartFrom::First);
        let consumer = consumer.model(Model::Broadcasting).offsets_dir(&dir);
        let consumer = consumer.start(move |message| {
            let seen = handler.clone();
            async move { seen.add(message) }
        });
        Ok((client.clone(), consumer.await?))
    };
    let (one, two) = (Seen::default(), Seen::default());
    let first = member("one", &one).await?;
    let second = member("two", &two).await?;
    one.wait("one", |seen| seen.bodies() == numbers(20).collect()).await?;
    two.wait("two", |seen| seen.bodies() == numbers(20).collect()).await?;
    for (client, consumer) in [first, second] {
        consumer.stop(STOP).await?;
        client.close().await;
    }
    bench.send(&topic, ["new".to_owned()]).await?;
    let again = Seen::default();
    let (client, consumer) = member("one", &again).await?;
    again.wait("again", |seen| seen.len() >= 1).await?;
    consumer.stop(STOP).await?;
    client.close().await;
    std::fs::remove_dir_all(&dir)?;
    ensure!(again.bodies() == BTreeSet::from(["new".to_owned()]), "{:?}", again.bodies());
    Ok(())
}

async fn a_time_is_a_place_to_start(bench: &Bench) -> Checked {
    let topic = bench.topic("time", 1).await?;
    bench.send(&topic, ["before".to_owned()]).await?;
    sleep(Duration::from_millis(1_100)).await;
    let middle = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())? - 500;
    bench.send(&topic, ["after".to_owned()]).await?;
    let queue = bench.client.admin().message_queues(&topic).await?.remove(0);
    let found = bench.client.admin().search_offset(&queue, middle).await?;
    ensure!(found == 1, "offset {found}");
    let seen = Seen::default();
    let handler = seen.clone();
    let consumer = bench.client.push_consumer(bench.name("time")).subscribe(&topic, "*");
    let consumer = consumer.from(StartFrom::Timestamp(middle));
    let consumer = consumer.start(move |message| {
        let seen = handler.clone();
        async move { seen.add(message) }
    });
    let consumer = consumer.await?;
    // A broker before 5.0 starts a queue as young as this one at its beginning, whatever it is asked.
    seen.wait("after", |seen| seen.bodies().contains("after")).await?;
    Ok(consumer.stop(STOP).await?)
}
