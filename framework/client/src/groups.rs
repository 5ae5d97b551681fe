//! The groups that a client produces and consumes for: what its heartbeats say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::body::{ConsumerData, Heartbeat, ProducerData};
use tokio::sync::Notify;

use crate::{consumer::Shared, producer::check::Checks};

/// A consumer as the rest of the client sees it.
#[derive(Debug)]
pub(crate) struct Enrolled {
    /// What brokers are told about it.
    pub(crate) data: RwLock<ConsumerData>,
    /// Rung when its queues may have to be divided anew.
    pub(crate) rebalance: Notify,
    /// The consumer itself, when it consumes by itself.
    member: Mutex<Weak<Shared>>,
}

impl Enrolled {
    pub(crate) fn new(data: ConsumerData) -> Self {
        Self { data: RwLock::new(data), rebalance: Notify::new(), member: Mutex::default() }
    }

    /// Makes the consumer known to whoever asks for it.
    pub(crate) fn is(&self, member: &Arc<Shared>) {
        *self.member.lock() = Arc::downgrade(member);
    }
}

/// All of a client's groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// How many producers each group has.
    producers: Mutex<BTreeMap<String, usize>>,
    /// What answers brokers that ask how a transaction of a group ended.
    checks: Mutex<BTreeMap<String, Arc<Checks>>>,
    /// Counts the changes of what heartbeats say.
    state: AtomicU64,
    consumers: Mutex<BTreeMap<String, Arc<Enrolled>>>,
}

impl Groups {
    pub(crate) fn add_producer(&self, group: &str) {
        *self.producers.lock().entry(group.to_owned()).or_default() += 1;
        self.state.fetch_add(1, Ordering::AcqRel);
    }

    /// A number that is another one after every change of the groups.
    pub(crate) fn state(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    /// Adds what answers the checks of a producer group; `false` when the group has that already.
    pub(crate) fn add_checks(&self, group: &str, checks: &Arc<Checks>) -> bool {
        let mut all = self.checks.lock();
        let free = !all.contains_key(group);
        if free {
            all.insert(group.to_owned(), Arc::clone(checks));
        }
        free
    }

    /// Takes away these very checks.
    pub(crate) fn remove_checks(&self, group: &str, checks: &Arc<Checks>) {
        let mut all = self.checks.lock();
        if all.get(group).is_some_and(|known| Arc::ptr_eq(known, checks)) {
            all.remove(group);
        }
    }

    /// What answers the checks of a group.
    pub(crate) fn checks(&self, group: &str) -> Option<Arc<Checks>> {
        self.checks.lock().get(group).cloned()
    }

    /// Takes one producer away; tells whether it was its group's last.
    pub(crate) fn remove_producer(&self, group: &str) -> bool {
        let mut producers = self.producers.lock();
        let Some(count) = producers.get_mut(group) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            producers.remove(group);
        }
        last
    }

    /// Adds a consumer; `false` when its group has one already.
    pub(crate) fn add_consumer(&self, group: &str, consumer: &Arc<Enrolled>) -> bool {
        let mut consumers = self.consumers.lock();
        let free = !consumers.contains_key(group);
        if free {
            consumers.insert(group.to_owned(), Arc::clone(consumer));
            self.state.fetch_add(1, Ordering::AcqRel);
        }
        free
    }

    /// Takes this very consumer away, not another one that has the group by now.
    pub(crate) fn remove_consumer(&self, group: &str, consumer: &Arc<Enrolled>) {
        let mut consumers = self.consumers.lock();
        if consumers.get(group).is_some_and(|known| Arc::ptr_eq(known, consumer)) {
            consumers.remove(group);
        }
    }

    /// The consumer of a group.
    pub(crate) fn consumer(&self, group: &str) -> Option<Arc<Shared>> {
        let enrolled = self.consumers.lock().get(group).cloned()?;
        let member = enrolled.member.lock();
        member.upgrade()
    }

    /// Has a group's queues divided anew.
    pub(crate) fn rebalance(&self, group: &str) {
        if let Some(consumer) = self.consumers.lock().get(group) {
            consumer.rebalance.notify_one();
        }
    }

    /// Has the queues of all groups that subscribe to `topic` divided anew.
    pub(crate) fn rebalance_subscribers(&self, topic: &str) {
        for consumer in self.consumers.lock().values() {
            if consumer.data.read().subscription_data_set.iter().any(|data| data.topic == topic) {
                consumer.rebalance.notify_one();
            }
        }
    }

    /// All topics that some group subscribes to.
    pub(crate) fn topics(&self) -> BTreeSet<String> {
        let consumers = self.consumers.lock();
        let topics = |consumer: &Arc<Enrolled>| {
            let data = consumer.data.read();
            data.subscription_data_set.iter().map(|data| data.topic.clone()).collect::<Vec<_>>()
        };
        consumers.values().flat_map(topics).collect()
    }

    pub(crate) fn has_consumers(&self) -> bool {
        !self.consumers.lock().is_empty()
    }

    pub(crate) fn producer_groups(&self) -> Vec<String> {
        self.producers.lock().keys().cloned().collect()
    }

    /// Whether there is nothing to tell brokers.
    pub(crate) fn is_empty(&self) -> bool {
        self.producers.lock().is_empty() && self.consumers.lock().is_empty()
    }

    /// What to tell brokers.
    pub(crate) fn heartbeat(&self, client_id: &str) -> Heartbeat {
        let group_name = |group: &String| ProducerData { group_name: group.clone() };
        let producers: Vec<_> = self.producers.lock().keys().map(group_name).collect();
        let consumers: Vec<_> =
            self.consumers.lock().values().map(|consumer| consumer.data.read().clone()).collect();
        Heartbeat {
            client_id: client_id.to_owned(),
            consumer_data_set: consumers,
            producer_data_set: producers,
            ..Heartbeat::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::body::SubscriptionData;

    use super::*;

    fn consumer(group: &str, topic: &str) -> Arc<Enrolled> {
        let subscription = SubscriptionData { topic: topic.to_owned(), ..SubscriptionData::default() };
        let data = ConsumerData {
            group_name: group.to_owned(),
            subscription_data_set: vec![subscription],
            ..ConsumerData::default()
        };
        Arc::new(Enrolled::new(data))
    }

    #[test]
    fn a_group_leaves_with_its_last_producer() {
        let groups = Groups::default();
        groups.add_producer("g");
        groups.add_producer("g");
        assert!(!groups.remove_producer("g"));
        assert_eq!(groups.producer_groups(), ["g"]);
        assert!(groups.remove_producer("g"));
        assert!(!groups.remove_producer("g"));
        assert!(groups.is_empty());
    }

    #[test]
    fn a_group_has_one_consumer() {
        let groups = Groups::default();
        let (first, second) = (consumer("g", "t"), consumer("g", "u"));
        assert!(groups.add_consumer("g", &first));
        assert!(!groups.add_consumer("g", &second));
        groups.remove_consumer("g", &second);
        assert_eq!(groups.topics().into_iter().collect::<Vec<_>>(), ["t"]);
        groups.remove_consumer("g", &first);
        assert!(groups.add_consumer("g", &second));
    }

    #[tokio::test]
    async fn only_subscribers_of_a_topic_are_rung() {
        let groups = Groups::default();
        let (one, two) = (consumer("one", "t"), consumer("two", "u"));
        groups.add_consumer("one", &one);
        groups.add_consumer("two", &two);
        groups.rebalance_subscribers("u");
        two.rebalance.notified().await;
        groups.rebalance("one");
        one.rebalance.notified().await;
        let rung = tokio::time::timeout(std::time::Duration::ZERO, two.rebalance.notified()).await;
        assert!(rung.is_err());
    }
}
