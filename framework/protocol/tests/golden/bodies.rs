//! JSON bodies against the captured ones.

use rocketmq_boot_protocol::body::{
    BrokerData, ClusterInfo, Dialect, Heartbeat, SubscriptionGroupConfig, TopicConfig, TopicRoute,
    config::RegisterBrokerBody,
    dialect,
    group::{ConsumerIds, LockBatch, LockedQueues},
    lenient,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::captured::{self, Captured};

/// Reads a body, asks that what is written again says the same in both dialects, and hands it on.
fn round_trip<T>(frame: &Captured, unread: &[&str]) -> T
where
    T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug,
{
    let read: T =
        lenient::read("body", &frame.body).unwrap_or_else(|error| panic!("{}: {error}", frame.name));
    for dialect in [Dialect::Fastjson, Dialect::Standard] {
        let written = dialect::write(&read, dialect);
        assert_eq!(lenient::read::<T>("body", &written).unwrap(), read, "{}", frame.name);
        let theirs: Value = lenient::read("body", &frame.body).unwrap();
        let ours: Value = lenient::read("body", &written).unwrap();
        covers(&theirs, &ours, unread, &frame.name);
    }
    read
}

/// Asks that `ours` has every member of `theirs` with the same value, except those that nobody reads.
fn covers(theirs: &Value, ours: &Value, unread: &[&str], at: &str) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs.iter().filter(|(key, _)| !unread.contains(&key.as_str())) {
                let found = ours.get(key).unwrap_or_else(|| panic!("{at}: {key} got lost"));
                covers(value, found, unread, &format!("{at}.{key}"));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            assert_eq!(theirs.len(), ours.len(), "{at}");
            // Sets come in any order, and Go's hashes as text.
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let sorted = |values: &[Value]| {
                let mut values = values.to_vec();
                values.sort_by_key(text);
                values
            };
            for (theirs, ours) in sorted(theirs).iter().zip(&sorted(ours)) {
                match theirs {
                    Value::String(theirs) => assert_eq!(*theirs, text(ours), "{at}"),
                    theirs => covers(theirs, ours, unread, at),
                }
            }
        }
        (theirs, ours) => assert_eq!(theirs, ours, "{at}"),
    }
}

fn whole(matching: impl Fn(&Captured) -> bool) -> Vec<Captured> {
    let frames: Vec<_> = captured::all().into_iter().filter(|frame| frame.whole && matching(frame)).collect();
    assert!(!frames.is_empty(), "no captured frame matches");
    frames
}

#[test]
fn heartbeats_of_every_client_are_read() {
    let frames = whole(|frame| frame.asks(&[34]));
    assert!(frames.len() >= 15);
    let mut consumers = 0;
    for frame in &frames {
        // This one sends an ordinal, which is written again as its name, and a member that means nothing any more.
        let unread: &[&str] = if frame.name.starts_with("crate-rocketmq-client-v4") {
            &["consumeFromWhere", "filterClassSource"]
        } else {
            &[]
        };
        let heartbeat: Heartbeat = round_trip(frame, unread);
        assert!(heartbeat.client_id.contains('@'), "{}", frame.name);
        let producers = heartbeat.producer_data_set.iter().map(|producer| &producer.group_name);
        let groups = heartbeat.consumer_data_set.iter().map(|consumer| &consumer.group_name);
        assert!(producers.chain(groups).all(|group| !group.is_empty()), "{}", frame.name);
        for subscription in heartbeat.consumer_data_set.iter().flat_map(|data| &data.subscription_data_set) {
            consumers += 1;
            assert!(!subscription.topic.is_empty(), "{}", frame.name);
            assert_eq!(subscription.code_set.len(), subscription.tags_set.len(), "{}", frame.name);
        }
    }
    assert!(consumers >= 15, "only {consumers} subscriptions were read");
}

#[test]
fn gos_hashes_of_tags_are_read_although_they_are_text() {
    let frames = whole(|frame| {
        frame.asks(&[34]) && frame.name.contains("go-client-2.1.2") && frame.name.contains("two tags")
    });
    for frame in frames {
        let heartbeat: Heartbeat = lenient::read("heartbeat", &frame.body).unwrap();
        let tagged = heartbeat
            .consumer_data_set
            .iter()
            .flat_map(|data| &data.subscription_data_set)
            .find(|subscription| subscription.tags_set.len() == 2)
            .unwrap();
        assert_eq!(tagged.code_set.len(), 2);
    }
}

fn is_served(broker: &BrokerData) -> bool {
    broker.master().is_some_and(|address| address.starts_with("127.0.0.1:"))
}

#[test]
fn routes_and_clusters_of_every_server_are_read() {
    for frame in whole(|frame| frame.grants(&[105])) {
        let route: TopicRoute = round_trip(&frame, &[]);
        assert!(!route.broker_datas.is_empty() && route.broker_datas.iter().all(is_served), "{}", frame.name);
        assert!(route.queue_datas.iter().all(|queues| queues.write_queue_nums > 0), "{}", frame.name);
    }
    for frame in whole(|frame| frame.grants(&[106])) {
        let cluster: ClusterInfo = round_trip(&frame, &[]);
        assert!(cluster.broker_addr_table.values().all(is_served), "{}", frame.name);
        assert_eq!(cluster.cluster_addr_table["DefaultCluster"], ["broker-a"], "{}", frame.name);
    }
}

/// Go cuts the addresses out of the text, so a route has to be written exactly as Apache does.
#[test]
fn routes_are_written_byte_for_byte_as_apache_writes_them() {
    let mut dialects = 0;
    for frame in whole(|frame| frame.grants(&[105, 106])) {
        let standard = frame.body.windows(4).any(|bytes| bytes == br#""0":"#);
        let dialect = if standard { Dialect::Standard } else { Dialect::Fastjson };
        dialects |= if standard { 1 } else { 2 };
        let written = if frame.grants(&[105]) {
            dialect::write(&lenient::read::<TopicRoute>("route", &frame.body).unwrap(), dialect)
        } else {
            dialect::write(&lenient::read::<ClusterInfo>("cluster", &frame.body).unwrap(), dialect)
        };
        assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&frame.body), "{}", frame.name);
    }
    assert_eq!(dialects, 3, "both dialects were captured");
}

#[test]
fn group_members_and_locks_are_read() {
    for frame in whole(|frame| frame.grants(&[38])) {
        let members: ConsumerIds = round_trip(&frame, &[]);
        assert!(members.consumer_id_list.iter().all(|id| id.contains('@')), "{}", frame.name);
    }
    for frame in whole(|frame| frame.asks(&[41])) {
        let lock: LockBatch = round_trip(&frame, &[]);
        assert!(!lock.client_id.is_empty() && !lock.consumer_group.is_empty(), "{}", frame.name);
        assert!(lock.mq_set.iter().all(|queue| !queue.topic.is_empty() && !queue.broker_name.is_empty()));
    }
    for frame in whole(|frame| frame.grants(&[41])) {
        let locked: LockedQueues = round_trip(&frame, &[]);
        assert_eq!(locked.lock_ok_mq_set.len(), 1, "{}", frame.name);
    }
}

#[test]
fn configurations_are_read() {
    for frame in whole(|frame| frame.grants(&[351])) {
        let topic: TopicConfig = round_trip(&frame, &[]);
        assert_eq!(
            (topic.perm, topic.read_queue_nums, topic.topic_filter_type.as_str()),
            (6, 6, "SINGLE_TAG")
        );
    }
    for frame in whole(|frame| frame.asks(&[200])) {
        let group: SubscriptionGroupConfig = round_trip(&frame, &[]);
        assert!(!group.group_name.is_empty() && group.consume_enable, "{}", frame.name);
    }
}

#[test]
fn registrations_of_real_brokers_are_read() {
    for frame in whole(|frame| frame.asks(&[103])) {
        let unread = ["mappingDataVersion", "topicQueueMappingDetailMap", "topicQueueMappingInfoMap"];
        let body: RegisterBrokerBody = round_trip(&frame, &unread);
        let topics = &body.topic_config_serialize_wrapper;
        assert!(topics.data_version.counter > 0 && !topics.topic_config_table.is_empty(), "{}", frame.name);
        for (name, topic) in &topics.topic_config_table {
            assert_eq!(*name, topic.topic_name, "{}", frame.name);
        }
    }
}

#[test]
fn a_body_cut_anywhere_is_an_error_and_never_a_panic() {
    for frame in whole(|frame| frame.asks(&[34]) || frame.grants(&[105, 106, 38, 41])) {
        let text = frame.body.trim_ascii_end();
        for cut in 0..text.len() {
            assert!(lenient::read::<Value>("body", &text[..cut]).is_err(), "{} cut at {cut}", frame.name);
        }
    }
}
