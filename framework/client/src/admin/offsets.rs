//! Offsets: where queues begin and end, how far groups are, and moving them.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        offset::QueueOffsets,
        progress::{ConsumeStats, QueueTimeSpan, TimeSpans},
    },
    header::{
        offset::{QueueOffset, TimestampReply, UpdateConsumerOffset},
        progress::{CloneGroupOffset, ConsumeStatsOf, ResetOffset, TopicOfGroup},
    },
    message::MessageQueue,
    topic::{retry_topic, validate_group},
};

use super::{Admin, core::Young, read, unreadable};
use crate::Error;

impl Admin {
    /// The offset of a queue's oldest message.
    ///
    /// # Errors
    /// The broker is not known, or did not answer.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        self.core().min_offset(queue).await
    }

    /// The offset that a queue's next message will have.
    ///
    /// # Errors
    /// As [`Admin::min_offset`].
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        self.core().max_offset(queue).await
    }

    /// The offset of the first message stored at or after a time, in ms since 1970.
    ///
    /// # Errors
    /// As [`Admin::min_offset`].
    pub async fn search_offset(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64, Error> {
        self.core().search_offset(queue, timestamp).await
    }

    /// When a queue's oldest message was stored, in ms since 1970; `None` for an empty queue.
    ///
    /// # Errors
    /// As [`Admin::min_offset`].
    #[doc(alias = "earliestMsgStoreTime")]
    pub async fn earliest_time(&self, queue: &MessageQueue) -> Result<Option<i64>, Error> {
        let header = QueueOffset { topic: queue.topic.clone(), queue_id: queue.queue_id };
        let request = Command::request(RequestCode::GET_EARLIEST_MSG_STORETIME, &header);
        let peer = self.core().broker_of(queue).await?;
        let answer = self.core().ask(&peer, "tell a queue's first time", request).await?;
        let reply = answer.header::<TimestampReply>().map_err(|error| unreadable(&peer, error))?;
        Ok(Some(reply.timestamp).filter(|timestamp| *timestamp >= 0))
    }

    /// How far a group has consumed a queue; `None` when it has consumed nothing of it. Brokers before 5.0 say 0
    /// instead while they have the queue's first message in memory.
    ///
    /// # Errors
    /// As [`Admin::min_offset`].
    pub async fn committed_offset(&self, group: &str, queue: &MessageQueue) -> Result<Option<i64>, Error> {
        validate_group(group)?;
        self.core().committed_offset(group, queue, Young::IsUnknown).await
    }

    /// Sets how far a group has consumed a queue. Members that consume it go on where they are, and say so again:
    /// see [`Admin::reset_offsets`].
    ///
    /// # Errors
    /// As [`Admin::min_offset`].
    #[doc(alias = "updateConsumeOffset")]
    pub async fn commit_offset(&self, group: &str, queue: &MessageQueue, offset: i64) -> Result<(), Error> {
        validate_group(group)?;
        let header = UpdateConsumerOffset {
            consumer_group: group.to_owned(),
            topic: queue.topic.clone(),
            queue_id: queue.queue_id,
            commit_offset: offset,
        };
        let request = Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header);
        let peer = self.core().broker_of(queue).await?;
        self.core().ask(&peer, "commit an offset", request).await.map(drop)
    }

    /// How far a group is in one topic, or in all that it consumes.
    ///
    /// # Errors
    /// No broker knows the group, or one of them does not answer.
    #[doc(alias = "examineConsumeStats")]
    pub async fn consume_stats(&self, group: &str, topic: Option<&str>) -> Result<ConsumeStats, Error> {
        let header = ConsumeStatsOf {
            consumer_group: group.to_owned(),
            topic: topic.map(ToOwned::to_owned),
            topic_list: None,
        };
        let request = Command::request(RequestCode::GET_CONSUME_STATS, &header);
        let retries = retry_topic(group);
        let mut all = ConsumeStats::default();
        for peer in self.carriers(topic.unwrap_or(&retries)).await? {
            let answer = self.core().ask(&peer, "tell how far a group is", request.clone()).await?;
            let stats: ConsumeStats = read(&peer, &answer)?;
            all.offset_table.0.extend(stats.offset_table.0);
            all.consume_tps += stats.consume_tps;
        }
        Ok(all)
    }

    /// What times the queues of a topic span, and where a group is in them.
    ///
    /// # Errors
    /// There is no route to the topic, or one of its brokers does not answer.
    #[doc(alias = "queryConsumeTimeSpan")]
    pub async fn time_spans(&self, topic: &str, group: &str) -> Result<Vec<QueueTimeSpan>, Error> {
        let header = TopicOfGroup { topic: topic.to_owned(), group: group.to_owned() };
        let request = Command::request(RequestCode::QUERY_CONSUME_TIME_SPAN, &header);
        let mut all = Vec::new();
        for peer in self.carriers(topic).await? {
            let answer = self.core().ask(&peer, "tell times", request.clone()).await?;
            all.extend(read::<TimeSpans>(&peer, &answer)?.consume_time_span_set);
        }
        Ok(all)
    }

    /// Has a group go on at the first messages stored at or after a time, in ms since 1970, or at the ends of its
    /// queues with `None`; gives its offsets from then on. Members that run are told.
    ///
    /// # Errors
    /// There is no route to the topic, or one of its brokers refused, for one because no member of the group is online
    /// and the broker is older than 5.2.
    #[doc(alias = "resetOffsetByTimestamp")]
    pub async fn reset_offsets(
        &self,
        group: &str,
        topic: &str,
        timestamp: Option<i64>,
    ) -> Result<BTreeMap<MessageQueue, i64>, Error> {
        let header = ResetOffset {
            topic: topic.to_owned(),
            group: group.to_owned(),
            timestamp: timestamp.unwrap_or(-1),
            is_force: true,
            ..ResetOffset::default()
        };
        self.reset(topic, &header).await
    }

    /// Has a group go on at this offset of a queue. Brokers since 5.2.
    ///
    /// # Errors
    /// As [`Admin::reset_offsets`].
    pub async fn reset_offset(&self, group: &str, queue: &MessageQueue, offset: i64) -> Result<(), Error> {
        let header = ResetOffset {
            topic: queue.topic.clone(),
            group: group.to_owned(),
            timestamp: -1,
            is_force: true,
            queue_id: Some(queue.queue_id),
            offset: Some(offset),
        };
        let request = Command::request(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, &header);
        let peer = self.core().broker_of(queue).await?;
        self.core().ask(&peer, "reset an offset", request).await.map(drop)
    }

    async fn reset(&self, topic: &str, header: &ResetOffset) -> Result<BTreeMap<MessageQueue, i64>, Error> {
        let request = Command::request(RequestCode::INVOKE_BROKER_TO_RESET_OFFSET, header);
        let mut all = BTreeMap::new();
        for peer in self.carriers(topic).await? {
            let answer = self.core().ask(&peer, "reset offsets", request.clone()).await?;
            let offsets: QueueOffsets = read(&peer, &answer)?;
            all.extend(offsets.offset_table.0.into_iter().map(|(queue, offset)| (queue.into(), offset)));
        }
        Ok(all)
    }

    /// Gives a group the offsets that another one has of a topic.
    ///
    /// # Errors
    /// There is no route to the topic, or one of its brokers refused.
    pub async fn clone_offsets(&self, from: &str, to: &str, topic: &str) -> Result<(), Error> {
        let header = CloneGroupOffset {
            src_group: from.to_owned(),
            dest_group: to.to_owned(),
            topic: Some(topic.to_owned()),
            offline: true,
        };
        let request = Command::request(RequestCode::CLONE_GROUP_OFFSET, &header);
        for peer in self.carriers(topic).await? {
            self.core().ask(&peer, "clone offsets", request.clone()).await?;
        }
        Ok(())
    }
}
