//! What is appended is read: across files, from memory and from files, within limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use rocketmq_boot_protocol::{Clock, message::record::Record};
use rocketmq_boot_store::{
    AppendError, Boundary, Flush, Heat, OpenError, Options, ReadLimit, ReadStatus, Store,
    disk::{RealDisk, SimDisk},
};
use support::*;

fn on_both_disks(test: impl Fn(Store)) {
    test(open(&SimDisk::new()).0);
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { commit_log: folder.path().join("log"), root: folder.path().to_owned(), ..options() };
    test(Store::open(options, Clock::manual(1_700_000_000_000), Arc::new(RealDisk)).unwrap().0);
}

#[test]
fn messages_come_back_in_order_across_files() {
    on_both_disks(|store| {
        let appended = send_numbered(&store, 0..200);
        assert!(appended.last().unwrap().physical_offset > 5 * SEGMENT_BYTES, "several files are used");
        assert_eq!(assert_prefix(&store), 200);
        for (number, appended) in appended.iter().enumerate() {
            let bytes = store.record(appended.physical_offset).unwrap().unwrap();
            let record = Record::decode(&bytes).unwrap();
            assert_eq!(record.body, body(number));
            assert_eq!(record.queue_offset, appended.queue_offset);
            assert_eq!((record.store_timestamp, record.total_size), (1_700_000_000_000, appended.size));
        }
        store.close().unwrap();
        assert_eq!(assert_prefix(&store), 200, "a closed store is still read");
        assert!(matches!(send(&store, "t", 0, b"x"), Err(AppendError::Closed)));
    });
}

#[test]
fn one_call_appends_to_many_queues_and_rolls_in_between() {
    on_both_disks(|store| {
        let queues: Vec<_> = (0..3).map(|id| store.queue("t", id)).collect();
        let bodies: Vec<_> = (0..120).map(body).collect();
        let mut batch: Vec<_> =
            bodies.iter().enumerate().map(|(number, body)| message(&queues[number % 3], body)).collect();
        store.append(&mut batch);
        assert!(batch.iter().all(|append| matches!(append.outcome, Some(Ok(_)))));
        drop(batch);
        assert_eq!(assert_prefix(&store), 120);
    });
}

#[test]
fn a_file_ends_with_a_blank_and_the_next_begins_where_it_ends() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let appended = send_numbered(&store, 0..60);
    let last = appended.iter().rev().find(|appended| appended.end() <= SEGMENT_BYTES).unwrap();
    assert!(appended.iter().any(|appended| appended.physical_offset == SEGMENT_BYTES));
    let file = disk.content(&path("commitlog/00000000000000000000")).unwrap();
    let blank = &file[usize::try_from(last.end()).unwrap()..];
    assert_eq!(blank[..4], u32::try_from(blank.len()).unwrap().to_be_bytes());
    assert_eq!(blank[4..8], 0xCBD4_3194_u32.to_be_bytes());
    assert!(blank[8..].iter().all(|byte| *byte == 0));
}

#[test]
fn joined_messages_stand_together_or_are_refused_together() {
    let (store, _) = open(&SimDisk::new());
    let queue = store.queue("t", 0);
    send(&store, "t", 0, &[0; 2000]).unwrap();
    let bodies = [vec![1; 900], vec![2; 900], vec![3; 900]];
    let mut batch: Vec<_> = bodies.iter().map(|body| message(&queue, body)).collect();
    batch[1].joined = true;
    batch[2].joined = true;
    store.append(&mut batch);
    let placed: Vec<_> =
        batch.iter().map(|append| *append.outcome.as_ref().unwrap().as_ref().unwrap()).collect();
    assert_eq!(placed[0].physical_offset, SEGMENT_BYTES, "the group did not fit behind the first message");
    assert!(placed.windows(2).all(|pair| pair[0].end() == pair[1].physical_offset));

    let long = vec![9; 1400];
    let mut batch: Vec<_> = [&long, &long, &long, &bodies[0]].map(|body| message(&queue, body)).into();
    batch[1].joined = true;
    batch[2].joined = true;
    store.append(&mut batch);
    assert!(matches!(batch[0].outcome, Some(Err(AppendError::TooLarge { .. }))));
    assert!(matches!(batch[2].outcome, Some(Err(AppendError::Joined))));
    assert!(matches!(batch[3].outcome, Some(Ok(appended)) if appended.queue_offset == 4));
}

#[test]
fn a_message_that_cannot_be_stored_does_not_disturb_its_neighbours() {
    let (store, _) = open(&SimDisk::new());
    let (queue, bad) = (store.queue("t", 0), store.queue("../t", 0));
    let huge = vec![0; 5000];
    let long = vec![b'x'; 40_000];
    let mut batch = [
        message(&queue, b"1"),
        message(&queue, &huge),
        message(&bad, b"2"),
        message(&queue, b"3"),
        message(&queue, b"4"),
    ];
    batch[3].draft.properties = &long;
    store.append(&mut batch);
    let [first, huge, bad, long, last] = batch.map(|append| append.outcome.unwrap());
    assert!(matches!(huge, Err(AppendError::TooLarge { .. })));
    assert!(matches!(bad, Err(AppendError::Topic { .. })));
    assert!(matches!(long, Err(AppendError::Record(_))));
    assert_eq!((first.unwrap().queue_offset, last.unwrap().queue_offset), (0, 1));
    assert_eq!(read_queue(&store, &queue), [b"1", b"4"]);
}

#[test]
fn reads_say_where_they_are_and_respect_their_limits() {
    on_both_disks(|store| {
        let queue = store.queue("t", 0);
        assert_eq!(read(&store, &queue, 0).0.status, ReadStatus::Empty);
        let sizes: Vec<usize> = (0..100)
            .map(|number| usize::try_from(send(&store, "t", 0, &body(number)).unwrap().size).unwrap())
            .collect();
        let status = |offset| read(&store, &queue, offset).0;
        assert_eq!((status(100).status, status(100).next_offset), (ReadStatus::OverflowOne, 100));
        assert_eq!((status(101).status, status(101).next_offset), (ReadStatus::OverflowBadly, 100));
        assert_eq!((status(-1).status, status(-1).next_offset), (ReadStatus::TooSmall, 0));

        let first = status(0);
        assert_eq!((first.count, first.bytes, first.next_offset), (32, sizes[..32].iter().sum(), 32));
        let limited = |limit| {
            let mut out = Vec::new();
            let outcome = store.read(&queue, 10, limit, &mut |_| true, &mut out, Heat::Any).unwrap();
            assert_eq!(outcome.bytes, out.len());
            (outcome.status, outcome.count, outcome.next_offset)
        };
        assert_eq!(limited(ReadLimit { max_messages: 3, ..ALL }), (ReadStatus::Found, 3, 13));
        assert_eq!(limited(ReadLimit { max_bytes: 1, ..ALL }), (ReadStatus::Found, 1, 11));
        let two = sizes[10] + sizes[11];
        assert_eq!(limited(ReadLimit { max_bytes: two, ..ALL }), (ReadStatus::Found, 2, 12));
        assert_eq!(limited(ReadLimit { max_scan: 5, ..ALL }), (ReadStatus::Found, 5, 15));

        let mut out = Vec::new();
        let none = store.read(&queue, 0, ALL, &mut |code| code == 98, &mut out, Heat::Any).unwrap();
        assert_eq!((none.status, none.next_offset, out.len()), (ReadStatus::NoMatch, 100, 0));
        assert_eq!(status(99).behind_bytes, u64::try_from(sizes[99]).unwrap());
    });
}

#[test]
fn what_was_just_appended_is_hot() {
    on_both_disks(|store| {
        let queue = store.queue("t", 0);
        for number in 0..100 {
            send(&store, "t", 0, &body(number)).unwrap();
        }
        let mut out = Vec::new();
        let outcome = store.read(&queue, 70, ALL, &mut |_| true, &mut out, Heat::HotOnly).unwrap();
        assert_eq!((outcome.status, outcome.count), (ReadStatus::Found, 30));
    });
}

#[test]
fn stored_times_never_go_back_and_find_their_message() {
    let clock = Clock::manual(1_000);
    let disk = SimDisk::new();
    let (store, _) = Store::open(options(), clock.clone(), Arc::new(disk)).unwrap();
    let queue = store.queue("t", 0);
    assert_eq!(store.earliest_time(&queue).unwrap(), None);
    assert_eq!(store.offset_by_time(&queue, 5, Boundary::Lower).unwrap(), 0);
    for _ in 0..10 {
        for number in 0..3 {
            send(&store, "t", 0, &body(number)).unwrap();
        }
        clock.advance(Duration::from_millis(100));
    }
    let find = |time, boundary| store.offset_by_time(&queue, time, boundary).unwrap();
    assert_eq!((find(1_200, Boundary::Lower), find(1_200, Boundary::Upper)), (6, 8));
    assert_eq!((find(1_201, Boundary::Lower), find(1_299, Boundary::Upper)), (9, 8));
    assert_eq!((find(0, Boundary::Lower), find(0, Boundary::Upper)), (0, 0));
    assert_eq!((find(9_999, Boundary::Lower), find(9_999, Boundary::Upper)), (30, 29));
    assert_eq!(store.earliest_time(&queue).unwrap(), Some(1_000));
    assert_eq!(
        (store.store_time(&queue, 29).unwrap(), store.store_time(&queue, 30).unwrap()),
        (Some(1_900), None)
    );
}

#[test]
fn a_second_store_on_the_same_folder_is_refused() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let second = Store::open(options(), Clock::system(), Arc::new(disk.clone()));
    assert!(matches!(second, Err(OpenError::Locked { path: ref locked }) if *locked == path("lock")));
    drop(store);
    open(&disk);
}

#[test]
fn a_deleted_topic_is_gone_and_can_begin_again() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..60);
    store.delete_topic("t").unwrap();
    assert!(store.topics().is_empty());
    assert!(disk.files().keys().all(|file| !file.starts_with(path("consumequeue/t"))));
    assert_eq!(send(&store, "t", 0, b"again").unwrap().queue_offset, 0);
    store.close().unwrap();
    drop(store);
    let (store, _) = open(&disk);
    assert_eq!(read_queue(&store, &store.queue("t", 0)), [b"again"]);
}

#[test]
fn options_that_cannot_be_are_refused() {
    for (bytes, entries) in [(0, 16), (1 << 40, 16), (4096, 0)] {
        let options =
            Options { commit_log_file_bytes: bytes, consume_queue_file_entries: entries, ..options() };
        let refused = Store::open(options, Clock::system(), Arc::new(SimDisk::new()));
        assert!(matches!(refused, Err(OpenError::Option { .. })));
    }
}

#[test]
fn the_default_options_open_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { flush: Flush::Sync { timeout: Duration::from_secs(5) }, ..Options::new(folder.path()) };
    let (store, _) = Store::open(options, Clock::system(), Arc::new(RealDisk)).unwrap();
    send(&store, "t", 0, b"hello").unwrap();
    flush(&store);
    assert_eq!(read_queue(&store, &store.queue("t", 0)), [b"hello"]);
    store.close().unwrap();
}
