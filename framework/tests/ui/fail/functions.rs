use rocketmq_boot::prelude::*;

#[rocketmq_listener(topic = "orders", group = "a")]
fn blocking() {}

#[rocketmq_listener(topic = "orders", group = "b")]
async fn generic<T>(_value: T) {}

#[rocketmq_listener(topic = "orders", group = "c")]
struct Audit;

#[rocketmq_listener(topic = "orders", group = "d")]
impl Audit {}

#[on_start(now)]
fn hook() {}

#[component]
async fn nothing() {}

mod program {
    #[rocketmq_boot::main]
    fn main(_arguments: Vec<String>) {}
}

fn main() {}
