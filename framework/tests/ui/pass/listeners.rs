#![deny(warnings)]

use rocketmq_boot::{
    listener::{Context, FromMessage, Rejection},
    prelude::*,
};

#[derive(Serialize, Deserialize)]
struct Click {
    id: u64,
}

struct Stock;

#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("gone")
    }
}

impl std::error::Error for Gone {}

impl Failure for Gone {
    fn verdict(&self) -> Verdict {
        Verdict::drop()
    }
}

type Outcome = Result<(), Gone>;

const GROUP: &str = "stats";

/// A type of the program's own.
struct Tenant;

impl FromMessage for Tenant {
    fn from_message(_: &Context, _: &MessageView) -> Result<Self, Rejection> {
        Ok(Self)
    }
}

struct Placed;

impl FromMessage for Placed {
    const CONTRACT: Option<(&'static str, &'static str)> = Some(("orders", "placed"));

    fn from_message(_: &Context, _: &MessageView) -> Result<Self, Rejection> {
        Ok(Self)
    }
}

#[rocketmq_listener(topic = "clicks", group = GROUP, batch = 64)]
async fn count(clicks: Vec<Json<Click>>, ids: Vec<MessageView>, _stock: Component<Stock>) -> BatchVerdict {
    assert_eq!(clicks.len(), ids.len());
    BatchVerdict::done()
}

#[rocketmq_listener(
    topic = "${shop.topic:orders}",
    consumer_group = "all",
    message_model = "BROADCASTING",
    selector_expression = "a || b",
    consume_mode = "CONCURRENTLY",
    consume_thread_number = 4,
    max_reconsume_times = 16,
    pull_batch_size = 16,
    consume_from_where = "CONSUME_FROM_FIRST_OFFSET",
    id = "everything",
    cluster = "eu",
)]
async fn all(
    text: String,
    _bytes: Bytes,
    _message: MessageView,
    Keys(_keys): Keys,
    _tag: Option<Tag>,
    Attempt(_n): Attempt,
    _click: Option<Json<Click>>,
    _tenant: Tenant,
) -> Outcome {
    match text.is_empty() {
        true => Err(Gone),
        false => Ok(()),
    }
}

#[rocketmq_listener(group = "contracts")]
async fn placed(_order: Placed) -> Verdict {
    Verdict::done()
}

#[rocketmq_listener(topic = "a", group = "twice")]
#[rocketmq_listener(topic = "b", group = "twice", id = "second")]
async fn nothing() {}

#[component]
async fn stock() -> Result<Stock, Error> {
    Ok(Stock)
}

#[component]
fn number(_stock: Component<Stock>, _template: Template) -> u64 {
    7
}

#[on_start]
async fn hook(number: Component<u64>) {
    assert_eq!(*number, 7);
}

fn main() {
    // A listener is still a function.
    drop(nothing());
    drop(hook(Component::from(7)));
    let _ = (all, count, placed, stock, number);
}
