//! What a broker does before it ends, told by SIGTERM.

use rocketmq_boot_tests::{
    cluster::Cluster,
    record::records,
    route,
    wire::{self, Request, Wire, code},
};

use crate::servers::ours;

#[test]
fn a_broker_that_is_told_to_stop_says_goodbye_and_keeps_everything() {
    let mut cluster = Cluster::start(ours(), "flushIntervalCommitLog = 3600000");
    cluster.create_topic("last", 1);
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    for number in 0..50 {
        wire.call(&wire::send("last", 0, format!("{number}").as_bytes()))
            .expect("the broker answers")
            .success();
    }
    // The first pull makes the group.
    wire.call(&wire::pull("g", "last", 0, 0)).expect("the broker answers").success();
    let commit = Request::new(code::UPDATE_OFFSET).field("consumerGroup", "g").field("topic", "last");
    let commit = commit.field("queueId", 0).field("commitOffset", 7);
    wire.call(&commit).expect("the broker answers").success();
    // A pull that waits gets its answer before the connection ends.
    let held = wire::pull("g", "last", 0, 50).field("sysFlag", 6).field("suspendTimeoutMillis", 60_000);
    let mut waiting = Wire::connect(cluster.broker()).expect("the broker listens");
    waiting.send(&held).expect("the broker listens");
    // Answered on the same connection, behind it: the pull was taken.
    let probe = Request::new(code::MAX_OFFSET).field("topic", "last").field("queueId", 0);
    waiting.call(&probe).expect("the broker answers").success();

    let status = cluster.broker_process().terminate();
    assert!(status.success(), "it ended with {status}");
    assert_eq!(waiting.receive().expect("an answer to the pull that waited").code, 19);
    waiting.closed().expect("the connection ends");
    route::wait_gone(cluster.name_server(), "last");
    assert!(!cluster.store().join("abort").exists(), "the store is marked as left in disorder");

    cluster.stop_broker();
    cluster.start_broker();
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    let pulled = wire.call(&wire::pull("g", "last", 0, 40)).expect("the broker answers").success();
    assert_eq!(records(&pulled.body).len(), 10);
    let query = Request::new(code::QUERY_OFFSET).field("consumerGroup", "g").field("topic", "last");
    let found = wire.call(&query.field("queueId", 0)).expect("the broker answers").success();
    assert_eq!(found.number("offset"), 7);
}
