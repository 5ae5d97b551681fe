//! What the queues hold, as read after each restart, held against what was promised before the kill.

use std::collections::{HashMap, HashSet};

use rocketmq_boot_tests::promises::{Fate, id};
use rocketmq_boot_tests::record::{Record, records};
use rocketmq_boot_tests::wire::{self, Request, Wire, code};

/// PULL_NOT_FOUND: the end of the queue.
const END: i32 = 19;

/// The ids in each queue, by offset.
#[derive(Debug)]
pub(super) struct History {
    topic: String,
    queues: Vec<Vec<u64>>,
    seen: HashSet<u64>,
}

impl History {
    pub(super) fn new(topic: &str, queues: u32) -> Self {
        let queues = (0..queues).map(|_| Vec::new()).collect();
        Self { topic: topic.to_owned(), queues, seen: HashSet::new() }
    }

    /// Reads what one load has left behind and holds it against the load's ledger.
    pub(super) fn follow(&mut self, wire: &mut Wire, fates: &HashMap<u64, Fate>) {
        for queue in 0..self.queues.len() {
            let known = self.queues[queue].len();
            let new = self.read(wire, queue, known);
            let mut last_of_connection = HashMap::new();
            for (offset, id) in (known..).zip(&new) {
                let fate = fates
                    .get(id)
                    .unwrap_or_else(|| panic!("queue {queue} offset {offset}: {id:x} was not sent"));
                let here = Fate::Stored { queue: number(queue), offset: number(offset) };
                assert!(
                    *fate == here || *fate == Fate::Unanswered,
                    "{id:x} was promised {fate:?}, it is at {here:?}"
                );
                assert!(self.seen.insert(*id), "queue {queue} offset {offset}: {id:x} is there twice");
                let before = last_of_connection.insert(id >> 32, *id);
                assert!(
                    before < Some(*id),
                    "queue {queue}: {id:x} stands behind {before:x?}, which was sent later"
                );
            }
            self.queues[queue].extend(new);
        }
        let lost = |(id, fate): &(&u64, &Fate)| **fate != Fate::Unanswered && !self.seen.contains(id);
        let lost: Vec<_> = fates.iter().filter(lost).collect();
        assert!(lost.is_empty(), "{} acknowledged messages are lost: {lost:x?}", lost.len());
    }

    /// Reads everything from the beginning; it must be what was read before.
    pub(super) fn read_again(&self, wire: &mut Wire) {
        for (queue, known) in self.queues.iter().enumerate() {
            let again = self.read(wire, queue, 0);
            assert!(again == *known, "queue {queue} has {} messages and had {}", again.len(), known.len());
        }
    }

    /// All ids from an offset to the end of the queue, which is where the broker says that it is.
    fn read(&self, wire: &mut Wire, queue: usize, from: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        let mut next = from;
        loop {
            let pull = wire::pull("history", &self.topic, number(queue), number(next));
            let answer = wire.call(&pull).expect("the broker answers");
            if answer.code == END {
                break;
            }
            for record in records(&answer.success().body) {
                ids.push(self.check(&record, queue, next));
                next += 1;
            }
        }
        assert_eq!(
            self.limit(wire, code::MAX_OFFSET, queue),
            number::<i64>(next),
            "the end of queue {queue}"
        );
        assert_eq!(self.limit(wire, code::MIN_OFFSET, queue), 0, "the beginning of queue {queue}");
        ids
    }

    fn check(&self, record: &Record, queue: usize, offset: usize) -> u64 {
        let place = (record.topic.as_str(), record.queue, record.queue_offset);
        assert_eq!(place, (self.topic.as_str(), number(queue), number(offset)), "the place in a record");
        id(&record.body).unwrap_or_else(|| panic!("queue {queue} offset {offset}: the body is damaged"))
    }

    fn limit(&self, wire: &mut Wire, code: i32, queue: usize) -> i64 {
        let request = Request::new(code).field("topic", &self.topic).field("queueId", queue);
        wire.call(&request).expect("the broker answers").success().number("offset")
    }
}

fn number<T: TryFrom<usize>>(index: usize) -> T {
    T::try_from(index).unwrap_or_else(|_| panic!("{index} is more than a test makes"))
}
