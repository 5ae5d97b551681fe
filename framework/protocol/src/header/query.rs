//! Looking for messages: codes 12, 33 and 321.

use crate::fields::headers;

/// The extension field of a [`QueryMessage`] that asks for a unique key, as clients before 5.5 do and later ones
/// still do.
pub const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";

headers! {
    /// Looks for messages by key: 12.
    #[doc(alias = "QueryMessageRequestHeader")]
    QueryMessage {
        /// The topic.
        topic: String = "topic",
        /// A key, a unique key or a tag.
        key: String = "key",
        /// How many messages at most; for a unique key the broker decides.
        max_num: i32 = "maxNum",
        /// Stored at this time or later, ms since 1970.
        begin_timestamp: i64 = "beginTimestamp",
        /// Stored at this time or earlier, ms since 1970.
        end_timestamp: i64 = "endTimestamp",
        /// What the key is: `K` a key, `U` a unique key, `T` a tag; absent means `K`. 5.5 only.
        index_type: Option<String> = "indexType",
        /// Where to go on, for indexes that can; 5.5 only.
        last_key: Option<String> = "lastKey",
    }

    /// The answer to 12; the messages stand in the body as they are stored.
    #[doc(alias = "QueryMessageResponseHeader")]
    QueryMessageReply {
        /// When the newest message of the index was stored, ms since 1970; 0 when nothing was found.
        index_last_update_timestamp: i64 = "indexLastUpdateTimestamp",
        /// Where that message lies in the commit log.
        index_last_update_phyoffset: i64 = "indexLastUpdatePhyoffset",
    }

    /// Asks for the message at a place in the commit log: 33.
    #[doc(alias = "ViewMessageRequestHeader")]
    ViewMessage {
        /// The topic that it is expected to be of.
        topic: Option<String> = "topic",
        /// The place.
        offset: i64 = "offset",
    }

    /// Asks for entries of a consume queue: 321.
    #[doc(alias = "QueryConsumeQueueRequestHeader")]
    QueryConsumeQueue {
        /// The topic.
        topic: String = "topic",
        /// The queue.
        queue_id: i32 = "queueId",
        /// The first offset.
        index: i64 = "index",
        /// How many entries.
        count: i32 = "count",
        /// A group whose subscription is told too.
        consumer_group: Option<String> = "consumerGroup",
    }
}
