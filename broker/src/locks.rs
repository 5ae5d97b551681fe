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
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_group: HashMap<String, HashMap<QueueRef, Lock>>,
    /// Locks of all groups, expired ones included.
    count: usize,
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
    ///
    /// Whether a lock is to be this broker's alone makes no difference: there is no other replica to ask.
    pub(crate) fn lock(&self, request: LockBatch) -> LockedQueues {
        let now = self.clock.monotonic();
        let mut held = self.held.lock();
        let lock_ok_mq_set = request
            .mq_set
            .into_iter()
            .filter(|queue| held.lock(&request.consumer_group, queue, &request.client_id, now))
            .collect();
        LockedQueues { lock_ok_mq_set }
    }

    /// Frees what the client holds.
    pub(crate) fn unlock(&self, request: LockBatch) {
        let mut held = self.held.lock();
        for queue in &request.mq_set {
            held.unlock(&request.consumer_group, queue, &request.client_id);
        }
    }

    /// Whether anybody of the group holds a queue: its failed messages skip the retry topic then.
    pub(crate) fn is_orderly(&self, group: &str) -> bool {
        let now = self.clock.monotonic();
        let held = self.held.lock();
        held.by_group.get(group).is_some_and(|locks| locks.values().any(|lock| !lock.expired(now)))
    }
}

impl Held {
    fn lock(&mut self, group: &str, queue: &QueueRef, client: &str, now: Duration) -> bool {
        if let Some(lock) = self.by_group.get_mut(group).and_then(|locks| locks.get_mut(queue)) {
            let free = lock.client == client || lock.expired(now);
            if free {
                *lock = Lock { client: client.to_owned(), renewed: now };
            }
            return free;
        }
        if self.count >= MAX_LOCKS {
            self.drop_expired(now);
        }
        if self.count >= MAX_LOCKS {
            return false;
        }
        let locks = self.by_group.entry(group.to_owned()).or_default();
        locks.insert(queue.clone(), Lock { client: client.to_owned(), renewed: now });
        self.count += 1;
        true
    }

    fn unlock(&mut self, group: &str, queue: &QueueRef, client: &str) {
        let Some(locks) = self.by_group.get_mut(group) else { return };
        if locks.get(queue).is_some_and(|lock| lock.client == client) {
            locks.remove(queue);
            self.count -= 1;
        }
        if locks.is_empty() {
            self.by_group.remove(group);
        }
    }

    fn drop_expired(&mut self, now: Duration) {
        self.by_group.retain(|_, locks| {
            locks.retain(|_, lock| !lock.expired(now));
            !locks.is_empty()
        });
        self.count = self.by_group.values().map(HashMap::len).sum();
    }
}

impl Lock {
    fn expired(&self, now: Duration) -> bool {
        now.saturating_sub(self.renewed) > LIFE
    }
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
    fn groups_lock_for_themselves_and_expired_locks_make_room() {
        let clock = Clock::manual(0);
        let locks = QueueLocks::new(clock.clone());
        let all: Vec<i32> = (0..i32::try_from(MAX_LOCKS).unwrap()).collect();
        assert_eq!(held(&locks, "a", &all).len(), MAX_LOCKS);
        let other = |queue| LockBatch { consumer_group: "h".into(), ..ask("b", &[queue]) };
        assert_eq!(locks.lock(other(0)).lock_ok_mq_set, []);
        assert!(!locks.is_orderly("h"));
        clock.advance_monotonic(LIFE + Duration::from_millis(1));
        assert_eq!(locks.lock(other(0)).lock_ok_mq_set.len(), 1);
        assert!(locks.is_orderly("h") && !locks.is_orderly("g"));
        locks.unlock(other(0));
        assert!(!locks.is_orderly("h"));
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
