//! What a store makes of a folder after a clean stop, a crash, a power cut and damage.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{path::Path, sync::Arc};

use rocketmq_boot_protocol::Clock;
use rocketmq_boot_store::{
    AppendError, OpenError, Options, Store, TagsCode,
    disk::{Cut, Disk, RealDisk, Sector, SimDisk},
};
use support::*;

const LOG: &str = "commitlog/00000000000000000000";

/// A disk that lost power with every unsynced sector lost, or kept.
fn power_cut(disk: &SimDisk, fate: Sector) -> SimDisk {
    disk.cut_power(Cut { sectors: &mut |_, _| fate, names_kept: fate == Sector::Kept })
}

/// Asserts that a second recovery, as unclean as the first, finds the same and writes nothing but its marks.
fn assert_settled(disk: &SimDisk, count: usize) {
    let (store, again) = open(&disk.kill());
    assert_eq!((assert_prefix(&store), again.truncated_bytes, again.quarantined.len()), (count, 0, 0));
    drop(store);
}

#[test]
fn a_clean_stop_is_found_as_it_was_left() {
    let disk = SimDisk::new();
    let (store, first) = open(&disk);
    assert!(!first.unclean && first.records == 0);
    send_numbered(&store, 0..100);
    assert!(disk.content(&path("abort")).is_some(), "a running store is marked");
    store.close().unwrap();
    assert!(disk.content(&path("abort")).is_none());
    drop(store);
    for fate in [Sector::Kept, Sector::Lost] {
        let (store, found) = open(&power_cut(&disk, fate));
        assert!(!found.unclean);
        assert_eq!((found.records, found.truncated_bytes), (0, 0), "nothing has to be looked at again");
        assert_eq!(assert_prefix(&store), 100);
        assert_eq!(send(&store, "t", 0, b"x").unwrap().queue_offset, 34);
    }
}

#[test]
fn the_unused_part_of_a_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options::new(folder.path());
    let open = || Store::open(options(), Clock::system(), Arc::new(RealDisk)).unwrap();
    for _ in 0..3 {
        let (store, _) = open();
        send(&store, "t", 0, b"x").unwrap();
        store.close().unwrap();
    }
    drop(open());
    // What was read is cached, and what is cached counts as data.
    let log = RealDisk.open(&folder.path().join(LOG)).unwrap();
    assert_eq!((log.size().unwrap(), log.next_data(4 << 20).unwrap()), (1 << 30, None));
}

#[test]
fn a_killed_process_loses_nothing() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    for round in 1..6 {
        send_numbered(&store, (round - 1) * 37..round * 37);
        let after = disk.kill();
        let (store, found) = open(&after);
        assert!(found.unclean);
        assert_eq!(assert_prefix(&store), round * 37);
        send_numbered(&store, round * 37..round * 37 + 5);
        assert_eq!(assert_prefix(&store), round * 37 + 5);
        drop(store);
        assert_settled(&after, round * 37 + 5);
    }
}

#[test]
fn a_log_cut_at_any_byte_recovers_to_an_exact_prefix() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let appended = send_numbered(&store, 0..64);
    let end = store.appended();
    drop(store);
    assert!(end > SEGMENT_BYTES, "two files are used");
    for cut in 0..=end {
        let torn = disk.kill();
        for (start, name) in [(0, "00000000000000000000"), (SEGMENT_BYTES, "00000000000000004096")] {
            let file = path("commitlog").join(name);
            let mut bytes = torn.content(&file).unwrap();
            let kept = usize::try_from(cut.saturating_sub(start)).unwrap().min(bytes.len());
            bytes[kept..].fill(0);
            torn.put(&file, &bytes);
        }
        let expected = appended.iter().take_while(|appended| appended.end() <= cut).count();
        let (store, found) = open(&torn);
        assert_eq!(assert_prefix(&store), expected, "cut at {cut}");
        assert!(found.quarantined.is_empty(), "cut at {cut}");
        if cut % 16 == 0 {
            send_numbered(&store, expected..expected + 3);
            drop(store);
            assert_settled(&torn, expected + 3);
        }
    }
}

#[test]
fn after_a_power_cut_what_was_flushed_is_there_and_the_rest_is_a_prefix() {
    let mut random = 1_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    for _ in 0..200 {
        let disk = SimDisk::new();
        let (store, _) = open(&disk);
        send_numbered(&store, 0..40);
        flush(&store);
        send_numbered(&store, 40..64);
        let names_kept = next() % 2 == 0;
        let after = disk.cut_power(Cut {
            sectors: &mut |_, _| {
                [Sector::Kept, Sector::Lost, Sector::Torn][usize::try_from(next() % 3).unwrap()]
            },
            names_kept,
        });
        let (store, found) = open(&after);
        let count = assert_prefix(&store);
        assert!((40..=64).contains(&count), "{count}");
        assert!(found.quarantined.iter().all(|set_aside| set_aside.cut));
        send_numbered(&store, count..count + 10);
        drop(store);
        assert_settled(&after, count + 10);
    }
}

#[test]
fn a_full_disk_refuses_and_what_was_accepted_stays() {
    for room in (0..6000).step_by(37) {
        let disk = SimDisk::new();
        let (store, _) = open(&disk);
        disk.set_room(Some(room));
        let mut accepted = 0;
        while send(&store, "t", queue_of(accepted), &body(accepted)).is_ok() {
            accepted += 1;
        }
        assert!(matches!(
            send(&store, "t", 0, b"x"),
            Err(AppendError::Io(ref error)) if error.kind() == std::io::ErrorKind::StorageFull
        ));
        assert_eq!(assert_prefix(&store), accepted, "reads go on");
        let after = disk.kill();
        let (recovered, found) = open(&after);
        assert_eq!(
            (assert_prefix(&recovered), found.quarantined.len()),
            (accepted, 0),
            "room for {room} bytes"
        );
        drop(recovered);
        assert_settled(&after, accepted);

        disk.set_room(None);
        send_numbered(&store, accepted..accepted + 20);
        assert_eq!(assert_prefix(&store), accepted + 20, "appends go on once there is room");
        drop(store);
        assert_settled(&disk, accepted + 20);
    }
}

#[test]
fn damage_in_what_was_durable_is_set_aside_and_nothing_behind_it_is_lost() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let appended = send_numbered(&store, 0..100);
    store.close().unwrap();
    drop(store);
    for field in [0, 4, 8, 30, 84, 90, 95, 101] {
        let damaged = disk.kill();
        let victim = appended[30];
        let at = usize::try_from(victim.physical_offset % SEGMENT_BYTES).unwrap() + field;
        let file = path(&format!("commitlog/{:020}", victim.physical_offset / SEGMENT_BYTES * SEGMENT_BYTES));
        let mut bytes = damaged.content(&file).unwrap();
        bytes[at] ^= 0x10;
        damaged.put(&file, &bytes);
        // An unclean start with queues to make again, so that the whole log is walked.
        damaged.put(&path("abort"), b"1");
        damaged.remove_dirs(&path("consumequeue")).unwrap();

        let (store, found) = open(&damaged);
        let mut bodies = read_bodies(&store);
        bodies.sort();
        let mut expected: Vec<_> = (0..100).filter(|number| *number != 30).map(body).collect();
        expected.sort();
        assert_eq!(bodies, expected, "byte {field}");
        let [ref set_aside] = found.quarantined[..] else { panic!("{found:?}") };
        assert_eq!((set_aside.position, set_aside.bytes), (victim.physical_offset, u64::from(victim.size)));
        assert!(!set_aside.cut);
        let copy = damaged.content(&set_aside.copy).unwrap();
        assert_eq!(copy[..], bytes[at - field..][..copy.len()]);
        assert_eq!(damaged.content(&file).unwrap(), bytes, "the log itself is left as it is");
    }
}

/// Every body of topic `t`, without asking for queues without gaps.
fn read_bodies(store: &Store) -> Vec<Vec<u8>> {
    store.queues("t").iter().flat_map(|queue| read_queue(store, queue)).collect()
}

#[test]
fn queues_are_made_again_whatever_is_left_of_them() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..200);
    store.close().unwrap();
    drop(store);
    let files: Vec<_> =
        disk.files().into_keys().filter(|file| file.starts_with(path("consumequeue"))).collect();
    assert!(files.len() >= 12);
    let removals: [&dyn Fn(&SimDisk); 3] = [
        &|disk| disk.remove_dirs(&path("consumequeue")).unwrap(),
        &|disk| disk.remove_dirs(&path("consumequeue/t/1")).unwrap(),
        &|disk| {
            let name = files.iter().rfind(|file| file.starts_with(path("consumequeue/t/2"))).unwrap();
            disk.remove(name).unwrap();
        },
    ];
    for remove in removals {
        let damaged = disk.kill();
        damaged.put(&path("abort"), b"");
        // As after a crash: the marks are from before most of the messages.
        damaged.remove(&path("checkpoint")).unwrap();
        remove(&damaged);
        let (store, _) = open(&damaged);
        assert_eq!(assert_prefix(&store), 200);
        drop(store);
        assert_settled(&damaged, 200);
    }
}

#[test]
fn entries_of_records_that_the_log_lacks_are_dropped() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let appended = send_numbered(&store, 0..120);
    store.close().unwrap();
    drop(store);
    // As if the last files of the log had not been copied along.
    let kept = 2 * SEGMENT_BYTES;
    for file in disk.files().into_keys().filter(|file| file.starts_with(path("commitlog"))) {
        let start: u64 = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
        if start >= kept {
            disk.remove(&file).unwrap();
        }
    }
    disk.remove(&path("checkpoint")).unwrap();
    let expected = appended.iter().filter(|appended| appended.physical_offset < kept).count();
    let (store, _) = open(&disk);
    assert_eq!(assert_prefix(&store), expected);
    send_numbered(&store, expected..expected + 50);
    assert_eq!(assert_prefix(&store), expected + 50);
}

#[test]
fn tags_codes_are_computed_again_as_the_owner_says() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send(&store, "t", 0, b"x").unwrap();
    drop(store);
    disk.remove_dirs(&path("consumequeue")).unwrap_or_default();
    let codes = |options| {
        let (store, _) = open_with(&disk.kill(), options);
        let (mut seen, mut out) = (Vec::new(), Vec::new());
        let queue = store.queue("t", 0);
        let mut note = |code| {
            seen.push(code);
            true
        };
        store.read(&queue, 0, ALL, &mut note, &mut out, rocketmq_boot_store::Heat::Any).unwrap();
        seen
    };
    assert_eq!(codes(options()), [97], "the hash of tag `a`");
    let tags_code = TagsCode::new(|record| record.store_timestamp + 5);
    assert_eq!(codes(rocketmq_boot_store::Options { tags_code, ..options() }), [1_700_000_000_005]);
}

#[test]
fn a_log_that_begins_past_zero_keeps_its_positions_and_offsets() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    let appended = send_numbered(&store, 0..150);
    store.close().unwrap();
    drop(store);
    // As Apache leaves it after retention: the first files of log and queues are gone.
    disk.remove(&path(LOG)).unwrap();
    disk.remove(&path("consumequeue/t/0/00000000000000000000")).unwrap();
    let (store, _) = open(&disk);
    let kept: Vec<_> = (0..150).filter(|number| appended[*number].physical_offset >= SEGMENT_BYTES).collect();
    let minimum = |id| {
        let numbers = kept.iter().filter(|number| queue_of(**number) == id);
        numbers.map(|number| appended[*number].queue_offset).min().unwrap()
    };
    assert_eq!(store.min_position(), SEGMENT_BYTES);
    for id in 1..3 {
        assert_eq!(store.queue("t", id).min_offset(), minimum(id));
    }
    assert_eq!(store.queue("t", 0).min_offset(), minimum(0).max(16));
    assert_eq!(
        read_queue(&store, &store.queue("t", 1)).len(),
        kept.iter().filter(|number| queue_of(**number) == 1).count()
    );
}

/// The file that an error must name, and what is done to the disk.
type Damage<'a> = (&'a str, &'a dyn Fn(&SimDisk));

#[test]
fn files_that_cannot_be_used_are_named_and_left_alone() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..100);
    store.close().unwrap();
    drop(store);
    let second = "commitlog/00000000000000004096";
    let queue = "consumequeue/t/1/00000000000000000000";
    let cases: [Damage<'_>; 7] = [
        (LOG, &|disk| disk.put(&path(LOG), &disk.content(&path(LOG)).unwrap()[..1000])),
        (LOG, &|disk| disk.put(&path(LOG), &[0; 8192])),
        (second, &|disk| disk.remove(&path(second)).unwrap()),
        (LOG, &|disk| {
            disk.put(&path("abort"), b"");
            disk.remove(&path("checkpoint")).unwrap();
            disk.break_file(&path(LOG));
        }),
        (queue, &|disk| disk.put(&path(queue), &[1; 10])),
        ("checkpoint", &|disk| disk.break_file(&path("checkpoint"))),
        ("commitlog", &|disk| {
            disk.remove_dirs(&path("commitlog")).unwrap();
            disk.put(&path("commitlog"), b"a file");
        }),
    ];
    for (name, damage) in cases {
        let damaged = disk.kill();
        damage(&damaged);
        let before = damaged.files();
        let shared: Arc<dyn Disk> = Arc::new(damaged.clone());
        let error = Store::open(options(), Clock::system(), shared).map(drop).unwrap_err();
        assert!(!matches!(error, OpenError::Locked { .. }));
        assert!(error.to_string().contains(path(name).to_str().unwrap()), "{name}: {error}");
        assert!(damaged.files() == before, "{name}: something was changed");
    }
}

#[test]
fn a_last_file_without_its_length_is_made_again() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..60);
    let files = disk.files();
    let last = files.keys().filter(|file| file.starts_with(path("commitlog"))).max().unwrap();
    let start: u64 = last.file_name().unwrap().to_str().unwrap().parse().unwrap();
    drop(store);
    disk.put(&path(&format!("commitlog/{:020}", start + SEGMENT_BYTES)), b"");
    let (store, _) = open(&disk);
    assert_eq!(assert_prefix(&store), 60);
}

#[test]
fn opening_reads_nothing_outside_its_folder() {
    let disk = SimDisk::new();
    let (store, _) = open(&disk);
    send_numbered(&store, 0..10);
    store.close().unwrap();
    assert!(disk.files().keys().all(|file| file.starts_with(Path::new("/store"))));
}
