use rocketmq_boot_protocol::{Clock, message::record::Draft};
use rocketmq_boot_store::{
    Append, AppendError, Flush, Options,
    disk::{Disk, SimDisk},
};

use super::*;

const FILE_BYTES: u64 = 64 << 10;
const START_MS: i64 = 1_790_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const NIGHT: u8 = 4;
const DAY: u8 = 12;

struct Bench {
    disk: SimDisk,
    clock: Clock,
    store: Store,
    cleaning: Cleaning,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let (disk, clock) = (SimDisk::new(), Clock::manual(START_MS));
        let options = Options {
            commit_log_file_bytes: FILE_BYTES,
            consume_queue_file_entries: 16,
            flush: Flush::Async { interval: Duration::from_secs(3_600) },
            ..Options::new("/store")
        };
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (store, _) = Store::open(options, clock.clone(), shared).unwrap();
        let mut settings = Settings { delete_pause: Duration::ZERO, ..Settings::default() };
        change(&mut settings);
        let cleaning = Cleaning::new(store.clone(), &settings);
        Self { disk, clock, store, cleaning }
    }

    fn send(&self) -> Result<i64, AppendError> {
        let queue = self.store.queue("t", 0);
        let mut batch = [Append {
            queue: &queue,
            draft: Draft {
                queue_id: 0,
                flag: 0,
                sys_flag: 0,
                born_timestamp: 1,
                born_host: "127.0.0.1:5000".parse().unwrap(),
                store_host: "127.0.0.1:10911".parse().unwrap(),
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: &[7; 8 << 10],
                topic: b"t",
                properties: b"",
                more_properties: b"",
            },
            tags_code: 0,
            joined: false,
            outcome: None,
        }];
        self.store.append(&mut batch);
        let [append] = batch;
        append.outcome.unwrap().map(|appended| appended.queue_offset)
    }

    /// Fills `files` files, an hour each.
    fn fill(&self, files: u64) {
        let end = self.store.appended() / FILE_BYTES + files;
        while self.store.appended() < end * FILE_BYTES {
            let before = self.store.appended() / FILE_BYTES;
            self.send().unwrap();
            if self.store.appended() / FILE_BYTES > before {
                self.clock.advance(HOUR);
            }
        }
        let (done, wait) = std::sync::mpsc::channel();
        self.store.when_flushed(self.store.appended(), Box::new(move |result| done.send(result).unwrap()));
        wait.recv().unwrap().unwrap();
    }

    /// Makes the disk so large that it is used to `percent`, or one more when queues are written meanwhile.
    fn used(&self, percent: u64) {
        self.disk.set_capacity(None);
        let used = self.disk.space(std::path::Path::new("/store")).unwrap().used_bytes;
        self.disk.set_capacity(Some((used * 100).div_ceil(percent)));
    }

    fn pass(&self, hour: u8, needed: Option<u64>) -> Pass {
        self.cleaning.pass(self.clock.now_ms(), hour, || Ok(needed)).unwrap()
    }

    /// Files that went, in a pass of its own.
    fn removed(&self, hour: u8) -> usize {
        self.pass(hour, None).removed
    }
}

#[test]
fn at_the_hour_what_is_older_than_the_reserved_time_goes() {
    let bench = Bench::new(|settings| settings.file_reserved = HOUR * 72);
    bench.fill(5);
    assert_eq!(bench.removed(NIGHT), 0, "nothing is old enough");
    bench.clock.advance(HOUR * 69);
    assert_eq!(bench.removed(DAY), 0, "it is not the hour");
    assert_eq!(bench.removed(NIGHT), 3);
    assert_eq!(bench.store.min_position(), 3 * FILE_BYTES);
    bench.clock.advance(HOUR * 1_000);
    assert_eq!(bench.pass(NIGHT, Some(0)).removed, 2, "whoever has not consumed it by now has lost it");
    assert_eq!(bench.removed(NIGHT), 0, "the last file stays");
    assert_eq!(bench.store.queue("t", 0).min_offset(), bench.store.queue("t", 0).max_offset() - 1);
}

#[test]
fn a_pass_removes_a_batch_at_most_and_may_be_asked_for() {
    let bench = Bench::new(|settings| settings.delete_batch = 2);
    bench.fill(5);
    bench.clock.advance(HOUR * 1_000);
    assert_eq!(bench.removed(DAY), 0);
    bench.cleaning.request();
    assert_eq!([bench.removed(DAY), bench.removed(DAY), bench.removed(DAY)], [2, 2, 1]);
}

#[test]
fn a_disk_over_its_ratio_is_cleaned_at_any_hour_of_what_is_old() {
    let bench = Bench::new(|settings| settings.file_reserved = HOUR * 3);
    bench.fill(5);
    for removed in [1, 1, 1, 0] {
        bench.used(80);
        assert_eq!(bench.removed(DAY), removed, "one is enough to be below the ratio again");
    }
    bench.clock.advance(HOUR);
    bench.used(70);
    assert_eq!(bench.removed(DAY), 0);
}

#[test]
fn a_fuller_disk_gives_up_younger_files_that_everybody_has_consumed() {
    let bench = Bench::new(|_| {});
    bench.fill(8);
    bench.used(88);
    let pass = bench.pass(DAY, Some(0));
    assert_eq!((pass.removed, pass.kept_for_consumers), (0, true));
    assert!(bench.send().is_ok(), "it is not full yet");
    let pass = bench.pass(DAY, Some(FILE_BYTES * 3 / 2));
    assert_eq!(
        (pass.removed, pass.kept_for_consumers),
        (1, false),
        "one is enough to be below the ratio again"
    );
    assert!(pass.used_percent <= 85);
}

#[test]
fn without_force_younger_files_stay() {
    let bench = Bench::new(|settings| settings.clean_forcibly = false);
    bench.fill(3);
    bench.used(89);
    assert_eq!(bench.removed(DAY), 0);
}

#[test]
fn a_full_disk_refuses_until_it_has_room() {
    let bench = Bench::new(|_| {});
    bench.fill(20);
    bench.used(93);
    // Somebody needs everything: better refuse than lose.
    let pass = bench.pass(DAY, Some(0));
    assert_eq!((pass.removed, pass.kept_for_consumers), (0, true));
    assert!(
        matches!(bench.send(), Err(AppendError::Full { used_percent }) if used_percent == pass.used_percent)
    );
    let sent = bench.store.queue("t", 0).max_offset();
    // They have consumed it: the pass makes room and the store takes messages by itself.
    let pass = bench.pass(DAY, Some(bench.store.appended()));
    assert!(pass.removed > 0 && pass.used_percent <= 85, "{pass:?}");
    assert_eq!(bench.send().unwrap(), sent);
    // Somebody else fills the disk and leaves it.
    bench.used(95);
    bench.pass(DAY, Some(0));
    assert!(bench.send().is_err());
    bench.used(40);
    assert_eq!(bench.pass(DAY, Some(0)).removed, 0);
    assert!(bench.send().is_ok());
}

#[test]
fn what_subscribed_groups_and_delay_levels_have_ahead_is_needed() {
    let bench = Bench::new(|_| {});
    bench.fill(3);
    let state = State::load(Settings::default(), bench.store.clone(), bench.clock.clone()).unwrap();
    let needed = || state.oldest_needed().unwrap();
    let end = bench.store.queue("t", 0).max_offset();
    let position = |offset| bench.store.position_of(&bench.store.queue("t", 0), offset).unwrap();
    assert_eq!(needed(), None, "nobody has consumed anything");
    state.offsets.commit("deleted", "t", 0, 1);
    assert_eq!(needed(), None, "the group is not there");
    state.groups.find_or_create("slow").unwrap();
    state.groups.find_or_create("done").unwrap();
    state.offsets.commit("slow", "t", 0, 5);
    state.offsets.commit("done", "t", 0, end);
    state.offsets.commit("slow", "elsewhere", 7, 0);
    assert_eq!(needed(), position(5));
    assert!(needed().is_some());
    state.offsets.commit("slow", "t", 0, end);
    assert_eq!(needed(), None);
}

#[test]
fn a_day_has_each_hour_once() {
    let mut hours: Vec<u8> = (0..24).map(|hour| hour_of_day(START_MS + hour * 3_600_000)).collect();
    hours.sort_unstable();
    assert_eq!(hours, (0..24).collect::<Vec<u8>>());
}
