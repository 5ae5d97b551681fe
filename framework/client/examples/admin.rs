//! Looks over a cluster: its brokers, its topics and who consumes them, and how far behind: `admin [name server]`.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use rocketmq_boot_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name_server = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(name_server);
    let admin = client.admin();

    for (name, broker) in admin.cluster().await?.broker_addr_table {
        println!("broker {name} of {}: {:?}", broker.cluster, broker.broker_addrs.0);
    }
    admin.create_topic("example_admin", 2).await?;
    for topic in admin.topics().await? {
        match admin.topic_stats(&topic).await {
            Ok(stats) => {
                let ends = stats.offset_table.0.values();
                let messages: i64 = ends.map(|queue| queue.max_offset - queue.min_offset).sum();
                println!("topic {topic}: {} queues, {messages} messages", stats.offset_table.0.len());
            }
            // Not every topic that a name server knows can be read.
            Err(Error::Refused { remark, .. }) => println!("topic {topic}: {remark}"),
            Err(error) => return Err(error.into()),
        }
        for group in admin.groups_of_topic(&topic).await.unwrap_or_default() {
            match admin.consume_stats(&group, Some(&topic)).await {
                Ok(stats) => println!("  group {group}: {} behind", stats.behind()),
                Err(error) => println!("  group {group}: {error}"),
            }
        }
    }
    client.close().await;
    Ok(())
}
