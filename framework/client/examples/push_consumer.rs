//! Consumes a topic and prints what comes: `push_consumer [name server] [topic] [filter]`.
//!
//! The filter is tags, `placed || billed`, or SQL92 behind `sql:`, `sql:cents > 1000`. Ctrl-C stops it in order.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Duration;

use rocketmq_boot_client::{Client, Filter, MessageView, StartFrom, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name_server = args.next().unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let topic = args.next().unwrap_or_else(|| "orders".to_owned());
    let filter = match args.next() {
        None => Filter::all(),
        Some(text) => text.strip_prefix("sql:").map_or_else(|| Filter::tags(text.as_str()), Filter::sql),
    };

    let client = Client::connect(name_server);
    let consumer = client
        .push_consumer("example_push")
        .subscribe(topic, filter)
        .from(StartFrom::First)
        .concurrency(8)
        .max_attempts(5)
        .start(|message: MessageView| async move {
            println!(
                "{} {} attempt {}: {}",
                message.queue(),
                message.queue_offset,
                message.reconsume_times + 1,
                String::from_utf8_lossy(&message.body)
            );
            match message.tag() {
                // Comes again in 10 s, 30 s, 1 min, .. and after the fifth attempt goes to the dead letters.
                Some("fail") => Verdict::retry(),
                Some("later") => Verdict::retry_after(Duration::from_secs(5)),
                Some("broken") => Verdict::dead_letter("the example buries what is tagged so"),
                _ => Verdict::done(),
            }
        })
        .await?;

    tokio::signal::ctrl_c().await?;
    consumer.stop(Duration::from_secs(10)).await?;
    client.close().await;
    Ok(())
}
