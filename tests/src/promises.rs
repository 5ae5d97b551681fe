//! Pipelined sends over raw connections, with a ledger of what was promised: every message is stored, or its fate is
//! unknown because its answer never came.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::wire::{self, Wire};

/// What is known of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No answer yet, or never.
    Unanswered,
    /// Acknowledged with this place.
    Stored {
        /// The queue.
        queue: u32,
        /// The place in it.
        offset: i64,
    },
}

/// Every message of one load by its id.
#[derive(Debug, Default)]
pub struct Ledger {
    fates: Mutex<HashMap<u64, Fate>>,
    stored: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    highest: AtomicU32,
}

impl Ledger {
    /// How many sends were acknowledged so far.
    pub fn stored(&self) -> usize {
        self.stored.load(Ordering::Relaxed)
    }

    /// How many were in flight at once at most.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The highest offset acknowledged in queue 0.
    pub fn highest(&self) -> i64 {
        i64::from(self.highest.load(Ordering::Relaxed))
    }

    /// All fates; after the load has ended they change no more.
    pub fn fates(&self) -> HashMap<u64, Fate> {
        self.fates.lock().clone()
    }

    fn sent(&self, id: u64) {
        self.fates.lock().insert(id, Fate::Unanswered);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn acknowledged(&self, id: u64, queue: u32, offset: i64) {
        let before = self.fates.lock().insert(id, Fate::Stored { queue, offset });
        assert_eq!(before, Some(Fate::Unanswered), "message {id:x} was answered twice, or never sent");
        if queue == 0 {
            let offset = u32::try_from(offset).expect("a test sends fewer messages");
            self.highest.fetch_max(offset, Ordering::Relaxed);
        }
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// To which topic.
    pub topic: &'a str,
    /// Over how many of its queues, in turns.
    pub queues: u32,
    /// How many connections.
    pub connections: u32,
    /// How many sends may wait for their answers on each.
    pub window: usize,
    /// A number that no other load of the test has; it is part of the ids.
    pub load: u32,
}

/// Sends until the broker is gone.
#[derive(Debug)]
pub struct Load {
    ledger: Arc<Ledger>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Connects and begins.
    ///
    /// # Panics
    /// When the broker cannot be reached.
    pub fn start(broker: &str, plan: Plan<'_>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let mut threads = Vec::new();
        for connection in 0..plan.connections {
            let writing = Wire::connect(broker).expect("the broker listens");
            let reading = writing.split().expect("a descriptor is left");
            let lane = Arc::new(Lane {
                ledger: Arc::clone(&ledger),
                base: (u64::from(plan.load) << 40) | (u64::from(connection) << 32),
                window: Window::new(plan.window),
            });
            let (topic, queues, also) = (plan.topic.to_owned(), plan.queues, Arc::clone(&lane));
            threads.push(thread::spawn(move || lane.write(writing, &topic, queues)));
            threads.push(thread::spawn(move || also.read(reading)));
        }
        Self { ledger, threads }
    }

    /// What is known so far.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Waits until every connection has noticed that the broker is gone.
    ///
    /// # Panics
    /// When a send was refused or an answer was wrong.
    pub fn end(self) -> Arc<Ledger> {
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        self.ledger
    }
}

/// One connection.
#[derive(Debug)]
struct Lane {
    ledger: Arc<Ledger>,
    base: u64,
    window: Window,
}

impl Lane {
    fn write(&self, mut wire: Wire, topic: &str, queues: u32) {
        for sequence in 1_u32.. {
            if !self.window.enter() {
                return;
            }
            let id = self.base | u64::from(sequence);
            self.ledger.sent(id);
            let opaque = wire.send(&wire::send(topic, sequence % queues, &body(id)));
            let Ok(opaque) = opaque else { return };
            assert_eq!(u32::try_from(opaque), Ok(sequence), "the wire counts its requests from 1");
        }
    }

    fn read(&self, mut wire: Wire) {
        // The end of the connection is the end of the broker; what has no answer then stays unanswered.
        while let Ok(answer) = wire.receive() {
            assert_eq!(answer.code, 0, "a send was refused: {}", answer.remark);
            let sequence = u32::try_from(answer.opaque).expect("requests are counted from 1");
            let queue = u32::try_from(answer.number("queueId")).expect("a queue id is not negative");
            self.ledger.acknowledged(self.base | u64::from(sequence), queue, answer.number("queueOffset"));
            self.window.leave();
        }
        self.window.close();
    }
}

/// Lets a number of sends in until answers let more in.
#[derive(Debug)]
struct Window {
    room: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Window {
    fn new(size: usize) -> Self {
        Self { room: Mutex::new(Some(size)), changed: Condvar::new() }
    }

    /// False when it was closed.
    fn enter(&self) -> bool {
        let mut room = self.room.lock();
        loop {
            match room.as_mut() {
                None => return false,
                Some(0) => self.changed.wait(&mut room),
                Some(left) => {
                    *left -= 1;
                    return true;
                }
            }
        }
    }

    fn leave(&self) {
        if let Some(left) = self.room.lock().as_mut() {
            *left += 1;
        }
        self.changed.notify_one();
    }

    fn close(&self) {
        *self.room.lock() = None;
        self.changed.notify_one();
    }
}

/// The body of a message: its id, then 200 to 1,800 bytes that follow from it.
pub fn body(id: u64) -> Vec<u8> {
    let mut random = Random::new(id);
    let filler = 200 + random.below(1_600);
    let mut body = format!("{id:016x}").into_bytes();
    body.extend((0..filler).map(|_| u8::try_from(random.below(256)).unwrap_or_default()));
    body
}

/// The id of a body, when it is whole.
pub fn id(found: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(found.get(..16)?).ok()?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    (body(id) == found).then_some(id)
}

/// SplitMix64: small, seeded, good enough to choose moments and bytes.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_body_has_no_id() {
        let whole = body(77);
        assert_eq!(id(&whole), Some(77));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(id(&damaged), None, "byte {at}");
        }
        assert_eq!(id(&whole[..whole.len() - 1]), None);
    }
}
