//! A push consumer: its parts, and how they start and stop.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{body::SubscriptionData, message::MessageQueue, topic::validate_topic};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Filter, Handler, Order, dispatch,
    hook::Hooks,
    lock::{self, Locks},
    offsets::Answer,
    options::Options,
    rebalance,
    shared::{Handling, Shared, Work},
};
use crate::{Client, Error, heartbeat};

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

/// Starts a consumer whose options were checked.
pub(super) async fn start(
    client: Client,
    options: Options,
    subscriptions: Vec<SubscriptionData>,
    handler: Box<dyn Handler>,
    hooks: Hooks,
) -> Result<PushConsumer, Error> {
    let handling = Handling::new(&options, handler, hooks);
    let (deliveries, incoming) = mpsc::unbounded_channel();
    let work = match options.order {
        Order::Concurrent => Work::Concurrent(handling, deliveries),
        Order::Orderly => Work::Orderly(handling, Locks::default()),
    };
    let shared = Shared::new(client, options, subscriptions, work).await?;
    // From here on an error drops the consumer, which takes it off the client's list again.
    let consumer = PushConsumer { shared };
    let shared = &consumer.shared;
    shared.learn_routes().await?;
    shared.check_filters().await?;
    // Brokers have to know the group before its queues can be divided.
    heartbeat::beat(shared.core()).await;
    match &shared.work {
        Work::Orderly(..) if shared.options.locks() => {
            shared.spawn_intake(lock::renew_forever(Arc::clone(shared)));
        }
        Work::Concurrent(..) => shared.spawn_intake(dispatch::run(Arc::clone(shared), incoming)),
        Work::Orderly(..) | Work::Poll(_) => {}
    }
    shared.spawn_intake(rebalance::run(Arc::clone(shared)));
    shared.spawn_intake(Arc::clone(shared).commit_forever());
    shared.spawn_intake(Arc::clone(shared).sample_forever());
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
        self.shared.assignment()
    }

    /// Subscribes to one more topic, or to other messages of a topic.
    ///
    /// # Errors
    /// The topic's name is not allowed, or a broker does not take the filter.
    pub async fn subscribe(&self, topic: &str, filter: impl Into<Filter>) -> Result<(), Error> {
        validate_topic(topic)?;
        let version = self.shared.core().options.clock.now_ms();
        let subscription = filter.into().subscription(topic, version);
        self.shared.check_filter(&subscription).await?;
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

    /// Lets no handler call begin until [`PushConsumer::resume`], and pulls no more. Calls that are running end, the
    /// queues stay with this member, and offsets go on being committed.
    #[doc(alias = "suspend")]
    pub fn pause(&self) {
        self.shared.gate.shut();
    }

    /// Goes on after [`PushConsumer::pause`].
    pub fn resume(&self) {
        self.shared.gate.open();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        !self.shared.gate.is_open()
    }

    /// How many handler calls may run at a time.
    pub fn concurrency(&self) -> usize {
        self.shared.handling().map_or(0, |handling| handling.calls.limit())
    }

    /// Sets how many handler calls may run at a time; 0 is 1. Calls that are running go on.
    #[doc(alias = "updateCorePoolSize")]
    pub fn set_concurrency(&self, calls: usize) {
        if let Some(handling) = self.shared.handling() {
            handling.calls.resize(calls);
        }
    }

    /// Sets how many messages a second may go to the handler, `None` for as many as it takes.
    pub fn set_rate_limit(&self, messages_per_second: Option<NonZeroU32>) {
        if let Some(handling) = self.shared.handling() {
            handling.rate.set(messages_per_second);
        }
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
        if shared.options.locks() {
            lock::release(shared, &shared.assignment()).await;
        }
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
        self.shared.abandon();
    }
}
