//! Open loop: sends at a fixed rate on one connection, whatever the broker does.
//!
//! A latency begins when a send was due. Only when the generator itself overslept does it begin at the waking: what
//! the broker holds up is counted, what the kernel's timer is late by is not.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rocketmq_boot_protocol::Encoding;

use super::{
    Ledger,
    closed::latencies,
    line::{Inbox, Line},
    request::{FIRST_OPAQUE, Send, Target},
    work::mixed,
};

/// A rate.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    due: Instant,
    woke: Option<Instant>,
}

impl Pace {
    /// Every `interval` from now on.
    pub fn every(interval: Duration) -> Self {
        Self { interval, due: Instant::now() + interval, woke: None }
    }

    /// Waits until the next send is due and gives the moment from which its latency counts.
    pub fn wait(&mut self) -> Instant {
        let due = self.due;
        self.due += self.interval;
        let now = Instant::now();
        if now < due {
            thread::sleep(due - now);
            self.woke = Some(Instant::now());
        }
        match self.woke {
            // All that became due during one sleep counts from its end.
            Some(woke) if due <= woke => woke,
            _ => {
                self.woke = None;
                due
            }
        }
    }

    /// Whether another send is due already.
    pub fn is_behind(&self) -> bool {
        self.due <= Instant::now()
    }
}

/// What an open loop saw.
#[derive(Debug)]
pub struct Open {
    /// From due to answered, in nanoseconds.
    pub latency: Histogram<u64>,
    /// What was acknowledged.
    pub acknowledged: Ledger,
}

/// Sends `messages` of `body_bytes` to one queue, one every `interval`.
///
/// # Errors
/// When the connection fails or a send is refused.
pub fn run(
    address: &str,
    target: Target<'_>,
    body_bytes: usize,
    interval: Duration,
    messages: u64,
) -> io::Result<Open> {
    let line = Line::connect(address)?;
    let due = Arc::new(AtomicRing::new());
    let origin = Instant::now();
    let (reader, inbox) = (line.stream.try_clone()?, Inbox::new());
    let reading = {
        let due = Arc::clone(&due);
        thread::spawn(move || read(reader, inbox, &due, origin, messages))
    };
    let send = Send::new(target, Encoding::Binary, body_bytes);
    let mut line = line;
    let mut pace = Pace::every(interval);
    for sequence in 0..messages {
        due.set(sequence, pace.wait().saturating_duration_since(origin))?;
        let opaque = FIRST_OPAQUE + i32::try_from(sequence).map_err(io::Error::other)?;
        send.write(opaque, mixed(sequence), &mut line.outbox);
        if !pace.is_behind() || line.outbox.len() > 64 * 1024 {
            line.flush()?;
        }
    }
    line.flush()?;
    reading.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
}

fn read(
    mut stream: std::net::TcpStream,
    mut inbox: Inbox,
    due: &AtomicRing,
    origin: Instant,
    messages: u64,
) -> io::Result<Open> {
    let mut open = Open { latency: latencies(), acknowledged: Ledger::default() };
    while open.acknowledged.count < messages {
        inbox.fill(&mut stream)?;
        let now = origin.elapsed();
        while let Some(answer) = inbox.next()? {
            if answer.code != 0 {
                return Err(answer.refusal());
            }
            let sequence = u64::try_from(answer.opaque - FIRST_OPAQUE).map_err(io::Error::other)?;
            let latency = now.saturating_sub(due.take(sequence)?);
            open.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
            open.acknowledged.add(mixed(sequence));
        }
    }
    Ok(open)
}

/// When the sends in flight were due. 0 stands for "not in flight".
struct AtomicRing(Vec<AtomicU64>);

const RING: u64 = 1 << 18;

impl AtomicRing {
    fn new() -> Self {
        Self((0..RING).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(&self, sequence: u64) -> io::Result<&AtomicU64> {
        let place = usize::try_from(sequence % RING).ok().and_then(|at| self.0.get(at));
        place.ok_or_else(|| io::Error::other("no such place"))
    }

    fn set(&self, sequence: u64, due: Duration) -> io::Result<()> {
        let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX).max(1);
        if self.place(sequence)?.swap(due, Ordering::AcqRel) == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("the broker is {RING} messages behind")))
    }

    fn take(&self, sequence: u64) -> io::Result<Duration> {
        match self.place(sequence)?.swap(0, Ordering::AcqRel) {
            0 => Err(io::Error::other(format!("an answer to {sequence}, which is not in flight"))),
            due => Ok(Duration::from_nanos(due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_while_the_sender_was_held_up_counts_from_then() {
        let mut pace = Pace::every(Duration::from_nanos(1));
        let due = pace.due;
        // Long past the second and third send: nobody slept, so both count from when they were due.
        thread::sleep(Duration::from_millis(1));
        assert_eq!(pace.wait(), due);
        assert_eq!(pace.wait(), due + Duration::from_nanos(1));
    }

    #[test]
    fn a_second_answer_is_an_error() {
        let ring = AtomicRing::new();
        ring.set(7, Duration::from_nanos(5)).unwrap();
        assert_eq!(ring.take(7).unwrap(), Duration::from_nanos(5));
        assert!(ring.take(7).is_err());
    }
}
