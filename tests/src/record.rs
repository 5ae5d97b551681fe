//! Reads stored records, as a pull returns them, back to back.

/// What the tests look at in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The queue.
    pub queue: i32,
    /// Its place in the queue.
    pub queue_offset: i64,
    /// Its place in the log.
    pub physical_offset: i64,
    /// The topic.
    pub topic: String,
    /// The body.
    pub body: Vec<u8>,
    /// The properties, in their stored form.
    pub properties: String,
}

/// Sizes of fields that are skipped, in the order of the layout.
const SYS_FLAG_AT: usize = 36;
const BORN_V6: u32 = 1 << 4;
const STORE_V6: u32 = 1 << 5;

/// Takes the body of a pull's answer apart.
///
/// # Panics
/// When a length does not fit or bytes are left over.
pub fn records(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let size = usize::try_from(u32_at(bytes, 0)).expect("usize holds 32 bits");
        assert!(size <= bytes.len(), "a record of {size} bytes in the {} that are left", bytes.len());
        let (record, rest) = bytes.split_at(size);
        records.push(parse(record));
        bytes = rest;
    }
    records
}

fn parse(record: &[u8]) -> Record {
    let flags = u32_at(record, SYS_FLAG_AT);
    let born_host = if flags & BORN_V6 == 0 { 8 } else { 20 };
    let store_host = if flags & STORE_V6 == 0 { 8 } else { 20 };
    // After the flags: born time, born host, store time, store host, attempts, offset of the prepared half.
    let body_at = SYS_FLAG_AT + 4 + 8 + born_host + 8 + store_host + 4 + 8;
    let body_len = usize::try_from(u32_at(record, body_at)).expect("usize holds 32 bits");
    let topic_at = body_at + 4 + body_len;
    // The magic's last nibble tells the two layouts apart: the second has two bytes for the topic's length.
    let (topic_len, topic_at) = match u32_at(record, 4) {
        0xDAA3_20A7 => (usize::from(record[topic_at]), topic_at + 1),
        0xDAA3_20AB => (usize::from(u16_at(record, topic_at)), topic_at + 2),
        magic => panic!("magic {magic:#x} in a pulled record"),
    };
    let properties_at = topic_at + topic_len + 2;
    let properties_len = usize::from(u16_at(record, topic_at + topic_len));
    assert_eq!(
        properties_at + properties_len,
        record.len(),
        "the record's lengths do not add up to its size"
    );
    Record {
        queue: i32::try_from(u32_at(record, 12)).expect("a queue id is not negative"),
        queue_offset: i64_at(record, 20),
        physical_offset: i64_at(record, 28),
        topic: text(&record[topic_at..topic_at + topic_len]),
        body: record[body_at + 4..body_at + 4 + body_len].to_vec(),
        properties: text(&record[properties_at..]),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("topics and properties are UTF-8")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).expect("the record is as long as its fields")
}
