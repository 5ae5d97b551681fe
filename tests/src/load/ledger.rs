//! Whether what was acknowledged is what is stored, and what is stored can be consumed.

use std::io;

use rocketmq_boot_protocol::{
    Command, Encoding, RequestCode,
    header::offset::{OffsetReply, QueueOffset},
    message::record,
};

use super::{
    line::Line,
    request::{self, FIRST_OPAQUE, Pull, Target},
};

/// How many messages, and the xor of their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// How many.
    pub count: u64,
    /// All ids, xored.
    pub xor: u64,
}

impl Ledger {
    /// Adds a message.
    pub fn add(&mut self, id: u64) {
        self.count += 1;
        self.xor ^= id;
    }
}

/// Creates a topic.
///
/// # Errors
/// When the broker refuses.
pub fn create_topic(address: &str, topic: &str, queues: i32) -> io::Result<()> {
    Line::connect(address)?.call(request::create_topic(topic, queues)).map(drop)
}

/// Where the queues of a topic end.
///
/// # Errors
/// When the broker refuses.
pub fn ends(address: &str, topic: &str, queues: i32) -> io::Result<Vec<u64>> {
    let mut line = Line::connect(address)?;
    let end = |queue_id| {
        let header = QueueOffset { topic: topic.into(), queue_id };
        let answer = line.call(Command::request(RequestCode::GET_MAX_OFFSET, &header))?;
        let reply: OffsetReply = answer.header().map_err(io::Error::other)?;
        u64::try_from(reply.offset).map_err(io::Error::other)
    };
    (0..queues).map(end).collect()
}

/// Checks a topic that nobody else wrote to: acknowledged = stored = consumed.
///
/// # Errors
/// When they differ, naming both.
pub fn check(address: &str, topic: &str, queues: i32, acknowledged: Ledger) -> io::Result<()> {
    // Apache makes what it has stored visible a moment later.
    let mut ends = self::ends(address, topic, queues)?;
    for _ in 0..100 {
        if ends.iter().sum::<u64>() >= acknowledged.count {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        ends = self::ends(address, topic, queues)?;
    }
    let stored: u64 = ends.iter().sum();
    if stored != acknowledged.count {
        let count = acknowledged.count;
        return Err(io::Error::other(format!("{topic}: {count} acknowledged, but {stored} stored")));
    }
    let consumed = consume(address, topic, &ends)?;
    if consumed != acknowledged {
        let message = format!("{topic}: acknowledged {acknowledged:?}, but consumed {consumed:?}");
        return Err(io::Error::other(message));
    }
    Ok(())
}

/// Pulls everything and decodes every record.
fn consume(address: &str, topic: &str, ends: &[u64]) -> io::Result<Ledger> {
    let mut line = Line::connect(address)?;
    let mut consumed = Ledger::default();
    for (queue, &end) in ends.iter().enumerate() {
        let queue = i32::try_from(queue).map_err(io::Error::other)?;
        let pull = Pull::new(Target { topic, queue }, Encoding::Binary, 256, 0);
        let mut offset = 0;
        while offset < end {
            pull.write(FIRST_OPAQUE, offset, &mut line.outbox);
            line.flush()?;
            offset = loop {
                let Some(answer) = line.inbox.next()? else {
                    line.inbox.fill(&mut line.stream)?;
                    continue;
                };
                if answer.code != 0 {
                    return Err(answer.refusal());
                }
                break take(answer.body, offset, &mut consumed)?;
            };
        }
    }
    Ok(consumed)
}

/// Adds the records of a pull's body that begins at `offset`; gives the next offset.
fn take(body: &[u8], mut offset: u64, consumed: &mut Ledger) -> io::Result<u64> {
    for record in record::records(body) {
        let record = record.map_err(io::Error::other)?;
        let broken =
            |what: &str| io::Error::other(format!("{what} at offset {offset} of queue {}", record.queue_id));
        if u64::try_from(record.queue_offset) != Ok(offset) {
            return Err(broken("another offset"));
        }
        if !record.check_crc() {
            return Err(broken("a wrong checksum"));
        }
        let id = record.body.first_chunk().ok_or_else(|| broken("no id"))?;
        consumed.add(u64::from_be_bytes(*id));
        offset += 1;
    }
    Ok(offset)
}
