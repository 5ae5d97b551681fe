use rocketmq_boot::prelude::*;

#[derive(Deserialize)]
struct Click;

#[rocketmq_listener(topic = "clicks", group = "stats", batch = 8)]
async fn count(_click: Json<Click>) {}

#[rocketmq_listener(topic = "clicks", group = "sums", batch = 8)]
async fn sum(_clicks: Vec<Json<Click>>) -> bool {
    true
}

#[on_start]
async fn hook(_attempt: Attempt) {}

fn main() {}
