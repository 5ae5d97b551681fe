use rocketmq_boot::prelude::*;

#[rocketmq_listener(topic = "orders", gruop = "billing", model = "clusterd", concurrency = 0)]
async fn mistakes() {}

#[rocketmq_listener(topic = "orders:placed", group = "billing", consumer_group = "b", group = "c")]
async fn twice() {}

#[rocketmq_listener(topic = "orders", group = "billing", order = "orderly", sql = "a > 1", tag = "a ||")]
async fn later() {}

#[rocketmq_listener(topic = "", group = 7, consume_thread_max = 64, frobnicate = 1)]
async fn values() {}

#[rocketmq_listener(topic = "orders", group = "billing", max_attempts = 3, max_reconsume_times = 2)]
async fn both() {}

#[rocketmq_listener(topic "orders")]
async fn syntax() {}

fn main() {}
