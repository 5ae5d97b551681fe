//! What the store's tests share: small stores on a simulated or a real disk, and messages with numbers in them.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    Clock,
    message::record::{Draft, Record, records},
};
use rocketmq_boot_store::{
    Append, AppendError, Appended, Flush, Heat, Options, Queue, ReadLimit, ReadOutcome, ReadStatus,
    Recovered, Store,
    disk::{Disk, SimDisk},
};

pub(crate) const SEGMENT_BYTES: u64 = 4096;

pub(crate) fn options() -> Options {
    Options {
        commit_log_file_bytes: SEGMENT_BYTES,
        consume_queue_file_entries: 16,
        // Tests flush when they mean to.
        flush: Flush::Async { interval: Duration::from_secs(3600) },
        index: None,
        ..Options::new("/store")
    }
}

pub(crate) fn sync_options() -> Options {
    Options { flush: Flush::Sync { timeout: Duration::from_secs(3600) }, ..options() }
}

pub(crate) fn open(disk: &SimDisk) -> (Store, Recovered) {
    open_with(disk, options())
}

pub(crate) fn open_with(disk: &SimDisk, options: Options) -> (Store, Recovered) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open(options, Clock::manual(1_700_000_000_000), disk).unwrap()
}

pub(crate) fn draft<'a>(body: &'a [u8], queue: &'a Queue) -> Draft<'a> {
    Draft {
        queue_id: i32::try_from(queue.id()).unwrap(),
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: "127.0.0.1:5000".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        topic: queue.topic().as_bytes(),
        properties: b"TAGS\x01a\x02",
        more_properties: b"",
    }
}

pub(crate) fn message<'a>(queue: &'a Arc<Queue>, body: &'a [u8]) -> Append<'a> {
    Append { queue, draft: draft(body, queue), tags_code: 97, joined: false, outcome: None }
}

/// Appends one message.
pub(crate) fn send(store: &Store, topic: &str, queue_id: u32, body: &[u8]) -> Result<Appended, AppendError> {
    let queue = store.queue(topic, queue_id);
    let mut batch = [message(&queue, body)];
    store.append(&mut batch);
    let [append] = batch;
    append.outcome.unwrap()
}

/// The body of message `number`: the number, and a length that differs from its neighbours'.
pub(crate) fn body(number: usize) -> Vec<u8> {
    let mut body = format!("{number:06}").into_bytes();
    body.resize(6 + number * 7 % 41, b'.');
    body
}

/// Sends messages `numbers`, spread over three queues of topic `t`.
pub(crate) fn send_numbered(store: &Store, numbers: std::ops::Range<usize>) -> Vec<Appended> {
    numbers.map(|number| send(store, "t", queue_of(number), &body(number)).unwrap()).collect()
}

pub(crate) fn queue_of(number: usize) -> u32 {
    u32::try_from(number % 3).unwrap()
}

pub(crate) fn flush(store: &Store) {
    let (done, wait) = std::sync::mpsc::channel();
    store.when_flushed(store.appended(), Box::new(move |result| done.send(result).unwrap()));
    wait.recv().unwrap().unwrap();
}

pub(crate) const ALL: ReadLimit = ReadLimit { max_messages: 32, max_bytes: 1 << 20, max_scan: 1000 };

pub(crate) fn read(store: &Store, queue: &Queue, offset: i64) -> (ReadOutcome, Vec<u8>) {
    let mut out = Vec::new();
    let outcome = store.read(queue, offset, ALL, &mut |_| true, &mut out, Heat::Any).unwrap();
    (outcome, out)
}

/// Every record of a queue, copied, with its checks made.
pub(crate) fn read_queue(store: &Store, queue: &Queue) -> Vec<Vec<u8>> {
    let (mut offset, mut found) = (queue.min_offset(), Vec::new());
    loop {
        let (outcome, out) = read(store, queue, offset);
        for record in records(&out) {
            let record = record.unwrap();
            assert!(record.check_crc());
            assert_eq!(record.topic, queue.topic());
            let at = usize::try_from(record.physical_offset).unwrap();
            assert_eq!(
                store.record(u64::try_from(at).unwrap()).unwrap().map(|bytes| bytes.len()),
                usize::try_from(record.total_size).ok()
            );
            found.push(record.body.to_vec());
        }
        if matches!(outcome.status, ReadStatus::OverflowOne | ReadStatus::Empty | ReadStatus::OverflowBadly) {
            return found;
        }
        assert!(outcome.next_offset > offset, "{outcome:?}");
        offset = outcome.next_offset;
    }
}

/// The bodies of all messages of topic `t`, in the order of the log.
pub(crate) fn read_numbered(store: &Store) -> Vec<Vec<u8>> {
    let mut all: Vec<(i64, Vec<u8>)> = Vec::new();
    for queue in store.queues("t") {
        let mut offset = queue.min_offset();
        let mut expected = offset;
        loop {
            let (outcome, out) = read(store, &queue, offset);
            for record in records(&out) {
                let record: Record<'_> = record.unwrap();
                assert!(record.check_crc());
                assert_eq!(record.queue_offset, expected, "offsets of a queue have no gaps");
                expected += 1;
                all.push((record.physical_offset, record.body.to_vec()));
            }
            if outcome.count == 0 {
                assert!(matches!(outcome.status, ReadStatus::OverflowOne | ReadStatus::Empty), "{outcome:?}");
                break;
            }
            offset = outcome.next_offset;
        }
    }
    all.sort();
    all.into_iter().map(|(_, body)| body).collect()
}

/// Asserts that the store holds exactly messages `0..count` and gives `count`.
pub(crate) fn assert_prefix(store: &Store) -> usize {
    let found = read_numbered(store);
    for (number, found) in found.iter().enumerate() {
        assert_eq!(found, &body(number), "message {number} of {}", read_numbered(store).len());
    }
    found.len()
}

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from("/store").join(name)
}
