//! Handling the messages of a queue one after the other: a task for every queue, which waits for its lock, its turn
//! and its messages.
//!
//! A message that fails stays at the head of its queue. Who gives a queue away finishes the call that is running,
//! commits and only then unlocks, so that the next owner begins where this one ended.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_protocol::message::MessageView;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    Model, Verdict,
    calls::Call,
    handling, lock,
    lock::Locks,
    offsets::Answer,
    pull::Kept,
    queue::Assigned,
    retry,
    shared::{Handling, Shared, Work},
    window::Window,
};

/// How often a task looks whether its lock is back.
const LOOK: Duration = Duration::from_millis(100);

/// Messages of one queue that wait for their turn. The queue's window bounds it.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: Mutex<VecDeque<Waiting>>,
    more: Notify,
}

#[derive(Debug)]
struct Waiting {
    window: Arc<Window>,
    /// The message, until it was handled once.
    message: Option<MessageView>,
    kept: Kept,
    since: Instant,
}

impl Line {
    /// Puts messages at the end.
    pub(super) fn join(&self, window: &Arc<Window>, messages: Vec<MessageView>, kept: Vec<Kept>) {
        let since = Instant::now();
        let waiting = messages.into_iter().zip(kept).map(|(message, kept)| Waiting {
            window: Arc::clone(window),
            message: Some(message),
            kept,
            since,
        });
        self.waiting.lock().extend(waiting);
        self.more.notify_one();
    }

    /// Puts messages back at the front, in their order.
    fn again(&self, messages: impl DoubleEndedIterator<Item = Waiting>) {
        let mut waiting = self.waiting.lock();
        messages.rev().for_each(|message| waiting.push_front(message));
    }

    /// Takes the next messages of one window; forgets those that are not this member's any more.
    fn take(&self, most: usize) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|message| !message.window.is_closed());
        let Some(window) = waiting.front().map(|message| Arc::clone(&message.window)) else {
            return Vec::new();
        };
        let of_window = |message: &&Waiting| Arc::ptr_eq(&message.window, &window);
        let count = waiting.iter().take(most).take_while(of_window).count();
        waiting.drain(..count).collect()
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}

/// Starts the task of a queue, which starts pulling when nobody else here handles the queue any more.
pub(super) fn start(shared: &Arc<Shared>, assigned: Arc<Assigned>) {
    let handler = Arc::clone(shared);
    shared.spawn_handling(async move {
        if let Work::Orderly(handling, locks) = &handler.work {
            run(&handler, handling, locks, &assigned).await;
        }
    });
}

async fn run(shared: &Arc<Shared>, handling: &Handling, locks: &Locks, assigned: &Arc<Assigned>) {
    let entered = assigned.stop.run_until_cancelled(locks.enter(&assigned.queue)).await;
    if entered.is_some() {
        let line = Arc::new(Line::default());
        assigned.pull(shared, Some(Arc::clone(&line)));
        while let Some((call, messages)) =
            assigned.stop.run_until_cancelled(turn(shared, handling, assigned, &line)).await
        {
            handle(shared, handling, assigned, &line, call, messages).await;
        }
    }
    if assigned.is_revoked() {
        if entered.is_some() {
            hand_over(shared, assigned).await;
        }
        locks.left(assigned);
    }
}

/// Commits and unlocks what is another member's now.
async fn hand_over(shared: &Shared, assigned: &Assigned) {
    let queue = &assigned.queue;
    if shared.options.locks() && !assigned.is_locked() {
        return;
    }
    if let Some(offset) = assigned.committed() {
        let place = [(queue.clone(), offset)];
        if let Err(error) = shared.offsets.save(shared.core(), &place, Answer::Wait).await {
            tracing::warn!(%queue, %error, "offset of a queue given up is not committed");
        }
    }
    assigned.give_up();
    if shared.options.locks() {
        lock::release(shared, std::slice::from_ref(queue)).await;
    }
}

/// Waits until messages may be handled.
async fn turn(
    shared: &Shared,
    handling: &Handling,
    assigned: &Assigned,
    line: &Line,
) -> (Call, Vec<Waiting>) {
    let may_begin = || shared.gate.is_open() && (!shared.options.locks() || assigned.is_locked());
    loop {
        while line.is_empty() {
            line.more.notified().await;
        }
        shared.gate.pass().await;
        if !may_begin() {
            assigned.turn.notify_one();
            sleep(LOOK).await;
            continue;
        }
        let call = handling.calls.begin().await;
        // Both may have changed while the call was waited for.
        if !may_begin() {
            continue;
        }
        let messages = line.take(shared.options.batch);
        if messages.is_empty() {
            continue;
        }
        return (call, messages);
    }
}

async fn handle(
    shared: &Arc<Shared>,
    handling: &Handling,
    assigned: &Arc<Assigned>,
    line: &Line,
    call: Call,
    mut waiting: Vec<Waiting>,
) {
    let Some(first) = waiting.first() else { return };
    let window = Arc::clone(&first.window);
    assigned.lane.begins(first.since.elapsed());
    handling.rate.take(waiting.len()).await;
    let view = |waiting: &mut Waiting| match waiting.message.take() {
        Some(message) => Some(message),
        None => waiting.kept.view(shared, &assigned.queue.broker_name),
    };
    let messages: Vec<_> = waiting.iter_mut().filter_map(view).collect();
    let retries: Vec<i32> = messages.iter().map(|message| message.reconsume_times).collect();
    let verdicts = handling::call(shared, handling, assigned, messages, None).await;
    drop(call);
    let mut waiting = waiting.into_iter();
    for (verdict, failed_before) in verdicts.into_iter().zip(retries) {
        if window.is_closed() {
            // The queue's next owner handles these again, whatever the verdicts are.
            return;
        }
        let Some(mut message) = waiting.next() else { return };
        if let Err(pause) = settle(shared, assigned, &message, &verdict, failed_before).await {
            message.kept.failures = message.kept.failures.saturating_add(1);
            // What the handler has seen of those behind it comes again too: they are in order only behind this one.
            line.again(std::iter::once(message).chain(waiting));
            assigned.stop.run_until_cancelled(window.outlives(sleep(pause))).await;
            return;
        }
    }
}

/// Settles a message whose verdict lets the queue go on; else says how long it waits.
async fn settle(
    shared: &Arc<Shared>,
    assigned: &Assigned,
    message: &Waiting,
    verdict: &Verdict,
    failed_before: i32,
) -> Result<(), Duration> {
    let (kept, queue) = (&message.kept, &assigned.queue);
    let reason = match (verdict, verdict.pause(shared.options.suspend)) {
        (Verdict::DeadLetter(reason), _) => reason.clone(),
        (_, None) => {
            message.window.settle(kept.offset);
            return Ok(());
        }
        (_, Some(pause)) if failed_before < shared.options.max_retries() => return Err(pause),
        _ => format!("failed {} times", i64::from(failed_before) + 1),
    };
    if shared.options.model == Model::Broadcasting {
        tracing::warn!(%queue, offset = kept.offset, reason, "message is dropped: broadcasting has no dead letters");
    } else if let Err(error) = retry::bury(shared, queue, kept, &reason).await {
        tracing::warn!(%queue, offset = kept.offset, %error, "message could not be buried yet");
        return Err(shared.options.pause_after_error);
    }
    message.window.settle(kept.offset);
    Ok(())
}
