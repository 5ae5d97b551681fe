//! How far groups are, and moving them: codes 208, 222, 223, 303, 308, 314, 317, 343 and 345.

use crate::fields::headers;

headers! {
    /// Asks how far a group is: 208.
    #[doc(alias = "GetConsumeStatsRequestHeader")]
    ConsumeStatsOf {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// One topic; absent or empty means every topic of the group.
        topic: Option<String> = "topic",
        /// Several topics, `;` between them; wins over `topic` (5.4).
        topic_list: Option<String> = "topicList",
    }

    /// Moves a group's offsets: 222, and the notice of it to clients, 220.
    #[doc(alias = "ResetOffsetRequestHeader")]
    ResetOffset {
        /// The topic.
        topic: String = "topic",
        /// The group.
        group: String = "group",
        /// The time to move to in ms since 1970; negative means the end.
        timestamp: i64 = "timestamp",
        /// Whether offsets may go forward too; not looked at by 5.x.
        is_force: bool = "isForce",
        /// One queue; absent or negative means all.
        queue_id: Option<i32> = "queueId",
        /// The offset of that queue; absent or -1 means by time.
        offset: Option<i64> = "offset",
    }

    /// Asks clients how far they are: 223.
    #[doc(alias = "GetConsumerStatusRequestHeader")]
    ConsumerStatus {
        /// The topic.
        topic: String = "topic",
        /// The group.
        group: String = "group",
        /// One client; absent or empty means all.
        client_addr: Option<String> = "clientAddr",
    }

    /// Names a topic and a group: 303, 345.
    #[doc(alias = "QueryConsumeTimeSpanRequestHeader")]
    #[doc(alias = "QuerySubscriptionByConsumerRequestHeader")]
    TopicOfGroup {
        /// The topic.
        topic: String = "topic",
        /// The group.
        group: String = "group",
    }

    /// Compares a group's offsets with those of all others: 308.
    #[doc(alias = "QueryCorrectionOffsetHeader")]
    CorrectionOffset {
        /// The topic.
        topic: String = "topic",
        /// The group to compare.
        compare_group: String = "compareGroup",
        /// Groups that do not count, `,` between them.
        filter_groups: Option<String> = "filterGroups",
    }

    /// Gives one group the offsets of another: 314.
    #[doc(alias = "CloneGroupOffsetRequestHeader")]
    CloneGroupOffset {
        /// The group that is copied.
        src_group: String = "srcGroup",
        /// The group that gets its offsets.
        dest_group: String = "destGroup",
        /// One topic; absent or empty means all.
        topic: Option<String> = "topic",
        /// Whether topics that nobody of the source subscribes to any more count too.
        offline: bool = "offline",
    }

    /// Asks how far all groups are: 317.
    #[doc(alias = "GetConsumeStatsInBrokerHeader")]
    ConsumeStatsOfAll {
        /// Whether only order topics count.
        is_order: bool = "isOrder",
    }
}
