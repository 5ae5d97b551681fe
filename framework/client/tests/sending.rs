//! Producers against brokers that answer late, wrongly, or not at all.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{future::IntoFuture, time::Duration};

use futures_util::future::try_join_all;
use rocketmq_boot_client::{Client, Error, Message, SendError, Shortfall};
use rocketmq_boot_protocol::{
    RequestCode, ResponseCode, body::Heartbeat, body::lenient, header::send::SendMessageShort,
};

use self::support::{Cluster, Instead, PATIENCE};

const SEND: RequestCode = RequestCode::SEND_MESSAGE_V2;

fn message() -> Message {
    Message::new("orders", "hello")
}

#[tokio::test]
async fn a_busy_broker_is_passed_over() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 4);
    let [a, b] = [0, 1].map(|at| &cluster.brokers[at]);
    a.always(SEND, Instead::Refuse(ResponseCode::SYSTEM_BUSY));
    let producer = cluster.client().producer("shop").await.unwrap();
    for _ in 0..8 {
        assert_eq!(producer.send(message()).await.unwrap().queue.broker_name, "b");
    }
    assert!(a.count(SEND) > 0, "turns begin with either broker");
    assert_eq!(b.stored("orders"), 8);
}

#[tokio::test]
async fn a_lost_connection_is_passed_over() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 1);
    cluster.brokers[0].always(SEND, Instead::HangUp);
    let producer = cluster.client().producer("shop").await.unwrap();
    for _ in 0..4 {
        assert_eq!(producer.send(message()).await.unwrap().queue.broker_name, "b");
    }
}

#[tokio::test]
async fn attempts_are_counted_and_end() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    cluster.broker().always(SEND, Instead::Refuse(ResponseCode::SYSTEM_ERROR));
    let producer = cluster.client().producer("shop").retries(4).await.unwrap();
    let error = producer.send(message()).await.unwrap_err();
    assert!(
        matches!(error, SendError::Refused { code: ResponseCode::SYSTEM_ERROR, attempts: 5, .. }),
        "{error:?}"
    );
    assert_eq!(cluster.broker().count(SEND), 5);
}

#[tokio::test]
async fn a_message_that_no_broker_will_take_is_tried_once() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 1);
    for broker in &cluster.brokers {
        broker.always(SEND, Instead::Refuse(ResponseCode::MESSAGE_ILLEGAL));
    }
    let producer = cluster.client().producer("shop").await.unwrap();
    let error = producer.send(message()).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { attempts: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn silence_is_a_timeout_of_the_whole_send() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 1);
    for broker in &cluster.brokers {
        broker.always(SEND, Instead::StaySilent);
    }
    let producer = cluster.client().producer("shop").await.unwrap();
    let limit = Duration::from_millis(200);
    let error = producer.send(message()).timeout(limit).await.unwrap_err();
    assert!(matches!(error, SendError::Timeout { after, .. } if after == limit), "{error:?}");
}

#[tokio::test]
async fn stored_but_not_as_asked_is_an_error_with_a_receipt() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    let producer = cluster.client().producer("shop").await.unwrap();
    for (code, expected) in [
        (ResponseCode::FLUSH_DISK_TIMEOUT, Shortfall::FlushDiskTimeout),
        (ResponseCode::FLUSH_SLAVE_TIMEOUT, Shortfall::FlushSlaveTimeout),
        (ResponseCode::SLAVE_NOT_AVAILABLE, Shortfall::SlaveNotAvailable),
    ] {
        cluster.broker().once(SEND, Instead::ServeAs(code));
        let before = i64::try_from(cluster.broker().stored("orders")).unwrap();
        match producer.send(message()).await {
            Err(SendError::NotDurable { receipt, status, .. }) => {
                assert_eq!((receipt.queue_offset, status), (before, expected));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_insists_on_durability_is_sent_to_another_broker() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 1);
    cluster.brokers[0].always(SEND, Instead::ServeAs(ResponseCode::SLAVE_NOT_AVAILABLE));
    let producer = cluster.client().producer("shop").retry_another_broker(true).await.unwrap();
    for _ in 0..4 {
        assert_eq!(producer.send(message()).await.unwrap().queue.broker_name, "b");
    }
}

#[tokio::test]
async fn a_sharded_message_goes_to_its_queue_or_nowhere() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 4);
    let producer = cluster.client().producer("shop").await.unwrap();
    let queue = producer.send(message()).sharded_by("customer-7").await.unwrap().queue;
    for _ in 0..5 {
        assert_eq!(producer.send(message()).sharded_by("customer-7").await.unwrap().queue, queue);
    }
    let owner = cluster.brokers.iter().find(|broker| broker.name == queue.broker_name).unwrap();
    owner.always(SEND, Instead::Refuse(ResponseCode::SYSTEM_BUSY));
    let error = producer.send(message()).sharded_by("customer-7").await.unwrap_err();
    assert!(matches!(error, SendError::Refused { attempts: 1, .. }), "{error:?}");
    let error = producer.send(message()).to(queue).await.unwrap_err();
    assert!(matches!(error, SendError::Refused { attempts: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_an_error() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 2);
    let producer = cluster.client().producer("shop").await.unwrap();
    let queue = rocketmq_boot_client::MessageQueue::new("orders", "a", 2);
    let error = producer.send(message()).to(queue.clone()).await.unwrap_err();
    assert!(matches!(error, SendError::NoQueue { queue: Some(named), .. } if named == queue));
}

#[tokio::test]
async fn one_way_sends_ask_for_no_answer() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    let producer = cluster.client().producer("shop").await.unwrap();
    producer.send(message()).one_way().await.unwrap();
    cluster.broker().until("one-way send", |broker| broker.stored("orders") == 1).await;
    assert!(cluster.broker().requests(SEND).iter().all(|request| request.is_one_way()));
}

#[tokio::test]
async fn sends_do_not_wait_for_each_other() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    // The first is never answered; those behind it on the same connection are.
    cluster.broker().once(SEND, Instead::StaySilent);
    let producer = cluster.client().producer("shop").await.unwrap();
    let stuck = tokio::spawn(producer.send(message()).timeout(PATIENCE).into_future());
    cluster.broker().until("first send", |broker| broker.count(SEND) == 1).await;
    let sends = (0..100).map(|_| producer.send(message()).into_future());
    let receipts = try_join_all(sends).await.unwrap();
    assert_eq!(receipts.len(), 100);
    assert!(!stuck.is_finished());
    assert_eq!(cluster.broker().connections(), 2, "one as a broker and one as a name server");
    stuck.abort();
}

#[tokio::test]
async fn a_batch_is_stored_together() {
    let cluster = Cluster::start(2).await;
    cluster.topic("orders", 4);
    let producer = cluster.client().producer("shop").await.unwrap();
    let messages = (0..5).map(|n| Message::new("orders", n.to_string())).collect();
    let receipts = producer.send_batch(messages).await.unwrap();
    let offsets: Vec<_> = receipts.iter().map(|receipt| receipt.queue_offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    assert!(receipts.iter().all(|receipt| receipt.queue == receipts[0].queue));
}

#[tokio::test]
async fn a_new_topic_is_made_from_the_template_with_four_queues() {
    let cluster = Cluster::start(1).await;
    let producer = cluster.client().producer("shop").await.unwrap();
    let error = producer.send(message()).await.unwrap_err();
    assert!(matches!(error, SendError::NoRoute { source: Error::NoRoute { .. }, .. }), "{error:?}");
    cluster.broker().state.lock().template = true;
    for _ in 0..8 {
        producer.send(message()).await.unwrap();
    }
    let request = cluster.broker().requests(SEND).remove(0);
    let header: SendMessageShort = request.header().unwrap();
    assert_eq!((header.default_topic.as_str(), header.default_topic_queue_nums), ("TBW102", 4));
    let queues: Vec<usize> = cluster.broker().state.lock().topics["orders"].iter().map(Vec::len).collect();
    assert_eq!(queues, [2, 2, 2, 2]);
}

#[tokio::test]
async fn a_dead_name_server_is_passed_over() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    let dead = unused_address().await;
    let client = Client::connect(format!("{dead}; {}", cluster.name_servers()));
    client.producer("shop").await.unwrap().send(message()).await.unwrap();
}

#[tokio::test]
async fn without_a_name_server_the_error_names_all_of_them() {
    let (one, two) = (unused_address().await, unused_address().await);
    let error = Client::connect(format!("{one};{two}")).producer("shop").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&one) && text.contains(&two), "{text}");
    assert!(matches!(error, Error::NameServers { tried } if tried.len() == 2));
    assert!(matches!(Client::connect(" ; ").producer("shop").await, Err(Error::NoNameServer)));
}

#[tokio::test]
async fn brokers_hear_of_a_producer_when_they_are_first_met() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    let client = cluster.client();
    let producer = client.producer("shop").await.unwrap();
    producer.send(message()).await.unwrap();
    let broker = cluster.broker();
    broker.until("heartbeat", |broker| broker.count(RequestCode::HEART_BEAT) > 0).await;
    let request = broker.requests(RequestCode::HEART_BEAT).remove(0);
    let heartbeat: Heartbeat = lenient::read("heartbeat", &request.body).unwrap();
    assert_eq!(heartbeat.client_id, client.id());
    assert_eq!(heartbeat.producer_data_set[0].group_name, "shop");
}

#[tokio::test]
async fn closing_says_goodbye_and_leaves_no_connection() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    let client = cluster.client();
    let producer = client.producer("shop").await.unwrap();
    producer.send(message()).await.unwrap();
    client.close().await;
    let broker = cluster.broker();
    broker.until("connections", |broker| broker.connections() == 0).await;
    assert_eq!(broker.count(RequestCode::UNREGISTER_CLIENT), 1);
    assert!(matches!(producer.send(message()).await, Err(SendError::Closed)));
    assert!(matches!(client.producer("shop").await, Err(Error::Closed)));
}

#[tokio::test]
async fn dropping_every_handle_ends_everything() {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    let client = cluster.client();
    let producer = client.producer("shop").await.unwrap();
    drop(client);
    producer.send(message()).await.unwrap();
    drop(producer);
    cluster.broker().until("connections", |broker| broker.connections() == 0).await;
}

/// An address that nobody listens on.
async fn unused_address() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
