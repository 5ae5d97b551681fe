//! What a producer can do: `cargo run -p rocketmq-boot-client --example producer -- [host:port]`.
//!
//! Start `mqnamesrv` and `mqbroker` before, or any RocketMQ of 4.9 or 5.x. The topic is created by the first message.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{future::IntoFuture, time::Duration};

use futures_util::future::try_join_all;
use rocketmq_boot_client::{Attempt, Client, Compression, Error, Message, SendError, SendHook};

/// Prints how long every attempt took.
struct Stopwatch;

impl SendHook for Stopwatch {
    fn after(&self, attempt: &Attempt<'_>) {
        println!("  {:>9.1?} at {}", attempt.took, attempt.broker);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name_servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(name_servers);
    let producer = client
        .producer("example_producers")
        .avoid_slow_brokers(true)
        .compression(Compression::Lz4)
        .hook(Stopwatch)
        .await?;

    println!("one message");
    let receipt = producer.send(Message::new("example_orders", "hello").tag("placed").key("4711")).await?;
    println!("{} lies at {} of {}", receipt.message_id, receipt.queue_offset, receipt.queue);

    println!("messages of one customer, in their order");
    for step in ["placed", "paid", "shipped"] {
        let message = Message::new("example_orders", step).tag(step);
        let receipt = producer.send(message).sharded_by("customer-7").await?;
        println!("{step}: {} {}", receipt.queue, receipt.queue_offset);
    }

    println!("ten at a time");
    let sends = (0..10).map(|n| producer.send(Message::new("example_orders", format!("order {n}"))));
    try_join_all(sends.map(IntoFuture::into_future)).await?;

    println!("a thousand in few requests");
    let messages = (0..1_000).map(|n| Message::new("example_orders", format!("click {n}"))).collect();
    let results = producer.send_all(messages).max_count(200).await;
    println!("{} of them are stored", results.iter().filter(|result| result.is_ok()).count());

    println!("without waiting for an answer");
    producer.send(Message::new("example_orders", "whatever")).one_way().await?;

    println!("later, and then not after all");
    let later = Message::new("example_orders", "call back").delay(Duration::from_secs(60));
    match producer.send(later).await {
        Ok(receipt) => match &receipt.recall_handle {
            Some(handle) => match producer.recall("example_orders", handle).await {
                Ok(id) => println!("recalled {id}"),
                // Brokers recall only with `recallMessageEnable=true`.
                Err(Error::Refused { remark, .. }) => println!("it will come: {remark}"),
                Err(error) => return Err(error.into()),
            },
            None => println!("the broker delays, and recalls nothing"),
        },
        // A broker that would deliver at once is not sent to.
        Err(error @ SendError::Unsupported { .. }) => println!("{error}"),
        Err(SendError::Refused { remark, .. }) => println!("the broker has no timer: {remark}"),
        Err(error) => return Err(error.into()),
    }
    client.close().await;
    Ok(())
}
