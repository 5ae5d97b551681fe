//! Offsets: codes 14, 15, 29, 30, 31, 32.

use crate::fields::headers;

headers! {
    /// Asks how far a group has consumed a queue: 14.
    #[doc(alias = "QueryConsumerOffsetRequestHeader")]
    QueryConsumerOffset {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// The topic.
        topic: String = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// Whether a queue that is still whole counts as consumed up to 0; absent means yes.
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
    }

    /// Says how far a group has consumed a queue: 15.
    #[doc(alias = "UpdateConsumerOffsetRequestHeader")]
    UpdateConsumerOffset {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// The topic.
        topic: String = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The offset to consume next.
        commit_offset: i64 = "commitOffset",
    }

    /// Names a queue: 30, 31 and 32.
    #[doc(alias = "GetMaxOffsetRequestHeader")]
    QueueOffset {
        /// The topic.
        topic: String = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
    }

    /// Looks an offset up by store time: 29.
    #[doc(alias = "SearchOffsetRequestHeader")]
    SearchOffset {
        /// The topic.
        topic: String = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The time, in ms since 1970.
        timestamp: i64 = "timestamp",
        /// `LOWER` or `UPPER` in any case; absent means `LOWER`.
        boundary_type: Option<String> = "boundaryType",
    }

    /// The answer of all of them but 32.
    OffsetReply {
        /// The offset.
        offset: i64 = "offset",
    }

    /// The answer to 32.
    TimestampReply {
        /// The store time in ms since 1970, -1 when the queue holds nothing.
        timestamp: i64 = "timestamp",
    }
}
