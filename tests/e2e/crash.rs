//! The broker killed with SIGKILL under load, twenty times over, on one store: every acknowledged message is delivered
//! from the place that was promised, none is invented, and every queue keeps its order without gaps.
//!
//! The seed of a failing run is in its output; `CRASH_SEED` repeats it, as far as the scheduler lets it.

#![expect(clippy::print_stdout, reason = "the seed and the rounds of a failing run belong in its output")]

mod history;
mod moment;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rocketmq_boot_tests::cluster::{Cluster, Servers};
use rocketmq_boot_tests::promises::{Ledger, Load, Plan, Random};
use rocketmq_boot_tests::wire::{self, Request, Wire, code};

use self::history::History;
use self::moment::Moment;
use crate::servers::ours;

const ROUNDS: u32 = 20;
const QUEUES: u32 = 4;
const CONNECTIONS: u32 = 4;
const WINDOW: usize = 128;
const TOPIC: &str = "crash";

/// A segment holds some fifty messages, so that the log rolls several times for each read of a socket; offsets are saved
/// all the time.
const SETTINGS: &str =
    "mappedFileSizeCommitLog = 65536\nmaxMessageSize = 16384\nflushConsumerOffsetInterval = 20\n";

/// Groups that only make the file of offsets long enough to be caught half written.
const GROUPS: u32 = 500;

/// After so long without a kill the broker is not working any more.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn nothing_acknowledged_is_lost_when_the_broker_is_killed() {
    run(ours(), SETTINGS);
}

#[test]
#[ignore = "proves the test, not our broker"]
fn control_with_apache() {
    // With more threads Apache reorders what one connection has sent; ours must not.
    run(Servers::Apache("5.5.0"), &format!("{SETTINGS}sendMessageThreadPoolNums = 1\n"));
}

fn run(servers: Servers, settings: &str) {
    let seed = std::env::var("CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
    println!("CRASH_SEED={seed}");
    let mut random = Random::new(seed);

    let mut cluster = Cluster::start(servers, settings);
    cluster.create_topic(TOPIC, QUEUES);
    fill_offsets(&cluster);
    let mut history = History::new(TOPIC, QUEUES);
    let mut offsets = Offsets::default();
    let mut caught = Vec::new();
    for round in 0..ROUNDS {
        let wanted = Moment::of_round(round);
        let segments = moment::segments(&cluster.store()).len();
        let since = SystemTime::now();
        let load = Load::start(
            cluster.broker(),
            Plan { topic: TOPIC, queues: QUEUES, connections: CONNECTIONS, window: WINDOW, load: round + 1 },
        );
        let stop = Arc::new(AtomicBool::new(false));
        let committing = commit_offsets(&cluster, load.ledger(), &stop);
        kill_at(wanted, since, &mut cluster, load.ledger(), &mut random);
        let found = moment::found(&cluster.store(), since);
        stop.store(true, Ordering::Relaxed);
        let ledger = load.end();
        offsets.asked_for(committing.join().expect("the committing thread does not fail"));

        let rolled = moment::segments(&cluster.store()).len().saturating_sub(segments);
        println!("round {round}: {wanted:?}, {} stored, {rolled} segments, {found:?}", ledger.stored());
        assert!(ledger.peak() >= 256, "only {} sends were in flight", ledger.peak());
        assert!(rolled > 0, "the log did not roll in round {round}");
        caught.extend(found);

        cluster.start_broker();
        let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
        history.follow(&mut wire, &ledger.fates());
        offsets.check(&mut wire);
    }
    assert!(caught.contains(&Moment::Roll), "no kill fell into a roll");
    assert!(caught.contains(&Moment::OffsetSave), "no kill fell into a save of offsets");

    // And all of it once more from the beginning, before and after a clean stop.
    history.read_again(&mut Wire::connect(cluster.broker()).expect("the broker listens"));
    cluster.stop_broker();
    cluster.start_broker();
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    history.read_again(&mut wire);
    offsets.check(&mut wire);
}

/// Kills the broker once enough was stored and, when a certain moment is wanted, when it is caught in it.
fn kill_at(wanted: Moment, since: SystemTime, cluster: &mut Cluster, ledger: &Ledger, random: &mut Random) {
    let deadline = Instant::now() + PATIENCE;
    // Enough to roll at least once whatever the moment.
    let enough = 500 + usize::try_from(random.below(1_500)).expect("a small number");
    while ledger.stored() < enough {
        assert!(Instant::now() < deadline, "{} messages stored in {PATIENCE:?}", ledger.stored());
        thread::sleep(Duration::from_micros(100));
    }
    let store = cluster.store();
    if wanted != Moment::Any {
        // Stopped, the broker can be looked at; not in the moment that is wanted, it goes on a little.
        while !moment::stopped_in(wanted, cluster.broker_process(), &store, since) {
            if Instant::now() > deadline {
                break;
            }
            thread::sleep(Duration::from_micros(random.below(1_000)));
        }
    }
    cluster.kill_broker();
}

fn fill_offsets(cluster: &Cluster) {
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    let fillers = (0..GROUPS).map(|group| format!("filler-{group}"));
    for group in fillers.chain(["group".to_owned()]) {
        // A group is made by its first pull.
        wire.call(&wire::pull(&group, TOPIC, 0, 0)).expect("the broker answers");
        wire.call(&commit(&group, 0)).expect("the broker answers").success();
    }
}

/// Commits, over and over, how far queue 0 is stored; the last value that was asked for is the thread's result.
fn commit_offsets(
    cluster: &Cluster,
    ledger: &Arc<Ledger>,
    stop: &Arc<AtomicBool>,
) -> thread::JoinHandle<i64> {
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    let (ledger, stop) = (Arc::clone(ledger), Arc::clone(stop));
    thread::spawn(move || {
        let mut asked = 0;
        while !stop.load(Ordering::Relaxed) {
            let offset = ledger.highest();
            if offset > asked {
                asked = offset;
                if wire.call(&commit("group", offset)).is_err() {
                    break;
                }
            }
            thread::sleep(Duration::from_micros(200));
        }
        asked
    })
}

fn commit(group: &str, offset: i64) -> Request {
    Request::new(code::UPDATE_OFFSET)
        .field("consumerGroup", group)
        .field("topic", TOPIC)
        .field("queueId", 0)
        .field("commitOffset", offset)
}

/// A committed offset may be lost with the seconds since the last save; it is never invented and never goes back
/// behind what a restart had found.
#[derive(Debug, Default)]
struct Offsets {
    asked: i64,
    found: i64,
}

impl Offsets {
    fn asked_for(&mut self, offset: i64) {
        self.asked = self.asked.max(offset);
    }

    fn check(&mut self, wire: &mut Wire) {
        let query = Request::new(code::QUERY_OFFSET)
            .field("consumerGroup", "group")
            .field("topic", TOPIC)
            .field("queueId", 0)
            .field("setZeroIfNotFound", false);
        let answer = wire.call(&query).expect("the broker answers");
        const QUERY_NOT_FOUND: i32 = 22;
        let found = if answer.code == QUERY_NOT_FOUND { 0 } else { answer.success().number("offset") };
        assert!(found >= self.found, "the committed offset went back from {} to {found}", self.found);
        assert!(found <= self.asked, "offset {found} was never committed, the highest was {}", self.asked);
        self.found = found;
    }
}
