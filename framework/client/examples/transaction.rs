//! A message that is delivered only when its order is stored:
//! `cargo run -p rocketmq-boot-client --example transaction -- [host:port]`.
//!
//! Start `mqnamesrv` and `mqbroker` before, or any RocketMQ of 4.9 or 5.x. The last order is left undecided, so the
//! broker asks for it: Apache's after up to half a minute, unless it is configured otherwise.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_client::{Client, Message, MessageView, Resolution, SendReceipt, StartFrom, Verdict};
use tokio::{sync::mpsc, time::timeout};

/// Stands for a database: the ids of the messages whose orders are stored.
type Orders = Arc<Mutex<HashSet<String>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name_servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(name_servers);
    let orders = Orders::default();

    // Asked when the broker was not told how a transaction ended.
    let stored = Arc::clone(&orders);
    let check = move |message: MessageView| {
        let found = stored.lock().contains(&message.message_id);
        println!("the broker asks for {}: stored is {found}", String::from_utf8_lossy(&message.body));
        async move { if found { Resolution::Commit } else { Resolution::Rollback } }
    };
    let producer = client.transaction_producer("example_transactions", check).await?;

    let (seen, mut delivered) = mpsc::unbounded_channel();
    let handler = move |message: MessageView| {
        let _ = seen.send(String::from_utf8_lossy(&message.body).into_owned());
        async { Verdict::done() }
    };
    // Creates the topic, so that the consumer has something to subscribe to.
    producer.producer().create_topic("example_placed", 4).await?;
    let consumer = client
        .push_consumer("example_shipping")
        .subscribe("example_placed", "*")
        .from(StartFrom::First)
        .start(handler)
        .await?;

    for (name, resolution) in [
        ("a good order", Resolution::Commit),
        ("an order that was refused", Resolution::Rollback),
        ("an order whose outcome was not told", Resolution::Unknown),
    ] {
        let table = Arc::clone(&orders);
        let local = |half: SendReceipt| async move {
            if resolution != Resolution::Rollback {
                table.lock().insert(half.message_id);
            }
            resolution
        };
        let receipt = producer.transaction(Message::new("example_placed", name)).run(local).await?;
        println!("{name}: {:?}, {}", receipt.resolution, receipt.half.message_id);
    }

    for _ in 0..2 {
        match timeout(Duration::from_secs(90), delivered.recv()).await {
            Ok(Some(order)) => println!("delivered: {order}"),
            _ => return Err("the broker did not ask for the undecided order in time".into()),
        }
    }
    consumer.stop(Duration::from_secs(10)).await?;
    client.close().await;
    Ok(())
}
