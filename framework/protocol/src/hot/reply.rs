//! Answers to sends and pulls, and those without fields.

use std::net::{IpAddr, SocketAddr};

use super::write::{self, Response};
use crate::{
    code::ResponseCode,
    frame::{self, Encoding, PREFIX_BYTES},
};

/// Where in the commit log messages were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets<'a> {
    /// One message.
    One(u64),
    /// The messages of a batch; their ids are joined by commas.
    Batch(&'a [u64]),
}

/// The answer to a send that was stored, whether or not it is durable yet.
#[doc(alias = "SendMessageResponseHeader")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendReply<'a> {
    /// How the request came.
    pub encoding: Encoding,
    /// The request's.
    pub opaque: i32,
    /// `SUCCESS`, or which durability was missed.
    pub code: ResponseCode,
    /// Says what was missed.
    pub remark: Option<&'a str>,
    /// The address that clients reach this broker at; part of the message id.
    pub store_host: SocketAddr,
    /// Where the messages lie; the other part.
    pub physical_offsets: Offsets<'a>,
    /// The queue.
    pub queue_id: i32,
    /// The offset in the queue, of the first message for a batch.
    pub queue_offset: i64,
    /// The message's unique key; left out when empty.
    pub transaction_id: &'a str,
    /// What takes the message back while it waits for its instant.
    pub recall_handle: Option<&'a str>,
    /// The broker's region, usually `DefaultRegion`.
    pub region: &'a str,
    /// Whether clients shall trace.
    pub trace_on: bool,
}

impl SendReply<'_> {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut response = Response::begin(out, self.encoding, self.opaque, self.code, self.remark);
        // The Java producer reads these two without asking whether they are there.
        response.text("MSG_REGION", self.region);
        response.text("TRACE_ON", if self.trace_on { "true" } else { "false" });
        response.field("msgId", |out| match self.physical_offsets {
            Offsets::One(offset) => message_id(out, self.store_host, offset),
            Offsets::Batch(offsets) => {
                for (at, offset) in offsets.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    message_id(out, self.store_host, *offset);
                }
            }
        });
        response.number("queueId", i64::from(self.queue_id));
        response.number("queueOffset", self.queue_offset);
        if !self.transaction_id.is_empty() {
            response.text("transactionId", self.transaction_id);
        }
        if let Some(handle) = self.recall_handle {
            response.text("recallHandle", handle);
        }
        response.finish(&[]);
    }
}

/// One broker's answers to sends of single messages that were stored.
///
/// They are what a [`SendReply`] with [`ResponseCode::SUCCESS`] writes, byte for byte, but all that is the same in
/// every one of them was written beforehand.
#[derive(Debug, Clone)]
pub struct StoredReplies {
    /// From the first byte to the middle of the message id, where the place in the log begins.
    json: Vec<u8>,
    binary: Vec<u8>,
}

/// What one of [`StoredReplies`] says. The members are those of [`SendReply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the general reply")]
pub struct Stored<'a> {
    pub encoding: Encoding,
    pub opaque: i32,
    pub physical_offset: u64,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub transaction_id: &'a str,
}

impl StoredReplies {
    /// The answers of a broker that clients reach at `store_host`.
    pub fn new(store_host: SocketAddr, region: &str, trace_on: bool) -> Self {
        let head = |encoding| {
            let mut out = Vec::new();
            let mut response = Response::begin(&mut out, encoding, 0, ResponseCode::SUCCESS, None);
            response.text("MSG_REGION", region);
            response.text("TRACE_ON", if trace_on { "true" } else { "false" });
            response.field("msgId", |out| message_id(out, store_host, 0));
            // In JSON a quote follows.
            let behind = if encoding == Encoding::Json { 1 } else { 0 };
            out.truncate(out.len() - behind - PLACE_DIGITS);
            out
        };
        Self { json: head(Encoding::Json), binary: head(Encoding::Binary) }
    }

    /// Appends the frame.
    pub fn encode(&self, stored: &Stored<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        match stored.encoding {
            Encoding::Json => {
                out.extend_from_slice(&self.json);
                write::hex(out, &stored.physical_offset.to_be_bytes());
                out.extend_from_slice(b"\",\"queueId\":\"");
                write::number(out, i64::from(stored.queue_id));
                out.extend_from_slice(b"\",\"queueOffset\":\"");
                write::number(out, stored.queue_offset);
                if !stored.transaction_id.is_empty() {
                    out.extend_from_slice(b"\",\"transactionId\":\"");
                    write::escaped(out, stored.transaction_id);
                }
                out.push(b'"');
                write::finish_json(out, stored.opaque, None);
            }
            Encoding::Binary => {
                out.extend_from_slice(&self.binary);
                out[start + write::OPAQUE_AT..][..4].copy_from_slice(&stored.opaque.to_be_bytes());
                write::hex(out, &stored.physical_offset.to_be_bytes());
                out.extend_from_slice(b"\0\x07queueId");
                write::counted_number(out, i64::from(stored.queue_id));
                out.extend_from_slice(b"\0\x0bqueueOffset");
                write::counted_number(out, stored.queue_offset);
                if !stored.transaction_id.is_empty() {
                    out.extend_from_slice(b"\0\x0dtransactionId");
                    write::long(out, stored.transaction_id.as_bytes());
                }
                write::set_length(out, start + write::FIELDS_AT);
            }
        }
        let header = out.len() - start - PREFIX_BYTES;
        frame::seal(out, start, header, stored.encoding);
    }
}

/// Digits of the place in the log within a message id.
const PLACE_DIGITS: usize = 16;

/// The offset message id: host, port and place in the log, in upper-case hex.
fn message_id(out: &mut Vec<u8>, host: SocketAddr, offset: u64) {
    let mut id = [0; 28];
    let address = match host.ip() {
        IpAddr::V4(ip) => {
            id[..4].copy_from_slice(&ip.octets());
            4
        }
        IpAddr::V6(ip) => {
            id[..16].copy_from_slice(&ip.octets());
            16
        }
    };
    id[address..address + 4].copy_from_slice(&u32::from(host.port()).to_be_bytes());
    id[address + 4..address + 12].copy_from_slice(&offset.to_be_bytes());
    write::hex(out, &id[..address + 12]);
}

/// The answer to a pull.
#[doc(alias = "PullMessageResponseHeader")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PullReply<'a> {
    /// How the request came.
    pub encoding: Encoding,
    /// The request's.
    pub opaque: i32,
    /// `SUCCESS` with a body, otherwise why there is none.
    pub code: ResponseCode,
    /// The name of the status, as Apache spells it: `FOUND`, `OFFSET_OVERFLOW_ONE` and so on.
    pub remark: &'a str,
    /// The broker id to pull from next.
    pub suggest_which_broker_id: i64,
    /// The offset to pull next.
    pub next_begin_offset: i64,
    /// The first offset of the queue.
    pub min_offset: i64,
    /// One past the last offset of the queue.
    pub max_offset: i64,
    /// Stored records, back to back.
    pub body: &'a [u8],
}

impl std::fmt::Debug for PullReply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullReply")
            .field("encoding", &self.encoding)
            .field("opaque", &self.opaque)
            .field("code", &self.code)
            .field("remark", &self.remark)
            .field("suggest_which_broker_id", &self.suggest_which_broker_id)
            .field("next_begin_offset", &self.next_begin_offset)
            .field("min_offset", &self.min_offset)
            .field("max_offset", &self.max_offset)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl PullReply<'_> {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut response = Response::begin(out, self.encoding, self.opaque, self.code, Some(self.remark));
        response.number("maxOffset", self.max_offset);
        response.number("minOffset", self.min_offset);
        response.number("nextBeginOffset", self.next_begin_offset);
        response.number("suggestWhichBrokerId", self.suggest_which_broker_id);
        response.finish(self.body);
    }
}

/// Appends an answer without fields or body, such as the one to a committed offset.
pub fn encode_status(
    out: &mut Vec<u8>,
    encoding: Encoding,
    opaque: i32,
    code: ResponseCode,
    remark: Option<&str>,
) {
    Response::begin(out, encoding, opaque, code, remark).finish(&[]);
}

/// Appends a refusal.
pub fn encode_failure(out: &mut Vec<u8>, encoding: Encoding, opaque: i32, code: ResponseCode, remark: &str) {
    encode_status(out, encoding, opaque, code, Some(remark));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_answers_are_those_of_the_general_writer() {
        let hosts = [SocketAddr::from(([10, 0, 0, 7], 10911)), SocketAddr::from(([7; 16], 1))];
        for (encoding, store_host) in [Encoding::Json, Encoding::Binary]
            .into_iter()
            .zip(hosts)
            .chain([Encoding::Binary, Encoding::Json].into_iter().zip(hosts))
        {
            for (transaction_id, queue_id, queue_offset) in
                [("", 0, 0), ("7F000001", -1, i64::MAX), ("a\"\u{1}\\", 1_023, 10)]
            {
                let (opaque, physical_offset) = (i32::MIN, u64::MAX - 1);
                let general = SendReply {
                    encoding,
                    opaque,
                    code: ResponseCode::SUCCESS,
                    remark: None,
                    store_host,
                    physical_offsets: Offsets::One(physical_offset),
                    queue_id,
                    queue_offset,
                    transaction_id,
                    recall_handle: None,
                    region: "Default\"Region",
                    trace_on: true,
                };
                let stored =
                    Stored { encoding, opaque, physical_offset, queue_id, queue_offset, transaction_id };
                let (mut expected, mut out) = (b"before".to_vec(), b"before".to_vec());
                general.encode(&mut expected);
                StoredReplies::new(store_host, "Default\"Region", true).encode(&stored, &mut out);
                assert_eq!(out, expected, "{stored:?}");
            }
        }
    }
}
