//! Timers against a model, over kills, lost files and power cuts, and in the folder of a real broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::GzDecoder;
use rocketmq_boot_store::{
    TimerOptions, TimerUnit, Timers, TimersFound,
    disk::{Cut, Disk, RealDisk, Sector, SimDisk},
};

const NOW: i64 = 1_790_000_000_000;
/// Nineteen units and a blank in a file.
const OPTIONS: TimerOptions = TimerOptions { precision_ms: 1_000, log_file_bytes: 1_024 };

fn open(root: &Path) -> (Timers, TimersFound) {
    open_on(Arc::new(RealDisk), root)
}

fn open_on(disk: Arc<dyn Disk>, root: &Path) -> (Timers, TimersFound) {
    disk.create_dirs(root).unwrap();
    Timers::open(&disk, root, OPTIONS).unwrap()
}

fn unit(number: u64, due_ms: i64) -> TimerUnit {
    TimerUnit { position: number * 100, size: 100, due_ms, enqueued_ms: NOW, ..TimerUnit::default() }
}

fn read(timers: &mut Timers, tick: i64) -> Vec<TimerUnit> {
    let mut reading = timers.units(tick).unwrap();
    let mut units = Vec::new();
    loop {
        let more = timers.next_units(&mut reading).unwrap();
        if more.is_empty() {
            return units;
        }
        units.extend(more);
    }
}

/// Everything that waits, by tick, without taking it out.
fn waiting(timers: &mut Timers) -> BTreeMap<i64, Vec<TimerUnit>> {
    let mut found = BTreeMap::new();
    while let Some(tick) = timers.first_tick() {
        found.insert(tick, read(timers, tick));
        timers.done(tick);
    }
    found
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn timers_are_a_sorted_map_over_kills_and_a_lost_wheel() {
    for seed in 0..5 {
        let mut numbers = Numbers(seed);
        let folder = tempfile::tempdir().unwrap();
        let (mut timers, _) = open(folder.path());
        let mut model: BTreeMap<i64, Vec<TimerUnit>> = BTreeMap::new();
        let (mut put, mut read_ms) = (0, NOW);
        for _ in 0..120 {
            match numbers.below(10) {
                0..=5 => {
                    let mut units = Vec::new();
                    for _ in 0..=numbers.below(30) {
                        let due = read_ms + i64::try_from(numbers.below(20_000)).unwrap();
                        units.push(unit(put, due));
                        model.entry(due / 1_000).or_default().push(unit(put, due));
                        put += 1;
                    }
                    timers.put(&units, |_| true).unwrap();
                }
                6 | 7 => {
                    let Some((tick, expected)) = model.pop_first() else { continue };
                    assert_eq!(timers.first_tick(), Some(tick));
                    assert_eq!(read(&mut timers, tick), expected);
                    timers.done(tick);
                    read_ms = read_ms.max(timers.due_ms(tick));
                    timers.sync(read_ms, i64::try_from(put).unwrap(), NOW).unwrap();
                }
                8 => timers.sync(read_ms, i64::try_from(put).unwrap(), NOW).unwrap(),
                _ => {
                    drop(timers);
                    if numbers.below(3) == 0 {
                        let _ = fs::remove_file(folder.path().join("timerwheel"));
                    }
                    let found;
                    (timers, found) = open(folder.path());
                    assert!(!found.lost);
                    assert!(found.progress.queue_offset <= i64::try_from(put).unwrap());
                    assert_eq!(
                        found.last.map(|unit| unit.position / 100 + 1).unwrap_or(0),
                        put,
                        "seed {seed}"
                    );
                }
            }
            assert_eq!(
                timers.pending(),
                model.values().map(|units| i64::try_from(units.len()).unwrap()).sum::<i64>()
            );
        }
        assert_eq!(waiting(&mut timers), model, "seed {seed}");
    }
}

#[test]
fn what_was_synced_survives_a_power_cut() {
    let (disk, root) = (SimDisk::new(), Path::new("/s"));
    let (mut timers, _) = open_on(Arc::new(disk.clone()), root);
    let units: Vec<_> = (0..50).map(|n| unit(n, NOW + 5_000)).collect();
    timers.put(&units[..30], |_| true).unwrap();
    timers.sync(NOW, 30, NOW).unwrap();
    timers.put(&units[30..], |_| true).unwrap();
    for (kept, names_kept) in [(Sector::Kept, true), (Sector::Lost, false), (Sector::Torn, true)] {
        let after = disk.cut_power(Cut { sectors: &mut |_, _| kept, names_kept });
        let (mut timers, found) = open_on(Arc::new(after), root);
        assert_eq!((found.lost, found.progress.queue_offset), (false, 30));
        let found = read(&mut timers, NOW / 1_000 + 5);
        assert!(found.len() >= 30, "{kept:?}: {}", found.len());
        assert_eq!(found, units[..found.len()]);
    }
}

#[test]
fn what_a_full_disk_refuses_is_not_in() {
    let (disk, root) = (SimDisk::new(), Path::new("/s"));
    let (mut timers, _) = open_on(Arc::new(disk.clone()), root);
    timers.put(&[unit(0, NOW)], |_| true).unwrap();
    disk.set_room(Some(200));
    let units: Vec<_> = (1..30).map(|n| unit(n, NOW)).collect();
    assert!(timers.put(&units, |_| true).is_err());
    assert_eq!(timers.pending(), 1);
    disk.set_room(None);
    timers.put(&units[5..], |_| true).unwrap();
    let mut expected = vec![unit(0, NOW)];
    expected.extend(&units[5..]);
    assert_eq!(read(&mut timers, NOW / 1_000), expected);
    timers.sync(NOW, 0, NOW).unwrap();
    drop(timers);
    let (mut timers, _) = open_on(Arc::new(disk), root);
    assert_eq!(read(&mut timers, NOW / 1_000), expected);
}

#[test]
fn a_lost_log_is_said_to_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (mut timers, found) = open(folder.path());
    assert_eq!(found, TimersFound::default());
    assert_eq!(timers.oldest_record().unwrap(), None);
    timers.put(&[unit(0, NOW), unit(1, NOW + 90_000)], |_| true).unwrap();
    assert_eq!(timers.oldest_record().unwrap(), Some(0));
    timers.done(NOW / 1_000);
    assert_eq!(timers.oldest_record().unwrap(), Some(100));
    timers.sync(NOW, 2, NOW).unwrap();
    drop(timers);
    fs::remove_file(folder.path().join("timerlog/00000000000000000000")).unwrap();
    let (timers, found) = open(folder.path());
    assert!(found.lost);
    assert_eq!((timers.pending(), found.last, found.progress.read_ms), (0, None, NOW));
}

#[test]
fn noted_units_do_not_wait_but_say_how_far_the_queue_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut timers, _) = open(folder.path());
    timers.put(&[unit(0, NOW + 1_000), unit(1, NOW - 5_000)], |unit| unit.due_ms >= NOW).unwrap();
    assert_eq!(timers.pending(), 1);
    timers.sync(NOW, 0, NOW).unwrap();
    drop(timers);
    let (mut timers, found) = open(folder.path());
    assert_eq!(found.last, Some(unit(1, NOW - 5_000)));
    assert_eq!(waiting(&mut timers).into_values().flatten().collect::<Vec<_>>(), [unit(0, NOW + 1_000)]);
}

#[test]
fn a_tick_of_very_many_units_is_read_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let (mut timers, _) = open(folder.path());
    let mut expected = Vec::new();
    for n in 0..10_000 {
        // Every third one lies in another tick, so that the chain jumps.
        let here = n % 3 > 0;
        let recalls = n % 500 == 1;
        let unit = TimerUnit { recalls, ..unit(n, if here { NOW } else { NOW + 7_000 }) };
        timers.put(&[unit], |_| true).unwrap();
        expected.extend(here.then_some(unit));
    }
    let reading = timers.units(NOW / 1_000).unwrap();
    assert_eq!(reading.recalls().len(), expected.iter().filter(|unit| unit.recalls).count());
    assert_eq!(read(&mut timers, NOW / 1_000), expected);
}

#[test]
fn files_go_with_the_records_that_they_are_about() {
    let folder = tempfile::tempdir().unwrap();
    let (mut timers, _) = open(folder.path());
    let units: Vec<_> = (0..100).map(|n| unit(n, NOW + 1_000)).collect();
    timers.put(&units, |_| true).unwrap();
    let files = || fs::read_dir(folder.path().join("timerlog")).unwrap().count();
    assert_eq!(files(), 6);
    timers.remove_before(20 * 100).unwrap();
    assert_eq!(files(), 5);
    // What is left of the chain is still given.
    assert_eq!(read(&mut timers, NOW / 1_000 + 1), units[19..]);
    timers.remove_before(u64::MAX).unwrap();
    assert_eq!(files(), 1);
    timers.sync(NOW, 100, NOW).unwrap();
    drop(timers);
    assert!(!open(folder.path()).1.lost);
}

fn unpack(state: &str) -> (tempfile::TempDir, PathBuf) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/5.5.0").join(state);
    let folder = tempfile::tempdir().unwrap();
    let packed = fs::File::open(vectors.join("store.tar.gz")).unwrap();
    for entry in tar::Archive::new(GzDecoder::new(packed)).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if path.iter().any(|part| part == "timerlog" || part == "timerwheel") || path.ends_with("timercheck")
        {
            fs::create_dir_all(folder.path().join(path.parent().unwrap())).unwrap();
            entry.unpack_in(folder.path()).unwrap();
        }
    }
    let root = folder.path().join("store");
    (folder, root)
}

#[test]
fn apaches_timers_go_on_where_it_left_them() {
    let shared: Arc<dyn Disk> = Arc::new(RealDisk);
    // One of two seconds, delivered, and one of a day.
    let day = TimerUnit {
        position: 75_090,
        size: 374,
        due_ms: 1_795_345_531_000,
        enqueued_ms: 1_795_259_131_000,
        topic_hash: -143_292_516,
        ..TimerUnit::default()
    };
    for state in ["clean", "killed"] {
        for lost_wheel in [false, true] {
            let (_folder, root) = unpack(state);
            if lost_wheel {
                fs::remove_file(root.join("timerwheel")).unwrap();
            }
            let (mut timers, found) = Timers::open(&shared, &root, OPTIONS).unwrap();
            assert_eq!((found.lost, found.last, found.progress.queue_offset), (false, Some(day), 2));
            assert_eq!((timers.first_tick(), timers.pending()), (Some(day.due_ms / 1_000), 1));
            // Ours stand behind it in files of its length.
            let ours = TimerUnit { position: 90_000, ..day };
            timers.put(&[ours], |_| true).unwrap();
            assert_eq!(read(&mut timers, day.due_ms / 1_000), [day, ours]);
            timers.sync(day.due_ms - 1_000, 3, NOW).unwrap();
            assert_eq!(fs::metadata(root.join("timerlog/00000000000000000000")).unwrap().len(), 65_536);
            assert_eq!(fs::metadata(root.join("timerwheel")).unwrap().len(), 38_707_200);
            assert_eq!(fs::metadata(root.join("config/timercheck")).unwrap().len(), 4_096);
        }
    }
}
