//! One assigned queue: what its tasks and the rest of the consumer know of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{body::SubscriptionData, message::MessageQueue};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    lane::Lane,
    lock::LOCK_LIFE,
    orderly,
    pace::Gate,
    puller::Puller,
    shared::{Shared, Work},
    window::{Held, Limits, Window},
};

/// A queue whose task did nothing for so long is taken on anew, unless a pull may be held longer.
const DEAD_AFTER: Duration = Duration::from_secs(120);

/// A queue while it is this member's.
#[derive(Debug)]
pub(crate) struct Assigned {
    pub(crate) queue: MessageQueue,
    pub(super) lane: Arc<Lane>,
    /// Shut while this queue is paused.
    pub(super) gate: Gate,
    /// Ends its tasks.
    pub(super) stop: CancellationToken,
    /// Rung when the puller has to look at where it stands: a place was sought, or the lock was lost.
    pub(super) turn: Notify,
    /// Whether another member has it from now on.
    revoked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None until it is known where to start.
    window: Option<Arc<Window>>,
    subscription: Arc<SubscriptionData>,
    limits: Limits,
    /// Where to go on instead.
    sought: Option<Sought>,
    /// When the broker last said that this client holds the lock.
    locked_at: Option<Instant>,
    alive_at: Instant,
    /// In ms since 1970, for people.
    pulled_at: i64,
    handled_at: i64,
}

/// A place to go on at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sought {
    pub(super) offset: i64,
    /// Whether the group's offset becomes this one too.
    pub(super) commit: bool,
}

/// What tools are told of a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Condition {
    pub(crate) committed: i64,
    pub(crate) held: Held,
    pub(crate) locked: bool,
    /// Times in ms since 1970.
    pub(crate) locked_at: i64,
    pub(crate) pulled_at: i64,
    pub(crate) handled_at: i64,
}

impl Assigned {
    /// Takes a queue on.
    pub(super) fn start(shared: &Arc<Shared>, queue: MessageQueue, subscription: &SubscriptionData) {
        let now = Instant::now();
        let state = State {
            window: None,
            subscription: Arc::new(subscription.clone()),
            limits: shared.options.limits(1),
            sought: None,
            locked_at: None,
            alive_at: now,
            pulled_at: 0,
            handled_at: 0,
        };
        let assigned = Arc::new(Self {
            lane: shared.lane(&queue.topic),
            queue: queue.clone(),
            gate: Gate::default(),
            stop: shared.intake.child_token(),
            turn: Notify::new(),
            revoked: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        shared.queues.lock().insert(queue, Arc::clone(&assigned));
        match &shared.work {
            Work::Orderly(..) => orderly::start(shared, assigned),
            Work::Concurrent(..) | Work::Poll(_) => assigned.pull(shared, None),
        }
    }

    /// Starts the task that pulls.
    pub(super) fn pull(self: &Arc<Self>, shared: &Arc<Shared>, line: Option<Arc<orderly::Line>>) {
        let stop = self.stop.clone();
        let task = Puller::new(shared, self, line).run();
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

    /// Sets how much of it may be in memory.
    pub(super) fn limit(&self, limits: Limits) {
        let mut state = self.state.lock();
        if state.limits != limits {
            state.limits = limits;
            if let Some(window) = &state.window {
                window.limit(limits);
            }
        }
    }

    /// How far the queue is consumed, once that is known.
    pub(crate) fn committed(&self) -> Option<i64> {
        let state = self.state.lock();
        let sought = state.sought.map(|sought| sought.offset);
        sought.or_else(|| state.window.as_ref().map(|window| window.committed()))
    }

    /// What is in memory.
    pub(crate) fn held(&self) -> Held {
        self.state.lock().window.as_ref().map_or_else(Held::default, |window| window.held())
    }

    /// How it is, at `now_ms`.
    pub(crate) fn condition(&self, now_ms: i64) -> Condition {
        let state = self.state.lock();
        let window = state.window.as_ref();
        let ago = |at: Instant| i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        Condition {
            committed: window.map_or(-1, |window| window.committed()),
            held: window.map_or_else(Held::default, |window| window.held()),
            locked: state.locked_at.is_some_and(|at| at.elapsed() < LOCK_LIFE),
            locked_at: state.locked_at.map_or(0, |at| now_ms.saturating_sub(ago(at))),
            pulled_at: state.pulled_at,
            handled_at: state.handled_at,
        }
    }

    /// Stops pulling, and leaves what is in memory to the queue's next owner.
    pub(super) fn give_up(&self) {
        self.stop.cancel();
        if let Some(window) = &self.state.lock().window {
            window.close();
        }
    }

    /// Stops pulling; what a handler has begun is still settled.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
        self.stop.cancel();
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Whether its task, whose pulls may take `pull_timeout`, does nothing any more.
    pub(super) fn is_dead(&self, pull_timeout: Duration) -> bool {
        self.state.lock().alive_at.elapsed() >= DEAD_AFTER.max(pull_timeout * 2)
    }

    pub(super) fn alive(&self) {
        self.state.lock().alive_at = Instant::now();
    }

    pub(super) fn pulled(&self, now_ms: i64) {
        self.state.lock().pulled_at = now_ms;
    }

    pub(super) fn handled(&self, now_ms: i64) {
        self.state.lock().handled_at = now_ms;
    }

    pub(super) fn subscription(&self) -> Arc<SubscriptionData> {
        Arc::clone(&self.state.lock().subscription)
    }

    /// Begins at `offset`, and leaves what was in memory behind.
    pub(super) fn begin_at(&self, offset: i64) -> Arc<Window> {
        let mut state = self.state.lock();
        let window = Arc::new(Window::new(offset, state.limits));
        if let Some(before) = state.window.replace(Arc::clone(&window)) {
            before.close();
        }
        window
    }

    /// Leaves what is in memory behind, and does not know any more where the queue stands.
    pub(super) fn lose(&self) {
        if let Some(before) = self.state.lock().window.take() {
            before.close();
        }
    }

    /// Has the puller go on elsewhere. What is in memory is left behind at once.
    pub(super) fn seek(&self, sought: Sought) {
        let mut state = self.state.lock();
        state.sought = Some(sought);
        if let Some(window) = &state.window {
            window.close();
        }
        drop(state);
        self.turn.notify_one();
    }

    pub(super) fn sought(&self) -> Option<Sought> {
        self.state.lock().sought.take()
    }

    /// Takes in what the broker says about the lock.
    pub(super) fn lock_is(&self, held: bool) {
        let mut state = self.state.lock();
        let lost = !held && state.locked_at.is_some();
        state.locked_at = held.then(Instant::now);
        drop(state);
        if lost {
            tracing::warn!(queue = %self.queue, "lock of a queue was lost");
            self.turn.notify_one();
        }
    }

    /// Whether the lock is held, as far as that is known.
    pub(super) fn is_locked(&self) -> bool {
        self.state.lock().locked_at.is_some_and(|at| at.elapsed() < LOCK_LIFE)
    }
}
