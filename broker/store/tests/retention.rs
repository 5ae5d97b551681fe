//! Files that leave the front of the log, and what readers, queues and a restart make of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use rocketmq_boot_protocol::{Clock, message::record::records};
use rocketmq_boot_store::{
    AppendError, Heat, Options, ReadStatus, Store,
    disk::{Cut, Disk, RealDisk, Sector, SimDisk},
};
use support::*;

const LATER_MS: i64 = 1_700_000_100_000;

/// A store whose first files are older than its last ones.
fn aged(disk: &SimDisk) -> (Store, Clock) {
    let clock = Clock::manual(LATER_MS - 100_000);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (store, _) = Store::open(options(), clock.clone(), shared).unwrap();
    let mut number = 0;
    while store.appended() < 3 * SEGMENT_BYTES {
        send_numbered(&store, number..number + 1);
        number += 1;
    }
    clock.advance(std::time::Duration::from_millis(100_000));
    while store.appended() < 5 * SEGMENT_BYTES + 100 {
        send_numbered(&store, number..number + 1);
        number += 1;
    }
    flush(&store);
    (store, clock)
}

/// Removes files up to `position`, which is the end of one.
fn remove_to(store: &Store, position: u64) {
    while store.min_position() < position {
        let oldest = store.oldest_file().unwrap().unwrap();
        assert_eq!(oldest.start, store.min_position());
        assert!(store.remove_oldest_file(oldest.start).unwrap());
    }
    store.trim_queues().unwrap();
}

#[test]
fn a_file_is_as_old_as_the_message_behind_it() {
    let (store, _) = aged(&SimDisk::new());
    let mut ages = Vec::new();
    while let Some(oldest) = store.oldest_file().unwrap() {
        ages.push(oldest.over_at_ms.unwrap() == LATER_MS);
        assert!(store.remove_oldest_file(oldest.start).unwrap());
        assert!(!store.remove_oldest_file(oldest.start).unwrap(), "it is gone already");
    }
    // The third file ends with the first young message at the latest.
    assert_eq!(ages[..2], [false, false]);
    assert_eq!((ages.len(), ages[3..].iter().all(|young| *young)), (5, true), "the last one stays: {ages:?}");
    send(&store, "t", 0, b"goes on").unwrap();
}

#[test]
fn what_is_not_flushed_is_not_removed() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..64);
    assert!(store.appended() > SEGMENT_BYTES);
    assert_eq!(store.oldest_file().unwrap(), None);
    assert!(!store.remove_oldest_file(0).unwrap());
    flush(&store);
    assert!(store.remove_oldest_file(0).unwrap());
}

#[test]
fn queues_begin_where_the_log_does() {
    let disk = SimDisk::new();
    let (store, _) = aged(&disk);
    let before: Vec<_> = store.queues("t").iter().map(|queue| read_queue(&store, queue)).collect();
    remove_to(&store, 2 * SEGMENT_BYTES);
    assert_eq!(store.min_position(), 2 * SEGMENT_BYTES);
    for (queue, before) in store.queues("t").iter().zip(before) {
        let min = usize::try_from(queue.min_offset()).unwrap();
        assert!(min > 0 && read_queue(&store, queue) == before[min..]);
        let (outcome, out) = read(&store, queue, 0);
        assert_eq!((outcome.status, outcome.next_offset), (ReadStatus::TooSmall, queue.min_offset()));
        assert!(out.is_empty());
        let first = store.position_of(queue, 0).unwrap().unwrap();
        assert!((2 * SEGMENT_BYTES..3 * SEGMENT_BYTES).contains(&first));
        assert_eq!(store.position_of(queue, queue.max_offset()).unwrap(), None);
    }
    let ends: Vec<_> = store.queues("t").iter().map(|q| (q.min_offset(), q.max_offset())).collect();
    for fate in [Sector::Kept, Sector::Lost] {
        let after = disk.cut_power(Cut { sectors: &mut |_, _| fate, names_kept: fate == Sector::Kept });
        let (store, found) = open(&after);
        assert!(found.quarantined.is_empty());
        let again: Vec<_> = store.queues("t").iter().map(|q| (q.min_offset(), q.max_offset())).collect();
        assert_eq!(again, ends, "after a power cut, sectors {fate:?}");
    }
}

#[test]
fn a_queue_that_lost_everything_goes_on_where_it_was() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    for _ in 0..40 {
        send(&store, "idle", 0, b"x").unwrap();
    }
    send_numbered(&store, 0..200);
    flush(&store);
    while let Some(oldest) = store.oldest_file().unwrap() {
        store.remove_oldest_file(oldest.start).unwrap();
    }
    store.trim_queues().unwrap();
    let queue = store.queue("idle", 0);
    assert_eq!((queue.min_offset(), queue.max_offset()), (40, 40));
    let lost = disk.cut_power(Cut { sectors: &mut |_, _| Sector::Lost, names_kept: false });
    store.close().unwrap();
    drop(store);
    for disk in [disk, lost] {
        let (store, _) = open(&disk);
        let queue = store.queue("idle", 0);
        assert_eq!((queue.min_offset(), queue.max_offset()), (40, 40));
        assert_eq!(read(&store, &queue, 40).0.status, ReadStatus::OverflowOne);
        assert_eq!(send(&store, "idle", 0, b"y").unwrap().queue_offset, 40);
    }
}

#[test]
fn a_removal_that_is_cut_short_leaves_a_log_without_gaps() {
    for removed in 0..4 {
        let disk = SimDisk::new();
        let (store, _) = aged(&disk);
        for _ in 0..removed {
            store.remove_oldest_file(store.min_position()).unwrap();
        }
        // Without the queues having been trimmed.
        let after = disk.cut_power(Cut { sectors: &mut |_, _| Sector::Lost, names_kept: false });
        let (again, _) = open(&after);
        assert_eq!(again.min_position(), removed * SEGMENT_BYTES);
        for queue in again.queues("t") {
            assert_eq!(queue.max_offset(), store.queue("t", queue.id()).max_offset());
            let last = store.position_of(&queue, 0).unwrap().unwrap();
            assert!(last >= removed * SEGMENT_BYTES);
        }
    }
}

#[test]
fn a_full_store_refuses_until_it_is_not() {
    let (store, _) = open(&SimDisk::new());
    assert!(!store.set_full(Some(93)));
    assert!(matches!(send(&store, "t", 0, b"x"), Err(AppendError::Full { used_percent: 93 })));
    assert!(store.set_full(None));
    assert_eq!(send(&store, "t", 0, b"x").unwrap().queue_offset, 0, "a refusal leaves no trace");
}

#[test]
fn readers_of_files_that_go_finish_what_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        commit_log_file_bytes: SEGMENT_BYTES,
        hot_bytes: 2 * SEGMENT_BYTES,
        ..Options::new(folder.path())
    };
    let (store, _) = Store::open(options, Clock::system(), Arc::new(RealDisk)).unwrap();
    let queue = store.queue("t", 0);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (store, queue, stop) = (&store, &queue, &stop);
    std::thread::scope(|scope| {
        for heat in [Heat::HotOnly, Heat::Any, Heat::Any] {
            scope.spawn(move || {
                let mut out = Vec::new();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    for offset in [queue.min_offset(), (queue.min_offset() + queue.max_offset()) / 2] {
                        out.clear();
                        let outcome = store.read(queue, offset, ALL, &mut |_| true, &mut out, heat).unwrap();
                        assert_eq!(records(&out).count(), outcome.count);
                        for record in records(&out) {
                            assert!(record.unwrap().check_crc());
                        }
                    }
                }
            });
        }
        for number in 0..3000 {
            send(store, "t", 0, &body(number)).unwrap();
            if number % 40 == 0 {
                flush(store);
                while let Some(oldest) = store
                    .oldest_file()
                    .unwrap()
                    .filter(|file| store.appended() - file.start > 4 * SEGMENT_BYTES)
                {
                    assert!(store.remove_oldest_file(oldest.start).unwrap());
                    store.trim_queues().unwrap();
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(queue.min_offset() > 2000, "{}", queue.min_offset());
    assert_eq!(queue.max_offset(), 3000);
}

#[test]
fn many_queues_share_few_open_files() {
    let disk = SimDisk::new();
    let few = || rocketmq_boot_store::Options { open_queue_files: 16, ..options() };
    let (store, _) = open_with(&disk, few());
    for round in 0..3 {
        for id in 0..300 {
            send(&store, "many", id, format!("{round}").as_bytes()).unwrap();
        }
    }
    store.close().unwrap();
    drop(store);
    let idle = disk.open_files();
    let (store, _) = open_with(&disk, few());
    for queue in store.queues("many") {
        assert_eq!(read_queue(&store, &queue), [b"0", b"1", b"2"]);
    }
    let segments = usize::try_from(store.appended() / SEGMENT_BYTES + 2).unwrap();
    assert!(disk.open_files() <= idle + 16 + segments + 2, "{}", disk.open_files());
}
