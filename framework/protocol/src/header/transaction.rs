//! The end of a transaction, and the question how it ended: 37 and 39.

use crate::fields::headers;

headers! {
    /// Commits or rolls back a half message: 37.
    #[doc(alias = "EndTransactionRequestHeader")]
    EndTransaction {
        /// The topic that the message is meant for.
        topic: Option<String> = "topic",
        /// The producer's group.
        producer_group: String = "producerGroup",
        /// The half message's offset in its queue.
        tran_state_table_offset: i64 = "tranStateTableOffset",
        /// The half message's place in the commit log.
        commit_log_offset: i64 = "commitLogOffset",
        /// Bits of [`Transaction`](crate::message::sys_flag::Transaction): commit, rollback, or 0 for not known.
        commit_or_rollback: i32 = "commitOrRollback",
        /// Whether this answers a check.
        from_transaction_check: bool = "fromTransactionCheck",
        /// The id that the producer gave the message.
        message_id: String = "msgId",
        /// The transaction's id.
        transaction_id: Option<String> = "transactionId",
        /// The broker that is meant.
        broker_name: Option<String> = "bname",
    }

    /// Asks a producer how a transaction ended: 39.
    #[doc(alias = "CheckTransactionStateRequestHeader")]
    CheckTransactionState {
        /// The topic that the message is meant for.
        topic: Option<String> = "topic",
        /// [`EndTransaction::tran_state_table_offset`].
        tran_state_table_offset: i64 = "tranStateTableOffset",
        /// [`EndTransaction::commit_log_offset`].
        commit_log_offset: i64 = "commitLogOffset",
        /// The id that the producer gave the message.
        message_id: Option<String> = "msgId",
        /// The transaction's id.
        transaction_id: Option<String> = "transactionId",
        /// Where the half message lies.
        offset_message_id: Option<String> = "offsetMsgId",
        /// The broker that asks.
        broker_name: Option<String> = "bname",
    }
}
