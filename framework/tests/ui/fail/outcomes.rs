use rocketmq_boot::prelude::*;

struct MyErr;

struct Order;

#[rocketmq_listener(topic = "orders", group = "a")]
async fn truth() -> bool {
    true
}

#[rocketmq_listener(topic = "orders", group = "b")]
async fn reply() -> Result<Order, Error> {
    Ok(Order)
}

#[rocketmq_listener(topic = "orders", group = "c")]
async fn failure() -> Result<(), MyErr> {
    Err(MyErr)
}

#[component]
fn order() -> Result<Order, MyErr> {
    Err(MyErr)
}

#[on_start]
async fn hook() -> u32 {
    1
}

fn main() {}
