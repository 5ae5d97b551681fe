//! Many threads append and read at once, on both disks and with both ways of flushing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, thread};

use rocketmq_boot_protocol::{Clock, message::record::records};
use rocketmq_boot_store::{
    Heat, Options, ReadStatus, Store,
    disk::{RealDisk, SimDisk},
};
use support::*;

const WRITERS: usize = 3;
const CALLS: usize = 60;
const BATCH: usize = 5;

/// Each writer sends numbered messages to a queue of its own and to one that all share, while readers follow.
fn crowd(store: &Store) {
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let own = store.queue("own", u32::try_from(writer).unwrap());
                let shared = store.queue("shared", 0);
                for call in 0..CALLS {
                    let bodies: Vec<_> = (0..BATCH)
                        .map(|number| format!("{writer}-{}", call * BATCH + number).into_bytes())
                        .collect();
                    let mut batch: Vec<_> = bodies
                        .iter()
                        .flat_map(|body| [message(&own, body), message(&shared, body)])
                        .collect();
                    store.append(&mut batch);
                    assert!(batch.iter().all(|append| matches!(append.outcome, Some(Ok(_)))));
                }
            });
        }
        for heat in [Heat::Any, Heat::HotOnly] {
            scope.spawn(move || {
                let shared = store.queue("shared", 0);
                let mut offset = 0;
                while offset < i64::try_from(WRITERS * CALLS * BATCH).unwrap() {
                    let mut out = Vec::new();
                    let outcome = store.read(&shared, offset, ALL, &mut |_| true, &mut out, heat).unwrap();
                    let waiting = matches!(outcome.status, ReadStatus::Empty | ReadStatus::OverflowOne);
                    assert!(waiting || outcome.status == ReadStatus::Found, "{outcome:?}");
                    for record in records(&out) {
                        let record = record.unwrap();
                        assert_eq!((record.queue_offset, record.check_crc()), (offset, true));
                        offset += 1;
                    }
                    if outcome.count == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
}

fn assert_complete(store: &Store) {
    let sent =
        |writer: usize| (0..CALLS * BATCH).map(move |number| format!("{writer}-{number}").into_bytes());
    for writer in 0..WRITERS {
        let own = read_queue(store, &store.queue("own", u32::try_from(writer).unwrap()));
        assert!(own.into_iter().eq(sent(writer)), "writer {writer} finds its messages in order");
    }
    let shared = read_queue(store, &store.queue("shared", 0));
    assert_eq!(shared.len(), WRITERS * CALLS * BATCH);
    for writer in 0..WRITERS {
        let prefix = format!("{writer}-").into_bytes();
        let of_writer = shared.iter().filter(|body| body.starts_with(&prefix));
        assert!(
            of_writer.eq(sent(writer).collect::<Vec<_>>().iter()),
            "writer {writer} is in order among others"
        );
    }
}

#[test]
fn nothing_is_lost_or_reordered_in_a_crowd() {
    for options in [options(), sync_options()] {
        let disk = SimDisk::new();
        let (store, _) = open_with(&disk, options.clone());
        crowd(&store);
        flush(&store);
        assert_complete(&store);
        let (recovered, _) = open_with(&disk.kill(), options.clone());
        assert_complete(&recovered);

        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { root: folder.path().to_owned(), commit_log: folder.path().join("log"), ..options };
        let open = || Store::open(options.clone(), Clock::system(), Arc::new(RealDisk)).unwrap().0;
        let store = open();
        crowd(&store);
        flush(&store);
        assert_complete(&store);
        drop(store);
        assert_complete(&open());
    }
}

#[test]
fn deleting_a_topic_that_is_written_leaves_nothing_waiting() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..500 {
                let queue = store.queue("t", 0);
                let body = body(number);
                let mut batch = [message(&queue, &body)];
                store.append(&mut batch);
                assert!(matches!(batch[0].outcome, Some(Ok(_))));
            }
        });
        scope.spawn(|| {
            for _ in 0..20 {
                store.delete_topic("t").unwrap();
                thread::yield_now();
            }
        });
    });
    store.delete_topic("t").unwrap();
    assert_eq!(send(&store, "t", 0, b"last").unwrap().queue_offset, 0);
    store.close().unwrap();
    drop(store);
    let (store, _) = open(&disk);
    assert_eq!(read_queue(&store, &store.queue("t", 0)), [b"last"]);
}
