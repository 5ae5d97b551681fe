//! Closed loop on one thread: so many connections with so many requests in flight on each, an answer making room for
//! the next request.

use std::{
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

use super::{
    line::{Answer, Line},
    request::{FIRST_OPAQUE, OPAQUES},
    usage,
    work::Work,
};

/// Latencies are kept in nanoseconds up to a minute, to three digits.
pub const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// An empty latency histogram.
///
/// # Panics
/// Never: its bounds are constants that it takes.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("the bounds are in order")
}

/// How much is in flight.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each of them.
    pub in_flight: i32,
}

/// How long it goes on.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What comes before the window and is not counted.
    pub ramp: Duration,
    /// The window.
    pub window: Duration,
    /// The window ends early with so many messages.
    pub messages: u64,
}

impl Plan {
    /// A window behind half a second that is not counted.
    pub fn window(window: Duration) -> Self {
        Self { ramp: Duration::from_millis(500), window, messages: u64::MAX }
    }

    /// So many messages, all counted; what is missing at `limit` is left out.
    pub fn messages(messages: u64, limit: Duration) -> Self {
        Self { ramp: Duration::ZERO, window: limit, messages }
    }
}

/// What was seen in the window.
#[derive(Debug, Clone)]
pub struct Window {
    /// Messages in successful answers.
    pub messages: u64,
    /// How long it was.
    pub elapsed: Duration,
    /// From a request's write to its answer, in nanoseconds.
    pub latency: Histogram<u64>,
    /// CPU time of the server.
    pub server: Duration,
    /// CPU time of this process.
    pub own: Duration,
    /// CPU time of all others on the machine.
    pub others: Duration,
    /// CPU time that the host took away.
    pub steal: Duration,
    /// Refused requests from the first to the last, and what the broker said about the first of them.
    pub refused: u64,
    /// See [`Window::refused`].
    pub first_refusal: Option<String>,
}

impl Window {
    /// Messages a second.
    pub fn rate(&self) -> f64 {
        count(self.messages) / self.elapsed.as_secs_f64()
    }

    /// CPU time of the server for each message, in microseconds; seconds for a million.
    pub fn server_per_message(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / count(self.messages)
    }

    /// CPU time of the generator for each message, in microseconds.
    pub fn own_per_message(&self) -> f64 {
        self.own.as_secs_f64() * 1e6 / count(self.messages)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^53")]
fn count(messages: u64) -> f64 {
    messages as f64
}

/// Runs `work` against the broker at `address`, whose process is `server` when it runs here.
///
/// # Errors
/// When the connection fails, an answer is missing, comes twice or is not what was asked for. A refusal is no error:
/// it is counted.
pub fn run(
    address: &str,
    server: Option<u32>,
    shape: Shape,
    plan: Plan,
    work: &mut impl Work,
) -> io::Result<Window> {
    let mut lanes = Vec::with_capacity(shape.connections);
    for _ in 0..shape.connections {
        lanes.push(Lane::connect(address, shape.in_flight)?);
    }
    let mut meter = Meter::new(server, plan)?;
    for lane in &mut lanes {
        lane.start(work, &mut meter)?;
    }
    match lanes.as_mut_slice() {
        [lane] => {
            while lane.outstanding > 0 {
                lane.turn(work, &mut meter)?;
            }
        }
        lanes => turns(lanes, work, &mut meter)?,
    }
    Ok(meter.window)
}

/// Waits for all connections at once.
fn turns(lanes: &mut [Lane], work: &mut impl Work, meter: &mut Meter) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (lane, number) in lanes.iter().zip(0..) {
        epoll::add(&poll, &lane.line.stream, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(lanes.len().min(1024));
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    let mut busy = lanes.len();
    while busy > 0 {
        if epoll::wait(&poll, spare_capacity(&mut events), Some(&patience))? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{busy} connections without an answer"),
            ));
        }
        for event in events.drain(..) {
            let Some(lane) = usize::try_from(event.data.u64()).ok().and_then(|at| lanes.get_mut(at)) else {
                continue;
            };
            lane.turn(work, meter)?;
            if lane.outstanding == 0 {
                epoll::delete(&poll, &lane.line.stream)?;
                busy -= 1;
            }
        }
    }
    Ok(())
}

/// A connection and its requests in flight.
struct Lane {
    line: Line,
    slots: Vec<Slot>,
    outstanding: usize,
}

/// A place in flight. Its requests have the numbers slot, slot + slots, slot + 2 slots and so on.
struct Slot {
    opaque: i32,
    tag: u64,
    sent_ns: u64,
    pending: bool,
}

impl Lane {
    fn connect(address: &str, in_flight: i32) -> io::Result<Self> {
        let slots = (0..in_flight).map(|slot| Slot {
            opaque: FIRST_OPAQUE + slot,
            tag: 0,
            sent_ns: 0,
            pending: false,
        });
        Ok(Self { line: Line::connect(address)?, slots: slots.collect(), outstanding: 0 })
    }

    fn start(&mut self, work: &mut impl Work, meter: &mut Meter) -> io::Result<()> {
        let now = meter.now();
        for slot in &mut self.slots {
            slot.tag = work.request(slot.opaque, &mut self.line.outbox);
            slot.sent_ns = now;
            slot.pending = true;
        }
        self.outstanding = self.slots.len();
        self.line.flush()
    }

    /// Reads once, and puts the next request into each place that became free.
    fn turn(&mut self, work: &mut impl Work, meter: &mut Meter) -> io::Result<()> {
        self.line.fill()?;
        let now = meter.now();
        let phase = meter.phase(now)?;
        let step = i32::try_from(self.slots.len()).map_err(io::Error::other)?;
        let Line { inbox, outbox, .. } = &mut self.line;
        while let Some(answer) = inbox.next()? {
            let at = usize::try_from((answer.opaque - FIRST_OPAQUE) % step).unwrap_or(usize::MAX);
            let slot = self.slots.get_mut(at).filter(|slot| slot.pending && slot.opaque == answer.opaque);
            let Some(slot) = slot else {
                return Err(io::Error::other(format!(
                    "an answer to {}, which is not in flight",
                    answer.opaque
                )));
            };
            meter.answered(slot, &answer, now, work, phase)?;
            slot.pending = false;
            if phase == Phase::Drain {
                self.outstanding -= 1;
                continue;
            }
            let next = slot.opaque - FIRST_OPAQUE + step;
            slot.opaque = FIRST_OPAQUE + if next < OPAQUES - step { next } else { next % step };
            slot.tag = work.request(slot.opaque, outbox);
            slot.sent_ns = now;
            slot.pending = true;
        }
        self.line.flush()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Ramp,
    Window,
    Drain,
}

/// Counts, and knows which part of the plan it is.
struct Meter {
    origin: Instant,
    plan: Plan,
    server: Option<u32>,
    phase: Phase,
    began: Spent,
    window: Window,
}

/// Time and CPU time at a moment.
#[derive(Clone, Copy)]
struct Spent {
    at: Instant,
    server: Duration,
    own: Duration,
    machine: usage::Machine,
}

impl Spent {
    fn now(server: Option<u32>) -> io::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: server.map(usage::cpu).transpose()?.unwrap_or_default(),
            own: usage::cpu(std::process::id())?,
            machine: usage::machine()?,
        })
    }
}

impl Meter {
    fn new(server: Option<u32>, plan: Plan) -> io::Result<Self> {
        let began = Spent::now(server)?;
        let window = Window {
            messages: 0,
            elapsed: Duration::ZERO,
            latency: latencies(),
            server: Duration::ZERO,
            own: Duration::ZERO,
            others: Duration::ZERO,
            steal: Duration::ZERO,
            refused: 0,
            first_refusal: None,
        };
        let phase = if plan.ramp.is_zero() { Phase::Window } else { Phase::Ramp };
        Ok(Self { origin: Instant::now(), plan, server, phase, began, window })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Moves on when its time has come.
    fn phase(&mut self, now_ns: u64) -> io::Result<Phase> {
        let now = Duration::from_nanos(now_ns);
        if self.phase == Phase::Ramp && now >= self.plan.ramp {
            self.phase = Phase::Window;
            self.began = Spent::now(self.server)?;
        } else if self.phase == Phase::Window
            && (now >= self.plan.ramp + self.plan.window || self.window.messages >= self.plan.messages)
        {
            self.phase = Phase::Drain;
            let ended = Spent::now(self.server)?;
            let window = &mut self.window;
            window.elapsed = ended.at - self.began.at;
            window.server = ended.server.saturating_sub(self.began.server);
            window.own = ended.own.saturating_sub(self.began.own);
            let busy = ended.machine.busy.saturating_sub(self.began.machine.busy);
            window.others = busy.saturating_sub(window.server + window.own);
            window.steal = ended.machine.steal.saturating_sub(self.began.machine.steal);
        }
        Ok(self.phase)
    }

    fn answered(
        &mut self,
        slot: &Slot,
        answer: &Answer<'_>,
        now: u64,
        work: &mut impl Work,
        phase: Phase,
    ) -> io::Result<()> {
        if answer.code != 0 {
            self.window.refused += 1;
            self.window.first_refusal.get_or_insert_with(|| answer.refusal().to_string());
            return Ok(());
        }
        let messages = work.answered(slot.tag, answer)?;
        if phase == Phase::Window {
            self.window.messages += messages;
            self.window.latency.saturating_record(now - slot.sent_ns);
        }
        Ok(())
    }
}
