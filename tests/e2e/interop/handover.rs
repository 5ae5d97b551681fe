//! A store that goes from Apache's broker to ours and back, while messages keep coming.

use rocketmq_boot_tests::{
    cluster::{Cluster, Servers},
    record::records,
    wire::{self, Request, Wire, code},
};

use crate::servers::ours;

const TOPIC: &str = "handed";
const GROUP: &str = "readers";
const QUEUES: u32 = 2;
/// Messages that each owner adds to each queue.
const EACH: i64 = 40;
/// The file size of Apache's test profile.
const CONF: &str = "mappedFileSizeCommitLog = 67108864";

/// How an owner leaves the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Stopped,
    Killed,
}

fn body(queue: u32, number: i64) -> Vec<u8> {
    format!("{queue}/{number}").into_bytes()
}

/// Checks everything that the owners before have left, and adds its own.
fn own(cluster: &Cluster, owner: i64, left: Leave) {
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    for queue in 0..QUEUES {
        let end = owner * EACH;
        let mut next = 0;
        // The first pull makes the group, which must be there for a commit.
        wire.call(&wire::pull(GROUP, TOPIC, queue, 0)).expect("the broker answers");
        while next < end {
            let pulled =
                wire.call(&wire::pull(GROUP, TOPIC, queue, next)).expect("the broker answers").success();
            for record in records(&pulled.body) {
                assert_eq!((record.queue_offset, record.body), (next, body(queue, next)), "owner {owner}");
                next += 1;
            }
        }
        for number in end..end + EACH {
            let sent =
                wire.call(&wire::send(TOPIC, queue, &body(queue, number))).expect("the broker answers");
            assert_eq!(sent.success().number("queueOffset"), number, "owner {owner}, queue {queue}");
        }
        let offset = |code| {
            Request::new(code).field("consumerGroup", GROUP).field("topic", TOPIC).field("queueId", queue)
        };
        if owner > 0 && left == Leave::Stopped {
            let found = wire.call(&offset(code::QUERY_OFFSET)).expect("the broker answers").success();
            assert_eq!(found.number("offset"), end, "what the group has consumed before owner {owner}");
        }
        let commit = offset(code::UPDATE_OFFSET).field("commitOffset", end + EACH);
        wire.call(&commit).expect("the broker answers").success();
    }
}

fn leave(cluster: &mut Cluster, how: Leave) {
    match how {
        Leave::Stopped => cluster.stop_broker(),
        Leave::Killed => cluster.kill_broker(),
    }
}

fn goes_to_and_fro(version: &'static str, how: Leave) {
    let mut cluster = Cluster::start(Servers::Apache(version), "");
    cluster.create_topic(TOPIC, QUEUES);
    own(&cluster, 0, how);
    for owner in 1..=4 {
        leave(&mut cluster, how);
        if owner % 2 == 1 {
            cluster.hand_over(ours(), CONF);
        } else {
            cluster.hand_over(Servers::Apache(version), "");
        }
        own(&cluster, owner, how);
    }
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn a_store_of_5_5_0_goes_to_ours_and_back() {
    goes_to_and_fro("5.5.0", Leave::Stopped);
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn a_store_of_4_9_7_goes_to_ours_and_back() {
    goes_to_and_fro("4.9.7", Leave::Stopped);
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn a_store_of_5_5_0_whose_owners_are_killed_goes_to_ours_and_back() {
    goes_to_and_fro("5.5.0", Leave::Killed);
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn a_store_of_4_9_7_whose_owners_are_killed_goes_to_ours_and_back() {
    goes_to_and_fro("4.9.7", Leave::Killed);
}
