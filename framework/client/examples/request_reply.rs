//! Questions and answers over messages:
//! `cargo run -p rocketmq-boot-client --example request_reply -- [host:port]`.
//!
//! Start `mqnamesrv` and `mqbroker` before, or any RocketMQ from 4.6 on.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::time::Duration;

use rocketmq_boot_client::{Client, Message, MessageView, RequestError, StartFrom, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name_servers = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());

    // Two clients, as the two sides would have in two processes.
    let server = Client::connect(name_servers.as_str());
    server.admin().create_topic("example_quotes", 4).await?;
    let replier = server.clone();
    let quote = move |question: MessageView| {
        let replier = replier.clone();
        async move {
            let price = format!("{} costs 42", String::from_utf8_lossy(&question.body));
            match replier.reply(&question, price).await {
                Ok(()) => Verdict::done(),
                Err(error) => {
                    // Whoever asked may be gone; asking again is theirs to do.
                    eprintln!("{error}");
                    Verdict::done()
                }
            }
        }
    };
    let consumer = server
        .push_consumer("example_quoting")
        .subscribe("example_quotes", "*")
        .from(StartFrom::First)
        .start(quote)
        .await?;

    let client = Client::connect(name_servers);
    let producer = client.producer("example_asking").await?;
    for item in ["a hammer", "a nail"] {
        let question = Message::new("example_quotes", item);
        match producer.request(question).timeout(Duration::from_secs(30)).await {
            Ok(reply) => println!("{}", String::from_utf8_lossy(&reply.body)),
            Err(RequestError::Timeout { after, .. }) => println!("nobody answered within {after:?}"),
            Err(error) => return Err(error.into()),
        }
    }
    consumer.stop(Duration::from_secs(10)).await?;
    client.close().await;
    server.close().await;
    Ok(())
}
