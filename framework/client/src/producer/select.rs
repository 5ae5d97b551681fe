//! Which queue a message goes to.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicUsize, Ordering},
};

use rocketmq_boot_protocol::message::{MessageQueue, hash::java_hash};

use crate::route::Target;

/// How the sender wants the queue to be chosen.
#[derive(Debug, Clone)]
pub(crate) enum Choice {
    /// Any queue, in turn; another broker's after a failure.
    Turn,
    /// The queue that every message of this key goes to.
    Key(i32),
    /// This queue.
    Queue(MessageQueue),
}

impl Choice {
    /// The choice for messages sharded by `key`.
    pub(crate) fn key(key: &str) -> Self {
        Self::Key(java_hash(key))
    }

    /// Whether another queue will do when the chosen one fails.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self, Self::Turn)
    }

    /// Chooses among `targets`; `failed` is the broker that the last attempt went to.
    pub(crate) fn pick<'a>(
        &self,
        targets: &'a [Target],
        turn: &Turn,
        failed: Option<&str>,
    ) -> Option<&'a Target> {
        match self {
            Self::Turn => turn.next(targets, failed),
            Self::Key(hash) => targets.get(by_hash(*hash, targets.len())?),
            Self::Queue(queue) => targets.iter().find(|target| target.queue == *queue),
        }
    }
}

/// The index for a hash: the remainder without its sign, as Java's `SelectMessageQueueByHash` takes it.
fn by_hash(hash: i32, queues: usize) -> Option<usize> {
    let queues = i64::try_from(queues).ok().filter(|queues| *queues > 0)?;
    usize::try_from((i64::from(hash) % queues).abs()).ok()
}

/// Deals queues in turn, from a random start so that many producers do not begin with the same queue.
#[derive(Debug)]
pub(crate) struct Turn(AtomicUsize);

impl Turn {
    pub(crate) fn new() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(AtomicUsize::new(usize::try_from(random >> 33).unwrap_or(0)))
    }

    fn next<'a>(&self, targets: &'a [Target], failed: Option<&str>) -> Option<&'a Target> {
        if targets.is_empty() {
            return None;
        }
        let start = self.0.fetch_add(1, Ordering::Relaxed);
        let at = |step: usize| &targets[start.wrapping_add(step) % targets.len()];
        let Some(failed) = failed else { return Some(at(0)) };
        let others = || (0..targets.len()).map(at).find(|target| target.queue.broker_name != failed);
        others().or_else(|| Some(at(0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rocketmq_boot_remoting::{Peer, PeerOptions};

    use super::*;

    fn targets(queues: &[(&str, i32)]) -> Vec<Target> {
        let target = |(broker, id): &(&str, i32)| Target {
            queue: MessageQueue::new("t", *broker, *id),
            peer: Peer::new("127.0.0.1:1", PeerOptions::default(), None),
        };
        queues.iter().map(target).collect()
    }

    #[test]
    fn a_key_leads_where_java_leads_it() {
        // "polygenelubricants" hashes to i32::MIN, whose absolute value is no i32.
        let at = |key: &str, queues| by_hash(java_hash(key), queues);
        assert_eq!(
            [at("order-1", 8), at("hello", 7), at("polygenelubricants", 6)],
            [Some(6), Some(0), Some(2)]
        );
        assert_eq!(at("x", 0), None);
    }

    #[test]
    fn turns_visit_every_queue() {
        let targets = targets(&[("a", 0), ("a", 1), ("b", 0)]);
        let turn = Turn(AtomicUsize::new(usize::MAX - 1));
        let visited: std::collections::BTreeSet<_> =
            (0..6).map(|_| Choice::Turn.pick(&targets, &turn, None).unwrap().queue.to_string()).collect();
        assert_eq!(visited.len(), 3);
    }

    #[test]
    fn after_a_failure_another_broker_is_chosen_if_there_is_one() {
        let turn = Turn::new();
        let both = targets(&[("a", 0), ("a", 1), ("b", 0)]);
        for _ in 0..6 {
            assert_eq!(Choice::Turn.pick(&both, &turn, Some("a")).unwrap().queue.broker_name, "b");
        }
        let one = targets(&[("a", 0)]);
        assert!(Choice::Turn.pick(&one, &turn, Some("a")).is_some());
        assert!(Choice::Turn.pick(&[], &turn, None).is_none());
    }

    #[test]
    fn a_named_queue_is_itself_or_nothing() {
        let targets = targets(&[("a", 0), ("b", 0)]);
        let pick = |broker: &str, id| {
            let choice = Choice::Queue(MessageQueue::new("t", broker, id));
            choice.pick(&targets, &Turn::new(), None).map(|target| target.queue.to_string())
        };
        assert!(pick("b", 0).unwrap().contains("brokerName=b"));
        assert_eq!(pick("b", 1), None);
    }

    proptest! {
        #[test]
        fn any_hash_leads_to_a_queue(hash: i32, queues in 1_usize..100) {
            prop_assert!(by_hash(hash, queues).unwrap() < queues);
        }
    }
}
