//! Taking a delayed message back: 370, since 5.3.2.

use crate::fields::headers;

headers! {
    /// Takes back a message that its timer holds.
    #[doc(alias = "RecallMessageRequestHeader")]
    RecallMessage {
        /// The producer's group.
        producer_group: Option<String> = "producerGroup",
        /// The topic that the message was sent to.
        topic: String = "topic",
        /// What the answer to the send said.
        recall_handle: String = "recallHandle",
        /// The broker that is meant.
        broker_name: Option<String> = "bname",
    }

    /// The answer.
    #[doc(alias = "RecallMessageResponseHeader")]
    RecallMessageReply {
        /// The id of the message that was taken back.
        message_id: String = "msgId",
    }
}
