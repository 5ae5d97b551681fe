//! Members on a ring of hashes: one that comes or goes moves few queues.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use rocketmq_boot_protocol::message::MessageQueue;

use super::{Allocate, Division};

/// Each queue goes to the member that follows it on a ring of hashes, on which every member stands several times.
///
/// When a member joins or leaves only its own queues move. Shares are less even than with
/// [`Averagely`](super::Averagely).
#[derive(Debug, Clone, Copy)]
#[doc(alias = "AllocateMessageQueueConsistentHash")]
pub struct ConsistentHash {
    places: usize,
}

impl ConsistentHash {
    /// Every member stands on the ring this often; 0 is 1.
    pub fn with_places(places: usize) -> Self {
        Self { places: places.max(1) }
    }
}

/// Ten places, as in Java.
impl Default for ConsistentHash {
    fn default() -> Self {
        Self::with_places(10)
    }
}

impl Allocate for ConsistentHash {
    fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue> {
        let mut ring = BTreeMap::new();
        for member in division.members {
            for place in 0..self.places {
                ring.insert(hash(&format!("{member}-{place}")), member.as_str());
            }
        }
        let owner = |queue: &MessageQueue| {
            let at = hash(&queue.to_string());
            let mut behind = ring.range(at..).chain(&ring);
            behind.next().map(|(_, member)| *member)
        };
        division.queues.iter().filter(|queue| owner(queue) == Some(division.me)).cloned().collect()
    }
}

/// The first four bytes of the MD5 sum.
fn hash(text: &str) -> u32 {
    let sum = Md5::digest(text.as_bytes());
    u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]])
}
