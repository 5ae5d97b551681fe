//! Topics: codes 17, 21, 215, 216, 202 and 351.

use crate::fields::headers;

headers! {
    /// Creates or changes a topic: 17.
    #[doc(alias = "CreateTopicRequestHeader")]
    CreateTopic {
        /// The topic.
        topic: String = "topic",
        /// The template; not used by the broker.
        default_topic: Option<String> = "defaultTopic",
        /// Queues that may be read.
        read_queue_nums: i32 = "readQueueNums",
        /// Queues that may be written.
        write_queue_nums: i32 = "writeQueueNums",
        /// Permission bits: 4 read, 2 write, 1 inherit.
        perm: i32 = "perm",
        /// `SINGLE_TAG` or `MULTI_TAG`.
        topic_filter_type: Option<String> = "topicFilterType",
        /// Unit bits.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// Whether the order of messages matters.
        order: bool = "order",
        /// Changes of attributes: `+key=value,-key`; 5.x only.
        attributes: Option<String> = "attributes",
        /// Whether checks may be skipped; 5.x only.
        force: Option<bool> = "force",
    }

    /// Names a topic: 105, 202, 215, 216, 300 and 351.
    #[doc(alias = "DeleteTopicRequestHeader")]
    #[doc(alias = "GetRouteInfoRequestHeader")]
    TopicName {
        /// The topic.
        topic: String = "topic",
        /// Whether the asker reads standard JSON only (105).
        accept_standard_json_only: Option<bool> = "acceptStandardJsonOnly",
        /// The cluster to delete from (216).
        cluster_name: Option<String> = "clusterName",
    }
    /// Asks for all topics, in pages since 5.4: 21. Without fields everything is answered at once.
    #[doc(alias = "GetAllTopicConfigRequestHeader")]
    AllTopics {
        /// How many topics were read already.
        topic_seq: Option<i32> = "topicSeq",
        /// Topics of one page.
        max_topic_num: Option<i32> = "maxTopicNum",
        /// The version of the pages before, as JSON; when the table has changed, the first page is answered again.
        data_version: Option<String> = "dataVersion",
    }

    /// The answer to 21, beside the table in its body.
    #[doc(alias = "GetAllTopicConfigResponseHeader")]
    AllTopicsReply {
        /// Topics in all.
        total_topic_num: Option<i32> = "totalTopicNum",
    }
}
