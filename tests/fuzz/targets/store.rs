//! A folder full of anything: the store opens it or says why not, and what it found once it finds again.
#![no_main]

use std::{path::Path, sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use rocketmq_boot_protocol::Clock;
use rocketmq_boot_store::{
    Flush, Heat, Options, ReadLimit, Store,
    disk::{Disk, SimDisk},
};

const LOG_BYTES: usize = 4096;
const QUEUE_ENTRIES: u32 = 16;
const NOW_MS: i64 = 1_700_000_000_000;

fuzz_target!(|bytes: &[u8]| {
    let disk = SimDisk::new();
    let any: &dyn Disk = &disk;
    for folder in ["commitlog", "consumequeue/t/0", "config"] {
        any.create_dirs(&Path::new("/store").join(folder)).expect("the simulated disk takes folders");
    }
    lay_out(&disk, bytes);
    let Some(first) = contents(&disk) else { return };
    let second = contents(&disk.kill()).expect("what was opened opens again");
    assert_eq!(first, second);
});

/// Files of the store, one behind the other: a byte that says which, two for its length, its bytes.
fn lay_out(disk: &SimDisk, mut bytes: &[u8]) {
    while let [which, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (content, behind) = rest.split_at(length);
        let (name, full) = match which % 6 {
            0 => ("commitlog/00000000000000000000", LOG_BYTES),
            1 => ("commitlog/00000000000000004096", LOG_BYTES),
            2 => ("consumequeue/t/0/00000000000000000000", 320),
            3 => ("consumequeue/t/0/00000000000000000320", 320),
            4 => ("checkpoint", 4096),
            _ => ("abort", 0),
        };
        let mut content = content.to_vec();
        content.resize(full.max(content.len()), 0);
        disk.put(&Path::new("/store").join(name), &content);
        bytes = behind;
    }
}

/// Every message that a consumer of the store would see; `None` when it does not open.
fn contents(disk: &SimDisk) -> Option<Vec<u8>> {
    let options = Options {
        commit_log_file_bytes: LOG_BYTES as u64,
        consume_queue_file_entries: QUEUE_ENTRIES,
        flush: Flush::Async { interval: Duration::from_secs(3600) },
        ..Options::new("/store")
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (store, _) = Store::open(options, Clock::manual(NOW_MS), shared).ok()?;
    let mut out = Vec::new();
    for topic in store.topics() {
        for queue in store.queues(&topic) {
            let limit = ReadLimit { max_messages: 64, max_bytes: 1 << 16, max_scan: 64 };
            let mut offset = queue.min_offset();
            while offset < queue.max_offset() {
                let read = store.read(&queue, offset, limit, &mut |_| true, &mut out, Heat::Any);
                let next = read.expect("a simulated disk does not fail").next_offset;
                assert!(next > offset, "reading goes on");
                offset = next;
            }
        }
    }
    Some(out)
}
