use rocketmq_boot::prelude::*;

#[rocketmq_listener(group = "billing")]
async fn bill(_text: String) {}

fn main() {}
