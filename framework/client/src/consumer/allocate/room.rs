//! Machine rooms: consume what is near.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use rocketmq_boot_protocol::message::MessageQueue;

use super::{Allocate, Division};

/// Only the queues of brokers in certain rooms, in runs of equal length; what is left over is dealt to the first
/// members. A broker's room stands in front of its name: `room1@broker-a`.
///
/// Queues of other rooms are nobody's: their consumers are in another group.
#[derive(Debug, Clone, Default)]
#[doc(alias = "AllocateMessageQueueByMachineRoom")]
pub struct MachineRoom {
    rooms: BTreeSet<String>,
}

impl MachineRoom {
    /// Queues of these rooms.
    pub fn new(rooms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rooms: rooms.into_iter().map(Into::into).collect() }
    }

    fn is_near(&self, queue: &MessageQueue) -> bool {
        let mut parts = queue.broker_name.split('@');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(room), Some(name), None) => !name.is_empty() && self.rooms.contains(room),
            _ => false,
        }
    }
}

impl Allocate for MachineRoom {
    fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue> {
        let Some(index) = division.index() else { return Vec::new() };
        let near: Vec<_> = division.queues.iter().filter(|queue| self.is_near(queue)).cloned().collect();
        let members = division.members.len();
        let (each, rest) = (near.len() / members, near.len() % members);
        let mut mine = near[each * index..each * (index + 1)].to_vec();
        if index < rest {
            mine.push(near[each * members + index].clone());
        }
        mine
    }
}

/// Says which room a broker or a member is in.
#[doc(alias = "MachineRoomResolver")]
pub trait Rooms: fmt::Debug + Send + Sync + 'static {
    /// The room of the broker that has a queue.
    fn of_queue(&self, queue: &MessageQueue) -> String;
    /// The room of a member, by its client id.
    fn of_member(&self, client_id: &str) -> String;
}

/// The queues of a room are divided among the members in that room, by another strategy; those of a room that has no
/// member are divided among all.
#[derive(Debug, Clone)]
#[doc(alias = "AllocateMachineRoomNearby")]
pub struct MachineRoomNearby {
    inner: Arc<dyn Allocate>,
    rooms: Arc<dyn Rooms>,
}

impl MachineRoomNearby {
    /// Divides by `inner` within each room.
    pub fn new(inner: impl Allocate, rooms: impl Rooms) -> Self {
        Self { inner: Arc::new(inner), rooms: Arc::new(rooms) }
    }
}

impl Allocate for MachineRoomNearby {
    fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue> {
        let mut queues: BTreeMap<String, Vec<MessageQueue>> = BTreeMap::new();
        for queue in division.queues {
            queues.entry(self.rooms.of_queue(queue)).or_default().push(queue.clone());
        }
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for member in division.members {
            members.entry(self.rooms.of_member(member)).or_default().push(member.clone());
        }
        let here = self.rooms.of_member(division.me);
        let mut mine = Vec::new();
        if let (Some(queues), Some(members)) = (queues.remove(&here), members.get(&here)) {
            mine.extend(self.inner.allocate(&Division { members, queues: &queues, ..*division }));
        }
        for queues in queues.iter().filter(|(room, _)| !members.contains_key(*room)).map(|(_, queues)| queues)
        {
            mine.extend(self.inner.allocate(&Division { queues, ..*division }));
        }
        mine
    }
}
