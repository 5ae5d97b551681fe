//! One call of the handler: hooks around it, a span, a time limit, and no way for a panic to get out.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use rocketmq_boot_protocol::message::MessageView;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{
    Verdict,
    hook::Consumption,
    queue::Assigned,
    shared::{Handling, Shared},
};

/// The level that messages go back with whose handler took too long: 10 s.
const TIMED_OUT_LEVEL: u8 = 3;

/// Calls the handler; gives one verdict for each message.
pub(super) async fn call(
    shared: &Shared,
    handling: &Handling,
    assigned: &Assigned,
    messages: Vec<MessageView>,
    limit: Option<Duration>,
) -> Vec<Verdict> {
    let count = messages.len();
    let span = tracing::info_span!(
        "consume",
        topic = messages.first().map(|message| &*message.topic),
        queue = assigned.queue.queue_id,
        broker = assigned.queue.broker_name,
        group = shared.options.group,
        message_id = messages.first().map(|message| &*message.message_id),
        messages = count,
    );
    // The handler takes its messages with it; hooks are shown copies.
    let shown = if handling.hooks.is_empty() { Vec::new() } else { messages.clone() };
    let call = Consumption { group: &shared.options.group, queue: &assigned.queue, messages: &shown };
    handling.hooks.before(&call);
    let began = Instant::now();
    let verdicts = judge(handling, messages, limit).instrument(span).await.unwrap_or_default();
    let took = began.elapsed();
    let verdicts: Vec<Verdict> =
        verdicts.into_iter().chain(std::iter::repeat(Verdict::Retry)).take(count).collect();
    handling.hooks.after(&call, &verdicts, took);
    let done = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Done | Verdict::Drop)).count();
    assigned.lane.handled(done, count - done, took);
    assigned.handled(shared.core().options.clock.now_ms());
    verdicts
}

/// Has the handler judge messages; gives the text of a panic as an error.
pub(super) async fn judge(
    handling: &Handling,
    messages: Vec<MessageView>,
    limit: Option<Duration>,
) -> Result<Vec<Verdict>, String> {
    let count = messages.len();
    let handled = AssertUnwindSafe(handling.handler.handle(messages)).catch_unwind();
    let handled = match limit {
        None => handled.await,
        Some(limit) => match timeout(limit, handled).await {
            Ok(handled) => handled,
            Err(_) => {
                tracing::error!(?limit, "handler took too long and was cut off");
                return Ok(vec![Verdict::retry_level(TIMED_OUT_LEVEL); count]);
            }
        },
    };
    handled.map_err(|panic| {
        let panic = panic_text(&*panic);
        tracing::error!(panic, "handler panicked");
        panic.to_owned()
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
