//! What an append and a read cost, printed as nanoseconds a message.
//!
//! `cargo bench -p rocketmq-boot-store [-- folder]`: without a folder in a temporary one. Numbers of one run compare
//! with each other; on a busy machine they are all too high.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may fail by panicking")]

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rocketmq_boot_protocol::{Clock, message::record::Draft};
use rocketmq_boot_store::{
    Append, Flush, Heat, IndexSize, KeyKind, KeyQuery, Options, Queue, ReadLimit, Store, disk::RealDisk,
};

const ROUNDS: usize = 5;

fn main() {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let temporary = tempfile::tempdir().unwrap();
    let root = given.map_or_else(|| temporary.path().to_owned(), Into::into);
    for body_bytes in [128, 1024] {
        for batch in [1, 16, 64, 500] {
            appends(&root, body_bytes, batch);
        }
    }
    for indexed in [false, true, false, true] {
        appends_beside_the_index(&root, indexed);
    }
    reads(&root);
    for (queues, messages) in [(1, 3), (1, 1_000_000), (1_000, 3), (10_000, 3), (10_000, 100)] {
        starts(&root, queues, messages);
    }
    for batch in [1, 16, 64, 1024] {
        durable_appends(&root, batch);
    }
}

/// Without an index, whose thread would take its share of the machine.
fn open(root: &Path, flush: Flush) -> Store {
    open_with(root, flush, None)
}

fn open_with(root: &Path, flush: Flush, index: Option<IndexSize>) -> Store {
    let root = root.join("store");
    if root.exists() {
        std::fs::remove_dir_all(&root).unwrap();
    }
    let options = Options { flush, index, commit_log_file_bytes: 256 << 20, ..Options::new(root) };
    Store::open(options, Clock::system(), Arc::new(RealDisk)).unwrap().0
}

fn draft<'a>(body: &'a [u8], queue_id: usize) -> Draft<'a> {
    Draft {
        queue_id: i32::try_from(queue_id).unwrap(),
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        born_host: "127.0.0.1:50000".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        topic: b"benchmark",
        properties: b"UNIQ_KEY\x017F0000010000000000000000000000000001\x02WAIT\x01true\x02",
        more_properties: b"CLUSTER\x01DefaultCluster\x02",
    }
}

fn batch<'a>(queues: &'a [Arc<Queue>], body: &'a [u8], messages: usize) -> Vec<Append<'a>> {
    (0..messages)
        .map(|number| {
            let id = number % queues.len();
            Append { queue: &queues[id], draft: draft(body, id), tags_code: 0, joined: false, outcome: None }
        })
        .collect()
}

/// Prints the best and the median of the rounds.
fn report(what: &str, messages: usize, mut rounds: Vec<Duration>) {
    rounds.sort();
    let each = |round: &Duration| round.as_secs_f64() * 1e9 / messages as f64;
    let (best, median) = (each(&rounds[0]), each(&rounds[rounds.len() / 2]));
    println!("{what:<44} {best:>9.0} ns best {median:>9.0} ns median {:>12.0} a second", 1e9 / median);
}

fn appends(root: &Path, body_bytes: usize, messages: usize) {
    let store = open(root, Flush::Async { interval: Duration::from_millis(500) });
    let queues: Vec<_> = (0..8).map(|id| store.queue("benchmark", id)).collect();
    let body = vec![b'x'; body_bytes];
    let total = if body_bytes > 500 { 100_000 } else { 400_000 } / messages * messages;
    let mut pending = batch(&queues, &body, messages);
    let rounds = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..total / messages {
                store.append(&mut pending);
                assert!(matches!(pending[0].outcome, Some(Ok(_))));
            }
            start.elapsed()
        })
        .collect();
    report(&format!("append {body_bytes} B, {messages} at a time"), total, rounds);
}

/// Processor time that a thread of this process has had: this one's, or that of the first with a name.
fn processor_time(name: Option<&str>) -> Duration {
    let of = |folder: &Path| -> Option<Duration> {
        let times = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let Some(name) = name else { return of(Path::new("/proc/thread-self")).unwrap_or_default() };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let mut named = tasks
        .filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    named.next().and_then(|task| of(&task)).unwrap_or_default()
}

/// What the index costs whoever appends, and what it costs its own thread: processor time, for that does not depend
/// on what else the machine does.
fn appends_beside_the_index(root: &Path, indexed: bool) {
    const MESSAGES: usize = 16;
    let index = indexed.then(IndexSize::default);
    let store = open_with(root, Flush::Async { interval: Duration::from_millis(500) }, index);
    let queues: Vec<_> = (0..8).map(|id| store.queue("benchmark", id)).collect();
    let mut pending = batch(&queues, &[b'x'; 128], MESSAGES);
    let total = 400_000;
    let mut rounds = Vec::new();
    let before = processor_time(Some("store-index"));
    for _ in 0..ROUNDS {
        let start = processor_time(None);
        for _ in 0..total / MESSAGES {
            store.append(&mut pending);
        }
        rounds.push(processor_time(None) - start);
    }
    let kind = if indexed { "with" } else { "without" };
    report(&format!("append 128 B {kind} an index, processor time"), total, rounds);
    if indexed {
        let (begin, end) = (0, i64::MAX);
        let query = KeyQuery {
            topic: "benchmark",
            key: "none",
            kind: KeyKind::Key,
            max_messages: 1,
            max_bytes: 1,
            begin,
            end,
        };
        store.find_by_key(&query).unwrap();
        let spent = processor_time(Some("store-index")) - before;
        report("  the index's own thread", total * ROUNDS, vec![spent]);
    }
}

fn reads(root: &Path) {
    let store = open(root, Flush::Async { interval: Duration::from_millis(500) });
    let queues: Vec<_> = (0..4).map(|id| store.queue("benchmark", id)).collect();
    let body = vec![b'x'; 128];
    for _ in 0..1000 {
        store.append(&mut batch(&queues, &body, 128));
    }
    let limit = ReadLimit { max_messages: 32, max_bytes: 256 << 10, max_scan: 1000 };
    for (what, heat) in [("hot", Heat::HotOnly), ("any", Heat::Any)] {
        let mut out = Vec::with_capacity(64 << 10);
        let rounds = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                for turn in 0..10_000_i64 {
                    out.clear();
                    let queue = &queues[usize::try_from(turn % 4).unwrap()];
                    let offset = (turn * 32) % (32_000 - 32);
                    let outcome = store.read(queue, offset, limit, &mut |_| true, &mut out, heat).unwrap();
                    assert_eq!(outcome.count, 32);
                }
                start.elapsed()
            })
            .collect();
        report(&format!("read of 32 from queue files ({what})"), 10_000, rounds);
    }
    let mut out = Vec::with_capacity(64 << 10);
    let rounds = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for turn in 0..10_000_usize {
                out.clear();
                let outcome = store
                    .read(&queues[turn % 4], 31_968, limit, &mut |_| true, &mut out, Heat::HotOnly)
                    .unwrap();
                assert_eq!(outcome.count, 32);
            }
            start.elapsed()
        })
        .collect();
    report("read of the last 32", 10_000, rounds);
}

/// How long a folder that was left cleanly takes to open; what it allows is 200 ms and 100 us a queue.
fn starts(root: &Path, queues: usize, messages_each: usize) {
    let store = open(root, Flush::Async { interval: Duration::from_millis(500) });
    for topic in 0..queues.div_ceil(8) {
        let name = format!("topic-{topic}");
        let made: Vec<_> =
            (0..8_usize.min(queues)).map(|id| store.queue(&name, u32::try_from(id).unwrap())).collect();
        for _ in 0..messages_each.div_ceil(128) {
            for chunk in made.chunks(1) {
                let mut pending = batch(chunk, b"x", messages_each.min(128));
                for append in &mut pending {
                    append.draft.topic = name.as_bytes();
                    append.draft.queue_id = i32::try_from(append.queue.id()).unwrap();
                }
                store.append(&mut pending);
            }
        }
    }
    store.close().unwrap();
    drop(store);
    let options = || Options { commit_log_file_bytes: 256 << 20, ..Options::new(root.join("store")) };
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let (store, found) = Store::open(options(), Clock::system(), Arc::new(RealDisk)).unwrap();
            let took = start.elapsed();
            assert!(!found.unclean);
            store.close().unwrap();
            took
        })
        .collect();
    rounds.sort();
    let worst = rounds[ROUNDS - 1];
    let each = worst.as_secs_f64() * 1e6 / queues as f64;
    println!("start with {queues} queues of {messages_each}: {worst:?} at worst, {each:.1} us a queue");
}

fn durable_appends(root: &Path, messages: usize) {
    let store = open(root, Flush::Sync { timeout: Duration::from_secs(5) });
    let queues: Vec<_> = (0..8).map(|id| store.queue("benchmark", id)).collect();
    let body = vec![b'x'; 1024];
    let mut pending = batch(&queues, &body, messages);
    let rounds = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..200 {
                store.append(&mut pending);
                let (done, wait) = mpsc::channel();
                store.when_flushed(store.appended(), Box::new(move |result| done.send(result).unwrap()));
                wait.recv().unwrap().unwrap();
            }
            start.elapsed()
        })
        .collect();
    report(&format!("durable append 1024 B, {messages} a sync"), 200 * messages, rounds);
}
