//! Who is told what, and when: group commit, time-outs, failed syncs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use rocketmq_boot_store::{
    AppendError, Flush, FlushFailure, Options, ReadStatus, Store,
    disk::{Cut, Sector, SimDisk},
};
use support::*;

/// Large enough that no test needs a second file, which would take a sync.
fn one_file() -> Options {
    Options { commit_log_file_bytes: 1 << 20, ..sync_options() }
}

/// How the wait for `end` ends.
fn outcome(store: &Store, end: u64) -> Receiver<Result<(), FlushFailure>> {
    let (done, wait) = channel();
    store.when_flushed(end, Box::new(move |result| done.send(result).unwrap()));
    wait
}

#[test]
fn with_sync_flush_nothing_is_readable_before_it_is_durable() {
    let disk = SimDisk::new();
    let (store, _) = open_with(&disk, one_file());
    send_numbered(&store, 0..20);
    flush(&store);
    disk.hold_syncs(true);
    let flushed = store.flushed();
    let held: Vec<_> = send_numbered(&store, 20..50).iter().map(|sent| outcome(&store, sent.end())).collect();
    // At most one sync can be on its way, and it cannot end.
    assert_eq!((store.flushed(), store.readable()), (flushed, flushed));
    assert!(store.appended() > flushed);
    assert_eq!(assert_prefix(&store), 20);
    let queue = store.queue("t", 0);
    assert_eq!((store.readable_end(&queue), queue.max_offset()), (7, 17));
    assert_eq!(read(&store, &queue, 7).0.status, ReadStatus::OverflowOne);
    disk.hold_syncs(false);
    assert!(held.iter().all(|wait| wait.recv().unwrap() == Ok(())));
    assert_eq!(assert_prefix(&store), 50);
}

#[test]
fn what_was_acknowledged_survives_every_power_cut() {
    for names_kept in [true, false] {
        let disk = SimDisk::new();
        let (store, _) = open_with(&disk, sync_options());
        for number in 0..70 {
            let sent = send(&store, "t", queue_of(number), &body(number)).unwrap();
            outcome(&store, sent.end()).recv().unwrap().unwrap();
            let after = disk.cut_power(Cut { sectors: &mut |_, _| Sector::Lost, names_kept });
            let (recovered, _) = open_with(&after, sync_options());
            assert_eq!(assert_prefix(&recovered), number + 1);
        }
    }
}

#[test]
fn one_sync_covers_everything_that_arrived_during_the_last() {
    let disk = SimDisk::new();
    let (store, _) = open_with(&disk, one_file());
    disk.hold_syncs(true);
    let waits: Vec<_> = send_numbered(&store, 0..64).iter().map(|sent| outcome(&store, sent.end())).collect();
    let before = disk.operations();
    disk.hold_syncs(false);
    for wait in waits {
        wait.recv().unwrap().unwrap();
    }
    // Two rounds, and what the keeper does at the same time; far from one sync a message.
    assert!(disk.operations() - before < 32, "{} operations", disk.operations() - before);
}

#[test]
fn a_disk_that_hangs_is_reported_in_time_and_can_come_back() {
    let disk = SimDisk::new();
    let options = Options { flush: Flush::Sync { timeout: Duration::from_millis(2) }, ..options() };
    let (store, _) = open_with(&disk, options);
    disk.hold_syncs(true);
    let sent = send(&store, "t", 0, &body(0)).unwrap();
    assert_eq!(outcome(&store, sent.end()).recv().unwrap(), Err(FlushFailure::Timeout));
    assert!(store.is_writable());
    disk.hold_syncs(false);
    // Whoever asks again may time out too, but the flush goes on by itself.
    while outcome(&store, sent.end()).recv().unwrap().is_err() {}
    assert_eq!(assert_prefix(&store), 1);
}

#[test]
fn a_failed_sync_makes_the_store_read_only_for_good() {
    for syncs in 0..6 {
        let disk = SimDisk::new();
        let (store, _) = open_with(&disk, sync_options());
        disk.fail_sync_after(syncs);
        let mut durable = 0;
        let failed = loop {
            let sent = send(&store, "t", queue_of(durable), &body(durable)).unwrap();
            match outcome(&store, sent.end()).recv().unwrap() {
                Ok(()) => durable += 1,
                Err(failed) => break failed,
            }
        };
        assert_eq!(failed, FlushFailure::Broken);
        assert!(!store.is_writable());
        assert!(matches!(send(&store, "t", 0, b"x"), Err(AppendError::ReadOnly)));
        assert_eq!(
            outcome(&store, store.appended()).recv().unwrap(),
            Err(FlushFailure::Broken),
            "never retried"
        );
        assert_eq!(assert_prefix(&store), durable, "what is not durable is not shown");
        assert!(store.close().is_err());
        drop(store);
        assert!(disk.content(&path("abort")).is_some(), "the next start must look");

        let after = disk.cut_power(Cut { sectors: &mut |_, _| Sector::Lost, names_kept: false });
        let (recovered, _) = open_with(&after, sync_options());
        assert_eq!(assert_prefix(&recovered), durable);
        let sent = send(&recovered, "t", queue_of(durable), &body(durable)).unwrap();
        outcome(&recovered, sent.end()).recv().unwrap().unwrap();
        drop(recovered);
        let (again, found) = open_with(&after, sync_options());
        assert_eq!((assert_prefix(&again), found.truncated_bytes), (durable + 1, 0));
    }
}

#[test]
fn a_failed_sync_in_the_background_refuses_what_comes_later() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..10);
    disk.fail_sync_after(0);
    assert_eq!(outcome(&store, store.appended()).recv().unwrap(), Err(FlushFailure::Broken));
    assert!(matches!(send(&store, "t", 0, b"x"), Err(AppendError::ReadOnly)));
    assert_eq!(assert_prefix(&store), 10);
}

#[test]
fn waiting_for_what_is_durable_is_answered_at_once() {
    let (store, _) = open(&SimDisk::new());
    send_numbered(&store, 0..3);
    flush(&store);
    let (done, wait) = channel();
    store.when_flushed(store.flushed(), Box::new(move |result| done.send(result).unwrap()));
    assert_eq!(wait.try_recv(), Ok(Ok(())));
}

#[test]
fn waiters_are_told_when_the_store_goes_away() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let wait = outcome(&store, store.appended() + 1);
    drop(store);
    assert_eq!(wait.recv().unwrap(), Err(FlushFailure::Broken));
}

#[test]
fn appends_that_catch_up_with_what_is_written_ahead_lose_nothing() {
    // Files that are large enough for zeros to be written ahead, and bodies that soon reach them.
    let disk = SimDisk::new();
    let large = Options { commit_log_file_bytes: 6 << 20, ..sync_options() };
    let (store, _) = open_with(&disk, large.clone());
    let queue = store.queue("t", 0);
    let bodies: Vec<Vec<u8>> = (0..150_u8).map(|number| vec![number; 100_000]).collect();
    for same in bodies.chunks(3) {
        let mut batch: Vec<_> = same.iter().map(|body| message(&queue, body)).collect();
        store.append(&mut batch);
        assert!(batch.iter().all(|append| matches!(append.outcome, Some(Ok(_)))));
    }
    flush(&store);
    assert!(read_queue(&store, &queue) == bodies);
    let after = disk.cut_power(Cut { sectors: &mut |_, _| Sector::Lost, names_kept: false });
    let (recovered, found) = open_with(&after, large);
    assert!(read_queue(&recovered, &recovered.queue("t", 0)) == bodies);
    assert_eq!((found.truncated_bytes, found.quarantined.len()), (0, 0));
}
