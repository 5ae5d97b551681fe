//! What a sender learns about a message that was stored.

use std::fmt;

use rocketmq_boot_protocol::{
    Command, DecodeError, ResponseCode, header::send::SendMessageReply, message::MessageQueue,
};

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "SendResult")]
#[non_exhaustive]
pub struct SendReceipt {
    /// The id that this client gave the message.
    pub message_id: String,
    /// The id that says where the broker keeps it.
    pub offset_message_id: String,
    /// The queue.
    pub queue: MessageQueue,
    /// Its place in the queue.
    pub queue_offset: i64,
    /// What takes the message back while the broker's timer holds it, see
    /// [`Producer::recall`](crate::Producer::recall). Brokers from 5.3.2 on give one for a message that is delayed
    /// by time; others and other messages have none.
    pub recall_handle: Option<String>,
}

/// What is missing from a message that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(alias = "SendStatus")]
#[non_exhaustive]
pub enum Shortfall {
    /// The broker did not write it to disk in time.
    FlushDiskTimeout,
    /// The slave did not take it in time.
    FlushSlaveTimeout,
    /// There is no slave to take it.
    SlaveNotAvailable,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FlushDiskTimeout => "was not flushed in time",
            Self::FlushSlaveTimeout => "was not replicated in time",
            Self::SlaveNotAvailable => "there is no slave to replicate it to",
        })
    }
}

impl Shortfall {
    /// What a code says that comes with a stored message.
    pub(super) fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }
}

/// Reads one receipt for each of `message_ids` from the answer to their send.
pub(super) fn read(
    answer: &Command,
    message_ids: Vec<String>,
    queue: &MessageQueue,
) -> Result<Vec<SendReceipt>, DecodeError> {
    let reply = answer.header::<SendMessageReply>()?;
    let queue = MessageQueue { queue_id: reply.queue_id, ..queue.clone() };
    // A broker that keeps a batch as one record answers one id for all of them.
    let mut offset_ids = reply.message_id.split(',');
    let mut offset_id = "";
    let receipts = (0_i64..).zip(message_ids).map(|(index, message_id)| {
        offset_id = offset_ids.next().unwrap_or(offset_id);
        SendReceipt {
            message_id,
            offset_message_id: offset_id.to_owned(),
            queue: queue.clone(),
            queue_offset: reply.queue_offset.saturating_add(index),
            recall_handle: reply.recall_handle.clone(),
        }
    });
    Ok(receipts.collect())
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::RequestCode;

    use super::*;

    fn answer(ids: &str) -> Command {
        let header = SendMessageReply {
            message_id: ids.to_owned(),
            queue_id: 3,
            queue_offset: 40,
            transaction_id: None,
            recall_handle: None,
        };
        Command::success(&Command::bare(RequestCode::SEND_MESSAGE_V2)).with_header(&header)
    }

    #[test]
    fn each_message_of_a_batch_has_its_own_place() {
        let queue = MessageQueue::new("t", "b", -1);
        let receipts = read(&answer("A,B,C"), ["x", "y", "z"].map(ToOwned::to_owned).into(), &queue).unwrap();
        let places: Vec<_> = receipts
            .iter()
            .map(|r| (r.message_id.as_str(), r.offset_message_id.as_str(), r.queue.queue_id, r.queue_offset))
            .collect();
        assert_eq!(places, [("x", "A", 3, 40), ("y", "B", 3, 41), ("z", "C", 3, 42)]);
    }

    #[test]
    fn one_id_may_stand_for_all() {
        let queue = MessageQueue::new("t", "b", 3);
        let receipts = read(&answer("A"), ["x", "y"].map(ToOwned::to_owned).into(), &queue).unwrap();
        assert!(receipts.iter().all(|receipt| receipt.offset_message_id == "A"));
    }

    #[test]
    fn an_answer_without_an_id_is_an_error() {
        let answer = Command::success(&Command::bare(RequestCode::SEND_MESSAGE_V2));
        assert!(read(&answer, vec!["x".to_owned()], &MessageQueue::new("t", "b", 0)).is_err());
    }
}
