//! What the closed loop does: it asks for a request, and hands back the answer.

use std::io;

use rocketmq_boot_protocol::Encoding;

use super::{
    Ledger,
    line::Answer,
    request::{Pull, Send, Target},
};

/// A stream of requests. A tag comes back with the answer.
pub trait Work {
    /// Appends the next request's frame and gives its tag.
    fn request(&mut self, opaque: i32, out: &mut Vec<u8>) -> u64;

    /// Takes a successful answer and gives the number of messages in it.
    ///
    /// # Errors
    /// When the answer is not what was asked for.
    fn answered(&mut self, tag: u64, answer: &Answer<'_>) -> io::Result<u64>;
}

/// Sends, one queue of the topic after the other.
#[derive(Debug)]
pub struct Sends {
    queues: Vec<Send>,
    next: usize,
    sequence: u64,
    /// What was acknowledged.
    pub acknowledged: Ledger,
}

impl Sends {
    /// Sends of bodies of `body_bytes` to all queues of a topic. `seed` keeps the ids of two runs apart.
    pub fn new(topic: &str, queues: i32, encoding: Encoding, body_bytes: usize, seed: u64) -> Self {
        let send = |queue| Send::new(Target { topic, queue }, encoding, body_bytes);
        Self {
            queues: (0..queues).map(send).collect(),
            next: 0,
            sequence: seed << 40,
            acknowledged: Ledger::default(),
        }
    }
}

impl Work for Sends {
    fn request(&mut self, opaque: i32, out: &mut Vec<u8>) -> u64 {
        self.sequence += 1;
        let id = mixed(self.sequence);
        self.queues[self.next].write(opaque, id, out);
        self.next = if self.next + 1 == self.queues.len() { 0 } else { self.next + 1 };
        id
    }

    fn answered(&mut self, tag: u64, _: &Answer<'_>) -> io::Result<u64> {
        self.acknowledged.add(tag);
        Ok(1)
    }
}

/// Spreads consecutive numbers over all bits, so that an xor of many of them misses nothing likely. (SplitMix64.)
pub(super) fn mixed(sequence: u64) -> u64 {
    let mut x = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Pulls through the queues of a topic, again and again.
#[derive(Debug)]
pub struct Pulls {
    queues: Vec<Cursor>,
    next: usize,
    batch: u64,
}

#[derive(Debug)]
struct Cursor {
    pull: Pull,
    offset: u64,
    end: u64,
}

impl Pulls {
    /// Pulls of `batch` messages from queues that hold as many as `ends` says.
    ///
    /// # Panics
    /// When a queue holds less than one batch.
    pub fn new(topic: &str, ends: &[u64], encoding: Encoding, batch: u32) -> Self {
        let batch_i32 = i32::try_from(batch).expect("a batch is small");
        let queues = ends.iter().enumerate().map(|(queue, &end)| {
            assert!(end >= u64::from(batch), "queue {queue} of {topic} holds {end} messages only");
            let queue = i32::try_from(queue).expect("queues are few");
            Cursor { pull: Pull::new(Target { topic, queue }, encoding, batch_i32, 0), offset: 0, end }
        });
        Self { queues: queues.collect(), next: 0, batch: u64::from(batch) }
    }
}

impl Work for Pulls {
    fn request(&mut self, opaque: i32, out: &mut Vec<u8>) -> u64 {
        let queues = self.queues.len();
        let cursor = &mut self.queues[self.next];
        self.next = if self.next + 1 == queues { 0 } else { self.next + 1 };
        if cursor.offset + self.batch > cursor.end {
            cursor.offset = 0;
        }
        let offset = cursor.offset;
        cursor.offset += self.batch;
        cursor.pull.write(opaque, offset, out);
        offset
    }

    fn answered(&mut self, tag: u64, answer: &Answer<'_>) -> io::Result<u64> {
        let mut rest = answer.body;
        let mut count = 0;
        while let Some(size) = rest.first_chunk::<4>() {
            let offset = rest
                .get(20..)
                .and_then(|rest| rest.first_chunk::<8>())
                .map(|bytes| u64::from_be_bytes(*bytes));
            let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
            if offset != Some(tag + count) {
                return Err(io::Error::other(format!("offset {} of a pull is {offset:?}", tag + count)));
            }
            rest = rest.get(size..).ok_or_else(|| io::Error::other("a record is cut"))?;
            count += 1;
        }
        if count == 0 {
            return Err(io::Error::other(format!("the pull from {tag} brought nothing")));
        }
        Ok(count)
    }
}
