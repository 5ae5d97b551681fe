//! The broker's parts, shared by everything that serves requests, and what several flows need of them together.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rocketmq_boot_protocol::{
    Clock,
    hot::StoredReplies,
    message::{
        id::UniqueKeys,
        property as keys,
        record::{Draft, Record},
        sys_flag,
    },
    topic,
};
use rocketmq_boot_store::{Append, Appended, Store};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cleaning::Cleaning,
    clients::Clients,
    config::{FlushDisk, Live, Settings},
    counters::Counters,
    error::StartError,
    files::{self, StateFile},
    filter::Expressions,
    groups::Groups,
    hold::HeldPulls,
    locks::QueueLocks,
    offsets::Offsets,
    properties::{Marks, replace},
    query::MAX_QUERIES,
    reject::Reject,
    schedule::Schedule,
    send::outcome_of,
    statistics::Statistics,
    timers::Timers,
    topics::{Topic, TopicQueue, Topics},
    transaction::{Committed, Transactions},
};

/// How long a background task that panicked rests before it is started again.
const REST: Duration = Duration::from_secs(1);

/// Everything that a broker is made of, without its sockets.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: Live,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) offsets: Offsets,
    pub(crate) clients: Clients,
    pub(crate) locks: QueueLocks,
    pub(crate) schedule: Schedule,
    pub(crate) transactions: Transactions,
    pub(crate) cleaning: Cleaning,
    pub(crate) timers: Timers,
    pub(crate) held: HeldPulls,
    pub(crate) expressions: Expressions,
    /// Leave to look for messages.
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) counters: Counters,
    pub(crate) statistics: Statistics,
    pub(crate) unique_keys: UniqueKeys,
    /// The properties that every message gets.
    pub(crate) stamp: String,
    /// The property that messages of a batch get: 5.x gives them none of the others.
    pub(crate) batch_stamp: String,
    /// Cancelled when the broker stops.
    pub(crate) stopping: CancellationToken,
    /// The background tasks.
    pub(crate) tasks: TaskTracker,
    /// Known once the sockets are bound.
    bound: OnceLock<Bound>,
}

#[derive(Debug)]
struct Bound {
    advertised: SocketAddr,
    replies: StoredReplies,
    control: Handle,
}

/// A message that the broker itself makes from one that is stored.
#[derive(Debug)]
pub(crate) struct Own<'a> {
    pub(crate) properties: &'a str,
    pub(crate) reconsume_times: i32,
    /// The delay level, 0 for none.
    pub(crate) level: usize,
    pub(crate) record: &'a Record<'a>,
    /// Set when this is what a half message comes to light as.
    pub(crate) committed: Option<Committed<'a>>,
}

impl State {
    pub(crate) fn load(settings: Settings, store: Store, clock: Clock) -> Result<Arc<Self>, StartError> {
        let local = std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
        let settings = Live::load(settings, StateFile::new(&store, files::BROKER_CONFIG), clock.now_ms())?;
        let advertised = settings.advertised_ip.unwrap_or(local);
        Ok(Arc::new(Self {
            topics: Topics::load(&store, &settings, &clock)?,
            groups: Groups::load(&store, &settings, &clock)?,
            offsets: Offsets::load(&store)?,
            clients: Clients::new(clock.clone()),
            locks: QueueLocks::new(clock.clone()),
            schedule: Schedule::load(&store, settings.delay_levels.clone(), &clock)?,
            transactions: Transactions::new(&settings, &clock),
            cleaning: Cleaning::new(store.clone(), &settings),
            timers: Timers::load(&store, &settings, clock.now_ms())?,
            held: HeldPulls::new(store.clone()),
            expressions: Expressions::default(),
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            counters: Counters::default(),
            statistics: Statistics::new(clock.now_ms()),
            unique_keys: UniqueKeys::new(advertised, std::process::id()),
            stamp: stamp(&settings),
            batch_stamp: property(keys::CLUSTER, &settings.cluster_name),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
            bound: OnceLock::new(),
            settings,
            clock,
            store,
        }))
    }

    /// Tells the state where it can be reached. Requests that are faster than this wait for it.
    pub(crate) fn bind(&self, advertised: SocketAddr, control: Handle) {
        // Set once, by the start; a second call would change nothing.
        let replies = StoredReplies::new(advertised, &self.settings.region, self.settings.trace_on);
        let _ = self.bound.set(Bound { advertised, replies, control });
    }

    /// The address that clients are told.
    pub(crate) fn store_host(&self) -> SocketAddr {
        self.bound.wait().advertised
    }

    /// Answers to sends, prepared as far as they can be.
    pub(crate) fn stored_replies(&self) -> &StoredReplies {
        &self.bound.wait().replies
    }

    /// Refuses sends while the broker stops.
    pub(crate) fn check_running(&self) -> Result<(), Reject> {
        if self.stopping.is_cancelled() { Err(Reject::stopping()) } else { Ok(()) }
    }

    /// Refuses pulls while the broker's permission forbids reading.
    pub(crate) fn check_readable(&self) -> Result<(), Reject> {
        if self.settings.permission & topic::PERM_READ != 0 {
            return Ok(());
        }
        Err(Reject::broker_forbids(&self.settings.broker_name, "pulling"))
    }

    /// Stores a message of the broker's own making and wakes who waits for it.
    pub(crate) fn append_own(
        self: &Arc<Self>,
        target: &Arc<Topic>,
        queue_id: i32,
        own: &Own<'_>,
    ) -> Result<Appended, Reject> {
        let level = own.level.min(self.schedule.max_level());
        let marks = Marks::of(own.properties);
        if level == 0 {
            return self.append_undelayed(target, queue_id, &marks, own);
        }
        let schedule = self
            .topics
            .find(topic::SCHEDULE_TOPIC)
            .ok_or_else(|| Reject::topic_not_exist(topic::SCHEDULE_TOPIC))?;
        let properties = replace(
            own.properties,
            &[
                (keys::DELAY, Some(&level.to_string())),
                (keys::REAL_TOPIC, Some(target.name())),
                (keys::REAL_QID, Some(&queue_id.to_string())),
                (keys::TIMER_DELAY_SEC, None),
                (keys::TIMER_DELAY_MS, None),
                (keys::TIMER_DELIVER_MS, None),
            ],
        );
        let due = self.schedule.due(level, self.clock.now_ms());
        let appended =
            self.append_as(&schedule, i32::try_from(level - 1).unwrap_or(0), &properties, due, own)?;
        self.schedule.added.notify_one();
        Ok(appended)
    }

    /// Stores a message that waits at no level; it may ask for an instant.
    fn append_undelayed(
        self: &Arc<Self>,
        target: &Arc<Topic>,
        queue_id: i32,
        marks: &Marks<'_>,
        own: &Own<'_>,
    ) -> Result<Appended, Reject> {
        let timed = match marks.timer {
            true => self.timed(own.properties, target.name(), queue_id)?,
            false => None,
        };
        let Some(timed) = timed else {
            return self.append_as(target, queue_id, own.properties, marks.tags_code(), own);
        };
        let waiting = self.timer_topic()?;
        let appended = self.append_as(&waiting, 0, &timed.properties, marks.tags_code(), own)?;
        self.timers.added.notify_one();
        Ok(appended)
    }

    /// The topic that messages wait in for an instant.
    pub(crate) fn timer_topic(&self) -> Result<Arc<Topic>, Reject> {
        self.topics.find(topic::TIMER_TOPIC).ok_or_else(|| Reject::topic_not_exist(topic::TIMER_TOPIC))
    }

    /// Stores a copy of a message in a topic of the broker's own, where it is to wait for nothing that its properties
    /// ask for.
    pub(crate) fn append_hidden(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        own: &Own<'_>,
    ) -> Result<Appended, Reject> {
        self.append_as(topic, 0, own.properties, Marks::of(own.properties).tags_code(), own)
    }

    fn append_as(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        queue_id: i32,
        properties: &str,
        tags_code: i64,
        own: &Own<'_>,
    ) -> Result<Appended, Reject> {
        let queue = self.topics.queue(topic, queue_id);
        let record = own.record;
        let committed = own.committed.as_ref();
        let mut appends = vec![Append {
            queue: &queue.stored,
            draft: Draft {
                queue_id,
                flag: record.flag,
                sys_flag: committed
                    .map_or(record.sys_flag, |_| sys_flag::Transaction::Commit.set(record.sys_flag)),
                born_timestamp: record.born_timestamp,
                born_host: record.born_host,
                store_host: self.store_host(),
                reconsume_times: own.reconsume_times,
                prepared_transaction_offset: committed.map_or(0, |_| record.physical_offset),
                body: record.body,
                topic: topic.name().as_bytes(),
                properties: properties.as_bytes(),
                more_properties: &[],
            },
            tags_code,
            joined: false,
            outcome: None,
        }];
        // The message and the note that its transaction ended are both stored, or neither is.
        appends.extend(committed.map(|committed| Append { joined: true, ..committed.op.append() }));
        self.append_and_wake(&queue, &mut appends)
    }

    /// Stores messages of which the first goes to `queue`, and wakes who waits there; answers where that one lies.
    pub(crate) fn append_and_wake(
        self: &Arc<Self>,
        queue: &Arc<TopicQueue>,
        appends: &mut [Append<'_>],
    ) -> Result<Appended, Reject> {
        self.store.append(appends);
        let outcome = outcome_of(appends.first_mut().and_then(|append| append.outcome.take()));
        let appended = outcome.inspect_err(|_| self.counters.put_failed())?;
        self.count_own(&appended, queue.stored.topic());
        self.wake_when_readable(queue, appended.end());
        Ok(appended)
    }

    /// Counts a message of the broker's own making.
    fn count_own(&self, appended: &Appended, topic: &str) {
        let bytes = u64::from(appended.size);
        let topic = self.topics.find(topic);
        self.counters.put(1, bytes, topic.as_ref().is_none_or(|topic| topic.traffic.system));
        if let Some(topic) = topic {
            topic.traffic.puts.add(1, 1, bytes);
        }
    }

    /// Wakes who waits on a queue once the log can be read up to `end`.
    pub(crate) fn wake_when_readable(self: &Arc<Self>, queue: &Arc<TopicQueue>, end: u64) {
        match self.settings.flush {
            FlushDisk::Async => self.wake(queue),
            FlushDisk::Sync => {
                let (state, queue) = (Arc::clone(self), Arc::clone(queue));
                self.store.when_flushed(end, Box::new(move |_| state.wake(&queue)));
            }
        }
    }

    /// Runs work that may block, away from the shards.
    pub(crate) fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        self.tasks.spawn_blocking_on(work, &self.bound.wait().control);
    }

    /// Runs a background task until the broker stops. One that panics is started again, and says so.
    pub(crate) fn keep<F>(
        self: &Arc<Self>,
        name: &'static str,
        task: impl Fn(Arc<Self>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let state = Arc::clone(self);
        let control = self.bound.wait().control.clone();
        let supervisor = async move {
            while let Err(error) = tokio::spawn(task(Arc::clone(&state))).await {
                if state.stopping.is_cancelled() {
                    return;
                }
                tracing::error!(task = name, %error, "a background task failed and is started again");
                tokio::time::sleep(REST).await;
            }
        };
        self.tasks.spawn_on(supervisor, &control);
    }

    /// Writes what changed in the tables that are not saved with each change.
    pub(crate) fn save(&self) {
        if let Err(error) = self.offsets.save(self.clock.now_ms()) {
            tracing::error!(%error, "consumer offsets could not be saved");
        }
        if let Err(error) = self.schedule.save() {
            tracing::error!(%error, "the progress of delay levels could not be saved");
        }
        if let Err(error) = self.save_timer_counts() {
            tracing::error!(%error, "the counts of timers could not be saved");
        }
    }
}

fn stamp(settings: &Settings) -> String {
    let trace_on = settings.trace_on.to_string();
    let pairs = [
        (keys::MSG_REGION, settings.region.as_str()),
        (keys::TRACE_ON, trace_on.as_str()),
        (keys::CLUSTER, settings.cluster_name.as_str()),
    ];
    pairs.iter().map(|(key, value)| property(key, value)).collect()
}

fn property(key: &str, value: &str) -> String {
    format!("{key}\u{1}{value}\u{2}")
}
