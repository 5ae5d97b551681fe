//! A topic's route as producers and consumers look at it.
//!
//! Pure: it turns what a name server answered into lists of queues. Where it comes from and how long it is kept is
//! in `routes`.

use std::sync::Arc;

use rocketmq_boot_protocol::{
    body::{BrokerData, TopicRoute},
    message::MessageQueue,
    topic::{PERM_READ, PERM_WRITE},
};
use rocketmq_boot_remoting::Peer;

use crate::meter::SendMeter;

/// Queues that a topic made from the template gets at most, whatever the template has.
pub(crate) const DEFAULT_TOPIC_QUEUES: i32 = 4;

/// Queue numbers on one broker above which a route is not believed.
const MAX_QUEUES: i32 = 65_536;

/// A queue to send to, with the connection to its master.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) queue: MessageQueue,
    pub(crate) peer: Peer,
}

/// What is known of a topic.
#[derive(Debug)]
pub(crate) struct Route {
    /// As the name server answered.
    pub(crate) data: TopicRoute,
    /// Whether it is the template's and the topic does not exist yet.
    pub(crate) from_template: bool,
    /// Where to send.
    pub(crate) targets: Vec<Target>,
    /// Where to read.
    pub(crate) readable: Vec<MessageQueue>,
    /// How long sends take.
    pub(crate) meter: SendMeter,
}

impl Route {
    pub(crate) fn new(
        topic: &str,
        data: TopicRoute,
        from_template: bool,
        meter: SendMeter,
        peer: impl Fn(&str) -> Peer,
    ) -> Arc<Self> {
        let targets = writable_queues(topic, &data)
            .into_iter()
            .filter_map(|queue| {
                let address = master(&data, &queue.broker_name)?;
                Some(Target { peer: peer(address), queue })
            })
            .collect();
        let readable = if from_template { Vec::new() } else { readable_queues(topic, &data) };
        Arc::new(Self { data, from_template, targets, readable, meter })
    }
}

/// The data of the broker called `name`.
pub(crate) fn broker<'a>(route: &'a TopicRoute, name: &str) -> Option<&'a BrokerData> {
    route.broker_datas.iter().find(|broker| broker.broker_name == name)
}

fn master<'a>(route: &'a TopicRoute, name: &str) -> Option<&'a str> {
    broker(route, name)?.master()
}

/// Cuts a template's route to what a new topic gets.
pub(crate) fn cap_template(route: &mut TopicRoute) {
    for queues in &mut route.queue_datas {
        let count = queues.read_queue_nums.min(DEFAULT_TOPIC_QUEUES);
        queues.read_queue_nums = count;
        queues.write_queue_nums = count;
    }
}

/// The queues that may be written: on brokers that have a master, sorted by broker, or in the order that the route
/// of an order topic dictates. The order is Java's, because a sharding key must lead every producer to one queue.
pub(crate) fn writable_queues(topic: &str, route: &TopicRoute) -> Vec<MessageQueue> {
    if let Some(order) = route.order_topic_conf.as_deref().filter(|order| !order.is_empty()) {
        return order
            .split(';')
            .filter_map(|entry| entry.split_once(':'))
            .filter_map(|(broker, count)| Some((broker, count.trim().parse().ok()?)))
            .flat_map(|(broker, count)| numbered(topic, broker, count))
            .collect();
    }
    let mut datas: Vec<_> = route.queue_datas.iter().filter(|data| data.perm & PERM_WRITE != 0).collect();
    datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
    datas
        .into_iter()
        .filter(|data| master(route, &data.broker_name).is_some())
        .flat_map(|data| numbered(topic, &data.broker_name, data.write_queue_nums))
        .collect()
}

/// The queues that may be read, sorted as every member of a group sorts them.
pub(crate) fn readable_queues(topic: &str, route: &TopicRoute) -> Vec<MessageQueue> {
    let mut queues: Vec<_> = route
        .queue_datas
        .iter()
        .filter(|data| data.perm & PERM_READ != 0)
        .flat_map(|data| numbered(topic, &data.broker_name, data.read_queue_nums))
        .collect();
    queues.sort();
    queues.dedup();
    queues
}

fn numbered(topic: &str, broker: &str, count: i32) -> impl Iterator<Item = MessageQueue> {
    (0..count.min(MAX_QUEUES)).map(move |id| MessageQueue::new(topic, broker, id))
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::body::QueueData;

    use super::*;

    fn broker_data(name: &str, ids: &[i64]) -> BrokerData {
        BrokerData {
            broker_name: name.to_owned(),
            broker_addrs: ids.iter().map(|id| (*id, format!("{name}-{id}:1"))).collect(),
            ..BrokerData::default()
        }
    }

    fn queue_data(broker: &str, perm: i32, read: i32, write: i32) -> QueueData {
        QueueData {
            broker_name: broker.to_owned(),
            perm,
            read_queue_nums: read,
            write_queue_nums: write,
            topic_sys_flag: 0,
        }
    }

    fn names(queues: &[MessageQueue]) -> Vec<String> {
        queues.iter().map(|queue| format!("{}{}", queue.broker_name, queue.queue_id)).collect()
    }

    #[test]
    fn sends_go_only_to_writable_queues_of_brokers_with_a_master() {
        let route = TopicRoute {
            broker_datas: vec![broker_data("b", &[0, 1]), broker_data("a", &[0]), broker_data("c", &[1])],
            queue_datas: vec![
                queue_data("b", 6, 1, 2),
                queue_data("c", 6, 4, 4),
                queue_data("a", 2, 4, 1),
                queue_data("d", 6, 1, 1),
                queue_data("a", 4, 9, 9),
            ],
            ..TopicRoute::default()
        };
        assert_eq!(names(&writable_queues("t", &route)), ["a0", "b0", "b1"]);
    }

    #[test]
    fn reads_go_to_readable_queues_even_without_a_master() {
        let route = TopicRoute {
            broker_datas: vec![broker_data("b", &[1])],
            queue_datas: vec![queue_data("b", 4, 2, 9), queue_data("a", 2, 5, 5)],
            ..TopicRoute::default()
        };
        assert_eq!(names(&readable_queues("t", &route)), ["b0", "b1"]);
    }

    #[test]
    fn an_order_topic_keeps_its_own_list() {
        let route =
            TopicRoute { order_topic_conf: Some("z:1;a:2;broken;b:x".to_owned()), ..TopicRoute::default() };
        assert_eq!(names(&writable_queues("t", &route)), ["z0", "a0", "a1"]);
    }

    #[test]
    fn a_template_gives_at_most_four_queues() {
        let mut route = TopicRoute {
            queue_datas: vec![queue_data("a", 7, 8, 8), queue_data("b", 7, 2, 8)],
            ..TopicRoute::default()
        };
        cap_template(&mut route);
        let counts: Vec<_> =
            route.queue_datas.iter().map(|data| (data.read_queue_nums, data.write_queue_nums)).collect();
        assert_eq!(counts, [(4, 4), (2, 2)]);
    }

    #[test]
    fn impossible_queue_numbers_are_bounded() {
        let route =
            TopicRoute { queue_datas: vec![queue_data("a", 6, i32::MAX, -5)], ..TopicRoute::default() };
        assert_eq!(readable_queues("t", &route).len(), 65_536);
        assert!(writable_queues("t", &route).is_empty());
    }
}
