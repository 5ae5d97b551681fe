//! Answers to sends and pulls, and those without fields.

use std::net::{IpAddr, SocketAddr};

use super::write::{self, Response};
use crate::{code::ResponseCode, frame::Encoding};

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
        response.finish(&[]);
    }
}

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
