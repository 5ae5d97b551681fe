//! The loads behind the rows.

use std::{
    io,
    time::{Duration, Instant},
};

use rocketmq_boot_protocol::Encoding;
use rocketmq_boot_tests::load::{
    Plan, Pulls, Sends, Shape, Window, closed, ledger, long_poll, request::Target,
};

use crate::rows::{Readings, Row};

/// Sends go round so many queues, the number that an automatic topic has.
const QUEUES: i32 = 4;

/// What a JVM needs before it is as fast as it gets.
const WARM_UP_MESSAGES: u64 = 2_000_000;

/// Where warming up ends, however little was sent.
const WARM_UP_LIMIT: Duration = Duration::from_secs(60);

/// The same for SYNC_FLUSH, where the disk sets the pace.
const SYNC_WARM_UP_LIMIT: Duration = Duration::from_secs(20);

/// The messages that pulls go through.
const BACKLOG: u64 = 400_000;

/// How often a window in which the broker refused something is measured again.
const ATTEMPTS: usize = 3;

/// The broker that is measured.
pub(crate) struct Subject {
    pub(crate) address: String,
    /// Its process, when it runs here.
    pub(crate) process: Option<u32>,
}

/// A load of sends.
#[derive(Clone, Copy)]
struct Sending {
    row: Row,
    connections: usize,
    in_flight: i32,
    encoding: Encoding,
    body_bytes: usize,
}

const WINDOW_64: Sending = Sending {
    row: Row::Window64,
    connections: 1,
    in_flight: 64,
    encoding: Encoding::Binary,
    body_bytes: 128,
};
const WINDOW_1024: Sending = Sending { row: Row::Window1024, in_flight: 1024, ..WINDOW_64 };
const JSON_64: Sending =
    Sending { row: Row::Json64, encoding: Encoding::Json, body_bytes: 1024, ..WINDOW_64 };
const CONNECTIONS_64: Sending =
    Sending { row: Row::Connections64, connections: 64, in_flight: 1, ..WINDOW_64 };
const SYNC_64: Sending = Sending { row: Row::SyncFlush64, body_bytes: 1024, ..CONNECTIONS_64 };

/// Every path that is measured later, until enough messages went through.
pub(crate) fn warm_up(subject: &Subject) -> io::Result<()> {
    let began = Instant::now();
    let parts = [(WINDOW_64, 40), (WINDOW_1024, 30), (JSON_64, 15), (CONNECTIONS_64, 15)];
    for (sending, percent) in parts {
        let limit = WARM_UP_LIMIT * percent / 100;
        let plan = Plan::messages(WARM_UP_MESSAGES / 100 * u64::from(percent), limit);
        send(subject, sending, plan)?;
    }
    println!("  warmed up in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// The same for a broker with SYNC_FLUSH.
pub(crate) fn warm_up_sync(subject: &Subject) -> io::Result<()> {
    send(subject, SYNC_64, Plan::messages(WARM_UP_MESSAGES, SYNC_WARM_UP_LIMIT)).map(drop)
}

/// The rows of a broker with ASYNC_FLUSH.
pub(crate) fn measure(
    subject: &Subject,
    window: Duration,
    rows: &[Row],
    readings: &mut Readings,
) -> io::Result<()> {
    let wanted = |row| rows.contains(&row);
    if wanted(Row::Window64) || wanted(Row::Cpu64) {
        let seen = sends(subject, WINDOW_64, window)?;
        readings.set(Row::Window64, seen.rate());
        readings.set(Row::Cpu64, seen.server_per_message());
    }
    for sending in [WINDOW_1024, JSON_64, CONNECTIONS_64] {
        if wanted(sending.row) {
            readings.set(sending.row, sends(subject, sending, window)?.rate());
        }
    }
    if wanted(Row::Pull) {
        readings.set(Row::Pull, pulls(subject, window)?.rate());
    }
    if wanted(Row::EndToEndMedian) || wanted(Row::EndToEndTail) {
        end_to_end(subject, window, readings)?;
    }
    Ok(())
}

/// The row of a broker with SYNC_FLUSH.
pub(crate) fn measure_sync(subject: &Subject, window: Duration, readings: &mut Readings) -> io::Result<()> {
    readings.set(Row::SyncFlush64, sends(subject, SYNC_64, window)?.rate());
    Ok(())
}

/// Waits until the disk has what earlier loads wrote: the faster broker has written many times as much, and would
/// be measured while the kernel still carries it out.
fn settle() {
    rustix::fs::sync();
}

/// A window of sends without a refusal.
fn sends(subject: &Subject, sending: Sending, window: Duration) -> io::Result<Window> {
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        settle();
        let seen = send(subject, sending, Plan::window(window))?;
        report(sending.row.key(), &seen);
        match seen.first_refusal {
            None => return Ok(seen),
            Some(refusal) => said = refusal,
        }
    }
    Err(io::Error::other(format!(
        "{} was refused something in {ATTEMPTS} windows: {said}",
        sending.row.title()
    )))
}

/// Sends to a topic of their own, which is read back.
fn send(subject: &Subject, sending: Sending, plan: Plan) -> io::Result<Window> {
    let (topic, seed) = new_topic(subject, sending.row.key(), QUEUES)?;
    let mut work = Sends::new(&topic, QUEUES, sending.encoding, sending.body_bytes, seed);
    let shape = Shape { connections: sending.connections, in_flight: sending.in_flight };
    let seen = closed::run(&subject.address, subject.process, shape, plan, &mut work)?;
    ledger::check(&subject.address, &topic, QUEUES, work.acknowledged)?;
    Ok(seen)
}

fn pulls(subject: &Subject, window: Duration) -> io::Result<Window> {
    let (topic, seed) = new_topic(subject, "pull", QUEUES)?;
    let mut fill = Sends::new(&topic, QUEUES, Encoding::Binary, 128, seed);
    let shape = Shape { connections: 1, in_flight: 256 };
    closed::run(&subject.address, None, shape, Plan::messages(BACKLOG, WARM_UP_LIMIT), &mut fill)?;
    // Reading it back is also what warms up pulls.
    ledger::check(&subject.address, &topic, QUEUES, fill.acknowledged)?;
    let ends = ledger::ends(&subject.address, &topic, QUEUES)?;
    let mut work = Pulls::new(&topic, &ends, Encoding::Binary, 32);
    let shape = Shape { connections: 1, in_flight: 8 };
    let seen = closed::run(&subject.address, subject.process, shape, Plan::window(window), &mut work)?;
    report("pull", &seen);
    match &seen.first_refusal {
        None => Ok(seen),
        Some(refusal) => Err(io::Error::other(format!("a pull was refused: {refusal}"))),
    }
}

fn end_to_end(subject: &Subject, window: Duration, readings: &mut Readings) -> io::Result<()> {
    let (topic, _) = new_topic(subject, "e2e", 1)?;
    let target = Target { topic: &topic, queue: 0 };
    settle();
    let counted = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let latency = long_poll::run(&subject.address, target, Duration::from_millis(1), 1_000, counted)?;
    let micros = |quantile: f64| nanos(latency.value_at_quantile(quantile)) / 1e3;
    let (median, tail) = (micros(0.5), micros(0.99));
    println!("  {:<9} p50 {median:.0} us, p99 {tail:.0} us, max {:.0} us", "e2e", micros(1.0));
    readings.set(Row::EndToEndMedian, median);
    readings.set(Row::EndToEndTail, tail);
    Ok(())
}

/// A topic that nobody has used, and a seed for ids of its own.
fn new_topic(subject: &Subject, key: &str, queues: i32) -> io::Result<(String, u64)> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    let topic = format!("load-{key}-{seed}");
    ledger::create_topic(&subject.address, &topic, queues)?;
    Ok((topic, seed & 0x00FF_FFFF))
}

fn report(key: &str, seen: &Window) {
    let micros = |quantile: f64| nanos(seen.latency.value_at_quantile(quantile)) / 1e3;
    println!(
        "  {key:<9} {:>9.0} msg/s   p50 {:.0} p99 {:.0} p99.9 {:.0} us   CPU a message: broker {:.2}, generator {:.2} us   others {:.0} %, steal {:.0} %{}",
        seen.rate(),
        micros(0.5),
        micros(0.99),
        micros(0.999),
        seen.server_per_message(),
        seen.own_per_message(),
        100.0 * seen.others.as_secs_f64() / seen.elapsed.as_secs_f64(),
        100.0 * seen.steal.as_secs_f64() / seen.elapsed.as_secs_f64(),
        seen.first_refusal
            .as_ref()
            .map(|said| format!("   {} refused: {said}", seen.refused))
            .unwrap_or_default(),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a latency is far below 2^53 ns")]
fn nanos(latency: u64) -> f64 {
    latency as f64
}
