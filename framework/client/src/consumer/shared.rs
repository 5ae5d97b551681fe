//! What the tasks of a consumer share, whether it pushes to a handler or is polled.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    body::{ConsumerData, SubscriptionData},
    message::MessageQueue,
    topic::retry_topic,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Filter, Handler, Model,
    calls::Calls,
    dispatch::Delivery,
    hook::Hooks,
    lane::{Lane, Lanes, SAMPLE},
    lock::Locks,
    offsets::{Answer, Offsets},
    offsets_file,
    options::Options,
    pace::{Gate, Rate},
    poll::Inbox,
    queue::Assigned,
};
use crate::{Client, Error, core::Core, groups::Enrolled, producer::Turn, routes::Missing};

/// The name that Java keeps a broadcasting client's offsets under when it has no name of its own.
const DEFAULT_INSTANCE: &str = "DEFAULT";

/// One consumer.
pub(crate) struct Shared {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) retry_topic: String,
    pub(crate) enrolled: Arc<Enrolled>,
    pub(super) offsets: Offsets,
    pub(super) queues: Mutex<HashMap<MessageQueue, Arc<Assigned>>>,
    /// Topics that did not exist when they were subscribed to: whatever they hold came later.
    pub(super) young: Mutex<HashSet<String>>,
    pub(super) lanes: Lanes,
    /// Shut while the consumer is paused.
    pub(super) gate: Gate,
    pub(super) work: Work,
    pub(super) started_at: i64,
    /// Ends everything that brings messages in.
    pub(super) intake: CancellationToken,
    pub(super) intake_tasks: TaskTracker,
    /// Ends handlers that are still running.
    pub(super) cut_off: CancellationToken,
    pub(super) handler_tasks: TaskTracker,
}

/// Where messages go that were pulled.
#[derive(Debug)]
pub(super) enum Work {
    /// To the handler. The channel is bounded by the windows that messages are counted in before they come here.
    Concurrent(Handling, mpsc::UnboundedSender<Delivery>),
    /// To the handler, one after the other of each queue.
    Orderly(Handling, Locks),
    /// To whoever polls.
    Poll(Inbox),
}

/// What calls of the handler need.
pub(super) struct Handling {
    pub(super) handler: Box<dyn Handler>,
    pub(super) hooks: Hooks,
    pub(super) calls: Arc<Calls>,
    pub(super) rate: Rate,
    /// For messages that are sent to their retry topic.
    pub(super) turn: Turn,
}

impl Handling {
    pub(super) fn new(options: &Options, handler: Box<dyn Handler>, hooks: Hooks) -> Self {
        Self {
            handler,
            hooks,
            calls: Calls::new(options.concurrency),
            rate: Rate::new(options.rate),
            turn: Turn::new(),
        }
    }
}

impl std::fmt::Debug for Handling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handling").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    /// Enrols a consumer whose options were checked. Nothing runs yet.
    pub(super) async fn new(
        client: Client,
        options: Options,
        mut subscriptions: Vec<SubscriptionData>,
        work: Work,
    ) -> Result<Arc<Self>, Error> {
        client.core.start().await?;
        let now = client.core.options.clock.now_ms();
        let retry_topic = retry_topic(&options.group);
        let offsets = match options.model {
            Model::Clustering => Offsets::on_broker(&options.group),
            Model::Broadcasting => {
                let instance = client.core.options.instance.as_deref().unwrap_or(DEFAULT_INSTANCE);
                let owner = format!("{}@{instance}", client.core.ip);
                let dir = options.offsets_dir.as_deref();
                Offsets::in_file(offsets_file::path(dir, &owner, &options.group)).await?
            }
        };
        if options.retries() {
            subscriptions.push(Filter::all().subscription(&retry_topic, now));
        }
        let data = ConsumerData {
            consume_from_where: options.start_from.into(),
            consume_type: options.consume_type,
            group_name: options.group.clone(),
            message_model: options.model.into(),
            subscription_data_set: subscriptions,
            unit_mode: false,
        };
        let enrolled = Arc::new(Enrolled::new(data));
        if !client.core.groups.add_consumer(&options.group, &enrolled) {
            return Err(Error::GroupInUse { group: options.group });
        }
        let shared = Arc::new(Self {
            retry_topic,
            enrolled,
            offsets,
            queues: Mutex::default(),
            young: Mutex::default(),
            lanes: Lanes::default(),
            gate: Gate::default(),
            work,
            started_at: now,
            intake: client.core.stop.child_token(),
            intake_tasks: TaskTracker::new(),
            cut_off: client.core.stop.child_token(),
            handler_tasks: TaskTracker::new(),
            client,
            options,
        });
        shared.enrolled.is(&shared);
        Ok(shared)
    }

    pub(super) fn core(&self) -> &Core {
        &self.client.core
    }

    /// The calls of the handler, if this consumer has one.
    pub(super) fn handling(&self) -> Option<&Handling> {
        match &self.work {
            Work::Concurrent(handling, _) | Work::Orderly(handling, _) => Some(handling),
            Work::Poll(_) => None,
        }
    }

    pub(super) fn lane(&self, topic: &str) -> Arc<Lane> {
        self.lanes.of(&self.core().id, &self.options.group, topic)
    }

    /// Runs a task until it ends or the intake does.
    pub(super) fn spawn_intake(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.intake.clone();
        self.intake_tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Runs a task that a stop waits for, until its deadline.
    pub(super) fn spawn_handling(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut_off = self.cut_off.clone();
        self.handler_tasks.spawn(async move {
            tokio::select! {
                () = cut_off.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// The queues that are assigned to this member, sorted.
    pub(super) fn assignment(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.queues.lock().keys().cloned().collect();
        queues.sort();
        queues
    }

    /// How far every assigned queue is consumed.
    pub(super) fn positions(&self) -> Vec<(MessageQueue, i64)> {
        let queues = self.queues.lock();
        // Who has lost a lock must not speak for the queue's next owner.
        let mine = |assigned: &&Arc<Assigned>| !self.options.locks() || assigned.is_locked();
        let offset = |assigned: &Arc<Assigned>| Some((assigned.queue.clone(), assigned.committed()?));
        queues.values().filter(mine).filter_map(offset).collect()
    }

    /// Commits how far every assigned queue is consumed.
    pub(super) async fn commit(&self, answer: Answer) -> Result<(), Error> {
        self.offsets.save(self.core(), &self.positions(), answer).await
    }

    pub(super) async fn commit_forever(self: Arc<Self>) {
        loop {
            sleep(self.options.persist_interval).await;
            if let Err(error) = self.commit(Answer::Skip).await {
                tracing::warn!(group = self.options.group, %error, "offsets are not committed yet");
            }
        }
    }

    /// Keeps the counters that rates are made of.
    pub(super) async fn sample_forever(self: Arc<Self>) {
        loop {
            let mut cached: HashMap<String, (usize, u64)> = HashMap::new();
            for assigned in self.queues.lock().values() {
                let held = assigned.held();
                let (messages, bytes) = cached.entry(assigned.queue.topic.clone()).or_default();
                *messages += held.count;
                *bytes += held.bytes;
            }
            self.lanes.sample(&cached);
            sleep(SAMPLE).await;
        }
    }

    /// Learns where the subscribed topics are; remembers those that do not exist yet.
    pub(super) async fn learn_routes(&self) -> Result<(), Error> {
        let topics: Vec<String> = {
            let data = self.enrolled.data.read();
            data.subscription_data_set.iter().map(|data| data.topic.clone()).collect()
        };
        for topic in topics {
            match self.core().route(&topic, Missing::Refuse).await {
                // Brokers make the retry topic when they first hear of the group.
                Err(Error::NoRoute { .. }) if topic == self.retry_topic => {}
                Err(Error::NoRoute { .. }) => {
                    tracing::warn!(topic, group = self.options.group, "topic does not exist yet");
                    self.young.lock().insert(topic);
                }
                route => drop(route?),
            }
        }
        Ok(())
    }

    /// Ends everything at once; what is in work comes again.
    pub(super) fn abandon(&self) {
        self.intake.cancel();
        self.cut_off.cancel();
        self.core().groups.remove_consumer(&self.options.group, &self.enrolled);
    }
}
