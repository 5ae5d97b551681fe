//! Transactions against a broker that the test plays.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rocketmq_boot_client::{
    Error, Message, MessageView, Resolution, ResponseCode, SendError, SendReceipt, TransactionProducer,
};
use rocketmq_boot_protocol::{
    RequestCode,
    header::{send::SendMessageShort, transaction::EndTransaction},
    message::{
        property,
        sys_flag::{TRANSACTION_MASK, Transaction},
    },
    topic::TRANS_HALF_TOPIC,
};

use self::support::{Broker, Cluster, Instead};

const END: RequestCode = RequestCode::END_TRANSACTION;

async fn cluster() -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.topic("orders", 1);
    cluster.topic(TRANS_HALF_TOPIC, 1);
    cluster
}

fn order() -> Message {
    Message::new("orders", "4711").tag("placed")
}

async fn never_asked(_: MessageView) -> Resolution {
    Resolution::Unknown
}

async fn producer(cluster: &Cluster) -> TransactionProducer {
    cluster.client().transaction_producer("shop", never_asked).await.unwrap()
}

fn ends(broker: &Broker) -> Vec<EndTransaction> {
    broker.requests(END).iter().map(|request| request.header().unwrap()).collect()
}

#[tokio::test]
async fn a_committed_message_becomes_visible_and_not_before() {
    let cluster = cluster().await;
    let producer = producer(&cluster).await;
    let broker = Arc::clone(cluster.broker());
    let receipt = producer
        .transaction(order().delay_level(3))
        .immunity(Duration::from_secs(30))
        .run(|half: SendReceipt| async move {
            assert_eq!((broker.stored(TRANS_HALF_TOPIC), broker.stored("orders")), (1, 0));
            assert!(!half.message_id.is_empty());
            Resolution::Commit
        })
        .await
        .unwrap();
    assert_eq!((receipt.resolution, receipt.unconfirmed.is_none()), (Resolution::Commit, true));
    assert_eq!(cluster.broker().stored("orders"), 1);
    let half: SendMessageShort = cluster.broker().requests(RequestCode::SEND_MESSAGE_V2)[0].header().unwrap();
    assert_eq!(half.sys_flag & TRANSACTION_MASK, Transaction::Prepared.set(0));
    let properties = half.properties.unwrap();
    let of = |key| property::get(&properties, key);
    assert_eq!((of("TRAN_MSG"), of("PGROUP"), of("DELAY")), (Some("true"), Some("shop"), None));
    assert_eq!(of("CHECK_IMMUNITY_TIME_IN_SECONDS"), Some("30"));
    let end = ends(cluster.broker()).remove(0);
    assert_eq!(end.commit_or_rollback, 8);
    assert_eq!(
        (end.message_id.as_str(), end.producer_group.as_str()),
        (receipt.half.message_id.as_str(), "shop")
    );
    assert_eq!((end.topic.as_deref(), end.from_transaction_check), (Some("orders"), false));
}

#[tokio::test]
async fn the_other_ends_leave_it_invisible() {
    let cluster = cluster().await;
    let producer = producer(&cluster).await;
    for (resolution, flag) in [(Resolution::Rollback, 12), (Resolution::Unknown, 0)] {
        let receipt = producer.transaction(order()).run(|_| async move { resolution }).await.unwrap();
        assert!(receipt.unconfirmed.is_none(), "{receipt:?}");
        let told = |broker: &Broker| ends(broker).last().is_some_and(|end| end.commit_or_rollback == flag);
        cluster.broker().until("the end", told).await;
    }
    assert_eq!(cluster.broker().stored("orders"), 0);
    let one_way: Vec<bool> = cluster.broker().requests(END).iter().map(|end| end.is_one_way()).collect();
    assert_eq!(one_way, [false, true], "nobody answers an unknown end");
}

#[tokio::test]
async fn nothing_runs_upon_a_half_message_that_may_be_lost() {
    let cluster = cluster().await;
    cluster.broker().once(RequestCode::SEND_MESSAGE_V2, Instead::ServeAs(ResponseCode::FLUSH_DISK_TIMEOUT));
    let producer = producer(&cluster).await;
    let run = producer.transaction(order()).run(|_| async { unreachable!("the half is not durable") });
    assert!(matches!(run.await, Err(SendError::NotDurable { .. })));
    assert_eq!(ends(cluster.broker())[0].commit_or_rollback, 12);
}

#[tokio::test]
async fn an_end_that_the_broker_does_not_confirm_is_said_to_be_so() {
    let cluster = cluster().await;
    cluster.broker().once(END, Instead::Refuse(ResponseCode::ILLEGAL_OPERATION));
    let producer = producer(&cluster).await;
    let receipt = producer.transaction(order()).run(|_| async { Resolution::Commit }).await.unwrap();
    let refused =
        matches!(receipt.unconfirmed, Some(Error::Refused { code: ResponseCode::ILLEGAL_OPERATION, .. }));
    assert!(refused, "{:?}", receipt.unconfirmed);
}

#[tokio::test]
async fn brokers_that_ask_are_answered_by_the_checker_of_the_kind() {
    let cluster = cluster().await;
    let producer = cluster
        .client()
        .transaction_producer("shop", |message: MessageView| async move {
            assert_eq!((&*message.topic, &message.body[..]), (TRANS_HALF_TOPIC, &b"4711"[..]));
            Resolution::Commit
        })
        .checker_of("refund", |_: MessageView| async { Resolution::Rollback })
        .checker_of("broken", |_: MessageView| async { panic!("a checker that fails") })
        .await
        .unwrap();
    let broker = cluster.broker();
    for (at, (kind, flag)) in
        [("", 8), ("refund", 12), ("broken", 0), ("of no checker", 8)].into_iter().enumerate()
    {
        let transaction = producer.transaction(order());
        let transaction = if kind.is_empty() { transaction } else { transaction.kind(kind) };
        let receipt = transaction.run(|_| async { Resolution::Unknown }).await.unwrap();
        broker.until("the first end", |broker| broker.count(END) == 2 * at + 1).await;
        broker.check_transaction("shop", "orders", 0, at);
        broker.until("the answer", |broker| broker.count(END) == 2 * at + 2).await;
        let end = ends(broker).pop().unwrap();
        assert_eq!((end.commit_or_rollback, end.from_transaction_check), (flag, true), "{kind}");
        assert_eq!(end.message_id, receipt.half.message_id);
        assert_eq!(end.tran_state_table_offset, i64::try_from(at).unwrap());
    }
    broker.until("two commits", |broker| broker.stored("orders") == 2).await;
}

#[tokio::test]
async fn a_group_has_one_set_of_checkers_as_long_as_its_producer_lives() {
    let cluster = cluster().await;
    let client = cluster.client();
    let first = client.transaction_producer("shop", never_asked).await.unwrap();
    let second = client.transaction_producer("shop", never_asked).await;
    assert!(matches!(second, Err(Error::GroupInUse { group }) if group == "shop"));
    let clone = first.clone();
    drop(first);
    assert!(client.transaction_producer("shop", never_asked).await.is_err());
    drop(clone);
    client.transaction_producer("shop", never_asked).await.unwrap();
}

#[tokio::test]
async fn a_slow_checker_holds_up_nothing_else() {
    let cluster = cluster().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let producer = cluster
        .client()
        .transaction_producer("shop", move |_: MessageView| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::pending()
        })
        .await
        .unwrap();
    producer.transaction(order()).run(|_| async { Resolution::Unknown }).await.unwrap();
    // More than a connection handles at a time.
    for _ in 0..200 {
        cluster.broker().check_transaction("shop", "orders", 0, 0);
    }
    producer.producer().send(order()).await.unwrap();
    cluster.broker().until("a check", |_| asked.load(Ordering::Relaxed) > 0).await;
}
