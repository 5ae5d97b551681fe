//! Questions about offsets: 14, 15, 29, 30, 31, 32.

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    header::offset::{
        OffsetReply, QueryConsumerOffset, QueueOffset, SearchOffset, TimestampReply, UpdateConsumerOffset,
    },
};
use rocketmq_boot_store::{Boundary, Heat, ReadLimit, ReadStatus};

use crate::{
    offsets::Commit,
    reject::Reject,
    state::State,
    topics::{Topic, TopicQueue},
};

/// What Apache's broker says of a group that never committed; clients look at the code only.
const NEVER_COMMITTED: &str = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";

impl State {
    /// How far a group is (14). A queue that is still whole counts as consumed up to 0.
    pub(crate) fn query_offset(&self, request: &Command) -> Result<Command, Reject> {
        let header: QueryConsumerOffset = request.header()?;
        if let Some(offset) = self.offsets.of(&header.consumer_group, &header.topic, header.queue_id) {
            return Ok(offset_reply(request, offset));
        }
        let zero = header.set_zero_if_not_found.unwrap_or(true);
        let whole = match self.checked_queue(&header.topic, header.queue_id) {
            Ok(queue) => queue.stored.min_offset() <= 0 && self.starts_in_memory(&queue),
            Err(_) => true,
        };
        if zero && whole { Ok(offset_reply(request, 0)) } else { Err(Reject::not_found(NEVER_COMMITTED)) }
    }

    /// A group is further (15).
    pub(crate) fn update_offset(&self, request: &Command) -> Result<Command, Reject> {
        let header: UpdateConsumerOffset = request.header()?;
        self.commit_offset(&header.consumer_group, &header.topic, header.queue_id, header.commit_offset)?;
        Ok(Command::success(request))
    }

    /// Checks and stores an offset. While nobody consumes for a group, a lower offset is somebody's decision and is
    /// taken; while somebody does, it is a late commit of a member that lost the queue, and is not.
    pub(crate) fn commit_offset(
        &self,
        group: &str,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> Result<(), Reject> {
        if self.groups.find(group).is_none() {
            return Err(Reject::group_not_exist(group));
        }
        self.checked_topic(topic, queue_id)?;
        if offset < 0 {
            return Err(Reject::invalid(format!("offset {offset} of {topic}:{queue_id} is negative")));
        }
        if self.offsets.awaits_pull(group, topic, queue_id) {
            tracing::debug!(group, topic, queue_id, offset, "left out: the offset was reset");
            return Ok(());
        }
        if let Commit::Behind { stored } = self.offsets.commit(group, topic, queue_id, offset) {
            let sent_back =
                || self.offsets.may_go_back(group, topic, queue_id, offset, self.clock.monotonic());
            if self.clients.is_online(group) && !sent_back() {
                tracing::debug!(group, topic, queue_id, offset, stored, "a late commit was left out");
            } else {
                self.offsets.reset(group, topic, queue_id, offset);
            }
        }
        Ok(())
    }

    /// One past the last message (30).
    pub(crate) fn max_offset(&self, request: &Command) -> Result<Command, Reject> {
        let queue = self.queue_of(request)?;
        Ok(offset_reply(request, self.store.readable_end(&queue.stored)))
    }

    /// The first message (31).
    pub(crate) fn min_offset(&self, request: &Command) -> Result<Command, Reject> {
        let queue = self.queue_of(request)?;
        Ok(offset_reply(request, queue.stored.min_offset()))
    }

    /// When the first message was stored (32).
    pub(crate) fn earliest_time(&self, request: &Command) -> Result<Command, Reject> {
        let queue = self.queue_of(request)?;
        let timestamp = self.store.earliest_time(&queue.stored)?.unwrap_or(-1);
        Ok(Command::success(request).with_header(&TimestampReply { timestamp }))
    }

    /// The message at a time (29).
    pub(crate) fn search_offset(&self, request: &Command) -> Result<Command, Reject> {
        let header: SearchOffset = request.header()?;
        let queue = self.checked_queue(&header.topic, header.queue_id)?;
        let upper =
            header.boundary_type.as_deref().is_some_and(|boundary| boundary.eq_ignore_ascii_case("upper"));
        let boundary = if upper { Boundary::Upper } else { Boundary::Lower };
        Ok(offset_reply(request, self.store.offset_by_time(&queue.stored, header.timestamp, boundary)?))
    }

    fn queue_of(&self, request: &Command) -> Result<Arc<TopicQueue>, Reject> {
        let header: QueueOffset = request.header()?;
        self.checked_queue(&header.topic, header.queue_id)
    }

    /// A topic that has this queue.
    fn checked_topic(&self, topic: &str, queue_id: i32) -> Result<Arc<Topic>, Reject> {
        let found = self.topics.find(topic).ok_or_else(|| Reject::topic_not_exist(topic))?;
        let queues = found.config.read_queue_nums.max(found.config.write_queue_nums);
        if !(0..queues).contains(&queue_id) {
            return Err(Reject::queue_out_of_range(topic, queue_id, queues));
        }
        Ok(found)
    }

    /// Whether a queue's first message can be read without the disk: then nothing of it has been passed over yet.
    fn starts_in_memory(&self, queue: &TopicQueue) -> bool {
        let limit = ReadLimit { max_messages: 1, max_bytes: 1, max_scan: 1 };
        let read = self.store.read(&queue.stored, 0, limit, &mut |_| true, &mut Vec::new(), Heat::HotOnly);
        read.is_ok_and(|outcome| outcome.status != ReadStatus::Cold)
    }

    fn checked_queue(&self, topic: &str, queue_id: i32) -> Result<Arc<TopicQueue>, Reject> {
        Ok(self.topics.queue(&*self.checked_topic(topic, queue_id)?, queue_id))
    }
}

fn offset_reply(request: &Command, offset: i64) -> Command {
    Command::success(request).with_header(&OffsetReply { offset })
}
