//! Handing messages to the handler, as many at a time as the consumer allows, and acting on its verdicts.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use rocketmq_boot_protocol::message::MessageView;
use tokio::{sync::mpsc, time::sleep};

use super::{
    Model, Verdict,
    push::Shared,
    retry::{self, Letter},
    window::Window,
};

/// Messages for one call of the handler.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) window: Arc<Window>,
    pub(super) messages: Vec<MessageView>,
}

/// Starts a task for each delivery as soon as a call is free.
pub(super) async fn run(shared: Arc<Shared>, mut incoming: mpsc::UnboundedReceiver<Delivery>) {
    while let Some(delivery) = incoming.recv().await {
        // The semaphore is never closed.
        let Ok(call) = Arc::clone(&shared.calls).acquire_owned().await else { return };
        if !delivery.window.is_closed() {
            let handler = Arc::clone(&shared);
            shared.spawn_handling(async move {
                deliver(&handler, delivery).await;
                drop(call);
            });
        }
    }
}

async fn deliver(shared: &Arc<Shared>, delivery: Delivery) {
    let Delivery { window, messages } = delivery;
    let handled = AssertUnwindSafe(shared.handler.handle(messages.clone())).catch_unwind().await;
    let verdicts = handled.unwrap_or_else(|panic| {
        tracing::error!(group = shared.options.group, panic = panic_text(&*panic), "handler panicked");
        Vec::new()
    });
    if window.is_closed() {
        // The queue's next owner delivers these again, whatever the verdicts are.
        tracing::debug!(group = shared.options.group, "queue went while its messages were handled");
        return;
    }
    let verdicts = verdicts.into_iter().chain(std::iter::repeat(Verdict::Retry));
    for (message, verdict) in messages.into_iter().zip(verdicts) {
        act(shared, &window, message, verdict).await;
    }
}

/// Settles a message, or has it delivered again.
async fn act(shared: &Arc<Shared>, window: &Arc<Window>, message: MessageView, verdict: Verdict) {
    let offset = message.queue_offset;
    let Some(level) = verdict.level() else {
        window.settle(offset);
        return;
    };
    let group = &shared.options.group;
    let message_id = &message.message_id;
    if shared.options.model == Model::Broadcasting {
        tracing::warn!(group, message_id, "message failed and is dropped: broadcasting does not retry");
        window.settle(offset);
        return;
    }
    if let Verdict::DeadLetter(reason) = &verdict {
        tracing::warn!(group, message_id, reason, "message goes to the dead letters");
    }
    match retry::send_back(shared, &Letter::of(&message), Some(&message), level).await {
        Ok(()) => window.settle(offset),
        Err(error) => {
            tracing::warn!(group, message_id, %error, "message could not be sent back, it is handled again here");
            redeliver(shared, window, message);
        }
    }
}

/// Delivers a message again after a pause, without the broker.
fn redeliver(shared: &Arc<Shared>, window: &Arc<Window>, mut message: MessageView) {
    message.reconsume_times = message.reconsume_times.saturating_add(1);
    let window = Arc::clone(window);
    let pause = shared.options.pause_after_error;
    let deliveries = shared.deliveries.clone();
    shared.spawn_intake(async move {
        sleep(pause).await;
        // The receiver ends with the intake, and so does this task.
        let _ = deliveries.send(Delivery { window, messages: vec![message] });
    });
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
