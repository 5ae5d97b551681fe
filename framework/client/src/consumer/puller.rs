//! The task of a queue: it pulls, keeps what was pulled within bounds, and hands it on.

use std::{sync::Arc, time::Duration};

use rocketmq_boot_protocol::{ResponseCode, body::SubscriptionData};
use tokio::time::{Instant, sleep};

use super::{
    Model, StartFrom, dispatch, lock,
    offsets::Answer,
    orderly::Line,
    pull::{self, Ask, Outcome, Pulled, Reader},
    queue::{Assigned, Sought},
    retry,
    shared::{Shared, Work},
    window::Window,
};
use crate::{Error, admin::Young, brokers::MASTER};

/// How long to wait for room before saying that the task is alive.
const TICK: Duration = Duration::from_secs(10);

/// The pause after a broker said that it is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// The pause before a lock that somebody else holds is asked for again.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// Pulls one queue.
pub(super) struct Puller {
    shared: Arc<Shared>,
    assigned: Arc<Assigned>,
    /// Where messages wait that are handled in order.
    line: Option<Arc<Line>>,
    /// The broker to pull from, as the last answer suggested.
    broker_id: i64,
    /// Whether to say that a lite pull consumer asks. Brokers before 5.0 do not know such.
    lite: bool,
}

/// Why a queue is not pulled on from where it was.
enum Turned {
    /// The broker says that the offset is not in the queue, and which one is.
    Moved(i64),
    /// Somebody wants to go on elsewhere.
    Sought(Sought),
    /// The lock is lost.
    Unlocked,
}

impl Puller {
    pub(super) fn new(shared: &Arc<Shared>, assigned: &Arc<Assigned>, line: Option<Arc<Line>>) -> Self {
        let lite = matches!(shared.work, Work::Poll(_));
        Self { shared: Arc::clone(shared), assigned: Arc::clone(assigned), line, broker_id: MASTER, lite }
    }

    pub(super) async fn run(mut self) {
        // What this member has consumed is consumed, whatever was committed before the lock was lost.
        let mut own = i64::MIN;
        loop {
            self.lock().await;
            let mut next = match self.assigned.sought() {
                Some(sought) => self.go_to(sought).await,
                None => self.start_offset().await.max(own),
            };
            own = loop {
                let window = self.assigned.begin_at(next);
                match self.pull_until_turned(&window, next).await {
                    Turned::Moved(elsewhere) => {
                        tracing::warn!(queue = %self.assigned.queue, next, "offset is not in the queue any more");
                        next = self.go_to(Sought { offset: elsewhere, commit: self.commits() }).await;
                    }
                    Turned::Sought(sought) => next = self.go_to(sought).await,
                    Turned::Unlocked => break window.committed(),
                }
            };
            self.assigned.lose();
        }
    }

    /// Whether the group's offset follows the broker's word that there is nothing at the old one.
    fn commits(&self) -> bool {
        !matches!(self.shared.work, Work::Poll(_))
    }

    async fn go_to(&self, sought: Sought) -> i64 {
        if sought.commit {
            let place = [(self.assigned.queue.clone(), sought.offset)];
            if let Err(error) = self.shared.offsets.save(self.shared.core(), &place, Answer::Wait).await {
                tracing::warn!(queue = %self.assigned.queue, %error, "offset is not committed yet");
            }
        }
        sought.offset
    }

    /// Waits until this member holds the queue's lock, if it needs one.
    async fn lock(&self) {
        if !self.shared.options.locks() {
            return;
        }
        while !self.assigned.is_locked() {
            self.assigned.alive();
            match lock::acquire(&self.shared, &self.assigned.queue).await {
                Ok(held) => self.assigned.lock_is(held),
                Err(error) => {
                    tracing::debug!(queue = %self.assigned.queue, %error, "queue is not locked yet")
                }
            }
            if !self.assigned.is_locked() {
                sleep(LOCK_PAUSE).await;
            }
        }
    }

    fn has_lock(&self) -> bool {
        !self.shared.options.locks() || self.assigned.is_locked()
    }

    /// Pulls from `next` on, until there is a reason to go on elsewhere.
    async fn pull_until_turned(&mut self, window: &Arc<Window>, mut next: i64) -> Turned {
        let assigned = Arc::clone(&self.assigned);
        loop {
            if let Some(sought) = assigned.sought() {
                return Turned::Sought(sought);
            }
            if !self.has_lock() {
                return Turned::Unlocked;
            }
            assigned.alive();
            let turned = tokio::select! {
                biased;
                () = assigned.turn.notified() => continue,
                turned = self.step(window, &mut next) => turned,
            };
            if let Some(turned) = turned {
                return turned;
            }
        }
    }

    /// Waits for room and pulls once.
    async fn step(&mut self, window: &Arc<Window>, next: &mut i64) -> Option<Turned> {
        let ready = async {
            self.shared.gate.pass().await;
            self.assigned.gate.pass().await;
            window.room(TICK).await
        };
        if !tokio::time::timeout(TICK, ready).await.unwrap_or(false) {
            return None;
        }
        let subscription = self.assigned.subscription();
        let options = &self.shared.options;
        let commits = options.model == Model::Clustering && self.commits();
        let ask = Ask {
            group: &options.group,
            queue: &self.assigned.queue,
            subscription: &subscription,
            next: *next,
            committed: commits.then(|| window.committed()),
            broker_id: self.broker_id,
            batch: options.pull_batch,
            hold: Some(options.pull_hold),
            limit: options.pull_timeout,
            lite: self.lite,
        };
        let began = Instant::now();
        let pulled = pull::pull(self.shared.core(), &ask).await;
        self.assigned.pulled(self.shared.core().options.clock.now_ms());
        match pulled {
            Ok(Some(pulled)) => return self.take(window, next, &subscription, pulled, began.elapsed()).await,
            Ok(None) => sleep(BUSY_PAUSE).await,
            Err(Error::Refused { code: ResponseCode::REQUEST_CODE_NOT_SUPPORTED, .. }) if self.lite => {
                self.lite = false;
            }
            Err(error) => self.pause_after(&error).await,
        }
        None
    }

    async fn take(
        &mut self,
        window: &Arc<Window>,
        next: &mut i64,
        subscription: &SubscriptionData,
        pulled: Pulled,
        took: Duration,
    ) -> Option<Turned> {
        let options = &self.shared.options;
        let following = pulled.reply.next_begin_offset;
        if pulled.outcome == Outcome::Moved {
            if following != *next {
                return Some(Turned::Moved(following));
            }
            sleep(options.pause_after_error).await;
            return None;
        }
        self.broker_id = pulled.reply.suggest_which_broker_id;
        if pulled.outcome != Outcome::Messages {
            *next = following.max(*next);
            window.add([], *next);
            return None;
        }
        let reader = Reader {
            queue: &self.assigned.queue,
            subscription,
            retry_topic: &self.shared.retry_topic,
            max_body_bytes: options.max_body_bytes,
        };
        match pull::decode(&reader, &pulled.body, *next) {
            Ok(batch) => {
                let now_ms = self.shared.core().options.clock.now_ms();
                let stored = batch.messages.iter().map(|message| message.store_timestamp);
                self.assigned.lane.pulled(stored, now_ms, took);
                *next = following.max(batch.next);
                self.hand_on(window, batch, *next);
                if !options.pull_interval.is_zero() {
                    sleep(options.pull_interval).await;
                }
            }
            Err(error) => {
                tracing::error!(queue = %self.assigned.queue, next, %error, "broker sent no messages");
                sleep(options.pause_after_error).await;
            }
        }
        None
    }

    fn hand_on(&self, window: &Arc<Window>, batch: pull::Batch, next: i64) {
        let messages =
            batch.messages.iter().map(|message| (message.queue_offset, u64::from(message.stored_bytes)));
        let unreadable = batch.unreadable.iter().map(|letter| (letter.queue_offset, 0));
        window.add(messages.chain(unreadable), next);
        for letter in batch.unreadable {
            retry::bury_unread(&self.shared, window, letter);
        }
        if batch.messages.is_empty() {
            return;
        }
        match (&self.shared.work, &self.line) {
            (Work::Concurrent(_, deliveries), _) => {
                let size = self.shared.options.batch;
                for delivery in dispatch::portions(&self.assigned, window, batch.messages, batch.kept, size) {
                    // The receiver ends with the intake, and so does this task.
                    let _ = deliveries.send(delivery);
                }
            }
            (Work::Orderly(..), Some(line)) => line.join(window, batch.messages, batch.kept),
            (Work::Poll(inbox), _) => inbox.put(&self.assigned, window, batch.messages),
            (Work::Orderly(..), None) => {}
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
        let is_retry = self.shared.options.retries() && queue.topic == self.shared.retry_topic;
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
