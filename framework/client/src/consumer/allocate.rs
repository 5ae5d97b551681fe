//! Which queues are mine.
//!
//! Every member of a group computes this for itself from the same two sorted lists, so a change of one comma here
//! would have two members, Java's among them, consume the same queue.

mod hash;
mod room;

use std::fmt;

use rocketmq_boot_protocol::message::MessageQueue;

pub use self::{
    hash::ConsistentHash,
    room::{MachineRoom, MachineRoomNearby, Rooms},
};

/// What there is to divide.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Division<'a> {
    /// The group.
    pub group: &'a str,
    /// The member that asks; one of `members`.
    pub me: &'a str,
    /// The ids of all members, sorted.
    pub members: &'a [String],
    /// The queues of one topic, sorted by broker and number.
    pub queues: &'a [MessageQueue],
}

impl<'a> Division<'a> {
    /// A division of `queues` among `members`; both have to be sorted.
    pub fn new(group: &'a str, me: &'a str, members: &'a [String], queues: &'a [MessageQueue]) -> Self {
        Self { group, me, members, queues }
    }

    /// The place of the asking member among all.
    pub fn index(&self) -> Option<usize> {
        self.members.iter().position(|member| member == self.me)
    }
}

/// Says which queues a member of a group consumes.
///
/// All members must divide alike: their shares may not overlap, and together they should be everything. Nothing else
/// keeps two members from consuming the same queue.
///
/// # Examples
///
/// ```
/// use rocketmq_boot_client::{Allocate, Averagely, Division, MessageQueue};
///
/// /// The first member consumes everything, the others stand by.
/// #[derive(Debug)]
/// struct StandBy;
///
/// impl Allocate for StandBy {
///     fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue> {
///         if division.index() == Some(0) { division.queues.to_vec() } else { Vec::new() }
///     }
/// }
///
/// let (members, queues) = (["a".to_owned(), "b".to_owned()], [MessageQueue::new("t", "broker", 0)]);
/// assert_eq!(StandBy.allocate(&Division::new("g", "b", &members, &queues)), []);
/// assert_eq!(Averagely.allocate(&Division::new("g", "a", &members, &queues)), queues);
/// ```
#[doc(alias = "AllocateMessageQueueStrategy")]
pub trait Allocate: fmt::Debug + Send + Sync + 'static {
    /// The queues of the member that asks. What is not among the queues of the division is left out.
    fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue>;
}

/// A contiguous run of queues for each member: sizes differ by at most one, earlier members get the larger ones.
#[derive(Debug, Clone, Copy, Default)]
#[doc(alias = "AllocateMessageQueueAveragely")]
pub struct Averagely;

impl Allocate for Averagely {
    fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue> {
        let Some(index) = division.index() else { return Vec::new() };
        let (queues, members) = (division.queues, division.members.len());
        let (whole, rest) = (queues.len() / members, queues.len() % members);
        let start = index * whole + index.min(rest);
        let length = whole + usize::from(index < rest);
        queues.get(start..start + length).unwrap_or_default().to_vec()
    }
}

/// Queues dealt to the members in turn.
#[derive(Debug, Clone, Copy, Default)]
#[doc(alias = "AllocateMessageQueueAveragelyByCircle")]
pub struct AveragelyByCircle;

impl Allocate for AveragelyByCircle {
    fn allocate(&self, division: &Division<'_>) -> Vec<MessageQueue> {
        let Some(index) = division.index() else { return Vec::new() };
        division.queues.iter().skip(index).step_by(division.members.len()).cloned().collect()
    }
}

/// Always these queues, whoever else is in the group.
#[derive(Debug, Clone, Default)]
#[doc(alias = "AllocateMessageQueueByConfig")]
pub struct ByConfig(pub Vec<MessageQueue>);

impl Allocate for ByConfig {
    fn allocate(&self, _: &Division<'_>) -> Vec<MessageQueue> {
        self.0.clone()
    }
}

/// What a strategy gives to a member: nothing to one that is not in the group yet, and nothing twice.
pub(super) fn share(strategy: &dyn Allocate, division: &Division<'_>) -> Vec<MessageQueue> {
    if division.index().is_none() {
        return Vec::new();
    }
    let mut mine = strategy.allocate(division);
    mine.retain(|queue| division.queues.contains(queue));
    mine.sort();
    mine.dedup();
    mine
}

#[cfg(test)]
mod tests;
