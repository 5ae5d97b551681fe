//! Sending: codes 10, 310, 320, 324, 325 and the way back, 36.

use crate::fields::headers;

headers! {
    /// A send with long field names: 10 and 324.
    #[doc(alias = "SendMessageRequestHeader")]
    SendMessage {
        /// The producer's group.
        producer_group: String = "producerGroup",
        /// Where the message goes.
        topic: String = "topic",
        /// The template for a topic that does not exist yet.
        default_topic: String = "defaultTopic",
        /// Queues that the producer would like such a topic to have.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        /// The queue, or a negative number to let the broker choose.
        queue_id: i32 = "queueId",
        /// Bits of [`sys_flag`](crate::message::sys_flag): compression, transaction, addresses.
        sys_flag: i32 = "sysFlag",
        /// When the producer made the message, in ms since 1970.
        born_timestamp: i64 = "bornTimestamp",
        /// The application's own flag.
        flag: i32 = "flag",
        /// Properties in their [stored form](crate::message::property).
        properties: Option<String> = "properties",
        /// Deliveries that have failed already.
        reconsume_times: i32 = "reconsumeTimes",
        /// Whether the producer belongs to a unit.
        unit_mode: bool = "unitMode",
        /// Whether the body is a batch.
        batch: bool = "batch",
        /// The group's limit of deliveries, for sends to a retry topic.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
    }

    /// The same with short names: 310, 320 and 325.
    #[doc(alias = "SendMessageRequestHeaderV2")]
    SendMessageShort {
        /// [`SendMessage::producer_group`].
        producer_group: String = "a",
        /// [`SendMessage::topic`].
        topic: String = "b",
        /// [`SendMessage::default_topic`].
        default_topic: String = "c",
        /// [`SendMessage::default_topic_queue_nums`].
        default_topic_queue_nums: i32 = "d",
        /// [`SendMessage::queue_id`].
        queue_id: i32 = "e",
        /// [`SendMessage::sys_flag`].
        sys_flag: i32 = "f",
        /// [`SendMessage::born_timestamp`].
        born_timestamp: i64 = "g",
        /// [`SendMessage::flag`].
        flag: i32 = "h",
        /// [`SendMessage::properties`].
        properties: Option<String> = "i",
        /// [`SendMessage::reconsume_times`].
        reconsume_times: i32 = "j",
        /// [`SendMessage::unit_mode`].
        unit_mode: bool = "k",
        /// [`SendMessage::max_reconsume_times`].
        max_reconsume_times: Option<i32> = "l",
        /// [`SendMessage::batch`].
        batch: bool = "m",
        /// The broker that the client means; 5.x only.
        broker_name: Option<String> = "n",
    }

    /// What a stored message's sender learns.
    #[doc(alias = "SendMessageResponseHeader")]
    SendMessageReply {
        /// The offset message id; comma-joined ids for a batch.
        message_id: String = "msgId",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Its offset in the queue; of the first message for a batch.
        queue_offset: i64 = "queueOffset",
        /// The message's unique key.
        transaction_id: Option<String> = "transactionId",
        /// What takes the message back while it waits for its instant; 5.2 and newer.
        recall_handle: Option<String> = "recallHandle",
    }

    /// A failed message on its way back: 36.
    #[doc(alias = "ConsumerSendMsgBackRequestHeader")]
    SendBack {
        /// The message's place in the commit log.
        offset: i64 = "offset",
        /// The consumer group.
        group: String = "group",
        /// 0 = by attempts, above 0 = that level, below 0 = dead letters at once.
        delay_level: i32 = "delayLevel",
        /// The id of its first delivery.
        origin_message_id: Option<String> = "originMsgId",
        /// The topic that it was sent to.
        origin_topic: Option<String> = "originTopic",
        /// [`SendMessage::unit_mode`].
        unit_mode: bool = "unitMode",
        /// The consumer's own limit.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
    }
}

impl From<SendMessageShort> for SendMessage {
    fn from(short: SendMessageShort) -> Self {
        Self {
            producer_group: short.producer_group,
            topic: short.topic,
            default_topic: short.default_topic,
            default_topic_queue_nums: short.default_topic_queue_nums,
            queue_id: short.queue_id,
            sys_flag: short.sys_flag,
            born_timestamp: short.born_timestamp,
            flag: short.flag,
            properties: short.properties,
            reconsume_times: short.reconsume_times,
            unit_mode: short.unit_mode,
            batch: short.batch,
            max_reconsume_times: short.max_reconsume_times,
        }
    }
}

impl From<SendMessage> for SendMessageShort {
    fn from(long: SendMessage) -> Self {
        Self {
            producer_group: long.producer_group,
            topic: long.topic,
            default_topic: long.default_topic,
            default_topic_queue_nums: long.default_topic_queue_nums,
            queue_id: long.queue_id,
            sys_flag: long.sys_flag,
            born_timestamp: long.born_timestamp,
            flag: long.flag,
            properties: long.properties,
            reconsume_times: long.reconsume_times,
            unit_mode: long.unit_mode,
            max_reconsume_times: long.max_reconsume_times,
            batch: long.batch,
            broker_name: None,
        }
    }
}
