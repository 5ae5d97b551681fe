//! What is asked of single consumers: codes 307 and 309.

use crate::fields::headers;

headers! {
    /// Asks a consumer how it is: 307.
    #[doc(alias = "GetConsumerRunningInfoRequestHeader")]
    ConsumerRunningOf {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// The client's id.
        client_id: String = "clientId",
        /// Whether the stacks of its threads are wanted.
        jstack_enable: bool = "jstackEnable",
    }

    /// Hands a message to one consumer: 309.
    #[doc(alias = "ConsumeMessageDirectlyResultRequestHeader")]
    ConsumeDirectly {
        /// The group.
        consumer_group: String = "consumerGroup",
        /// The client's id.
        client_id: Option<String> = "clientId",
        /// The message's offset-message id.
        msg_id: Option<String> = "msgId",
        /// The broker that has the message.
        broker_name: Option<String> = "brokerName",
        /// The topic.
        topic: Option<String> = "topic",
        /// Unit bits of the topic.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// Unit bits of the group.
        group_sys_flag: Option<i32> = "groupSysFlag",
    }
}
