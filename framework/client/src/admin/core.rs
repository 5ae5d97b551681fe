//! Questions that consumers ask too.

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{group::ConsumerIds, lenient},
    header::{
        group::ConsumerGroup,
        offset::{OffsetReply, QueryConsumerOffset, QueueOffset, SearchOffset},
    },
    message::MessageQueue,
};
use rocketmq_boot_remoting::Peer;

use super::unreadable;
use crate::{Error, brokers::MASTER, core::Core, routes::Missing};

/// What a broker is to say of a group that consumed nothing of a queue which still has its first message in memory.
///
/// Brokers before 5.0 always say [`Young::IsZero`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Young {
    /// That it is to start at 0: nothing sent to a new topic is missed.
    IsZero,
    /// That it has consumed nothing.
    IsUnknown,
}

impl Core {
    /// Learns the broker of a queue when no route has named it yet.
    pub(crate) async fn broker_of(&self, queue: &MessageQueue) -> Result<Peer, Error> {
        if self.brokers.master(&queue.broker_name).is_none() {
            self.route(&queue.topic, Missing::Refuse).await?;
        }
        self.master(&queue.broker_name)
    }

    async fn offset(
        &self,
        queue: &MessageQueue,
        action: &'static str,
        request: Command,
    ) -> Result<i64, Error> {
        let peer = self.broker_of(queue).await?;
        let answer = self.ask(&peer, action, request).await?;
        Ok(answer.header::<OffsetReply>().map_err(|error| unreadable(&peer, error))?.offset)
    }

    pub(crate) async fn min_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        let header = QueueOffset { topic: queue.topic.clone(), queue_id: queue.queue_id };
        let request = Command::request(RequestCode::GET_MIN_OFFSET, &header);
        self.offset(queue, "tell a queue's first offset", request).await
    }

    pub(crate) async fn max_offset(&self, queue: &MessageQueue) -> Result<i64, Error> {
        let header = QueueOffset { topic: queue.topic.clone(), queue_id: queue.queue_id };
        let request = Command::request(RequestCode::GET_MAX_OFFSET, &header);
        self.offset(queue, "tell a queue's last offset", request).await
    }

    pub(crate) async fn search_offset(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64, Error> {
        let header = SearchOffset {
            topic: queue.topic.clone(),
            queue_id: queue.queue_id,
            timestamp,
            boundary_type: None,
        };
        let request = Command::request(RequestCode::SEARCH_OFFSET_BY_TIMESTAMP, &header);
        self.offset(queue, "find an offset by time", request).await
    }

    pub(crate) async fn committed_offset(
        &self,
        group: &str,
        queue: &MessageQueue,
        young: Young,
    ) -> Result<Option<i64>, Error> {
        let header = QueryConsumerOffset {
            consumer_group: group.to_owned(),
            topic: queue.topic.clone(),
            queue_id: queue.queue_id,
            set_zero_if_not_found: Some(young == Young::IsZero),
        };
        let request = Command::request(RequestCode::QUERY_CONSUMER_OFFSET, &header);
        match self.offset(queue, "tell a committed offset", request).await {
            Ok(offset) => Ok(Some(offset)),
            Err(Error::Refused { code: ResponseCode::QUERY_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the topic's brokers one after the other until one knows.
    pub(crate) async fn consumer_ids(&self, group: &str, topic: &str) -> Result<Vec<String>, Error> {
        let route = self.route(topic, Missing::Refuse).await?;
        let header = ConsumerGroup { consumer_group: group.to_owned() };
        let mut failure = Error::NoRoute { topic: topic.to_owned() };
        for broker in &route.data.broker_datas {
            let Some((peer, _)) = self.brokers.member(&broker.broker_name, MASTER) else {
                continue;
            };
            let request = Command::request(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &header);
            match self.ask(&peer, "tell a group's members", request).await {
                Ok(answer) => {
                    let ids: ConsumerIds = lenient::read("group members", &answer.body)
                        .map_err(|error| unreadable(&peer, error))?;
                    return Ok(ids.consumer_id_list);
                }
                // What brokers say of a group that has no members.
                Err(Error::Refused { code: ResponseCode::SYSTEM_ERROR, .. }) => return Ok(Vec::new()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}
