//! Questions about one client, which the broker passes on to it: 307 and 309.

use crate::fields::headers;

headers! {
    /// Asks what a consumer is doing: 307.
    #[doc(alias = "GetConsumerRunningInfoRequestHeader")]
    ConsumerRunning {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// The client.
        client_id: String = "clientId",
        /// Whether its threads' stacks are wanted too.
        jstack_enable: bool = "jstackEnable",
    }

    /// Has a consumer consume one message again: 309. The broker adds the message as the body.
    #[doc(alias = "ConsumeMessageDirectlyResultRequestHeader")]
    ConsumeDirectly {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// The client.
        client_id: String = "clientId",
        /// The message's offset id.
        message_id: Option<String> = "msgId",
        /// The broker that it lies on; set by the broker.
        broker_name: Option<String> = "brokerName",
        /// The message's topic.
        topic: Option<String> = "topic",
        /// The topic's system flag; set by the broker.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// The group's system flag; set by the broker.
        group_sys_flag: Option<i32> = "groupSysFlag",
    }
}
