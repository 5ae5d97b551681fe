//! Questions about the cluster, and the one change that applications make to it: a topic.

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{ClusterInfo, TopicRoute, group::ConsumerIds, lenient},
    header::{
        group::ConsumerGroup,
        offset::{OffsetReply, QueryConsumerOffset, QueueOffset, SearchOffset},
        topic::CreateTopic,
    },
    message::MessageQueue,
    topic::{AUTO_CREATE_TOPIC, PERM_READ, PERM_WRITE, validate_group, validate_topic},
};
use rocketmq_boot_remoting::Peer;

use crate::{
    Client, Error,
    core::{Core, accept},
    routes::Missing,
};

/// Asks name servers and brokers; made by [`Client::admin`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: rocketmq_boot_client::Client) -> Result<(), rocketmq_boot_client::Error> {
/// let admin = client.admin();
/// admin.create_topic("orders", 8).await?;
/// for queue in admin.message_queues("orders").await? {
///     println!("{queue}: {}..{}", admin.min_offset(&queue).await?, admin.max_offset(&queue).await?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "DefaultMQAdminExt")]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn core(&self) -> &Core {
        &self.client.core
    }

    /// Creates a topic with this many queues on every master, or changes it to have as many.
    ///
    /// The brokers tell their name servers at once, but not before they answer: a route may take a moment.
    ///
    /// # Errors
    /// The name is not allowed, there is no broker, or one of them refused.
    pub async fn create_topic(&self, topic: &str, queues: u16) -> Result<(), Error> {
        validate_topic(topic)?;
        let header = CreateTopic {
            topic: topic.to_owned(),
            default_topic: Some(AUTO_CREATE_TOPIC.to_owned()),
            read_queue_nums: i32::from(queues),
            write_queue_nums: i32::from(queues),
            perm: PERM_READ | PERM_WRITE,
            topic_filter_type: Some("SINGLE_TAG".to_owned()),
            topic_sys_flag: Some(0),
            ..CreateTopic::default()
        };
        let request = Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header);
        let cluster = self.cluster().await?;
        let masters: Vec<&str> =
            cluster.broker_addr_table.values().filter_map(|broker| broker.master()).collect();
        if masters.is_empty() {
            return Err(Error::NoRoute { topic: topic.to_owned() });
        }
        for address in masters {
            let peer = self.core().brokers.peer(address);
            self.core().ask(&peer, "create a topic", request.clone()).await?;
        }
        Ok(())
    }

    /// All brokers that the name servers know.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn cluster(&self) -> Result<ClusterInfo, Error> {
        let request = Command::bare(RequestCode::GET_BROKER_CLUSTER_INFO);
        let limit = self.core().options.request_timeout;
        let (answer, server) = self.core().name_servers.call(&request, limit).await?;
        let answer = accept(&server, "tell its brokers", answer)?;
        lenient::read("cluster", &answer.body).map_err(|error| unreadable(&server, error))
    }

    /// A topic's route, asked for now.
    ///
    /// # Errors
    /// No name server answers, or none knows the topic.
    pub async fn route(&self, topic: &str) -> Result<TopicRoute, Error> {
        let route = self.core().refresh_route(topic).await?;
        Ok(route.ok_or_else(|| Error::NoRoute { topic: topic.to_owned() })?.data.clone())
    }

    /// The queues that a topic's messages can be read from.
    ///
    /// # Errors
    /// As [`Admin::route`].
    #[doc(alias = "fetchSubscribeMessageQueues")]
    pub async fn message_queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        let route = self.core().refresh_route(topic).await?;
        Ok(route.ok_or_else(|| Error::NoRoute { topic: topic.to_owned() })?.readable.clone())
    }

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

    /// How far a group has consumed a queue; `None` when it has consumed nothing of it. Brokers before 5.0 say 0
    /// instead while they have the queue's first message in memory.
    ///
    /// # Errors
    /// As [`Admin::min_offset`].
    pub async fn committed_offset(&self, group: &str, queue: &MessageQueue) -> Result<Option<i64>, Error> {
        validate_group(group)?;
        self.core().committed_offset(group, queue, Young::IsUnknown).await
    }

    /// The ids of a group's consumers, as the brokers of `topic` know them. Empty when there are none.
    ///
    /// # Errors
    /// There is no route to the topic, or no broker answered.
    #[doc(alias = "findConsumerIdList")]
    pub async fn consumer_ids(&self, group: &str, topic: &str) -> Result<Vec<String>, Error> {
        validate_group(group)?;
        self.core().consumer_ids(group, topic).await
    }
}

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
            let Some((peer, _)) = self.brokers.member(&broker.broker_name, crate::brokers::MASTER) else {
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

fn unreadable(peer: &Peer, source: rocketmq_boot_protocol::DecodeError) -> Error {
    Error::Answer { address: peer.address().to_owned(), source }
}
