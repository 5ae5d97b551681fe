//! Sends the steps of some orders and handles each order's steps in their order: `orderly [name server]`.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rocketmq_boot_client::{Client, Message, MessageView, Order, Verdict};
use tokio::sync::Semaphore;

const ORDERS: usize = 4;
const STEPS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name_server = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(name_server);
    client.admin().create_topic("example_steps", 4).await?;

    let (handled, last) =
        (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(HashMap::<String, usize>::new())));
    let handler = (Arc::clone(&handled), Arc::clone(&last));
    let consumer = client
        .push_consumer("example_orderly")
        .subscribe("example_steps", "*")
        .order(Order::Orderly)
        .suspend(Duration::from_millis(200))
        .max_attempts(3)
        .start(move |message: MessageView| {
            let (handled, last) = handler.clone();
            async move {
                let text = String::from_utf8_lossy(&message.body).into_owned();
                // The third step of every order fails once, and the steps behind it wait for it.
                if text.ends_with(" 3") && message.reconsume_times == 0 {
                    println!("{text} fails");
                    return Verdict::retry();
                }
                println!("{text} on queue {}", message.queue_id);
                let (order, step) = text.rsplit_once(' ').unwrap_or((&text, "0"));
                if let Ok(mut last) = last.lock() {
                    last.insert(order.to_owned(), step.parse().unwrap_or(0));
                }
                handled.add_permits(1);
                Verdict::done()
            }
        })
        .await?;

    let producer = client.producer("example_producers").await?;
    for step in 1..=STEPS {
        for order in 1..=ORDERS {
            let message = Message::new("example_steps", format!("order {order} step {step}"));
            producer.send(message).sharded_by(format!("order {order}")).await?;
        }
    }
    let all = u32::try_from(ORDERS * STEPS)?;
    let _ = tokio::time::timeout(Duration::from_secs(60), handled.acquire_many(all)).await?;
    consumer.stop(Duration::from_secs(10)).await?;
    client.close().await;
    Ok(())
}
