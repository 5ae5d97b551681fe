//! JSON bodies in every dialect: what can be read is written so that it can be read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_protocol::body::{
    self, ConsumerOffsets, Heartbeat, KvTable, SubscriptionGroupConfig, TopicConfig, TopicList,
    TopicRoute, lenient,
};
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|bytes: &[u8]| {
    check::<Heartbeat>(bytes);
    check::<body::group::LockBatch>(bytes);
    check::<TopicConfig>(bytes);
    check::<SubscriptionGroupConfig>(bytes);
    check::<ConsumerOffsets>(bytes);
    check::<TopicList>(bytes);
    check::<KvTable>(bytes);
    let _ = lenient::read::<TopicRoute>("a route", bytes);
    let _ = lenient::read::<body::ClusterInfo>("a cluster", bytes);
});

fn check<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(read) = lenient::read::<T>("a body", bytes) {
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        lenient::read::<T>("a body", &written).expect("what was written can be read");
    }
}
