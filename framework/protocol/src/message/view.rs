//! A message as a consumer sees it.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

use super::{
    MessageQueue,
    compress::{CompressError, decompress},
    id::OffsetMessageId,
    property::{self, Properties},
    record::Record,
    sys_flag,
};

/// A received message, decoded and unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "MessageExt")]
pub struct MessageView {
    /// The topic that it was stored under: a retry topic for one that was sent back.
    pub topic: String,
    /// The broker that it came from; empty until the client fills it in.
    pub broker_name: Arc<str>,
    /// The queue within the topic.
    pub queue_id: i32,
    /// Its place in the queue.
    pub queue_offset: i64,
    /// Its place in the broker's commit log.
    pub physical_offset: i64,
    /// The id that the sender knows it by; the offset-message id when the sender gave none.
    pub message_id: String,
    /// The id made of the broker's address and the place in its log.
    pub offset_message_id: String,
    /// The body, unpacked.
    pub body: Bytes,
    /// The application's own flag.
    pub flag: i32,
    /// The system flag, without the bits of a compression that was undone.
    pub sys_flag: i32,
    /// When the producer made it, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often it was sent back before.
    pub reconsume_times: i32,
    /// Position of the half message, in a transaction.
    pub prepared_transaction_offset: i64,
    /// Length of the stored record.
    pub stored_bytes: u32,
    /// All properties.
    pub properties: Properties,
}

/// Why a record cannot be shown to a consumer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The body is not what was stored.
    #[error("checksum of the message at {physical_offset} does not match its body")]
    Checksum {
        /// Where it lies.
        physical_offset: i64,
    },
    /// The body cannot be unpacked.
    #[error("message at {physical_offset}: {source}")]
    Body {
        /// Where it lies.
        physical_offset: i64,
        /// What is wrong with it.
        source: CompressError,
    },
    /// The body is larger than the consumer takes.
    #[error(
        "body of {bytes} bytes of the message at {physical_offset} is more than the {limit_bytes} allowed"
    )]
    TooLarge {
        /// Where it lies.
        physical_offset: i64,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// Compressed in a way that RocketMQ has not defined.
    #[error("message at {physical_offset} is compressed in an unknown way, flag bits {bits:#x}")]
    Compression {
        /// Where it lies.
        physical_offset: i64,
        /// The bits that name the compression.
        bits: i32,
    },
}

impl MessageView {
    /// Copies a record out of a pull response, checks its body and unpacks it to at most `max_body_bytes`.
    ///
    /// # Errors
    /// [`ViewError`]; the record itself was decodable, so its offset is known and the queue can go on.
    pub fn decode(record: &Record<'_>, max_body_bytes: usize) -> Result<Self, ViewError> {
        let physical_offset = record.physical_offset;
        if !record.check_crc() {
            return Err(ViewError::Checksum { physical_offset });
        }
        let kind = sys_flag::compression(record.sys_flag)
            .map_err(|bits| ViewError::Compression { physical_offset, bits })?;
        let (body, sys_flag) = match kind {
            Some(kind) => {
                let body = decompress(kind, record.body, max_body_bytes)
                    .map_err(|source| ViewError::Body { physical_offset, source })?;
                (Bytes::from(body), record.sys_flag & !sys_flag::COMPRESSED)
            }
            None if record.body.len() > max_body_bytes => {
                let (bytes, limit_bytes) = (record.body.len(), max_body_bytes);
                return Err(ViewError::TooLarge { physical_offset, bytes, limit_bytes });
            }
            None => (Bytes::copy_from_slice(record.body), record.sys_flag),
        };
        let offset_message_id = OffsetMessageId {
            host: record.store_host,
            physical_offset: u64::from_be_bytes(physical_offset.to_be_bytes()),
        }
        .to_string();
        let properties = Properties::from(record.text().into_owned());
        let message_id =
            properties.get(property::UNIQ_KEY).map_or_else(|| offset_message_id.clone(), ToOwned::to_owned);
        Ok(Self {
            topic: record.topic.to_owned(),
            broker_name: Arc::default(),
            queue_id: record.queue_id,
            queue_offset: record.queue_offset,
            physical_offset,
            message_id,
            offset_message_id,
            body,
            flag: record.flag,
            sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_timestamp: record.store_timestamp,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            prepared_transaction_offset: record.prepared_transaction_offset,
            stored_bytes: record.total_size,
            properties,
        })
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.properties.get(property::TAGS)
    }

    /// The keys that it can be found by.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.properties.get(property::KEYS).unwrap_or_default().split_ascii_whitespace()
    }

    /// A property of the application or of RocketMQ.
    pub fn property(&self, key: &str) -> Option<&str> {
        self.properties.get(key)
    }

    /// The queue that it was read from.
    pub fn queue(&self) -> MessageQueue {
        MessageQueue::new(self.topic.clone(), &*self.broker_name, self.queue_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{
        compress::{Compression, compress},
        record::Draft,
    };

    fn stored(body: &[u8], sys_flag: i32, properties: &[u8]) -> Vec<u8> {
        let draft = Draft {
            queue_id: 1,
            flag: 2,
            sys_flag,
            born_timestamp: 3,
            born_host: "10.0.0.1:4".parse().unwrap(),
            store_host: "127.0.0.1:10911".parse().unwrap(),
            reconsume_times: 5,
            prepared_transaction_offset: 6,
            body,
            topic: b"t",
            properties,
            more_properties: b"",
        };
        let mut out = Vec::new();
        draft.encode(7, 8, 9, &mut out).unwrap();
        out
    }

    fn view(bytes: &[u8], limit: usize) -> Result<MessageView, ViewError> {
        MessageView::decode(&Record::decode(bytes).unwrap(), limit)
    }

    #[test]
    fn a_packed_body_arrives_unpacked_without_its_flag() {
        let packed = compress(Compression::Zlib, &[b'x'; 5000], 5).unwrap();
        let bytes = stored(&packed, sys_flag::COMPRESSED, b"UNIQ_KEY\x01id\x02TAGS\x01a\x02KEYS\x01k1 k2");
        let message = view(&bytes, 5000).unwrap();
        assert_eq!((message.body.len(), message.sys_flag), (5000, 0));
        assert_eq!((message.message_id.as_str(), message.tag()), ("id", Some("a")));
        assert_eq!(message.keys().collect::<Vec<_>>(), ["k1", "k2"]);
        assert_eq!(message.offset_message_id, "7F00000100002A9F0000000000000008");
        assert!(matches!(view(&bytes, 4999), Err(ViewError::Body { physical_offset: 8, .. })));
    }

    #[test]
    fn bodies_that_are_not_as_stored_are_errors_with_their_place() {
        let mut bytes = stored(b"hello", 0, b"");
        assert!(matches!(view(&bytes, 4), Err(ViewError::TooLarge { bytes: 5, .. })));
        let at = bytes.windows(5).position(|window| window == b"hello").unwrap();
        bytes[at] = b'j';
        assert!(matches!(view(&bytes, 5), Err(ViewError::Checksum { physical_offset: 8 })));
        let unknown = stored(b"hello", sys_flag::COMPRESSED | 0x700, b"");
        assert!(matches!(view(&unknown, 5), Err(ViewError::Compression { bits: 0x700, .. })));
    }

    #[test]
    fn without_a_clients_id_the_brokers_id_stands_in() {
        let message = view(&stored(b"hello", 0, b""), 5).unwrap();
        assert_eq!(message.message_id, message.offset_message_id);
        assert_eq!(message.keys().count(), 0);
    }
}
