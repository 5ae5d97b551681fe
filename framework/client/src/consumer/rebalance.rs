//! Dividing queues among members: every 20 seconds, when a broker says that members changed, and when routes or
//! subscriptions do.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{body::SubscriptionData, message::MessageQueue};
use tokio::time::timeout;

use super::{
    Division, Model, allocate,
    offsets::Answer,
    queue::Assigned,
    shared::{Shared, Work},
};
use crate::{Error, routes::Missing};

/// How long a topic without a route waits for the next look, at first. A group's retry topic comes into being a
/// moment after the group does, and the first failed message is back 10 s later.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Divides queues until the consumer stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let interval = shared.options.rebalance_interval;
    let mut look = FIRST_LOOK;
    loop {
        let pause = match rebalance(&shared).await {
            Coverage::Whole => {
                look = FIRST_LOOK;
                interval
            }
            Coverage::Partial => {
                let pause = look.min(interval);
                look = (look * 2).min(interval);
                pause
            }
        };
        // Either is reason enough to go on.
        let _ = timeout(pause, shared.enrolled.rebalance.notified()).await;
    }
}

/// Whether all subscribed topics could be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coverage {
    Whole,
    Partial,
}

async fn rebalance(shared: &Arc<Shared>) -> Coverage {
    let subscriptions = shared.enrolled.data.read().subscription_data_set.clone();
    let topics: HashSet<&str> = subscriptions.iter().map(|data| data.topic.as_str()).collect();
    revoke(shared, |queue| !topics.contains(queue.topic.as_str())).await;
    let mut coverage = Coverage::Whole;
    for subscription in &subscriptions {
        let topic = &subscription.topic;
        match share(shared, topic).await {
            Ok(Some(share)) => assign(shared, subscription, &share).await,
            // Nobody, not even this client, is known to be in the group: the next heartbeat will tell the broker.
            Ok(None) => {
                shared.core().pulse.notify_one();
                coverage = Coverage::Partial;
            }
            Err(error) => {
                tracing::debug!(topic, group = shared.options.group, %error, "queues could not be divided");
                coverage = Coverage::Partial;
            }
        }
    }
    coverage
}

/// A topic's queues, and those of them that are this member's; `None` when that cannot be told.
async fn share(shared: &Shared, topic: &str) -> Result<Option<Share>, Error> {
    let core = shared.core();
    let route = core.route(topic, Missing::Refuse).await?;
    let all = route.readable.clone();
    if shared.options.model == Model::Broadcasting {
        return Ok(Some(Share { mine: all.clone(), all }));
    }
    let mut members = core.consumer_ids(&shared.options.group, topic).await?;
    if members.is_empty() {
        return Ok(None);
    }
    members.sort();
    members.dedup();
    if !members.contains(&core.id) {
        core.pulse.notify_one();
    }
    let division = Division::new(&shared.options.group, &core.id, &members, &all);
    let mine = allocate::share(&*shared.options.allocate, &division);
    Ok(Some(Share { mine, all }))
}

#[derive(Debug)]
struct Share {
    all: Vec<MessageQueue>,
    mine: Vec<MessageQueue>,
}

/// Takes on the queues of a subscription that are new, and gives up those that went.
async fn assign(shared: &Arc<Shared>, subscription: &SubscriptionData, share: &Share) {
    let topic = &subscription.topic;
    let mut changed = revoke(shared, |queue| queue.topic == *topic && !share.mine.contains(queue)).await;
    drop_dead(shared, topic);
    changed |= take_on(shared, subscription, &share.mine);
    if let Some(listener) = shared.options.listener.as_ref().filter(|_| changed) {
        listener.changed(topic, &share.all, &share.mine);
    }
}

/// Takes on the queues of a subscription that are not assigned yet; tells whether there were any.
pub(super) fn take_on(shared: &Arc<Shared>, subscription: &SubscriptionData, mine: &[MessageQueue]) -> bool {
    let new: Vec<&MessageQueue> = {
        let queues = shared.queues.lock();
        mine.iter().filter(|queue| !queues.contains_key(*queue)).collect()
    };
    let changed = !new.is_empty();
    for queue in new {
        tracing::info!(%queue, group = shared.options.group, "queue assigned");
        Assigned::start(shared, queue.clone(), subscription);
    }
    let limits = shared.options.limits(mine.len());
    let queues = shared.queues.lock();
    for assigned in queues.values().filter(|assigned| assigned.queue.topic == subscription.topic) {
        assigned.filter_by(subscription);
        assigned.limit(limits);
    }
    changed
}

/// Gives up the queues that `which` names, and commits how far they are consumed; tells whether there were any.
pub(super) async fn revoke(shared: &Shared, which: impl Fn(&MessageQueue) -> bool) -> bool {
    let revoked: Vec<Arc<Assigned>> =
        shared.queues.lock().extract_if(|queue, _| which(queue)).map(|(_, assigned)| assigned).collect();
    let mut offsets = Vec::new();
    for assigned in &revoked {
        tracing::info!(queue = %assigned.queue, group = shared.options.group, "queue given up");
        match &shared.work {
            // Its own task commits and unlocks it when the call that is running has ended.
            Work::Orderly(_, locks) => {
                locks.leave(assigned);
                assigned.revoke();
                continue;
            }
            Work::Poll(inbox) if !inbox.commits() => {}
            Work::Concurrent(..) | Work::Poll(_) => {
                offsets.extend(assigned.committed().map(|offset| (assigned.queue.clone(), offset)));
            }
        }
        assigned.give_up();
    }
    if let Err(error) = shared.offsets.save(shared.core(), &offsets, Answer::Wait).await {
        tracing::warn!(group = shared.options.group, %error, "offsets of queues given up are not committed");
    }
    !revoked.is_empty()
}

/// Forgets queues whose task ended or has not pulled for two minutes, so that they are taken on anew.
fn drop_dead(shared: &Shared, topic: &str) {
    shared.queues.lock().retain(|queue, assigned| {
        let dead = queue.topic == topic && assigned.is_dead(shared.options.pull_timeout);
        if dead {
            tracing::error!(%queue, group = shared.options.group, "queue was not pulled any more");
            assigned.give_up();
        }
        !dead
    });
}
