//! Clients and groups: codes 34, 35, 38, 40, 41, 42, 201, 203, 204, 207, 343 and 352.

use crate::fields::headers;

headers! {
    /// The answer to a heartbeat: 34.
    #[doc(alias = "HeartbeatResponse")]
    HeartBeatReply {
        /// Whether the broker understands heartbeats without subscriptions.
        is_support_heart_beat_v2: bool = "IS_SUPPORT_HEART_BEAT_V2",
        /// Whether the client has to send its subscriptions again.
        is_sub_change: bool = "IS_SUB_CHANGE",
    }

    /// A client says goodbye: 35.
    #[doc(alias = "UnregisterClientRequestHeader")]
    UnregisterClient {
        /// The client's id.
        client_id: String = "clientID",
        /// The producer group that it leaves.
        producer_group: Option<String> = "producerGroup",
        /// The consumer group that it leaves.
        consumer_group: Option<String> = "consumerGroup",
    }

    /// Names a consumer group: 38, 40 and 203.
    #[doc(alias = "GetConsumerListByGroupRequestHeader")]
    #[doc(alias = "NotifyConsumerIdsChangedRequestHeader")]
    ConsumerGroup {
        /// The group.
        consumer_group: String = "consumerGroup",
    }

    /// Deletes a group: 207.
    #[doc(alias = "DeleteSubscriptionGroupRequestHeader")]
    DeleteSubscriptionGroup {
        /// The group.
        group_name: String = "groupName",
        /// Whether its offsets go too.
        clean_offset: bool = "cleanOffset",
    }
    /// Names a producer group: 204.
    #[doc(alias = "GetProducerConnectionListRequestHeader")]
    ProducerGroup {
        /// The group.
        producer_group: String = "producerGroup",
    }

    /// Names a group: 343 and 352.
    #[doc(alias = "GetSubscriptionGroupConfigRequestHeader")]
    #[doc(alias = "QueryTopicsByConsumerRequestHeader")]
    GroupName {
        /// The group.
        group: String = "group",
    }

    /// Asks for all groups, in pages since 5.4: 201. Without fields everything is answered at once.
    #[doc(alias = "GetAllSubscriptionGroupRequestHeader")]
    AllGroups {
        /// How many groups were read already.
        group_seq: Option<i32> = "groupSeq",
        /// Groups of one page.
        max_group_num: Option<i32> = "maxGroupNum",
        /// The version of the pages before, as JSON; when the table has changed, the first page is answered again.
        data_version: Option<String> = "dataVersion",
    }

    /// The answer to 201, beside the table in its body.
    #[doc(alias = "GetAllSubscriptionGroupResponseHeader")]
    AllGroupsReply {
        /// Groups in all.
        total_group_num: Option<i32> = "totalGroupNum",
    }
}
