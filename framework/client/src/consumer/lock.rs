//! Locks that brokers keep, so that a queue which is consumed in order has one consumer even while members change.
//!
//! A broker forgets a lock after a minute. It is renewed every 20 s, and counts as lost here when it was not for
//! 30 s, so that two members never both believe that they hold it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        dialect::{self, Dialect},
        group::{LockBatch, LockedQueues},
        lenient,
    },
    message::MessageQueue,
};
use tokio::time::sleep;

use super::{
    queue::Assigned,
    shared::{Shared, Work},
};
use crate::Error;

/// How long a lock is believed in.
pub(super) const LOCK_LIFE: Duration = Duration::from_secs(30);

const LOCK: &str = "lock queues";
const UNLOCK: &str = "unlock queues";

/// What an orderly consumer keeps beside its assigned queues.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// Held by whoever handles a queue's messages, over the end of its assignment until it is unlocked.
    gates: Mutex<HashMap<MessageQueue, Arc<tokio::sync::Mutex<()>>>>,
    /// Queues that are another member's next, whose last messages are still handled here.
    leaving: Mutex<Vec<Arc<Assigned>>>,
}

impl Locks {
    /// Waits until nobody else here handles messages of a queue.
    pub(super) async fn enter(&self, queue: &MessageQueue) -> tokio::sync::OwnedMutexGuard<()> {
        let gate = {
            let mut gates = self.gates.lock();
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
            Arc::clone(gates.entry(queue.clone()).or_default())
        };
        gate.lock_owned().await
    }

    pub(super) fn leave(&self, assigned: &Arc<Assigned>) {
        self.leaving.lock().push(Arc::clone(assigned));
    }

    pub(super) fn left(&self, assigned: &Arc<Assigned>) {
        self.leaving.lock().retain(|leaving| !Arc::ptr_eq(leaving, assigned));
    }
}

/// Asks for the lock of a queue; tells whether it is held now.
pub(super) async fn acquire(shared: &Shared, queue: &MessageQueue) -> Result<bool, Error> {
    let held = ask(shared, std::slice::from_ref(queue)).await?;
    Ok(held.contains(queue))
}

/// Renews the locks of all queues until the consumer stops.
pub(super) async fn renew_forever(shared: Arc<Shared>) {
    loop {
        sleep(shared.options.lock_interval).await;
        let mut queues: Vec<Arc<Assigned>> = shared.queues.lock().values().cloned().collect();
        if let Work::Orderly(_, locks) = &shared.work {
            queues.extend(locks.leaving.lock().iter().cloned());
        }
        renew(&shared, queues).await;
    }
}

async fn renew(shared: &Shared, queues: Vec<Arc<Assigned>>) {
    let mut brokers: HashMap<String, Vec<Arc<Assigned>>> = HashMap::new();
    // One that never was locked is asked for by its own task.
    for assigned in queues.into_iter().filter(|assigned| assigned.is_locked()) {
        brokers.entry(assigned.queue.broker_name.clone()).or_default().push(assigned);
    }
    join_all(brokers.into_values().map(|queues| async move {
        let wanted: Vec<_> = queues.iter().map(|assigned| assigned.queue.clone()).collect();
        match ask(shared, &wanted).await {
            Ok(held) => queues.iter().for_each(|assigned| assigned.lock_is(held.contains(&assigned.queue))),
            Err(error) => {
                tracing::warn!(group = shared.options.group, %error, "locks of queues are not renewed yet");
            }
        }
    }))
    .await;
}

/// Locks queues of one broker; gives those that are held now.
async fn ask(shared: &Shared, queues: &[MessageQueue]) -> Result<Vec<MessageQueue>, Error> {
    let Some(queue) = queues.first() else { return Ok(Vec::new()) };
    let core = shared.core();
    let peer = core.master(&queue.broker_name)?;
    let request = Command::bare(RequestCode::LOCK_BATCH_MQ).with_body(body(shared, queues));
    let answer = core.ask(&peer, LOCK, request).await?;
    let held: LockedQueues = lenient::read("locked queues", &answer.body)
        .map_err(|source| Error::Answer { address: peer.address().to_owned(), source })?;
    Ok(held.lock_ok_mq_set.into_iter().map(Into::into).collect())
}

/// Gives the locks of queues back. A broker that cannot be told forgets them within a minute.
pub(super) async fn release(shared: &Shared, queues: &[MessageQueue]) {
    let mut brokers: HashMap<&str, Vec<MessageQueue>> = HashMap::new();
    for queue in queues {
        brokers.entry(&queue.broker_name).or_default().push(queue.clone());
    }
    join_all(brokers.into_iter().map(|(broker, queues)| async move {
        let core = shared.core();
        let request = Command::bare(RequestCode::UNLOCK_BATCH_MQ).with_body(body(shared, &queues));
        let told = async { core.ask(&core.master(broker)?, UNLOCK, request).await };
        if let Err(error) = told.await {
            tracing::debug!(group = shared.options.group, broker, %error, "locks are left to run out");
        }
    }))
    .await;
}

fn body(shared: &Shared, queues: &[MessageQueue]) -> Vec<u8> {
    let batch = LockBatch {
        client_id: shared.core().id.clone(),
        consumer_group: shared.options.group.clone(),
        mq_set: queues.iter().cloned().map(Into::into).collect(),
        only_this_broker: false,
    };
    dialect::write(&batch, Dialect::Standard)
}
