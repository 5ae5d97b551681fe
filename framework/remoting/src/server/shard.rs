//! A shard: one thread, one current-thread runtime, and the connections that were dealt to it.

use std::{
    cell::{Cell, RefCell, RefMut},
    collections::HashMap,
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    runtime::Builder,
    sync::{mpsc, watch},
    task::{self, JoinError, JoinSet, LocalSet},
    time::{MissedTickBehavior, interval},
};

use super::{
    Connection, Phase, Shared,
    connection::Reading,
    seats::Seat,
    session::{End, Session},
};

/// What one read can bring at most, shared by all connections of the shard.
const BUFFER_BYTES: usize = 256 * 1024;

/// An answer buffer that grew beyond this is given back.
const KEEP_OUT_BYTES: usize = 1024 * 1024;

/// Connections that wait for their shard; the acceptor waits beyond it.
const ARRIVALS: usize = 256;

/// The idle limit is looked at so many times within its length.
const TICKS: u32 = 8;

/// The longest pause between two looks.
const LONGEST_TICK: Duration = Duration::from_millis(250);

/// What the sessions of a shard share; it never leaves the shard's thread.
pub(super) struct Local {
    shared: Arc<Shared>,
    buffer: RefCell<Vec<u8>>,
    out: RefCell<Vec<u8>>,
    phase: Cell<Phase>,
}

impl Local {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The read buffer. It is held for one poll of one session only, never across an await.
    pub(super) fn buffer(&self) -> RefMut<'_, Vec<u8>> {
        self.buffer.borrow_mut()
    }

    /// The buffer for the answers of one batch.
    pub(super) fn out(&self) -> RefMut<'_, Vec<u8>> {
        let mut out = self.out.borrow_mut();
        if out.capacity() > KEEP_OUT_BYTES {
            *out = Vec::new();
        }
        out
    }
}

/// A shard's bookkeeping.
pub(super) struct Shard {
    local: Rc<Local>,
    sessions: JoinSet<()>,
    /// By the task that serves it.
    connections: HashMap<task::Id, Entry>,
    index: usize,
    dealt: u64,
}

/// A connection that was just accepted.
pub(super) struct Arrival {
    pub(super) stream: std::net::TcpStream,
    pub(super) seat: Seat,
}

struct Entry {
    connection: Arc<Connection>,
    /// The monotonic time at which it was last seen active.
    active: Duration,
    /// The frame that was not whole when last looked at, and since when.
    begun: Option<(Reading, Duration)>,
    _seat: Seat,
}

impl Shard {
    /// Starts the thread; connections are dealt through the sender.
    pub(super) fn start(
        index: usize,
        shared: Arc<Shared>,
        phase: watch::Receiver<Phase>,
    ) -> io::Result<(mpsc::Sender<Arrival>, thread::JoinHandle<()>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let name = format!("{}-shard-{index}", shared.options.name);
        let thread = thread::Builder::new().name(name).spawn(move || {
            let local = Rc::new(Local {
                shared,
                buffer: RefCell::new(vec![0; BUFFER_BYTES]),
                out: RefCell::default(),
                phase: Cell::new(Phase::Serving),
            });
            let shard =
                Self { local, sessions: JoinSet::new(), connections: HashMap::new(), index, dealt: 0 };
            LocalSet::new().block_on(&runtime, shard.run(arrivals, phase));
        })?;
        Ok((sender, thread))
    }

    async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>, mut phase: watch::Receiver<Phase>) {
        let idle = self.local.shared.options.idle;
        let mut ticks = interval((idle / TICKS).clamp(Duration::from_millis(1), LONGEST_TICK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(arrival) = arrivals.recv() => self.begin(arrival),
                Some(ended) = self.sessions.join_next_with_id() => self.ended(ended),
                _ = ticks.tick() => self.tick(idle),
                changed = phase.changed() => {
                    let now = *phase.borrow_and_update();
                    self.local.phase.set(now);
                    self.connections.values().for_each(|entry| entry.connection.outbox().poke());
                    match now {
                        Phase::Finishing(until) => break self.finish(arrivals, until).await,
                        // Without a server there is nobody left to say more.
                        _ if changed.is_err() => break self.finish(arrivals, Instant::now()).await,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Lets the sessions write what they have, then closes them.
    async fn finish(&mut self, mut arrivals: mpsc::Receiver<Arrival>, until: Instant) {
        arrivals.close();
        while arrivals.try_recv().is_ok() {}
        let deadline = tokio::time::sleep_until(until.into());
        tokio::pin!(deadline);
        while !self.connections.is_empty() {
            tokio::select! {
                Some(ended) = self.sessions.join_next_with_id() => self.ended(ended),
                () = &mut deadline => {
                    self.connections.values().for_each(|entry| entry.connection.close());
                    while let Some(ended) = self.sessions.join_next_with_id().await {
                        self.ended(ended);
                    }
                }
            }
        }
    }

    fn begin(&mut self, Arrival { stream, seat }: Arrival) {
        let shared = Arc::clone(&self.local.shared);
        self.dealt += 1;
        let shards = u64::try_from(shared.options.shards.max(1)).unwrap_or(u64::MAX);
        let index = u64::try_from(self.index).unwrap_or(u64::MAX);
        let id = self.dealt.wrapping_mul(shards).wrapping_add(index);
        let made = TcpStream::from_std(stream).and_then(|stream| {
            let (read, write) = stream.into_split();
            Ok((read, Arc::new(Connection::new(id, write, &shared.options)?)))
        });
        let (read, connection) = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::debug!(%error, "a connection went before it was served");
                return;
            }
        };
        let active = shared.options.clock.monotonic();
        let entry = Entry { connection: Arc::clone(&connection), active, begun: None, _seat: seat };
        let mut session = Session::new(Arc::clone(&connection), read, Rc::clone(&self.local));
        let task = self.sessions.spawn_local(async move {
            let end = poll_fn(|context| session.poll(context)).await;
            report(&connection, &end);
        });
        self.connections.insert(task.id(), entry);
    }

    fn ended(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let shared = &self.local.shared;
        let id = ended.map_or_else(
            |error| {
                tracing::error!(%error, "serving a connection panicked");
                error.id()
            },
            |(id, ())| id,
        );
        let Some(Entry { connection, .. }) = self.connections.remove(&id) else { return };
        connection.end("the connection ended");
        let told =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shared.service.closed(&connection)));
        if told.is_err() {
            tracing::error!(remote = %connection.remote(), "the handler of a closed connection panicked");
        }
    }

    /// Closes what has been idle for too long, or at one frame.
    fn tick(&mut self, idle: Duration) {
        let options = &self.local.shared.options;
        let now = options.clock.monotonic();
        for entry in self.connections.values_mut() {
            // While it is not read, the connection can do nothing for its frame.
            let begun = entry.connection.reading().filter(|_| !entry.connection.is_paused());
            entry.begun = begun.map(|frame| match entry.begun {
                Some((before, since)) if before == frame => (frame, since),
                _ => (frame, now),
            });
            if let Some((frame, since)) = entry.begun {
                let limit = if frame.is_first() { options.first_frame } else { options.frame };
                if now.saturating_sub(since) >= limit {
                    tracing::debug!(remote = %entry.connection.remote(), "a connection that takes too long to send a frame is closed");
                    entry.connection.close();
                }
            }
            if entry.connection.outbox().take_active() {
                entry.active = now;
            } else if now.saturating_sub(entry.active) >= idle {
                tracing::debug!(remote = %entry.connection.remote(), "an idle connection is closed");
                entry.connection.close();
            }
        }
    }
}

fn report(connection: &Connection, end: &End) {
    let (id, remote) = (connection.id(), connection.remote());
    match end {
        End::Left | End::Closed => tracing::debug!(id, %remote, "connection ended"),
        End::Lost(error) => tracing::debug!(id, %remote, %error, "connection lost"),
        End::Refused(reason) => tracing::debug!(id, %remote, reason, "connection closed for what it sent"),
    }
}
