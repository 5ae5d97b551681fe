//! A push consumer: its parts, and how they start and stop.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::{
    body::{ConsumeType, ConsumerData, SubscriptionData},
    message::MessageQueue,
    topic::{retry_topic, validate_topic},
};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Handler, Model,
    dispatch::{self, Delivery},
    offsets::{Answer, Offsets},
    offsets_file,
    options::{self, Options},
    queue::Assigned,
    rebalance,
};
use crate::{Client, Error, core::Core, groups::Enrolled, heartbeat, producer::Turn, routes::Missing};

/// The name that Java keeps a broadcasting client's offsets under when it has no name of its own.
const DEFAULT_INSTANCE: &str = "DEFAULT";

/// Consumes the messages of a group's topics and hands them to a [`Handler`].
///
/// Dropping it ends consumption at once: messages in work come again. [`PushConsumer::stop`] ends it in order.
#[derive(Debug)]
#[doc(alias = "DefaultMQPushConsumer")]
pub struct PushConsumer {
    shared: Arc<Shared>,
}

/// What a stop had to leave undone. The messages concerned are delivered again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// Handlers were still running at the deadline and were cut off.
    #[error("{handlers} handler calls of group `{group}` were cut off at the deadline")]
    CutOff {
        /// The group.
        group: String,
        /// How many.
        handlers: usize,
    },
    /// The last offsets were not committed.
    #[error("the last offsets of group `{group}` were not committed: {source}")]
    NotCommitted {
        /// The group.
        group: String,
        /// Why.
        source: Error,
    },
}

/// What the tasks of a consumer share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) retry_topic: String,
    pub(super) enrolled: Arc<Enrolled>,
    pub(super) handler: Box<dyn Handler>,
    pub(super) offsets: Offsets,
    pub(super) queues: Mutex<HashMap<MessageQueue, Arc<Assigned>>>,
    /// Topics that did not exist when they were subscribed to: whatever they hold came later.
    pub(super) young: Mutex<HashSet<String>>,
    /// Bounded by the windows that messages are counted in before they come here.
    pub(super) deliveries: mpsc::UnboundedSender<Delivery>,
    pub(super) calls: Arc<Semaphore>,
    pub(super) turn: Turn,
    /// Ends everything that brings messages in.
    pub(super) intake: CancellationToken,
    pub(super) intake_tasks: TaskTracker,
    /// Ends handlers that are still running.
    pub(super) cut_off: CancellationToken,
    pub(super) handler_tasks: TaskTracker,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn core(&self) -> &Core {
        &self.client.core
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

    /// Commits how far every assigned queue is consumed.
    async fn commit(&self, answer: Answer) -> Result<(), Error> {
        let offsets: Vec<(MessageQueue, i64)> = {
            let queues = self.queues.lock();
            let offset = |assigned: &Arc<Assigned>| Some((assigned.queue.clone(), assigned.committed()?));
            queues.values().filter_map(offset).collect()
        };
        self.offsets.save(self.core(), &offsets, answer).await
    }

    async fn commit_forever(self: Arc<Self>) {
        loop {
            sleep(self.options.persist_interval).await;
            if let Err(error) = self.commit(Answer::Skip).await {
                tracing::warn!(group = self.options.group, %error, "offsets are not committed yet");
            }
        }
    }
}

/// Starts a consumer whose options were checked.
pub(super) async fn start(
    client: Client,
    options: Options,
    mut subscriptions: Vec<SubscriptionData>,
    handler: Box<dyn Handler>,
) -> Result<PushConsumer, Error> {
    client.core.start().await?;
    let retry_topic = retry_topic(&options.group);
    let offsets = match options.model {
        Model::Clustering => {
            subscriptions.push(options::subscription(&retry_topic, "*", client.core.options.clock.now_ms()));
            Offsets::on_broker(&options.group)
        }
        Model::Broadcasting => {
            let instance = client.core.options.instance.as_deref().unwrap_or(DEFAULT_INSTANCE);
            let owner = format!("{}@{instance}", client.core.ip);
            let dir = options.offsets_dir.as_deref();
            Offsets::in_file(offsets_file::path(dir, &owner, &options.group)).await?
        }
    };
    let data = ConsumerData {
        consume_from_where: options.start_from.into(),
        consume_type: ConsumeType::Passively,
        group_name: options.group.clone(),
        message_model: options.model.into(),
        subscription_data_set: subscriptions,
        unit_mode: false,
    };
    let enrolled = Arc::new(Enrolled { data: RwLock::new(data), rebalance: Notify::new() });
    if !client.core.groups.add_consumer(&options.group, &enrolled) {
        return Err(Error::GroupInUse { group: options.group });
    }
    let (deliveries, incoming) = mpsc::unbounded_channel();
    let intake = client.core.stop.child_token();
    let cut_off = client.core.stop.child_token();
    let shared = Arc::new(Shared {
        calls: Arc::new(Semaphore::new(options.concurrency.min(Semaphore::MAX_PERMITS))),
        client,
        options,
        retry_topic,
        enrolled,
        handler,
        offsets,
        queues: Mutex::default(),
        young: Mutex::default(),
        deliveries,
        turn: Turn::new(),
        intake,
        intake_tasks: TaskTracker::new(),
        cut_off,
        handler_tasks: TaskTracker::new(),
    });
    // From here on an error drops the consumer, which takes it off the client's list again.
    let consumer = PushConsumer { shared };
    let shared = &consumer.shared;
    consumer.learn_routes().await?;
    // Brokers have to know the group before its queues can be divided.
    heartbeat::beat(shared.core()).await;
    shared.spawn_intake(dispatch::run(Arc::clone(shared), incoming));
    shared.spawn_intake(rebalance::run(Arc::clone(shared)));
    shared.spawn_intake(Arc::clone(shared).commit_forever());
    tracing::info!(group = shared.options.group, client = shared.core().id, "consumer started");
    Ok(consumer)
}

impl PushConsumer {
    /// The group.
    pub fn group(&self) -> &str {
        &self.shared.options.group
    }

    /// The queues that are assigned to this member at present.
    pub fn queues(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.shared.queues.lock().keys().cloned().collect();
        queues.sort();
        queues
    }

    /// Subscribes to one more topic, or to other tags of a topic.
    ///
    /// # Errors
    /// The topic's name is not allowed.
    pub async fn subscribe(&self, topic: &str, tags: &str) -> Result<(), Error> {
        validate_topic(topic)?;
        let subscription = options::subscription(topic, tags, self.shared.core().options.clock.now_ms());
        self.change_subscriptions(|all| {
            all.retain(|known| known.topic != topic);
            all.push(subscription);
        })
        .await;
        Ok(())
    }

    /// Unsubscribes from a topic. Its messages in memory are given up; they are not settled.
    pub async fn unsubscribe(&self, topic: &str) {
        self.change_subscriptions(|all| all.retain(|known| known.topic != topic)).await;
    }

    async fn change_subscriptions(&self, change: impl FnOnce(&mut Vec<SubscriptionData>)) {
        change(&mut self.shared.enrolled.data.write().subscription_data_set);
        heartbeat::beat(self.shared.core()).await;
        self.shared.enrolled.rebalance.notify_one();
    }

    async fn learn_routes(&self) -> Result<(), Error> {
        let core = self.shared.core();
        let topics: Vec<String> = {
            let data = self.shared.enrolled.data.read();
            data.subscription_data_set.iter().map(|data| data.topic.clone()).collect()
        };
        for topic in topics {
            match core.route(&topic, Missing::Refuse).await {
                // Brokers make the retry topic when they first hear of the group.
                Err(Error::NoRoute { .. }) if topic == self.shared.retry_topic => {}
                Err(Error::NoRoute { .. }) => {
                    tracing::warn!(topic, group = self.shared.options.group, "topic does not exist yet");
                    self.shared.young.lock().insert(topic);
                }
                route => drop(route?),
            }
        }
        Ok(())
    }

    /// Stops in order: no more pulls, then the handlers that are running end, offsets are committed and the broker's
    /// answer is waited for, the group is told, and no task is left. Messages that no handler has begun are left to
    /// the next delivery.
    ///
    /// Handlers have until `deadline`; the commit may take the client's request timeout beyond it. A second stop does
    /// nothing.
    ///
    /// # Errors
    /// [`StopError`] for what had to be left undone. The consumer is stopped nevertheless.
    #[doc(alias = "shutdown")]
    pub async fn stop(&self, deadline: Duration) -> Result<(), StopError> {
        let shared = &*self.shared;
        let until = Instant::now() + deadline;
        let group = || shared.options.group.clone();
        if shared.intake.is_cancelled() {
            return Ok(());
        }
        shared.intake.cancel();
        shared.intake_tasks.close();
        shared.intake_tasks.wait().await;
        shared.handler_tasks.close();
        let drained = timeout_at(until, shared.handler_tasks.wait()).await.is_ok();
        let cut_off = shared.handler_tasks.len();
        if !drained {
            shared.cut_off.cancel();
            shared.handler_tasks.wait().await;
        }
        let core = shared.core();
        let limit = until.saturating_duration_since(Instant::now()).max(core.options.request_timeout);
        let commit = timeout(limit, shared.commit(Answer::Wait)).await;
        core.groups.remove_consumer(&shared.options.group, &shared.enrolled);
        core.unregister(None, Some(&shared.options.group)).await;
        tracing::info!(group = shared.options.group, "consumer stopped");
        match commit {
            Ok(Err(source)) => Err(StopError::NotCommitted { group: group(), source }),
            Err(_) => Err(StopError::NotCommitted { group: group(), source: Error::Closed }),
            Ok(Ok(())) if !drained => Err(StopError::CutOff { group: group(), handlers: cut_off }),
            Ok(Ok(())) => Ok(()),
        }
    }
}

impl Drop for PushConsumer {
    fn drop(&mut self) {
        self.shared.intake.cancel();
        self.shared.cut_off.cancel();
        self.shared.core().groups.remove_consumer(&self.shared.options.group, &self.shared.enrolled);
    }
}
