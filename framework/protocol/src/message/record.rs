//! The stored record: the unit of the commit log and of a pull response.
//!
//! ```text
//!  0 i32 total size, itself included        40 i64 born timestamp, ms
//!  4 i32 magic: v1 | v2                     48 born host: 4 or 16 address bytes, i32 port
//!  8 i32 CRC-32 of the body, top bit clear   . i64 store timestamp, ms
//! 12 i32 queue id                            . store host: 4 or 16 address bytes, i32 port
//! 16 i32 flag of the application             . i32 times reconsumed
//! 20 i64 queue offset                        . i64 prepared transaction offset
//! 28 i64 physical offset                     . i32 length, body
//! 36 i32 system flag                         . u8 (v1) or i16 (v2) length, topic
//!                                            . i16 length, properties
//! ```
//!
//! Everything is big-endian. The offsets on the right move by 12 for each IPv6 host. v2 exists for topics longer
//! than 127 bytes only, because clients before 5.1 do not know its magic. The blank that ends a commit-log file
//! is not a record: it is only a size and [`BLANK_MAGIC`].

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use thiserror::Error;

use super::{
    property::{self, SEPARATOR},
    sys_flag::{BORN_HOST_V6, STORE_HOST_V6},
    take, take_slice,
};

/// Magic of a record whose topic length is one byte.
pub const V1_MAGIC: u32 = 0xDAA3_20A7;
/// Magic of a record whose topic length is two bytes.
pub const V2_MAGIC: u32 = 0xDAA3_20AB;
/// Magic of the blank at the end of a commit-log file.
pub const BLANK_MAGIC: u32 = 0xCBD4_3194;
/// Size of the blank's own fields: total size and magic.
pub const BLANK_BYTES: usize = 8;
/// The shortest record: two IPv4 hosts and nothing of variable length.
pub const MIN_BYTES: usize = BODY_LENGTH_V4 + 4 + 1 + 2;
/// The longest topic that a v1 record holds.
pub const MAX_V1_TOPIC_BYTES: usize = 127;

const TOTAL_SIZE: usize = 0;
const MAGIC: usize = TOTAL_SIZE + 4;
const BODY_CRC: usize = MAGIC + 4;
const QUEUE_ID: usize = BODY_CRC + 4;
const FLAG: usize = QUEUE_ID + 4;
const QUEUE_OFFSET: usize = FLAG + 4;
const PHYSICAL_OFFSET: usize = QUEUE_OFFSET + 8;
const SYS_FLAG: usize = PHYSICAL_OFFSET + 8;
const BORN_TIMESTAMP: usize = SYS_FLAG + 4;
const BORN_HOST: usize = BORN_TIMESTAMP + 8;
const HOST_V4: usize = 4 + 4;
const V6_EXTRA: usize = 12;
const STORE_TIMESTAMP_V4: usize = BORN_HOST + HOST_V4;
const STORE_HOST_V4: usize = STORE_TIMESTAMP_V4 + 8;
const RECONSUME_TIMES_V4: usize = STORE_HOST_V4 + HOST_V4;
const PREPARED_OFFSET_V4: usize = RECONSUME_TIMES_V4 + 4;
const BODY_LENGTH_V4: usize = PREPARED_OFFSET_V4 + 8;
/// Up to the body with two IPv6 hosts: the largest fixed part.
const MAX_HEAD: usize = BODY_LENGTH_V4 + 4 + 2 * V6_EXTRA;

/// The version of a record's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Magic {
    /// One byte of topic length.
    V1,
    /// Two bytes of topic length.
    V2,
}

/// Why bytes are not a record, or a draft cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record ends before its fields do.
    #[error("record is cut inside its {field}")]
    Truncated {
        /// The field that is not whole.
        field: &'static str,
    },
    /// Neither record magic.
    #[error("{0:#010x} is not the magic of a record")]
    Magic(u32),
    /// A length or size that cannot be.
    #[error("{field} of {value} is impossible in a record")]
    Length {
        /// The field.
        field: &'static str,
        /// What it says.
        value: i64,
    },
    /// The topic is not UTF-8.
    #[error("topic of the record is not UTF-8")]
    Topic,
    /// A part of a draft is longer than its length field can say.
    #[error("{field} of {bytes} bytes does not fit into a record")]
    TooLong {
        /// The part.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
}

/// A record, borrowed from the bytes it was decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Length of the whole record.
    pub total_size: u32,
    /// Version of the layout.
    pub magic: Magic,
    /// CRC-32 of the body as stored, top bit clear.
    pub body_crc: u32,
    /// Queue within the topic.
    pub queue_id: i32,
    /// The application's own flag.
    pub flag: i32,
    /// Index in the consume queue.
    pub queue_offset: i64,
    /// Position in the commit log.
    pub physical_offset: i64,
    /// See [`sys_flag`](super::sys_flag).
    pub sys_flag: i32,
    /// When the producer made the message, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// The broker's advertised address.
    pub store_host: SocketAddr,
    /// How often it was sent back.
    pub reconsume_times: i32,
    /// Position of the half message that this record ends.
    pub prepared_transaction_offset: i64,
    /// The body as stored, possibly compressed.
    pub body: &'a [u8],
    /// The topic.
    pub topic: &'a str,
    /// The properties string; UTF-8 unless a client was careless. See [`Record::text`] and [`property`].
    pub properties: &'a [u8],
}

impl<'a> Record<'a> {
    /// Decodes the record at the start of `bytes`, which may be longer than the record.
    ///
    /// Checks every length, and that the fields fill the record exactly; not the CRC.
    ///
    /// # Errors
    /// [`RecordError`] for whatever is not one whole record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = bytes;
        let total_size = u32::from_be_bytes(field(&mut rest, "total size")?);
        let size = usize::try_from(total_size)
            .ok()
            .filter(|size| i32::try_from(*size).is_ok() && *size >= MIN_BYTES)
            .ok_or(RecordError::Length { field: "total size", value: i64::from(total_size) })?;
        let magic = match u32::from_be_bytes(field(&mut rest, "magic")?) {
            V1_MAGIC => Magic::V1,
            V2_MAGIC => Magic::V2,
            other => return Err(RecordError::Magic(other)),
        };
        let mut rest = bytes.get(MAGIC + 4..size).ok_or(RecordError::Truncated { field: "total size" })?;
        let rest = &mut rest;

        let body_crc = u32::from_be_bytes(field(rest, "body crc")?);
        let queue_id = i32::from_be_bytes(field(rest, "queue id")?);
        let flag = i32::from_be_bytes(field(rest, "flag")?);
        let queue_offset = i64::from_be_bytes(field(rest, "queue offset")?);
        let physical_offset = i64::from_be_bytes(field(rest, "physical offset")?);
        let sys_flag = i32::from_be_bytes(field(rest, "system flag")?);
        let born_timestamp = i64::from_be_bytes(field(rest, "born timestamp")?);
        let born_host = host(rest, sys_flag & BORN_HOST_V6 != 0, "born host")?;
        let store_timestamp = i64::from_be_bytes(field(rest, "store timestamp")?);
        let store_host = host(rest, sys_flag & STORE_HOST_V6 != 0, "store host")?;
        let reconsume_times = i32::from_be_bytes(field(rest, "reconsume times")?);
        let prepared_transaction_offset = i64::from_be_bytes(field(rest, "prepared transaction offset")?);

        let length = i64::from(i32::from_be_bytes(field(rest, "body length")?));
        let body = part(rest, length, "body")?;
        let length = match magic {
            Magic::V1 => i64::from(u8::from_be_bytes(field(rest, "topic length")?)),
            Magic::V2 => i64::from(i16::from_be_bytes(field(rest, "topic length")?)),
        };
        let topic = std::str::from_utf8(part(rest, length, "topic")?).map_err(|_| RecordError::Topic)?;
        let length = i64::from(i16::from_be_bytes(field(rest, "properties length")?));
        let properties = part(rest, length, "properties")?;
        if !rest.is_empty() {
            return Err(RecordError::Length { field: "total size", value: i64::from(total_size) });
        }
        Ok(Self {
            total_size,
            magic,
            body_crc,
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag,
            born_timestamp,
            born_host,
            store_timestamp,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body,
            topic,
            properties,
        })
    }

    /// Whether the body is what was stored. A checksum of 0 is as good as any other.
    pub fn check_crc(&self) -> bool {
        body_crc(self.body) == self.body_crc
    }

    /// The properties as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.properties)
    }

    /// The value of a property.
    pub fn property(&self, key: &str) -> Option<&'a str> {
        property::find(self.properties, key.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// A record before the log has given it its place.
///
/// The bits of the system flag that say how hosts are written are put in by [`Draft::encode`], and so is the
/// separator behind the last property where a client left it out: a record with properties never ends in a zero, so
/// one whose end was lost with the power can be told from a whole one although no checksum covers properties.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// Queue within the topic.
    pub queue_id: i32,
    /// The application's own flag.
    pub flag: i32,
    /// See [`sys_flag`](super::sys_flag).
    pub sys_flag: i32,
    /// When the producer made the message, ms since 1970.
    pub born_timestamp: i64,
    /// Where the producer was.
    pub born_host: SocketAddr,
    /// The broker's advertised address.
    pub store_host: SocketAddr,
    /// How often it was sent back.
    pub reconsume_times: i32,
    /// Position of the half message that this record ends.
    pub prepared_transaction_offset: i64,
    /// The body as it is to be stored.
    pub body: &'a [u8],
    /// The topic.
    pub topic: &'a [u8],
    /// The client's properties string.
    pub properties: &'a [u8],
    /// The broker's additions, written behind them.
    pub more_properties: &'a [u8],
}

impl Draft<'_> {
    /// Length of the record that [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] for a topic, properties or body that the length fields cannot say.
    pub fn encoded_len(&self) -> Result<usize, RecordError> {
        let too_long = |field, bytes| RecordError::TooLong { field, bytes };
        let properties = self.properties_len();
        if properties > MAX_PROPERTIES_BYTES {
            return Err(too_long("properties", properties));
        }
        if self.topic.len() > MAX_V2_TOPIC_BYTES {
            return Err(too_long("topic", self.topic.len()));
        }
        let topic_length = if self.topic.len() > MAX_V1_TOPIC_BYTES { 2 } else { 1 };
        let fixed = BODY_LENGTH_V4
            + 4
            + topic_length
            + 2
            + if self.born_host.is_ipv6() { V6_EXTRA } else { 0 }
            + if self.store_host.is_ipv6() { V6_EXTRA } else { 0 };
        fixed
            .checked_add(self.body.len())
            .and_then(|size| size.checked_add(self.topic.len() + properties))
            .filter(|size| i32::try_from(*size).is_ok())
            .ok_or_else(|| too_long("body", self.body.len()))
    }

    /// Appends the record to `out` in one pass and gives its length.
    ///
    /// The offsets and the store timestamp may be placeholders for [`patch_offsets`].
    ///
    /// # Errors
    /// As [`encoded_len`](Self::encoded_len); `out` is left as it was.
    pub fn encode(
        &self,
        queue_offset: i64,
        physical_offset: i64,
        store_timestamp: i64,
        out: &mut Vec<u8>,
    ) -> Result<usize, RecordError> {
        let size = self.encoded_len()?;
        out.reserve(size);
        let v2 = self.topic.len() > MAX_V1_TOPIC_BYTES;
        let mut sys_flag = self.sys_flag & !(BORN_HOST_V6 | STORE_HOST_V6);
        sys_flag |= if self.born_host.is_ipv6() { BORN_HOST_V6 } else { 0 };
        sys_flag |= if self.store_host.is_ipv6() { STORE_HOST_V6 } else { 0 };

        let mut head = [0; MAX_HEAD];
        put(&mut head, TOTAL_SIZE, &length_bytes(size));
        put(&mut head, MAGIC, &(if v2 { V2_MAGIC } else { V1_MAGIC }).to_be_bytes());
        put(&mut head, BODY_CRC, &body_crc(self.body).to_be_bytes());
        put(&mut head, QUEUE_ID, &self.queue_id.to_be_bytes());
        put(&mut head, FLAG, &self.flag.to_be_bytes());
        put(&mut head, QUEUE_OFFSET, &queue_offset.to_be_bytes());
        put(&mut head, PHYSICAL_OFFSET, &physical_offset.to_be_bytes());
        put(&mut head, SYS_FLAG, &sys_flag.to_be_bytes());
        put(&mut head, BORN_TIMESTAMP, &self.born_timestamp.to_be_bytes());
        let mut at = put_host(&mut head, BORN_HOST, &self.born_host);
        at = put(&mut head, at, &store_timestamp.to_be_bytes());
        at = put_host(&mut head, at, &self.store_host);
        at = put(&mut head, at, &self.reconsume_times.to_be_bytes());
        at = put(&mut head, at, &self.prepared_transaction_offset.to_be_bytes());
        at = put(&mut head, at, &length_bytes(self.body.len()));
        out.extend_from_slice(&head[..at]);

        out.extend_from_slice(self.body);
        let topic_length = length_bytes(self.topic.len());
        out.extend_from_slice(if v2 { &topic_length[2..] } else { &topic_length[3..] });
        out.extend_from_slice(self.topic);
        out.extend_from_slice(&length_bytes(self.properties_len())[2..]);
        out.extend_from_slice(self.properties);
        if self.needs_separator() {
            out.push(SEPARATOR);
        }
        out.extend_from_slice(self.more_properties);
        Ok(size)
    }

    fn properties_len(&self) -> usize {
        self.properties.len() + usize::from(self.needs_separator()) + self.more_properties.len()
    }

    fn needs_separator(&self) -> bool {
        self.properties.last().is_some_and(|last| *last != SEPARATOR)
    }
}

/// The longest properties string: its length is a signed 16-bit field.
pub const MAX_PROPERTIES_BYTES: usize = 32_767;
const MAX_V2_TOPIC_BYTES: usize = 32_767;

/// Writes the three fields that only the append lock knows into an encoded record.
///
/// Returns `false`, having written nothing, when `record` is too short to be one.
pub fn patch_offsets(
    record: &mut [u8],
    queue_offset: i64,
    physical_offset: i64,
    store_timestamp: i64,
) -> bool {
    if record.len() < MIN_BYTES {
        return false;
    }
    let born_v6 = record[SYS_FLAG + 3] & (BORN_HOST_V6.to_be_bytes()[3]) != 0;
    let store_timestamp_at = STORE_TIMESTAMP_V4 + if born_v6 { V6_EXTRA } else { 0 };
    put(record, QUEUE_OFFSET, &queue_offset.to_be_bytes());
    put(record, PHYSICAL_OFFSET, &physical_offset.to_be_bytes());
    put(record, store_timestamp_at, &store_timestamp.to_be_bytes());
    true
}

/// The records of a pull body, front to back; ends after the first error.
pub fn records(body: &[u8]) -> Records<'_> {
    Records { rest: body }
}

/// Iterator of [`records`].
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let decoded = Record::decode(self.rest);
        let size = decoded.as_ref().ok().and_then(|record| usize::try_from(record.total_size).ok());
        self.rest = size.and_then(|size| self.rest.get(size..)).unwrap_or_default();
        Some(decoded)
    }
}

/// The checksum that is stored for `body`.
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

fn field<const N: usize>(rest: &mut &[u8], field: &'static str) -> Result<[u8; N], RecordError> {
    take(rest).ok_or(RecordError::Truncated { field })
}

fn part<'a>(rest: &mut &'a [u8], length: i64, field: &'static str) -> Result<&'a [u8], RecordError> {
    let bytes = usize::try_from(length).map_err(|_| RecordError::Length { field, value: length })?;
    take_slice(rest, bytes).ok_or(RecordError::Truncated { field })
}

fn host(rest: &mut &[u8], v6: bool, name: &'static str) -> Result<SocketAddr, RecordError> {
    let address: IpAddr = if v6 { field::<16>(rest, name)?.into() } else { field::<4>(rest, name)?.into() };
    let port = i32::from_be_bytes(field(rest, name)?);
    let port =
        u16::try_from(port).map_err(|_| RecordError::Length { field: name, value: i64::from(port) })?;
    Ok(SocketAddr::new(address, port))
}

/// Writes `value` at `at` and gives the position behind it. Every caller's positions are constants of the layout.
fn put<const N: usize>(record: &mut [u8], at: usize, value: &[u8; N]) -> usize {
    record[at..at + N].copy_from_slice(value);
    at + N
}

fn put_host(record: &mut [u8], at: usize, host: &SocketAddr) -> usize {
    let at = match host.ip() {
        IpAddr::V4(address) => put(record, at, &address.octets()),
        IpAddr::V6(address) => put(record, at, &address.octets()),
    };
    put(record, at, &u32::from(host.port()).to_be_bytes())
}

/// A length that [`Draft::encoded_len`] has checked, as a 32-bit field.
fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests;
