//! Handing messages to the handler, as many at a time as the consumer allows, and acting on its verdicts.

use std::sync::Arc;

use rocketmq_boot_protocol::message::MessageView;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    Model, Verdict, handling,
    pull::Kept,
    queue::Assigned,
    retry,
    shared::{Handling, Shared, Work},
    window::Window,
};

/// Messages for one call of the handler.
#[derive(Debug)]
pub(super) struct Delivery {
    assigned: Arc<Assigned>,
    window: Arc<Window>,
    messages: Vec<MessageView>,
    kept: Vec<Kept>,
    arrived_at: Instant,
}

/// Divides what a pull brought into calls of at most `size` messages.
pub(super) fn portions(
    assigned: &Arc<Assigned>,
    window: &Arc<Window>,
    messages: Vec<MessageView>,
    kept: Vec<Kept>,
    size: usize,
) -> impl Iterator<Item = Delivery> {
    let arrived_at = Instant::now();
    let (mut messages, mut kept) = (messages.into_iter(), kept.into_iter());
    std::iter::from_fn(move || {
        let portion: Vec<_> = messages.by_ref().take(size).collect();
        (!portion.is_empty()).then(|| Delivery {
            assigned: Arc::clone(assigned),
            window: Arc::clone(window),
            kept: kept.by_ref().take(portion.len()).collect(),
            messages: portion,
            arrived_at,
        })
    })
}

/// Starts a task for each delivery as soon as a call is free.
pub(super) async fn run(shared: Arc<Shared>, mut incoming: mpsc::UnboundedReceiver<Delivery>) {
    let Some(calls) = shared.handling().map(|handling| Arc::clone(&handling.calls)) else { return };
    while let Some(delivery) = incoming.recv().await {
        shared.gate.pass().await;
        let call = calls.begin().await;
        // It may have been shut while the call was waited for.
        shared.gate.pass().await;
        if delivery.window.is_closed() {
            continue;
        }
        if let Some(handling) = shared.handling() {
            handling.rate.take(delivery.messages.len()).await;
        }
        let handler = Arc::clone(&shared);
        shared.spawn_handling(async move {
            if let Some(handling) = handler.handling() {
                deliver(&handler, handling, delivery).await;
            }
            drop(call);
        });
    }
}

async fn deliver(shared: &Arc<Shared>, handling: &Handling, delivery: Delivery) {
    let Delivery { assigned, window, messages, kept, arrived_at } = delivery;
    assigned.lane.begins(arrived_at.elapsed());
    let limit = Some(shared.options.consume_timeout);
    let verdicts = handling::call(shared, handling, &assigned, messages, limit).await;
    if window.is_closed() {
        // The queue's next owner delivers these again, whatever the verdicts are.
        tracing::debug!(group = shared.options.group, "queue went while its messages were handled");
        return;
    }
    for (kept, verdict) in kept.into_iter().zip(verdicts) {
        act(shared, &assigned, &window, kept, verdict).await;
    }
}

/// Settles a message, or has it delivered again.
async fn act(
    shared: &Arc<Shared>,
    assigned: &Arc<Assigned>,
    window: &Arc<Window>,
    kept: Kept,
    verdict: Verdict,
) {
    let Some(level) = verdict.level() else {
        window.settle(kept.offset);
        return;
    };
    let (group, queue) = (&shared.options.group, &assigned.queue);
    if shared.options.model == Model::Broadcasting {
        tracing::warn!(group, %queue, offset = kept.offset, "message failed and is dropped: broadcasting does not retry");
        window.settle(kept.offset);
        return;
    }
    let sent = match &verdict {
        Verdict::DeadLetter(reason) => retry::bury(shared, queue, &kept, reason).await,
        _ => retry::send_back(shared, queue, &kept, level).await,
    };
    match sent {
        Ok(()) => window.settle(kept.offset),
        Err(error) => {
            tracing::warn!(group, %queue, offset = kept.offset, %error, "message could not be sent back, it is handled again here");
            redeliver(shared, assigned, window, kept);
        }
    }
}

/// Delivers a message again after a pause, without the broker.
fn redeliver(shared: &Arc<Shared>, assigned: &Arc<Assigned>, window: &Arc<Window>, mut kept: Kept) {
    let Work::Concurrent(_, deliveries) = &shared.work else { return };
    kept.failures = kept.failures.saturating_add(1);
    let Some(message) = kept.view(shared, &assigned.queue.broker_name) else { return };
    let (assigned, window) = (Arc::clone(assigned), Arc::clone(window));
    let pause = shared.options.pause_after_error;
    let deliveries = deliveries.clone();
    shared.spawn_intake(async move {
        sleep(pause).await;
        let again = portions(&assigned, &window, vec![message], vec![kept], 1);
        // The receiver ends with the intake, and so does this task.
        again.for_each(|delivery| drop(deliveries.send(delivery)));
    });
}
