//! Polls a topic from its beginning to its end, then once more from the middle: `lite_pull [name server] [topic]`.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Duration;

use rocketmq_boot_client::{Client, Position};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name_server = args.next().unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let topic = args.next().unwrap_or_else(|| "orders".to_owned());

    let client = Client::connect(name_server);
    let queues = client.admin().message_queues(&topic).await?;
    let consumer =
        client.lite_pull_consumer("example_lite").assign(queues.clone()).auto_commit(false).start().await?;
    for queue in &queues {
        consumer.seek(queue, Position::Begin).await?;
    }
    println!("{} messages", drain(&consumer).await?);
    consumer.commit().await?;

    for queue in &queues {
        let (min, max) = (client.admin().min_offset(queue).await?, client.admin().max_offset(queue).await?);
        consumer.seek(queue, Position::Offset(min.midpoint(max))).await?;
        println!("{queue} is committed up to {:?}", consumer.committed(queue).await?);
    }
    println!("{} messages in the second halves", drain(&consumer).await?);
    consumer.stop().await?;
    client.close().await;
    Ok(())
}

/// Polls until nothing comes for a second.
async fn drain(
    consumer: &rocketmq_boot_client::LitePullConsumer,
) -> Result<usize, rocketmq_boot_client::Error> {
    let mut count = 0;
    loop {
        let messages = consumer.poll(Duration::from_secs(1)).await?;
        if messages.is_empty() {
            return Ok(count);
        }
        count += messages.len();
    }
}
