//! One assigned queue: a task that pulls, keeps what was pulled within bounds, and hands it on.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{body::SubscriptionData, message::MessageQueue};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Model, StartFrom,
    dispatch::Delivery,
    offsets::Answer,
    pull::{self, Pulled},
    push::Shared,
    retry,
    window::Window,
};
use crate::{Error, admin::Young, brokers::MASTER};

/// A queue whose task did nothing for so long is taken on anew, unless a pull may be held longer.
const DEAD_AFTER: Duration = Duration::from_secs(120);

/// How long to wait for room before saying that the task is alive.
const ROOM_TICK: Duration = Duration::from_secs(10);

/// The pause after a broker said that it is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A queue while it is this member's.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) queue: MessageQueue,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None until it is known where to start.
    window: Option<Arc<Window>>,
    subscription: Arc<SubscriptionData>,
    alive_at: Instant,
}

impl Assigned {
    /// Takes a queue on.
    pub(super) fn start(shared: &Arc<Shared>, queue: MessageQueue, subscription: &SubscriptionData) {
        let subscription = Arc::new(subscription.clone());
        let state = State { window: None, subscription, alive_at: Instant::now() };
        let assigned = Arc::new(Self {
            queue: queue.clone(),
            stop: shared.intake.child_token(),
            state: Mutex::new(state),
        });
        shared.queues.lock().insert(queue, Arc::clone(&assigned));
        let stop = assigned.stop.clone();
        let task = Puller { shared: Arc::clone(shared), assigned, broker_id: MASTER }.run();
        shared.intake_tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Sets what is pulled from now on.
    pub(super) fn filter_by(&self, subscription: &SubscriptionData) {
        let mut state = self.state.lock();
        if *state.subscription != *subscription {
            state.subscription = Arc::new(subscription.clone());
        }
    }

    /// How far the queue is consumed, once that is known.
    pub(super) fn committed(&self) -> Option<i64> {
        self.state.lock().window.as_ref().map(|window| window.committed())
    }

    /// Stops pulling, and leaves what is in memory to the queue's next owner.
    pub(super) fn give_up(&self) {
        self.stop.cancel();
        if let Some(window) = &self.state.lock().window {
            window.close();
        }
    }

    /// Whether its task, whose pulls may take `pull_timeout`, does nothing any more.
    pub(super) fn is_dead(&self, pull_timeout: Duration) -> bool {
        self.state.lock().alive_at.elapsed() >= DEAD_AFTER.max(pull_timeout * 2)
    }

    fn alive(&self) {
        self.state.lock().alive_at = Instant::now();
    }

    fn subscription(&self) -> Arc<SubscriptionData> {
        Arc::clone(&self.state.lock().subscription)
    }

    /// Begins at `offset`, and leaves what was in memory behind.
    fn begin_at(&self, window: &Arc<Window>) {
        let before = self.state.lock().window.replace(Arc::clone(window));
        if let Some(before) = before {
            before.close();
        }
    }
}

/// The task of a queue.
struct Puller {
    shared: Arc<Shared>,
    assigned: Arc<Assigned>,
    /// The broker to pull from, as the last answer suggested.
    broker_id: i64,
}

impl Puller {
    async fn run(mut self) {
        let mut next = self.start_offset().await;
        loop {
            let window = Arc::new(Window::new(next, self.shared.options.limits));
            self.assigned.begin_at(&window);
            next = self.pull_until_moved(&window, next).await;
            tracing::warn!(queue = %self.assigned.queue, next, "offset is not in the queue any more");
            let moved = [(self.assigned.queue.clone(), next)];
            if let Err(error) = self.shared.offsets.save(self.shared.core(), &moved, Answer::Wait).await {
                tracing::warn!(queue = %self.assigned.queue, %error, "offset is not committed yet");
            }
        }
    }

    /// Pulls from `next` on, until the broker says where to go on instead.
    async fn pull_until_moved(&mut self, window: &Arc<Window>, mut next: i64) -> i64 {
        loop {
            while !window.room(ROOM_TICK).await {
                self.assigned.alive();
            }
            self.assigned.alive();
            let subscription = self.assigned.subscription();
            let ask = pull::Ask { next, committed: window.committed(), broker_id: self.broker_id };
            match pull::pull(&self.shared, &self.assigned.queue, &subscription, ask).await {
                Ok(Pulled::Messages { body, next: following, broker_id }) => {
                    self.broker_id = broker_id;
                    match pull::decode(&self.shared, &self.assigned.queue, &subscription, &body, next) {
                        Ok(batch) => {
                            next = following.max(batch.next);
                            self.hand_on(window, batch, next);
                        }
                        Err(error) => {
                            tracing::error!(queue = %self.assigned.queue, next, %error, "broker sent no messages");
                            sleep(self.shared.options.pause_after_error).await;
                        }
                    }
                }
                Ok(Pulled::Nothing { next: following, broker_id }) => {
                    self.broker_id = broker_id;
                    next = next.max(following);
                    window.add([], next);
                }
                Ok(Pulled::Moved { next: elsewhere }) if elsewhere != next => return elsewhere,
                Ok(Pulled::Moved { .. }) => sleep(self.shared.options.pause_after_error).await,
                Ok(Pulled::Busy) => sleep(BUSY_PAUSE).await,
                Err(error) => self.pause_after(&error).await,
            }
        }
    }

    fn hand_on(&self, window: &Arc<Window>, batch: pull::Batch, next: i64) {
        let messages =
            batch.messages.iter().map(|message| (message.queue_offset, u64::from(message.stored_bytes)));
        let unreadable = batch.unreadable.iter().map(|letter| (letter.queue_offset, 0));
        window.add(messages.chain(unreadable), next);
        for letter in batch.unreadable {
            retry::bury(&self.shared, window, letter);
        }
        let mut messages = batch.messages;
        while !messages.is_empty() {
            let rest = messages.split_off(self.shared.options.batch.min(messages.len()));
            let delivery = Delivery { window: Arc::clone(window), messages };
            // The receiver ends with the intake, and so does this task.
            let _ = self.shared.deliveries.send(delivery);
            messages = rest;
        }
    }

    async fn pause_after(&mut self, error: &Error) {
        tracing::warn!(queue = %self.assigned.queue, group = self.shared.options.group, %error, "pull failed");
        self.broker_id = MASTER;
        if matches!(error, Error::Refused { .. }) {
            // A broker that does not know the group or its subscription learns them from a heartbeat.
            self.shared.core().pulse.notify_one();
        }
        sleep(self.shared.options.pause_after_error).await;
    }

    /// Where to start, asked for until it is answered.
    async fn start_offset(&self) -> i64 {
        loop {
            self.assigned.alive();
            match self.find_start().await {
                Ok(offset) => return offset,
                Err(error) => {
                    tracing::warn!(queue = %self.assigned.queue, %error, "start is not known yet");
                    sleep(self.shared.options.pause_after_error).await;
                }
            }
        }
    }

    async fn find_start(&self) -> Result<i64, Error> {
        let (core, queue) = (self.shared.core(), &self.assigned.queue);
        let young = match self.shared.options.start_from {
            StartFrom::Last | StartFrom::First => Young::IsZero,
            StartFrom::Timestamp(_) => Young::IsUnknown,
        };
        let known = self.shared.offsets.load(core, queue, young).await?;
        if let Some(offset) = known.filter(|offset| *offset >= 0) {
            return Ok(offset);
        }
        let is_retry =
            self.shared.options.model == Model::Clustering && queue.topic == self.shared.retry_topic;
        match self.shared.options.start_from {
            // What failed before this member came is the group's to consume nevertheless.
            StartFrom::Last if is_retry => Ok(0),
            // The broker may know of the queue only after its first messages, and those are not to be missed.
            StartFrom::Last if self.shared.young.lock().contains(&queue.topic) => {
                core.min_offset(queue).await
            }
            StartFrom::Last => core.max_offset(queue).await,
            StartFrom::First => core.min_offset(queue).await,
            StartFrom::Timestamp(_) if is_retry => core.max_offset(queue).await,
            StartFrom::Timestamp(at) => core.search_offset(queue, at).await,
        }
    }
}
