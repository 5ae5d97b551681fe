//! Which queue a message goes to.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rocketmq_boot_protocol::message::{MessageQueue, hash::java_hash};

use super::faults::Faults;
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
    /// The queue that the application chooses.
    Select(Selector),
}

/// An application's own choice: an index into the queues of a topic.
#[derive(Clone)]
pub(crate) struct Selector(pub(super) Arc<Select>);

type Select = dyn Fn(&[MessageQueue]) -> usize + Send + Sync;

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Selector(..)")
    }
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
        faults: Option<&Faults>,
    ) -> Option<&'a Target> {
        match self {
            Self::Turn => turn.next(targets, failed, faults),
            Self::Key(hash) => targets.get(by_hash(*hash, targets.len())?),
            Self::Queue(queue) => targets.iter().find(|target| target.queue == *queue),
            Self::Select(Selector(select)) => {
                let queues: Vec<MessageQueue> = targets.iter().map(|target| target.queue.clone()).collect();
                targets.get(select(&queues))
            }
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

    fn next<'a>(
        &self,
        targets: &'a [Target],
        failed: Option<&str>,
        faults: Option<&Faults>,
    ) -> Option<&'a Target> {
        if targets.is_empty() {
            return None;
        }
        let start = self.0.fetch_add(1, Ordering::Relaxed);
        let at = |step: usize| &targets[start.wrapping_add(step) % targets.len()];
        if failed.is_none() && faults.is_none() {
            return Some(at(0));
        }
        let other = |target: &&Target| failed != Some(target.queue.broker_name.as_str());
        let available =
            |target: &&Target| faults.is_none_or(|faults| faults.is_available(&target.queue.broker_name));
        let all = || (0..targets.len()).map(at);
        all()
            .find(|target| other(target) && available(target))
            .or_else(|| all().find(other))
            .or_else(|| Some(at(0)))
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
        let visited: std::collections::BTreeSet<_> = (0..6)
            .map(|_| Choice::Turn.pick(&targets, &turn, None, None).unwrap().queue.to_string())
            .collect();
        assert_eq!(visited.len(), 3);
    }

    #[test]
    fn after_a_failure_another_broker_is_chosen_if_there_is_one() {
        let turn = Turn::new();
        let both = targets(&[("a", 0), ("a", 1), ("b", 0)]);
        for _ in 0..6 {
            assert_eq!(Choice::Turn.pick(&both, &turn, Some("a"), None).unwrap().queue.broker_name, "b");
        }
        let one = targets(&[("a", 0)]);
        assert!(Choice::Turn.pick(&one, &turn, Some("a"), None).is_some());
        assert!(Choice::Turn.pick(&[], &turn, None, None).is_none());
    }

    #[test]
    fn a_failing_broker_is_left_alone_unless_there_is_no_other() {
        let faults = Faults::default();
        faults.note("a", std::time::Duration::ZERO, true);
        let turn = Turn::new();
        let both = targets(&[("a", 0), ("a", 1), ("b", 0)]);
        for _ in 0..6 {
            assert_eq!(Choice::Turn.pick(&both, &turn, None, Some(&faults)).unwrap().queue.broker_name, "b");
        }
        assert!(Choice::Turn.pick(&both[..2], &turn, Some("a"), Some(&faults)).is_some());
        let picked = Choice::Turn.pick(&both, &turn, Some("b"), Some(&faults)).unwrap();
        assert_eq!(picked.queue.broker_name, "a", "any other broker is better than the one that just failed");
    }

    #[test]
    fn an_application_chooses_by_index() {
        let targets = targets(&[("a", 0), ("b", 0)]);
        let pick = |index: usize| {
            let choice = Choice::Select(Selector(Arc::new(move |queues| {
                assert_eq!(queues.len(), 2);
                index
            })));
            choice.pick(&targets, &Turn::new(), None, None).map(|target| target.queue.broker_name.clone())
        };
        assert_eq!((pick(1).as_deref(), pick(2)), (Some("b"), None));
    }

    #[test]
    fn a_named_queue_is_itself_or_nothing() {
        let targets = targets(&[("a", 0), ("b", 0)]);
        let pick = |broker: &str, id| {
            let choice = Choice::Queue(MessageQueue::new("t", broker, id));
            choice.pick(&targets, &Turn::new(), None, None).map(|target| target.queue.to_string())
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
