//! Clients and groups: codes 34, 35, 38, 40, 41, 42 and 207.

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

    /// Names a consumer group: 38 and 40.
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
}
