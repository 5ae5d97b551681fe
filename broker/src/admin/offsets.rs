//! Moving groups, and their offsets as a whole: 43, 45, 222, 308 and 314.

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    body::{dialect::IdMap, offset::QueueOffsets, progress::CorrectionOffsets},
    header::progress::{CloneGroupOffset, CorrectionOffset, ResetOffset},
};
use rocketmq_boot_store::Boundary;

use super::{progress::texts, with_body};
use crate::{reject::Reject, state::State, topics::TopicQueue};

impl State {
    /// Moves a group to a time or an offset, on all queues of a topic or on one, forwards or back (222). The group's
    /// waiting and next pulls are told.
    pub(crate) fn reset_offsets(self: &Arc<Self>, request: &Command) -> Result<Command, Reject> {
        let header: ResetOffset = request.header()?;
        let (name, group) = (&header.topic, &header.group);
        let topic = self.topics.find(name).ok_or_else(|| Reject::topic_does_not_exist(name))?;
        if self.groups.find(group).is_none() {
            return Err(Reject::group_does_not_exist(group));
        }
        let queues = topic.config.read_queue_nums;
        let queues = match header.queue_id.filter(|queue_id| *queue_id >= 0) {
            Some(queue_id) if queue_id < queues => vec![queue_id],
            Some(queue_id) => return Err(Reject::queue_out_of_range(name, queue_id, queues)),
            None => (0..queues).collect(),
        };
        if queues.is_empty() {
            return Err(Reject::failed("No queues to reset."));
        }
        let wanted = header
            .queue_id
            .filter(|queue_id| *queue_id >= 0)
            .and(header.offset)
            .filter(|offset| *offset != -1);
        // All are found before the first is moved, so that a disk that fails moves none.
        let mut moves = Vec::new();
        for queue_id in queues {
            let queue = self.topics.queue(&topic, queue_id);
            let offset = self.offset_to_go(&queue, wanted, header.timestamp)?;
            moves.push((queue_id, queue, offset));
        }
        let mut moved = QueueOffsets::default();
        for (queue_id, queue, offset) in moves {
            self.offsets.reset_and_tell(group, name, queue_id, offset);
            self.wake(&queue);
            moved.offset_table.0.insert(self.queue_ref(name, queue_id), offset);
        }
        tracing::info!(group, topic = name, queues = moved.offset_table.0.len(), "offsets were reset");
        Ok(with_body(request, &moved))
    }

    fn offset_to_go(&self, queue: &TopicQueue, wanted: Option<i64>, timestamp: i64) -> Result<i64, Reject> {
        let (min, max) = (queue.stored.min_offset(), self.store.readable_end(&queue.stored));
        match wanted {
            Some(offset) if offset < min || offset > max + 1 => Err(Reject::failed(format!(
                "Target offset {offset} not in consume queue range [{min}-{max}]"
            ))),
            Some(offset) => Ok(offset),
            None if timestamp < 0 => Ok(max),
            None => Ok(self.store.offset_by_time(&queue.stored, timestamp, Boundary::Lower)?),
        }
    }

    /// Gives a group the offsets of another (314).
    pub(crate) fn clone_offsets(&self, request: &Command) -> Result<Command, Reject> {
        let header: CloneGroupOffset = request.header()?;
        if self.groups.find(&header.dest_group).is_none() {
            return Err(Reject::group_does_not_exist(&header.dest_group));
        }
        let topics = match header.topic.filter(|topic| !topic.trim().is_empty()) {
            Some(topic) => vec![topic],
            None => self.offsets.topics_of(&header.src_group),
        };
        for topic in topics.iter().filter(|topic| self.topics.find(topic).is_some()) {
            if header.offline || !self.clients.has_unsubscribed(&header.src_group, topic) {
                self.offsets.copy(&header.src_group, &header.dest_group, topic);
            }
        }
        Ok(Command::success(request))
    }

    /// The smallest offset of all groups in each queue of a topic; the largest number where the compared group is
    /// behind it (308).
    pub(crate) fn correction_offsets(&self, request: &Command) -> Result<Command, Reject> {
        let header: CorrectionOffset = request.header()?;
        let left_out = texts(header.filter_groups.as_deref(), ',');
        let mut smallest = IdMap::<i64>::default();
        for group in self.offsets.groups_of(&header.topic) {
            if left_out.contains(&group) {
                continue;
            }
            for (queue_id, offset) in self.offsets.queues_of(&group, &header.topic) {
                let id = u32::try_from(queue_id).unwrap_or(u32::MAX);
                let first = self.store.find_queue(&header.topic, id).map_or(0, |queue| queue.min_offset());
                if offset >= first {
                    smallest
                        .0
                        .entry(queue_id)
                        .and_modify(|least| *least = (*least).min(offset))
                        .or_insert(offset);
                }
            }
        }
        for (queue_id, compared) in self.offsets.queues_of(&header.compare_group, &header.topic) {
            if let Some(least) = smallest.0.get_mut(&queue_id).filter(|least| **least > compared) {
                *least = i64::MAX;
            }
        }
        Ok(with_body(request, &CorrectionOffsets { correction_offsets: smallest }))
    }

    /// All groups' offsets (43).
    pub(crate) fn all_offsets(&self, request: &Command) -> Command {
        Command::success(request).with_body(self.offsets.encode())
    }

    /// How far each delay level is delivered (45).
    pub(crate) fn all_delay_offsets(&self, request: &Command) -> Command {
        Command::success(request).with_body(self.schedule.encode())
    }
}
