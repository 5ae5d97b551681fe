//! End to end: from a send to the arrival of its message at a consumer whose pull is held by the broker.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rocketmq_boot_protocol::{Encoding, ResponseCode, message::record};

use super::{
    closed::latencies,
    line::Line,
    open::Pace,
    request::{FIRST_OPAQUE, MIN_BODY_BYTES, Pull, Send, Target},
    work::mixed,
};

const HOLD_MS: i64 = 15_000;
const BODY_BYTES: usize = 128;

/// Sends one message every `interval` to a new queue, `ramp` that are not counted and `counted` that are, and gives
/// their latencies in nanoseconds.
///
/// # Errors
/// When the connection fails, the broker refuses, or messages are missing or out of order.
pub fn run(
    address: &str,
    target: Target<'_>,
    interval: Duration,
    ramp: u64,
    counted: u64,
) -> io::Result<Histogram<u64>> {
    let origin = Instant::now();
    let pull = Pull::new(target, Encoding::Binary, 32, HOLD_MS);
    let mut consumer = Line::connect(address)?;
    // The pull is on its way before the first send; the ramp gives the broker time to hold it.
    pull.write(FIRST_OPAQUE, 0, &mut consumer.outbox);
    consumer.flush()?;
    let consuming = thread::spawn(move || consume(consumer, &pull, origin, ramp, ramp + counted));
    let produced = produce(address, target, interval, origin, ramp + counted);
    let consumed =
        consuming.join().unwrap_or_else(|_| Err(io::Error::other("the consuming thread panicked")));
    produced.and(consumed)
}

fn produce(
    address: &str,
    target: Target<'_>,
    interval: Duration,
    origin: Instant,
    messages: u64,
) -> io::Result<()> {
    let send = Send::new(target, Encoding::Binary, BODY_BYTES);
    let mut line = Line::connect(address)?;
    let mut pace = Pace::every(interval);
    for sequence in 0..messages {
        let due = pace.wait().saturating_duration_since(origin);
        let opaque = FIRST_OPAQUE + i32::try_from(sequence).map_err(io::Error::other)?;
        let stamp = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        send.write_stamped(opaque, mixed(sequence), stamp, &mut line.outbox);
        line.flush()?;
        loop {
            if let Some(answer) = line.inbox.next()? {
                if answer.code != 0 || answer.opaque != opaque {
                    return Err(answer.refusal());
                }
                break;
            }
            line.inbox.fill(&mut line.stream)?;
        }
    }
    Ok(())
}

fn consume(
    mut line: Line,
    pull: &Pull,
    origin: Instant,
    ramp: u64,
    messages: u64,
) -> io::Result<Histogram<u64>> {
    let mut latency = latencies();
    let mut offset = 0;
    let mut opaque = FIRST_OPAQUE;
    while offset < messages {
        line.fill()?;
        let now = origin.elapsed();
        let Line { inbox, outbox, .. } = &mut line;
        while let Some(answer) = inbox.next()? {
            match ResponseCode(answer.code) {
                ResponseCode::SUCCESS => {
                    for record in record::records(answer.body) {
                        let record = record.map_err(io::Error::other)?;
                        let due = due(record.body, offset)?;
                        if offset >= ramp {
                            let nanos = now.saturating_sub(due).as_nanos();
                            latency.saturating_record(u64::try_from(nanos).unwrap_or(u64::MAX));
                        }
                        offset += 1;
                    }
                }
                ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_RETRY_IMMEDIATELY => {}
                _ => return Err(answer.refusal()),
            }
            opaque += 1;
            pull.write(opaque, offset, outbox);
        }
        if offset < messages {
            line.flush()?;
        }
    }
    Ok(latency)
}

/// When the message at `offset` was due, from its body.
fn due(body: &[u8], offset: u64) -> io::Result<Duration> {
    let words = body.first_chunk::<MIN_BODY_BYTES>().map(|words| words.split_at(8));
    let (id, stamp) = words.ok_or_else(|| io::Error::other("a body without id and time"))?;
    if id != mixed(offset).to_be_bytes() {
        return Err(io::Error::other(format!("another message at offset {offset}")));
    }
    let stamp: [u8; 8] = stamp.try_into().map_err(io::Error::other)?;
    Ok(Duration::from_nanos(u64::from_be_bytes(stamp)))
}
