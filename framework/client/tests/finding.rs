//! Finding servers: several name servers, a list behind a web address, routes that change, slaves, and brokers that
//! are about to stop.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use rocketmq_boot_client::{Client, Error, MessageView, PushConsumer, PushConsumerBuilder, StartFrom};
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::pull::{PullMessage, sys_flag},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use self::support::{Broker, Cluster, Instead, NEVER, Seen, draft};

const PULL: RequestCode = RequestCode::PULL_MESSAGE;
const STOP: Duration = Duration::from_secs(10);

fn consumer(client: &Client) -> PushConsumerBuilder {
    let consumer = client.push_consumer("billing").subscribe("orders", "*").from(StartFrom::First);
    consumer.rebalance_every(NEVER).commit_every(NEVER).pause_after_error(Duration::from_millis(10))
}

async fn start(builder: PushConsumerBuilder, seen: &Seen) -> PushConsumer {
    let seen = seen.clone();
    let handler = move |message: MessageView| {
        seen.add(message);
        async {}
    };
    builder.start(handler).await.unwrap()
}

async fn cluster(brokers: usize) -> Cluster {
    let cluster = Cluster::start(brokers).await;
    cluster.topic("orders", 1);
    cluster
}

fn append(broker: &Broker, body: &str) {
    broker.append(0, draft("orders", body.as_bytes(), b""));
}

/// An address that nobody listens at.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

/// Pulls of the topic, of the group's retries left out.
fn pulls(broker: &Broker) -> Vec<PullMessage> {
    let header = |pull: &Command| pull.header::<PullMessage>().unwrap();
    broker.requests(PULL).iter().map(header).filter(|pull| pull.topic == "orders").collect()
}

#[tokio::test]
async fn a_name_server_that_is_down_is_passed_over() {
    let cluster = cluster(1).await;
    append(cluster.broker(), "x");
    let list = format!("{};{}", nobody().await, cluster.name_servers());
    let client = Client::builder(list).route_refresh(NEVER).heartbeat(NEVER).build();
    let seen = Seen::default();
    let consumer = start(consumer(&client), &seen).await;
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
    let alone = Client::connect(nobody().await).ready().await.unwrap_err();
    assert!(matches!(&alone, Error::NameServers { tried } if tried.len() == 1), "{alone}");
}

#[tokio::test]
async fn the_list_of_name_servers_may_lie_behind_a_web_address() {
    let cluster = cluster(1).await;
    append(cluster.broker(), "x");
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/rocketmq/nsaddr", web.local_addr().unwrap());
    let list = cluster.name_servers();
    tokio::spawn(async move {
        let (mut stream, _) = web.accept().await.unwrap();
        let mut request = [0; 1_024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{list}", list.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let client = Client::builder(url).route_refresh(NEVER).heartbeat(NEVER).build();
    let seen = Seen::default();
    let consumer = start(consumer(&client), &seen).await;
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
    let nowhere = format!("http://{}/", nobody().await);
    let error = Client::connect(nowhere).ready().await.unwrap_err();
    assert!(matches!(error, Error::Discovery { .. }), "{error}");
}

#[tokio::test]
async fn queues_that_come_later_are_consumed() {
    let cluster = cluster(1).await;
    let broker = cluster.broker();
    let client = Client::builder(cluster.name_servers())
        .route_refresh(Duration::from_millis(5))
        .heartbeat(NEVER)
        .build();
    let seen = Seen::default();
    let consumer = start(consumer(&client), &seen).await;
    broker.until("pull", |broker| !pulls(broker).is_empty()).await;
    broker.state.lock().topics.get_mut("orders").unwrap().push(Vec::new());
    broker.append(1, draft("orders", b"x", b""));
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn who_is_far_behind_reads_from_a_slave_and_comes_back() {
    let cluster = cluster(2).await;
    let (master, slave) = (&cluster.brokers[0], &cluster.brokers[1]);
    for broker in &cluster.brokers {
        *broker.cluster.lock() = vec![("a".to_owned(), master.address.clone())];
        *broker.slaves.lock() = vec![("a".to_owned(), 1, slave.address.clone())];
    }
    // Both hold the same; the master sends readers away with their first message.
    master.state.lock().suggest = 1;
    slave.state.lock().suggest = 1;
    append(master, "0");
    ["0", "1"].iter().for_each(|body| append(slave, body));
    let seen = Seen::default();
    let consumer = start(consumer(&cluster.client()), &seen).await;
    seen.until_count(2).await;
    assert!(pulls(slave).iter().all(|pull| pull.sys_flag & sys_flag::COMMIT_OFFSET == 0));
    ["1", "2"].iter().for_each(|body| append(master, body));
    // The held pull brings this one, and the advice to go back.
    slave.state.lock().suggest = 0;
    append(slave, "2");
    seen.until_count(3).await;
    append(master, "3");
    seen.until_count(4).await;
    consumer.stop(STOP).await.unwrap();
    assert_eq!(seen.bodies(), ["0", "1", "2", "3"]);
    assert_eq!(master.committed("billing", "orders", 0), Some(4));
}

#[tokio::test]
async fn a_broker_that_is_about_to_stop_is_asked_again_on_a_new_connection() {
    let cluster = cluster(1).await;
    let broker = cluster.broker();
    append(broker, "x");
    broker.once(RequestCode::QUERY_CONSUMER_OFFSET, Instead::Refuse(ResponseCode::GO_AWAY));
    broker.once(PULL, Instead::Refuse(ResponseCode::GO_AWAY));
    let seen = Seen::default();
    // Without the second attempt, the pause after an error would outlast the test.
    let patient = consumer(&cluster.client()).pause_after_error(NEVER);
    let consumer = start(patient, &seen).await;
    seen.until_count(1).await;
    consumer.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_never_answers_holds_up_nothing_of_the_others() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 2);
    for code in [PULL, RequestCode::QUERY_CONSUMER_OFFSET, RequestCode::UPDATE_CONSUMER_OFFSET] {
        cluster.brokers[1].always(code, Instead::StaySilent);
    }
    for n in 0..10 {
        cluster.brokers[0].append(n % 2, draft("orders", n.to_string().as_bytes(), b""));
    }
    let client = Client::builder(cluster.name_servers())
        .route_refresh(NEVER)
        .heartbeat(NEVER)
        .request_timeout(Duration::from_millis(200))
        .build();
    let seen = Seen::default();
    let consumer = start(consumer(&client), &seen).await;
    seen.until_count(10).await;
    consumer.stop(STOP).await.unwrap();
    let committed = [0, 1].map(|queue| cluster.brokers[0].committed("billing", "orders", queue));
    assert_eq!(committed, [Some(5), Some(5)]);
}
