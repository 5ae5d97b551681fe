//! The body of a registration in its compact form: a zlib stream instead of JSON.
//!
//! ```text
//! i32 length | data version, JSON
//! i32 count  | count x { i32 length | "name readQueues writeQueues perm filterType attributes" }
//! i32 length | filter servers, JSON
//! i32 count  | count x { i32 length | queue mapping, JSON }     since 5.0
//! ```
//!
//! Queue mappings belong to static topics, which are not served: none are written, and those that come are left
//! unread. The same holds for a topic's `order` and `topicSysFlag`, which the form has no room for.

use std::{collections::BTreeMap, io::Read};

use flate2::{Compression, read::ZlibDecoder, read::ZlibEncoder};
use serde::de::DeserializeOwned;

use super::{
    config::{RegisterBrokerBody, TopicConfig, TopicConfigs},
    dialect::{self, Dialect},
    lenient,
};
use crate::{DecodeError, frame::MAX_FRAME_BYTES};

/// The most that a registration may unpack to: as much as it could bring unpacked, some 200 000 topics.
pub const MAX_BYTES: usize = MAX_FRAME_BYTES;

const WHAT: &str = "compact registration";

/// The checksum that a registration's header carries of its body as sent.
pub fn checksum(body: &[u8]) -> i32 {
    // The top bit is cleared, so the conversion always fits.
    i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap_or(i32::MAX)
}

/// Writes the compact form.
pub fn encode(body: &RegisterBrokerBody) -> Vec<u8> {
    let mut plain = Vec::with_capacity(1024);
    let topics = &body.topic_config_serialize_wrapper;
    push(&mut plain, &dialect::write(&topics.data_version, Dialect::Fastjson));
    push_length(&mut plain, topics.topic_config_table.len());
    for topic in topics.topic_config_table.values() {
        push(&mut plain, line(topic).as_bytes());
    }
    push(&mut plain, &dialect::write(&body.filter_server_list, Dialect::Fastjson));
    push_length(&mut plain, 0);
    let mut packed = Vec::with_capacity(plain.len() / 4);
    // Reading from memory into a vector cannot fail; should it ever, the receiver refuses an empty stream.
    if ZlibEncoder::new(plain.as_slice(), Compression::default()).read_to_end(&mut packed).is_err() {
        packed.clear();
    }
    packed
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// A topic on one line. A blank ends it even when no attributes follow, and attributes hold none.
fn line(topic: &TopicConfig) -> String {
    let TopicConfig { topic_name, read_queue_nums, write_queue_nums, perm, topic_filter_type, .. } = topic;
    let mut line = format!("{topic_name} {read_queue_nums} {write_queue_nums} {perm} {topic_filter_type} ");
    if !topic.attributes.is_empty() {
        line.push_str(&String::from_utf8_lossy(&dialect::write(&topic.attributes, Dialect::Fastjson)));
    }
    line
}

/// Reads the compact form.
///
/// # Errors
/// The stream is no zlib, unpacks to more than [`MAX_BYTES`], or does not hold what it should.
pub fn decode(body: &[u8]) -> Result<RegisterBrokerBody, DecodeError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    ZlibDecoder::new(body)
        .take(limit + 1)
        .read_to_end(&mut plain)
        .map_err(|error| DecodeError::malformed(WHAT, error))?;
    if plain.len() > MAX_BYTES {
        return Err(DecodeError::TooLarge { what: WHAT, limit: MAX_BYTES });
    }
    let mut reader = Reader { bytes: &plain, at: 0 };
    let data_version = json(reader.piece()?)?;
    let mut topic_config_table = BTreeMap::new();
    for _ in 0..reader.length()? {
        let topic = topic(reader.piece()?)?;
        topic_config_table.insert(topic.topic_name.clone(), topic);
    }
    let filter_server_list = json(reader.piece()?)?;
    let topic_config_serialize_wrapper = TopicConfigs { data_version, topic_config_table };
    Ok(RegisterBrokerBody { filter_server_list, topic_config_serialize_wrapper })
}

fn json<T: DeserializeOwned>(piece: &[u8]) -> Result<T, DecodeError> {
    lenient::read(WHAT, piece)
}

fn topic(piece: &[u8]) -> Result<TopicConfig, DecodeError> {
    let line = std::str::from_utf8(piece).map_err(|error| DecodeError::malformed(WHAT, error))?;
    let wrong = || DecodeError::malformed(WHAT, format!("`{}` is no topic", line.escape_default()));
    let mut words = line.splitn(6, ' ');
    let mut word = || words.next().ok_or_else(wrong);
    let number = |word: &str| word.parse::<i32>().map_err(|_| wrong());
    Ok(TopicConfig {
        topic_name: word()?.to_owned(),
        read_queue_nums: number(word()?)?,
        write_queue_nums: number(word()?)?,
        perm: number(word()?)?,
        topic_filter_type: word()?.to_owned(),
        attributes: match words.next().map(str::trim) {
            None | Some("") => BTreeMap::new(),
            Some(attributes) => json(attributes.as_bytes())?,
        },
        ..TopicConfig::default()
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(DecodeError::Truncated { what: WHAT, offset: self.at })?;
        self.at += length;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        usize::try_from(i32::from_be_bytes(word))
            .map_err(|_| DecodeError::malformed(WHAT, "a negative length"))
    }

    fn piece(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::DataVersion;

    fn sample() -> RegisterBrokerBody {
        let mut fifo = TopicConfig::new("fifo", 8);
        fifo.attributes.insert("message.type".into(), "FIFO".into());
        fifo.attributes.insert("note".into(), "a\"b".into());
        let topics = [TopicConfig { perm: 7, ..TopicConfig::new("TBW102", 4) }, fifo];
        RegisterBrokerBody {
            filter_server_list: vec!["10.0.0.1:30001".into()],
            topic_config_serialize_wrapper: TopicConfigs {
                data_version: DataVersion { state_version: 1, counter: 2, timestamp: 1_795_252_252_337 },
                topic_config_table: topics.map(|topic| (topic.topic_name.clone(), topic)).into(),
            },
        }
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        ZlibDecoder::new(packed).read_to_end(&mut plain).unwrap();
        plain
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        ZlibEncoder::new(plain, Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(decode(&encode(&sample())).unwrap(), sample());
        let empty = RegisterBrokerBody::default();
        assert_eq!(decode(&encode(&empty)).unwrap(), empty);
    }

    #[test]
    fn the_layout_is_apaches() {
        let pieces: [&[u8]; 3] = [
            br#"{"counter":2,"stateVersion":1,"timestamp":1795252252337}"#,
            b"TBW102 4 4 7 SINGLE_TAG ",
            br#"fifo 8 8 6 SINGLE_TAG {"message.type":"FIFO","note":"a\"b"}"#,
        ];
        let mut expected = Vec::new();
        push(&mut expected, pieces[0]);
        expected.extend_from_slice(&[0, 0, 0, 2]);
        push(&mut expected, pieces[1]);
        push(&mut expected, pieces[2]);
        push(&mut expected, br#"["10.0.0.1:30001"]"#);
        expected.extend_from_slice(&[0; 4]);
        assert_eq!(unpacked(&encode(&sample())), expected);
    }

    #[test]
    fn brokers_of_4_9_leave_the_mappings_and_the_blank_out() {
        let mut plain = Vec::new();
        push(&mut plain, b"{\"counter\":1,\"timestamp\":5}");
        push_length(&mut plain, 1);
        push(&mut plain, b"t 1 2 6 MULTI_TAG");
        push(&mut plain, b"[]");
        let body = decode(&packed(&plain)).unwrap();
        let topic = &body.topic_config_serialize_wrapper.topic_config_table["t"];
        assert_eq!((topic.read_queue_nums, topic.write_queue_nums), (1, 2));
        assert_eq!(topic.topic_filter_type, "MULTI_TAG");
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error() {
        let plain = unpacked(&encode(&sample()));
        // The mappings are not read, so their count may be missing.
        for cut in 0..plain.len() - 4 {
            assert!(decode(&packed(&plain[..cut])).is_err(), "cut at {cut}");
        }
        let stream = encode(&sample());
        for cut in 0..stream.len() - 4 {
            let _ = decode(&stream[..cut]);
        }
        assert!(decode(b"").is_err() && decode(b"{}").is_err());
    }

    #[test]
    fn hostile_lengths_and_lines_are_errors() {
        for at in [0, 60] {
            for word in [-1, i32::MIN, i32::MAX] {
                let mut plain = unpacked(&encode(&sample()));
                plain[at..at + 4].copy_from_slice(&word.to_be_bytes());
                assert!(decode(&packed(&plain)).is_err(), "{word} at {at}");
            }
        }
        for line in
            ["", "t", "t 1 2 6", "t x 2 6 SINGLE_TAG", "t 1 2 99999999999 S ", "t 1 1 6 S {", "t 1 1 6 S x y"]
        {
            assert!(topic(line.as_bytes()).is_err(), "{line}");
        }
        assert!(topic(&[0xFF, b' ']).is_err());
    }

    #[test]
    fn a_zip_bomb_stops_at_the_limit() {
        let bomb = packed(&vec![b' '; MAX_BYTES + 1]);
        assert!(bomb.len() < 1024 * 1024);
        assert_eq!(decode(&bomb).unwrap_err(), DecodeError::TooLarge { what: WHAT, limit: MAX_BYTES });
    }

    #[test]
    fn the_checksum_has_no_top_bit() {
        assert_eq!(checksum(b""), 0);
        // The CRC-32 of this text is 0xCBF4_3926.
        assert_eq!(checksum(b"123456789"), 0x4BF4_3926);
    }
}
