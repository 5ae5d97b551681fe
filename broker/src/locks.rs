//! Queue locks of orderly consumers: one client of a group at a time, for 60 seconds after it last asked.
//!
//! Locks live in memory only: after a restart the first to ask gets the queue, and consumers ask
//! again every 20 seconds.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Clock,
    body::group::{LockBatch, LockedQueues, QueueRef},
};

/// How long a lock lives without being renewed (RocketMQ's `rebalanceLockMaxLiveTime`).
const LIFE: Duration = Duration::from_secs(60);

/// Locks kept at most; beyond it expired ones are dropped first, then requests are refused.
const MAX_LOCKS: usize = 100_000;

/// Who holds which queue for which group.
#[derive(Debug)]
pub(crate) struct QueueLocks {
    clock: Clock,
    held: Mutex<HashMap<(String, QueueRef), Lock>>,
}

#[derive(Debug)]
struct Lock {
    client: String,
    renewed: Duration,
}

impl QueueLocks {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, held: Mutex::default() }
    }

    /// Locks what is free, expired or the client's own; answers the queues that it holds now.
    pub(crate) fn lock(&self, request: LockBatch) -> LockedQueues {
        let now = self.clock.monotonic();
        let mut held = self.held.lock();
        let mut locked = Vec::new();
        for queue in request.mq_set {
            let key = (request.consumer_group.clone(), queue);
            let free =
                held.get(&key).is_none_or(|lock| lock.client == request.client_id || lock.expired(now));
            if !free || (!held.contains_key(&key) && !make_room(&mut held, now)) {
                continue;
            }
            locked.push(key.1.clone());
            held.insert(key, Lock { client: request.client_id.clone(), renewed: now });
        }
        LockedQueues { lock_ok_mq_set: locked }
    }

    /// Frees what the client holds.
    pub(crate) fn unlock(&self, request: LockBatch) {
        let mut held = self.held.lock();
        for queue in request.mq_set {
            let key = (request.consumer_group.clone(), queue);
            if held.get(&key).is_some_and(|lock| lock.client == request.client_id) {
                held.remove(&key);
            }
        }
    }

    /// Whether anybody of the group holds a queue: its failed messages skip the retry topic then.
    pub(crate) fn is_orderly(&self, group: &str) -> bool {
        let now = self.clock.monotonic();
        self.held.lock().iter().any(|((of, _), lock)| of == group && !lock.expired(now))
    }
}

impl Lock {
    fn expired(&self, now: Duration) -> bool {
        now.saturating_sub(self.renewed) > LIFE
    }
}

fn make_room(held: &mut HashMap<(String, QueueRef), Lock>, now: Duration) -> bool {
    if held.len() >= MAX_LOCKS {
        held.retain(|_, lock| !lock.expired(now));
    }
    held.len() < MAX_LOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(client: &str, queues: &[i32]) -> LockBatch {
        LockBatch {
            client_id: client.into(),
            consumer_group: "g".into(),
            mq_set: queues
                .iter()
                .map(|queue_id| QueueRef { broker_name: "b".into(), queue_id: *queue_id, topic: "t".into() })
                .collect(),
            only_this_broker: false,
        }
    }

    fn held(locks: &QueueLocks, client: &str, queues: &[i32]) -> Vec<i32> {
        locks.lock(ask(client, queues)).lock_ok_mq_set.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn a_queue_has_one_holder_until_it_lets_go() {
        let locks = QueueLocks::new(Clock::manual(0));
        assert_eq!(held(&locks, "a", &[0, 1]), [0, 1]);
        assert_eq!(held(&locks, "b", &[1, 2]), [2]);
        locks.unlock(ask("b", &[0, 1]));
        assert_eq!(held(&locks, "b", &[1]), [] as [i32; 0]);
        locks.unlock(ask("a", &[1]));
        assert_eq!(held(&locks, "b", &[1]), [1]);
    }

    #[test]
    fn a_lock_that_is_not_renewed_expires_after_a_minute() {
        let clock = Clock::manual(0);
        let locks = QueueLocks::new(clock.clone());
        assert_eq!(held(&locks, "a", &[0]), [0]);
        clock.advance_monotonic(LIFE);
        assert!(locks.is_orderly("g"));
        assert_eq!(held(&locks, "b", &[0]), [] as [i32; 0]);
        clock.advance_monotonic(Duration::from_millis(1));
        assert!(!locks.is_orderly("g"));
        assert_eq!(held(&locks, "b", &[0]), [0]);
    }

    #[test]
    fn moving_the_wall_hand_expires_nothing() {
        let clock = Clock::manual(0);
        let locks = QueueLocks::new(clock.clone());
        assert_eq!(held(&locks, "a", &[0]), [0]);
        clock.advance(Duration::from_secs(5 * 3600));
        assert_eq!(held(&locks, "b", &[0]), [] as [i32; 0]);
    }
}
