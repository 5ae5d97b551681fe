//! Calls with real listeners and made-up messages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rocketmq_boot_protocol::message::{
    property,
    record::{Draft, Record},
};

use super::*;
use crate::{
    App,
    component::{Component, Container, Provided},
    json::Json,
    listener::{Attempt, BatchVerdict, Failure, FromMessage, Keys, Rejection, Tag},
    rocketmq_listener,
    template::Template,
};

#[derive(Default)]
struct Seen(parking_lot::Mutex<Vec<String>>);

#[derive(serde::Deserialize)]
struct Order {
    id: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("order {0} is refused")]
struct Refused(u64);

impl Failure for Refused {
    fn verdict(&self) -> Verdict {
        Verdict::dead_letter(self.to_string())
    }
}

#[rocketmq_listener(topic = "orders", group = "g", tag = "placed", max_attempts = 3)]
async fn placed(Json(order): Json<Order>, seen: Component<Seen>) -> Result<(), std::fmt::Error> {
    seen.0.lock().push(format!("placed {}", order.id));
    if order.id == 0 { Err(std::fmt::Error) } else { Ok(()) }
}

#[rocketmq_listener(topic = "orders", group = "g", tag = "paid || refunded")]
async fn paid(Json(order): Json<Order>) -> Result<(), Refused> {
    Err(Refused(order.id))
}

#[rocketmq_listener(topic = "orders", group = "g")]
async fn others(
    text: String,
    Keys(keys): Keys,
    tag: Option<Tag>,
    Attempt(attempt): Attempt,
    seen: Component<Seen>,
) -> Verdict {
    let tag = tag.map(|Tag(tag)| tag);
    seen.0.lock().push(format!("others {text} {keys:?} {tag:?} {attempt}"));
    Verdict::drop()
}

#[rocketmq_listener(topic = "panics", group = "g")]
async fn panics() {
    panic!("out of cheese");
}

struct PanicsWhenMade;

impl FromMessage for PanicsWhenMade {
    fn from_message(_: &Context, _: &MessageView) -> Result<Self, Rejection> {
        panic!("no cheese at all");
    }
}

#[rocketmq_listener(topic = "extractors", group = "g")]
async fn extractors(_: PanicsWhenMade) {}

#[rocketmq_listener(topic = "clicks", group = "g", batch = 3)]
async fn clicks(clicks: Vec<Json<Order>>, seen: Component<Seen>) -> BatchVerdict {
    seen.0.lock().push(format!("clicks {:?}", clicks.iter().map(|click| click.id).collect::<Vec<_>>()));
    let failed = clicks.iter().position(|click| click.id == 0);
    failed.into_iter().fold(BatchVerdict::done(), BatchVerdict::retry)
}

#[rocketmq_listener(topic = "one", group = "limited", concurrency = 2)]
async fn limited(running: Component<Running>) {
    let now = running.now.fetch_add(1, Ordering::SeqCst) + 1;
    running.most.fetch_max(now, Ordering::SeqCst);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    running.now.fetch_sub(1, Ordering::SeqCst);
}

#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[rocketmq_listener(topic = "news", group = "all", model = "broadcasting", max_attempts = 1)]
async fn news() -> Verdict {
    Verdict::retry()
}

/// Dispatches of the named groups, and what their listeners tell.
fn dispatch(app: App) -> (Dispatch, Arc<Seen>, Arc<Running>) {
    let folder = std::env::temp_dir().join("rocketmq-boot-no-such-folder");
    let app = app.with(Seen::default()).with(Running::default());
    let checked =
        app.home(folder).arguments([""; 0]).variables([("", ""); 0]).profile("test").check().unwrap();
    let (seen, running) = (Arc::new(Seen::default()), Arc::new(Running::default()));
    let mut container = Container::default();
    container.insert(Provided::of::<Seen>().id, Arc::clone(&seen) as _);
    container.insert(Provided::of::<Running>().id, Arc::clone(&running) as _);
    let template = Template::new(std::collections::BTreeMap::new());
    (Dispatch::new(&checked.groups[0], Context::new(container, template)), seen, running)
}

fn group() -> App {
    let app = App::new().listener(placed).listener(paid).listener(others);
    app.listener(panics).listener(extractors).listener(clicks)
}

fn message(topic: &str, body: &str, properties: &[(&str, &str)], reconsume_times: i32) -> MessageView {
    let properties = property::encode(properties.iter().copied()).unwrap();
    let draft = Draft {
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_host: "127.0.0.1:2".parse().unwrap(),
        reconsume_times,
        prepared_transaction_offset: 0,
        body: body.as_bytes(),
        topic: topic.as_bytes(),
        properties: properties.as_bytes(),
        more_properties: b"",
    };
    let mut bytes = Vec::new();
    draft.encode(0, 0, 1, &mut bytes).unwrap();
    MessageView::decode(&Record::decode(&bytes).unwrap(), 1 << 20).unwrap()
}

fn tagged(tag: &str, body: &str) -> MessageView {
    message("orders", body, &[("TAGS", tag)], 0)
}

#[tokio::test]
async fn messages_go_to_the_listener_that_names_their_tag_and_else_to_the_one_for_all() {
    let (dispatch, seen, _) = dispatch(group());
    let keys = message("orders", "hi", &[("KEYS", "a b")], 4);
    let verdicts = dispatch
        .dispatch(vec![
            tagged("placed", r#"{"id":1}"#),
            tagged("refunded", r#"{"id":2}"#),
            tagged("lost", "x"),
            keys,
            message("unheard", "x", &[], 0),
        ])
        .await;
    let refused = Verdict::dead_letter("order 2 is refused");
    assert_eq!(verdicts, [Verdict::done(), refused, Verdict::drop(), Verdict::drop(), Verdict::done()]);
    let mut told = seen.0.lock().clone();
    told.sort();
    assert_eq!(told, ["others hi [\"a\", \"b\"] None 5", "others x [] Some(\"lost\") 1", "placed 1"]);
}

#[tokio::test]
async fn a_message_that_comes_back_is_routed_by_its_first_topic() {
    let (dispatch, seen, _) = dispatch(group());
    let back = message("%RETRY%g", r#"{"id":7}"#, &[("TAGS", "placed"), ("RETRY_TOPIC", "orders")], 1);
    assert_eq!(dispatch.dispatch(vec![back]).await, [Verdict::done()]);
    assert_eq!(*seen.0.lock(), ["placed 7"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_buried_with_the_reason() {
    let (dispatch, seen, _) = dispatch(group());
    let verdicts = dispatch.dispatch(vec![tagged("placed", "{}")]).await;
    let Verdict::DeadLetter(reason) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert!(
        reason.starts_with("the body is not the JSON of") && reason.contains("missing field `id`"),
        "{reason}"
    );
    assert!(seen.0.lock().is_empty());
}

#[tokio::test]
async fn a_failure_is_retried_until_the_listeners_last_attempt() {
    let (dispatch, ..) = dispatch(group());
    let attempt = |n| message("orders", r#"{"id":0}"#, &[("TAGS", "placed")], n);
    let verdicts = dispatch.dispatch(vec![attempt(0), attempt(1), attempt(2)]).await;
    let reason = "given up after 3 attempts: an error occurred when formatting an argument";
    assert_eq!(verdicts, [Verdict::retry(), Verdict::retry(), Verdict::dead_letter(reason)]);
}

#[tokio::test]
async fn broadcasting_knows_no_dead_letters() {
    let (dispatch, ..) = dispatch(App::new().listener(news));
    assert_eq!(dispatch.dispatch(vec![message("news", "x", &[], 0)]).await, [Verdict::retry()]);
}

#[tokio::test]
async fn a_panic_fails_its_own_message_only() {
    let (dispatch, ..) = dispatch(group());
    let verdicts = dispatch
        .dispatch(vec![
            message("panics", "x", &[], 0),
            message("extractors", "x", &[], 0),
            tagged("placed", r#"{"id":1}"#),
        ])
        .await;
    assert_eq!(verdicts, [Verdict::retry(), Verdict::retry(), Verdict::done()]);
    let last = dispatch.dispatch(vec![message("panics", "x", &[], 16)]).await;
    assert_eq!(
        last,
        [Verdict::dead_letter("given up after 17 attempts: the listener panicked: out of cheese")]
    );
}

#[tokio::test]
async fn of_a_batch_only_what_failed_comes_back_and_what_is_unreadable_is_buried() {
    let (dispatch, seen, _) = dispatch(group());
    let click = |body: &str| message("clicks", body, &[], 0);
    let bodies = [r#"{"id":1}"#, "broken", r#"{"id":0}"#, r#"{"id":4}"#];
    let verdicts = dispatch.dispatch(bodies.map(click).to_vec()).await;
    assert_eq!(verdicts[0], Verdict::done());
    assert!(matches!(verdicts[1], Verdict::DeadLetter(_)), "{verdicts:?}");
    assert_eq!(verdicts[2..], [Verdict::retry(), Verdict::done()]);
    assert_eq!(*seen.0.lock(), ["clicks [1, 0]", "clicks [4]"]);
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_the_listener_allows() {
    let (dispatch, _, running) = dispatch(App::new().listener(limited));
    let messages = (0..8).map(|_| message("one", "x", &[], 0)).collect();
    dispatch.dispatch(messages).await;
    assert_eq!(running.most.load(Ordering::SeqCst), 2);
}
