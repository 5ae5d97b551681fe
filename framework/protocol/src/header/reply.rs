//! A reply on its way from the broker to the client that asked: 326.

use crate::fields::headers;

headers! {
    /// The reply; its body is the command's.
    #[doc(alias = "ReplyMessageRequestHeader")]
    PushReply {
        /// The replier's group.
        producer_group: String = "producerGroup",
        /// The topic that the reply was sent to.
        topic: String = "topic",
        /// The replier's template topic.
        default_topic: Option<String> = "defaultTopic",
        /// The queues that it would have had.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        /// The queue that it was sent to.
        queue_id: i32 = "queueId",
        /// Bits of [`sys_flag`](crate::message::sys_flag).
        sys_flag: i32 = "sysFlag",
        /// When the replier made it, in ms since 1970.
        born_timestamp: i64 = "bornTimestamp",
        /// The replier's own flag.
        flag: i32 = "flag",
        /// Properties in their [stored form](crate::message::property).
        properties: Option<String> = "properties",
        /// Failed deliveries.
        reconsume_times: i32 = "reconsumeTimes",
        /// Whether the replier belongs to a unit.
        unit_mode: bool = "unitMode",
        /// The replier, `ip:port`.
        born_host: Option<String> = "bornHost",
        /// The broker, `ip:port`.
        store_host: Option<String> = "storeHost",
        /// When the broker took it, in ms since 1970.
        store_timestamp: i64 = "storeTimestamp",
    }
}
