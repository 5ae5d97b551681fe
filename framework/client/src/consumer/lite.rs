//! A consumer that is polled: queues are pulled ahead as for a handler, but the application takes the messages when
//! it wants them, and may go anywhere in a queue.

mod builder;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    body::SubscriptionData, message::MessageQueue, message::MessageView, topic::validate_topic,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use self::builder::LitePullConsumerBuilder;
use super::{
    Filter,
    offsets::Answer,
    poll::Inbox,
    queue::{Assigned, Sought},
    rebalance,
    shared::{Shared, Work},
    window::Window,
};
use crate::{Error, admin::Young, heartbeat};

/// Consumes by being polled.
///
/// What one [`poll`](LitePullConsumer::poll) returned counts as consumed with the next one, and with
/// [`commit`](LitePullConsumer::commit). Unless told otherwise it commits by itself every 5 s, while it is polled.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use rocketmq_boot_client::{Client, Position};
///
/// # async fn example(client: Client) -> Result<(), rocketmq_boot_client::Error> {
/// let consumer = client.lite_pull_consumer("reports").subscribe("orders", "*").auto_commit(false).start().await?;
/// for message in consumer.poll(Duration::from_secs(5)).await? {
///     println!("{} {}", message.queue(), message.queue_offset);
/// }
/// consumer.commit().await?;
/// for queue in consumer.assignment() {
///     consumer.seek(&queue, Position::Begin).await?;
/// }
/// consumer.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[doc(alias = "DefaultLitePullConsumer")]
pub struct LitePullConsumer {
    shared: Arc<Shared>,
    batch: usize,
    polled: Mutex<Polled>,
}

/// What the last poll returned.
#[derive(Debug)]
struct Polled {
    window: Option<Arc<Window>>,
    offsets: Vec<i64>,
    committed_at: Instant,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// This offset.
    Offset(i64),
    /// The oldest message.
    Begin,
    /// Behind the newest message.
    End,
    /// The first message stored at or after this time, in ms since 1970.
    Time(i64),
}

impl LitePullConsumer {
    async fn start(
        shared: Arc<Shared>,
        batch: usize,
        assigned: Option<Vec<MessageQueue>>,
    ) -> Result<Self, Error> {
        let polled = Polled { window: None, offsets: Vec::new(), committed_at: Instant::now() };
        // From here on an error drops the consumer, which takes it off the client's list again.
        let consumer = Self { shared, batch, polled: Mutex::new(polled) };
        let shared = &consumer.shared;
        shared.learn_routes().await?;
        shared.check_filters().await?;
        heartbeat::beat(shared.core()).await;
        match assigned {
            Some(queues) => consumer.assign(&queues).await?,
            None => shared.spawn_intake(rebalance::run(Arc::clone(shared))),
        }
        shared.spawn_intake(Arc::clone(shared).sample_forever());
        tracing::info!(group = shared.options.group, client = shared.core().id, "consumer started");
        Ok(consumer)
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.shared.options.group
    }

    fn inbox(&self) -> Option<&Inbox> {
        match &self.shared.work {
            Work::Poll(inbox) => Some(inbox),
            Work::Concurrent(..) | Work::Orderly(..) => None,
        }
    }

    /// The next messages, all of one queue and at most
    /// [`poll_batch`](LitePullConsumerBuilder::poll_batch); none when none came within `wait`.
    ///
    /// It says that what the poll before returned is consumed.
    ///
    /// # Errors
    /// The consumer is stopped.
    pub async fn poll(&self, wait: Duration) -> Result<Vec<MessageView>, Error> {
        let until = Instant::now() + wait;
        self.settle();
        self.commit_when_due().await;
        let Some(inbox) = self.inbox() else { return Ok(Vec::new()) };
        loop {
            if self.shared.intake.is_cancelled() {
                return Err(Error::Closed);
            }
            let more = inbox.more.notified();
            if let Some(taken) = inbox.take(self.batch) {
                let mut polled = self.polled.lock();
                polled.offsets = taken.messages.iter().map(|message| message.queue_offset).collect();
                polled.window = Some(taken.window);
                return Ok(taken.messages);
            }
            let stopped = self.shared.intake.cancelled();
            let waited = tokio::select! {
                () = stopped => continue,
                waited = timeout_at(until, more) => waited,
            };
            if waited.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    /// Counts what the last poll returned as consumed.
    fn settle(&self) {
        let mut polled = self.polled.lock();
        if let Some(window) = polled.window.take() {
            std::mem::take(&mut polled.offsets).into_iter().for_each(|offset| window.settle(offset));
        }
    }

    async fn commit_when_due(&self) {
        let due = {
            let mut polled = self.polled.lock();
            let due = self.inbox().is_some_and(Inbox::commits)
                && polled.committed_at.elapsed() >= self.shared.options.persist_interval;
            if due {
                polled.committed_at = Instant::now();
            }
            due
        };
        if due && let Err(error) = self.shared.commit(Answer::Skip).await {
            tracing::warn!(group = self.group(), %error, "offsets are not committed yet");
        }
    }

    /// Commits everything that was polled, the last poll included, and waits until the brokers have said that they
    /// have it.
    ///
    /// # Errors
    /// A broker did not take an offset; those of the others are committed.
    #[doc(alias = "commitSync")]
    pub async fn commit(&self) -> Result<(), Error> {
        self.settle();
        self.shared.commit(Answer::Wait).await
    }

    /// Commits these offsets, whatever was polled.
    ///
    /// # Errors
    /// As [`LitePullConsumer::commit`].
    pub async fn commit_offsets(&self, offsets: &[(MessageQueue, i64)]) -> Result<(), Error> {
        self.shared.offsets.save(self.shared.core(), offsets, Answer::Wait).await
    }

    /// Whether it commits by itself.
    pub fn auto_commit(&self) -> bool {
        self.inbox().is_some_and(Inbox::commits)
    }

    /// Sets whether it commits by itself.
    #[doc(alias = "autoCommit")]
    pub fn set_auto_commit(&self, auto: bool) {
        if let Some(inbox) = self.inbox() {
            inbox.set_commits(auto);
        }
    }

    /// How far the group has committed a queue; `None` when it has committed nothing of it.
    ///
    /// # Errors
    /// The queue's broker is not known, or did not answer.
    pub async fn committed(&self, queue: &MessageQueue) -> Result<Option<i64>, Error> {
        self.shared.offsets.load(self.shared.core(), queue, Young::IsUnknown).await
    }

    /// The offset of the next message that a queue will give; `None` when it is not assigned or not begun yet.
    pub fn position(&self, queue: &MessageQueue) -> Option<i64> {
        self.shared.queues.lock().get(queue)?.committed()
    }

    /// The queues that are assigned at present.
    pub fn assignment(&self) -> Vec<MessageQueue> {
        self.shared.assignment()
    }

    /// All queues of a topic.
    ///
    /// # Errors
    /// There is no route to the topic.
    #[doc(alias = "fetchMessageQueues")]
    pub async fn message_queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        self.shared.client.admin().message_queues(topic).await
    }

    /// The offset of the first message of a queue stored at or after a time, in ms since 1970.
    ///
    /// # Errors
    /// The queue's broker is not known, or did not answer.
    pub async fn offset_for_time(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64, Error> {
        self.shared.core().search_offset(queue, timestamp).await
    }

    /// Consumes exactly these queues from now on, in the place of those that were assigned before. No group divides
    /// them: whoever assigns sees to it that nobody else has them. What the last poll returned counts as consumed.
    ///
    /// # Errors
    /// The consumer subscribes to topics, and so its queues are the group's to divide.
    pub async fn assign(&self, queues: &[MessageQueue]) -> Result<(), Error> {
        if !self.subscriptions().is_empty() {
            return Err(Error::Subscribed { group: self.group().to_owned() });
        }
        self.settle();
        rebalance::revoke(&self.shared, |queue| !queues.contains(queue)).await;
        let version = self.shared.core().options.clock.now_ms();
        let mut topics: Vec<&str> = queues.iter().map(|queue| queue.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        for topic in topics {
            let mine: Vec<_> = queues.iter().filter(|queue| queue.topic == topic).cloned().collect();
            rebalance::take_on(&self.shared, &Filter::all().subscription(topic, version), &mine);
        }
        Ok(())
    }

    fn subscriptions(&self) -> Vec<SubscriptionData> {
        self.shared.enrolled.data.read().subscription_data_set.clone()
    }

    /// Subscribes to one more topic, or to other messages of a topic.
    ///
    /// # Errors
    /// The topic's name is not allowed, a broker does not take the filter, or queues were assigned instead.
    pub async fn subscribe(&self, topic: &str, filter: impl Into<Filter>) -> Result<(), Error> {
        validate_topic(topic)?;
        if self.subscriptions().is_empty() {
            return Err(Error::Assigned { group: self.group().to_owned() });
        }
        let version = self.shared.core().options.clock.now_ms();
        let subscription = filter.into().subscription(topic, version);
        self.shared.check_filter(&subscription).await?;
        {
            let all = &mut self.shared.enrolled.data.write().subscription_data_set;
            all.retain(|known| known.topic != topic);
            all.push(subscription);
        }
        heartbeat::beat(self.shared.core()).await;
        self.shared.enrolled.rebalance.notify_one();
        Ok(())
    }

    /// Goes on elsewhere in a queue. What was pulled of it is forgotten, and nothing is committed.
    ///
    /// # Errors
    /// The queue is not assigned, its broker does not answer, or it has no such offset.
    pub async fn seek(&self, queue: &MessageQueue, position: Position) -> Result<(), Error> {
        let assigned = self.assigned(queue)?;
        let core = self.shared.core();
        let offset = match position {
            Position::Begin => core.min_offset(queue).await?,
            Position::End => core.max_offset(queue).await?,
            Position::Time(at) => core.search_offset(queue, at).await?,
            Position::Offset(offset) => {
                let (min, max) = (core.min_offset(queue).await?, core.max_offset(queue).await?);
                if !(min..=max).contains(&offset) {
                    return Err(Error::NoSuchOffset { queue: queue.clone(), offset, min, max });
                }
                offset
            }
        };
        assigned.seek(Sought { offset, commit: false });
        Ok(())
    }

    fn assigned(&self, queue: &MessageQueue) -> Result<Arc<Assigned>, Error> {
        let assigned = self.shared.queues.lock().get(queue).cloned();
        assigned.ok_or_else(|| Error::NotAssigned { queue: queue.clone() })
    }

    /// Polls nothing of these queues, and pulls no more of them, until [`LitePullConsumer::resume`]. Queues that are
    /// not assigned are passed over.
    pub fn pause(&self, queues: &[MessageQueue]) {
        self.each(queues, |assigned| assigned.gate.shut());
    }

    /// Goes on with these queues.
    pub fn resume(&self, queues: &[MessageQueue]) {
        self.each(queues, |assigned| assigned.gate.open());
        if let Some(inbox) = self.inbox() {
            inbox.more.notify_one();
        }
    }

    fn each(&self, queues: &[MessageQueue], act: impl Fn(&Assigned)) {
        let all = self.shared.queues.lock();
        queues.iter().filter_map(|queue| all.get(queue)).for_each(|assigned| act(assigned));
    }

    /// Has a listener told whenever the queues of a topic change, whosever they are. They are looked at as often as
    /// routes are refreshed.
    #[doc(alias = "registerTopicMessageQueueChangeListener")]
    pub fn on_queues_changed(
        &self,
        topic: impl Into<String>,
        listener: impl Fn(&str, &[MessageQueue]) + Send + Sync + 'static,
    ) {
        let (topic, shared) = (topic.into(), Arc::clone(&self.shared));
        self.shared.spawn_intake(async move {
            let core = shared.core();
            let mut known =
                core.refresh_route(&topic).await.ok().flatten().map(|route| route.readable.clone());
            loop {
                sleep(core.options.route_refresh).await;
                let Ok(Some(route)) = core.refresh_route(&topic).await else { continue };
                if known.as_ref() != Some(&route.readable) {
                    listener(&topic, &route.readable);
                    known = Some(route.readable.clone());
                }
            }
        });
    }

    /// Stops: nothing is pulled any more, what was polled is committed if it commits by itself, the group is told,
    /// and no task is left.
    ///
    /// # Errors
    /// The last offsets are not committed. The consumer is stopped nevertheless.
    #[doc(alias = "shutdown")]
    pub async fn stop(&self) -> Result<(), Error> {
        let shared = &*self.shared;
        if shared.intake.is_cancelled() {
            return Ok(());
        }
        self.settle();
        shared.intake.cancel();
        shared.intake_tasks.close();
        shared.intake_tasks.wait().await;
        let core = shared.core();
        let mut commit = Ok(Ok(()));
        if self.auto_commit() {
            commit = timeout(core.options.request_timeout, shared.commit(Answer::Wait)).await;
        }
        shared.handler_tasks.close();
        shared.cut_off.cancel();
        shared.handler_tasks.wait().await;
        core.groups.remove_consumer(&shared.options.group, &shared.enrolled);
        core.unregister(None, Some(&shared.options.group)).await;
        tracing::info!(group = shared.options.group, "consumer stopped");
        commit.unwrap_or(Err(Error::Closed))
    }
}

impl Drop for LitePullConsumer {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}
