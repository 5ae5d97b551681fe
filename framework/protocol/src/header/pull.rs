//! Pulling: codes 11 and 361.

use crate::fields::headers;

/// Bits of [`PullMessage::sys_flag`].
pub mod sys_flag {
    /// [`super::PullMessage::commit_offset`] is to be stored.
    pub const COMMIT_OFFSET: i32 = 1;
    /// The request may be held until a message comes.
    pub const SUSPEND: i32 = 2;
    /// The header brings the subscription.
    pub const SUBSCRIPTION: i32 = 4;
    /// The subscription is a filter class; served by nobody any more.
    pub const CLASS_FILTER: i32 = 8;
    /// A lite pull consumer asks.
    pub const LITE_PULL: i32 = 16;
}

headers! {
    /// A pull.
    #[doc(alias = "PullMessageRequestHeader")]
    PullMessage {
        /// The consumer group.
        consumer_group: String = "consumerGroup",
        /// The topic.
        topic: String = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The first offset wanted.
        queue_offset: i64 = "queueOffset",
        /// How many messages at most.
        max_message_nums: i32 = "maxMsgNums",
        /// Bits of [`sys_flag`].
        sys_flag: i32 = "sysFlag",
        /// The offset consumed so far.
        commit_offset: i64 = "commitOffset",
        /// How long the request may be held, in ms.
        suspend_timeout_millis: i64 = "suspendTimeoutMillis",
        /// The filter expression; `None` or empty means the heartbeat's.
        subscription: Option<String> = "subscription",
        /// When the subscription was made.
        sub_version: i64 = "subVersion",
        /// `TAG` or `SQL92`; absent means `TAG`.
        expression_type: Option<String> = "expressionType",
        /// How many bytes at most; 5.x only.
        max_message_bytes: Option<i32> = "maxMsgBytes",
        /// The broker that the client means; 5.x only.
        broker_name: Option<String> = "bname",
    }

    /// What every answer to a pull says.
    #[doc(alias = "PullMessageResponseHeader")]
    PullMessageReply {
        /// The broker id to pull from next.
        suggest_which_broker_id: i64 = "suggestWhichBrokerId",
        /// The offset to pull next.
        next_begin_offset: i64 = "nextBeginOffset",
        /// The first offset of the queue.
        min_offset: i64 = "minOffset",
        /// One past the last offset of the queue.
        max_offset: i64 = "maxOffset",
    }
}
