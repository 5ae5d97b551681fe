//! Taking a message back that waits for an instant: code 370, since 5.3.2.

use crate::fields::headers;

headers! {
    /// Takes back a message that waits: 370.
    #[doc(alias = "RecallMessageRequestHeader")]
    RecallMessage {
        /// The producer's group.
        producer_group: Option<String> = "producerGroup",
        /// The topic that the message was sent to.
        topic: String = "topic",
        /// What the sender was told: [`SendMessageReply::recall_handle`](super::send::SendMessageReply::recall_handle).
        recall_handle: Option<String> = "recallHandle",
        /// The broker that is meant.
        broker_name: Option<String> = "bname",
    }

    /// The answer to a recall.
    #[doc(alias = "RecallMessageResponseHeader")]
    RecallMessageReply {
        /// The unique key of the message that will not come.
        message_id: String = "msgId",
    }
}
