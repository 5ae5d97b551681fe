//! Messages are found by key, whatever happened to the index.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use rocketmq_boot_protocol::message::record::{Draft, records};
use rocketmq_boot_store::{
    Append, Appended, FoundByKey, IndexSize, KeyKind, KeyQuery, Options, Store,
    disk::{Cut, Disk, Sector, SimDisk},
};
use support::*;

/// Small enough that a few dozen messages fill several files, whose chains are long.
const SIZE: IndexSize = IndexSize { slots: 7, entries: 40 };

fn indexed() -> Options {
    Options { index: Some(SIZE), ..options() }
}

fn open_indexed(disk: &SimDisk) -> Store {
    open_with(disk, indexed()).0
}

/// Sends message `number`: it has a unique key, a key it shares with every third one, and a tag.
fn send_keyed(store: &Store, number: usize) -> Appended {
    let properties =
        format!("UNIQ_KEY\u{1}U{number}\u{2}KEYS\u{1}third{} all\u{2}TAGS\u{1}tag\u{2}", number % 3);
    send_with(store, "t", &properties, &body(number))
}

fn send_with(store: &Store, topic: &str, properties: &str, body: &[u8]) -> Appended {
    let queue = store.queue(topic, 0);
    let draft = Draft { properties: properties.as_bytes(), ..draft(body, &queue) };
    let mut batch = [Append { draft, ..message(&queue, body) }];
    store.append(&mut batch);
    let [append] = batch;
    append.outcome.unwrap().unwrap()
}

fn query<'a>(key: &'a str, kind: KeyKind, max_messages: usize) -> KeyQuery<'a> {
    KeyQuery { topic: "t", key, kind, max_messages, max_bytes: 1 << 20, begin: 0, end: i64::MAX }
}

fn bodies(found: &FoundByKey) -> Vec<Vec<u8>> {
    records(&found.records).map(|record| record.unwrap().body.to_vec()).collect()
}

fn find(store: &Store, key: &str) -> Vec<Vec<u8>> {
    bodies(&store.find_by_key(&query(key, KeyKind::Key, 1_000)).unwrap())
}

/// Asserts that every message of the log is found by its keys, once, and no other is; gives how many there are.
fn assert_indexed(store: &Store) -> usize {
    let all = read_queue(store, &store.queue("t", 0));
    for (number, body) in all.iter().enumerate() {
        assert_eq!(
            find(store, &format!("U{number}")),
            std::slice::from_ref(body),
            "message {number} of {}",
            all.len()
        );
    }
    assert_eq!(find(store, "all"), all);
    assert_eq!(find(store, &format!("U{}", all.len())), Vec::<Vec<u8>>::new());
    for third in 0..3 {
        let expected: Vec<_> = all.iter().skip(third).step_by(3).cloned().collect();
        assert_eq!(find(store, &format!("third{third}")), expected);
    }
    all.len()
}

fn index_files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.files().into_keys().filter(|file| file.starts_with(path("index"))).collect()
}

#[test]
fn the_newest_messages_with_a_key_are_found_in_the_order_of_the_log() {
    let disk = SimDisk::new();
    let store = open_indexed(&disk);
    let appended: Vec<_> = (0..60).map(|number| send_keyed(&store, number)).collect();
    send_with(&store, "other", "KEYS\u{1}all\u{2}", b"other");
    assert_eq!(assert_indexed(&store), 60);
    assert_eq!(index_files(&disk).len(), 7, "39 entries a file, 4 a message");

    let found = store.find_by_key(&query("all", KeyKind::Key, 5)).unwrap();
    assert_eq!(bodies(&found), (55..60).map(body).collect::<Vec<_>>());
    assert_eq!(found.last_position, i64::try_from(appended[59].end()).unwrap());
    assert_eq!(found.last_timestamp, appended[59].store_timestamp);

    let tagged = store.find_by_key(&query("tag", KeyKind::Tag, 3)).unwrap();
    assert_eq!(bodies(&tagged), (57..60).map(body).collect::<Vec<_>>());
    // A tag and a key of its form have the same hash.
    assert_eq!(find(&store, "T#tag"), Vec::<Vec<u8>>::new());
    assert_eq!(find(&store, "tag"), Vec::<Vec<u8>>::new());
    let none = store.find_by_key(&query("all", KeyKind::Key, 0)).unwrap();
    assert_eq!(none, FoundByKey::default());
}

#[test]
fn answers_are_bounded_in_bytes_but_never_empty() {
    let store = open_indexed(&SimDisk::new());
    let sizes: Vec<_> =
        (0..9).map(|number| usize::try_from(send_keyed(&store, number).size).unwrap()).collect();
    let by_bytes = |max_bytes| {
        let query = KeyQuery { max_bytes, ..query("all", KeyKind::Key, 100) };
        store.find_by_key(&query).unwrap().count
    };
    assert_eq!((by_bytes(0), by_bytes(sizes[8] + sizes[7])), (1, 2));
    assert_eq!((by_bytes(sizes[8] + sizes[7] - 1), by_bytes(sizes.iter().sum())), (1, 9));
}

#[test]
fn times_bound_a_search() {
    let disk = SimDisk::new();
    let clock = rocketmq_boot_protocol::Clock::manual(1_700_000_000_000);
    let shared: std::sync::Arc<dyn Disk> = std::sync::Arc::new(disk);
    let (store, _) = Store::open(indexed(), clock.clone(), shared).unwrap();
    for number in 0..50 {
        send_keyed(&store, number);
        clock.advance(std::time::Duration::from_secs(10));
    }
    let between = |from: i64, to: i64| {
        let at = |second: i64| 1_700_000_000_000 + second * 1_000;
        let query = KeyQuery { begin: at(from), end: at(to), ..query("all", KeyKind::Key, 100) };
        bodies(&store.find_by_key(&query).unwrap())
    };
    let numbered = |range: std::ops::Range<usize>| range.map(body).collect::<Vec<_>>();
    assert_eq!(between(0, 1_000), numbered(0..50));
    assert_eq!(between(100, 190), numbered(10..20));
    assert_eq!(between(101, 109), numbered(0..0));
    assert_eq!(between(480, 480), numbered(48..49));
    assert_eq!(between(-100, 0), numbered(0..1));
    assert_eq!(between(491, 10_000), numbered(0..0));
}

#[test]
fn records_without_keys_and_rolled_back_ones_are_not_indexed() {
    let store = open_indexed(&SimDisk::new());
    send_with(&store, "t", "", b"none");
    let queue = store.queue("t", 0);
    let mut draft = draft(b"rolled back", &queue);
    draft.properties = b"UNIQ_KEY\x01gone\x02";
    draft.sys_flag = 0xC;
    store.append(&mut [Append { draft, ..message(&queue, b"rolled back") }]);
    send_with(&store, "t", "KEYS\u{1} a  b \u{2}UNIQ_KEY\u{1}a\u{2}", b"twice");
    assert_eq!(find(&store, "gone"), Vec::<Vec<u8>>::new());
    assert_eq!(find(&store, ""), Vec::<Vec<u8>>::new());
    assert_eq!((find(&store, "a"), find(&store, "b")), (vec![b"twice".to_vec()], vec![b"twice".to_vec()]));
}

#[test]
fn a_clean_stop_leaves_an_index_that_is_taken_as_it_is() {
    let disk = SimDisk::new();
    for round in 0..5 {
        let store = open_indexed(&disk);
        assert_eq!(assert_indexed(&store), round * 13);
        (round * 13..round * 13 + 13).for_each(|number| _ = send_keyed(&store, number));
        store.close().unwrap();
        drop(store);
        let before = disk.files();
        let store = open_indexed(&disk);
        assert_eq!(assert_indexed(&store), round * 13 + 13);
        store.close().unwrap();
        for file in index_files(&disk) {
            assert!(disk.content(&file) == before.get(&file).cloned(), "round {round}: {}", file.display());
        }
    }
}

#[test]
fn whatever_a_crash_leaves_of_the_index_every_message_is_found() {
    let mut random = 7_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    for round in 0..60 {
        let disk = SimDisk::new();
        let mut options = indexed();
        options.checkpoint_interval = std::time::Duration::ZERO;
        let (store, _) = open_with(&disk, options);
        let (first, second) = (usize::try_from(next() % 40).unwrap(), usize::try_from(next() % 40).unwrap());
        (0..first).for_each(|number| _ = send_keyed(&store, number));
        // What is looked for is written; whether it is durable, and whether a checkpoint knows, is up to the threads.
        find(&store, "all");
        if next() % 2 == 0 {
            flush(&store);
        }
        (first..first + second).for_each(|number| _ = send_keyed(&store, number));
        if next() % 2 == 0 {
            find(&store, "all");
        }
        let names_kept = next() % 2 == 0;
        let mut sectors = |_: &Path, _| match next() % 3 {
            0 => Sector::Kept,
            1 => Sector::Lost,
            _ => Sector::Torn,
        };
        let cut = disk.cut_power(Cut { sectors: &mut sectors, names_kept });
        for after in [disk.kill(), cut] {
            let store = open_indexed(&after);
            let found = assert_indexed(&store);
            // It goes on from there, and survives a second crash.
            (found..found + 5).for_each(|number| _ = send_keyed(&store, number));
            assert_eq!(assert_indexed(&store), found + 5, "round {round}");
            let store = open_indexed(&after.kill());
            assert_eq!(assert_indexed(&store), found + 5, "round {round}, after a second crash");
        }
    }
}

#[test]
fn missing_and_damaged_files_are_made_again() {
    let disk = SimDisk::new();
    let store = open_indexed(&disk);
    (0..50).for_each(|number| _ = send_keyed(&store, number));
    store.close().unwrap();
    drop(store);
    let files = index_files(&disk);
    assert_eq!(files.len(), 6);
    let reopened = |disk: &SimDisk, what: &str| {
        let store = open_indexed(disk);
        assert_eq!(assert_indexed(&store), 50, "{what}");
        store.close().unwrap();
        drop(store);
        assert_eq!(index_files(disk).len(), 6, "{what}");
    };
    for file in &files {
        let bytes = disk.content(file).unwrap();
        let missing = disk.kill();
        missing.remove(file).unwrap();
        reopened(&missing, "missing");
        let short = disk.kill();
        short.put(file, &bytes[..bytes.len() - 1]);
        reopened(&short, "short");
        let empty = disk.kill();
        empty.put(file, &vec![0; bytes.len()]);
        reopened(&empty, "empty");
        let later = disk.kill();
        later.put(file, &[&[0x7F; 40][..], &bytes[40..]].concat());
        reopened(&later, "with a header that cannot be");
    }
    let none = disk.kill();
    none.remove_dirs(&path("index")).unwrap();
    reopened(&none, "without the folder");
    let other = Options { index: Some(IndexSize { slots: 11, entries: 60 }), ..indexed() };
    let (store, _) = open_with(&disk, other);
    assert_eq!(assert_indexed(&store), 50, "of another size");
}

#[test]
fn a_log_that_lost_its_end_takes_it_from_the_index() {
    let disk = SimDisk::new();
    let store = open_indexed(&disk);
    let appended: Vec<_> = (0..30).map(|number| send_keyed(&store, number)).collect();
    store.close().unwrap();
    drop(store);
    let cut_at = usize::try_from(appended[19].end()).unwrap();
    for file in disk.files().into_keys().filter(|file| file.starts_with(path("commitlog"))) {
        let mut bytes = disk.content(&file).unwrap();
        let start: usize = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let kept = cut_at.saturating_sub(start).min(bytes.len());
        bytes[kept..].fill(0);
        disk.put(&file, &bytes);
    }
    disk.remove_dirs(&path("consumequeue")).unwrap();
    let store = open_indexed(&disk);
    let kept = assert_indexed(&store);
    assert!(kept <= 20);
    (kept..kept + 20).for_each(|number| _ = send_keyed(&store, number));
    assert_eq!(assert_indexed(&store), kept + 20);
}

#[test]
fn a_file_of_the_index_that_cannot_be_read_hurts_nothing_else() {
    let disk = SimDisk::new();
    let store = open_with(&disk, Options { commit_log_file_bytes: 1 << 16, ..indexed() }).0;
    send_keyed(&store, 0);
    assert_eq!(assert_indexed(&store), 1);
    let index = index_files(&disk).remove(0);
    disk.break_file(&index);
    store.find_by_key(&query("all", KeyKind::Key, 1)).unwrap_err();
    (1..20).for_each(|number| _ = send_keyed(&store, number));
    assert_eq!(read_queue(&store, &store.queue("t", 0)).len(), 20);
}

#[test]
fn without_an_index_nothing_is_found_or_written() {
    let disk = SimDisk::new();
    let (store, _) = open_with(&disk, Options { index: None, ..options() });
    send_keyed(&store, 0);
    assert_eq!(find(&store, "all"), Vec::<Vec<u8>>::new());
    store.close().unwrap();
    drop(store);
    assert!(index_files(&disk).is_empty());
    let store = open_indexed(&disk);
    assert_eq!(assert_indexed(&store), 1, "switched on later it begins with the log");
}

#[test]
fn files_of_messages_that_the_log_no_longer_has_are_removed() {
    let disk = SimDisk::new();
    let store = open_indexed(&disk);
    (0..200).for_each(|number| _ = send_keyed(&store, number));
    assert_eq!(assert_indexed(&store), 200);
    let before = index_files(&disk).len();
    flush(&store);
    for _ in 0..5 {
        let oldest = store.oldest_file().unwrap().unwrap();
        assert!(store.remove_oldest_file(oldest.start).unwrap());
    }
    store.trim_queues().unwrap();
    let first = usize::try_from(store.queue("t", 0).min_offset()).unwrap();
    assert!((40..160).contains(&first), "{first}");
    let assert_left = |store: &Store| {
        for number in 0..200 {
            let expected = if number < first { Vec::new() } else { vec![body(number)] };
            assert_eq!(
                find(store, &format!("U{number}")),
                expected,
                "message {number}, the first is {first}"
            );
        }
    };
    // The second search comes after the round of the first, at the end of which files are removed.
    for number in 200..202 {
        send_keyed(&store, number);
        assert_eq!(find(&store, &format!("U{number}")), [body(number)]);
    }
    assert_left(&store);
    let left = index_files(&disk).len();
    assert!(left + first / 10 <= before + 1, "{left} of {before} files, the first message is {first}");
    let after = disk.kill();
    assert_left(&open_indexed(&after));
    store.close().unwrap();
    drop(store);
    assert_left(&open_indexed(&disk));
}
