use rocketmq_boot::prelude::*;

struct Db;

#[rocketmq_listener(topic = "orders", group = "billing")]
async fn bill(_db: Db) {}

#[rocketmq_listener(topic = "orders", group = "audit")]
async fn audit(_order: Json<Db>) {}

fn main() {}
