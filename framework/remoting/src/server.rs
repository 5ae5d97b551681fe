//! The answering side: listeners, shards and their life from bind to stop.
//!
//! ```text
//! acceptor ──deals──▶ shard 0   one thread, one current-thread runtime: reads, batches, writes
//!          ──deals──▶ shard 1   ...
//!                         └──deferred requests──▶ control runtime (which the acceptor runs on, too)
//! ```
//!
//! A connection stays on its shard. What is hot is answered there, on the thread that read it; everything else goes
//! to the control runtime.

mod accept;
mod batch;
mod connection;
mod salvage;
mod seats;
mod session;
mod shard;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rocketmq_boot_protocol::{Clock, Command, frame};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
};
use tokio_util::task::TaskTracker;

pub use self::{
    batch::Batch,
    connection::{Connection, SendError},
};
use self::{seats::Seats, shard::Shard};

/// How a server divides its work and bounds itself.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// In front of the names of its threads **(default: `rocketmq`)**.
    pub name: String,
    /// Threads that serve connections **(default: one less than there are cores, at least 1)**.
    pub shards: usize,
    /// Threads for what is not hot **(default: 2)**.
    pub control_threads: usize,
    /// A connection on which nothing was read or written for this long is closed **(default: 120 s)**.
    pub idle: Duration,
    /// Connections at a time; more are closed as they come **(default: 10 000)**.
    pub max_connections: usize,
    /// Connections at a time from one address other than the loopback's, or from one IPv6 network of 64 bits; more are
    /// closed as they come **(default: 1 024)**.
    pub max_connections_of_address: usize,
    /// How long the first frame of a connection may take from its first byte to its last **(default: 5 s)**.
    pub first_frame: Duration,
    /// How long any other frame may take **(default: 60 s)**.
    pub frame: Duration,
    /// The largest frame that is taken **(default: 16 MiB)**.
    pub max_frame_bytes: usize,
    /// Deferred requests of one connection at a time; at the limit it is not read **(default: 1 024)**.
    pub max_deferred: usize,
    /// Bytes of the deferred requests of one connection; at the limit it is not read **(default: 16 MiB)**.
    pub max_deferred_bytes: usize,
    /// Unwritten bytes above which a connection is not read **(default: 1 MiB)**.
    pub pause_unwritten_bytes: usize,
    /// Unwritten bytes above which sending to a connection fails **(default: 32 MiB)**.
    pub max_unwritten_bytes: usize,
    /// Our own requests to one client at a time **(default: 1 024)**.
    pub max_calls: usize,
    /// Whose monotonic hand measures idleness **(default: the system's)**.
    pub clock: Clock,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            name: "rocketmq".to_owned(),
            shards: (cores - 1).max(1),
            control_threads: 2,
            idle: Duration::from_secs(120),
            max_connections: 10_000,
            max_connections_of_address: 1024,
            first_frame: Duration::from_secs(5),
            frame: Duration::from_secs(60),
            max_frame_bytes: frame::MAX_FRAME_BYTES,
            max_deferred: 1024,
            max_deferred_bytes: 16 * 1024 * 1024,
            pause_unwritten_bytes: 1024 * 1024,
            max_unwritten_bytes: 32 * 1024 * 1024,
            max_calls: 1024,
            clock: Clock::system(),
        }
    }
}

/// What a server does with what it is sent.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Handles all whole frames of one read, on the shard's thread. It must not block.
    ///
    /// Answers go to [`Batch::out`] and are written together when this returns. A request can also be held: keep the
    /// connection and its opaque, and [`send`](Connection::send) the answer later, from any thread. Frames that are
    /// handed to [`Batch::defer`], or not taken at all, are decoded and go to [`Service::request`]. By default that
    /// is all of them.
    fn batch(&self, connection: &Arc<Connection>, batch: &mut Batch<'_>) {
        let _ = (connection, batch);
    }

    /// Handles a deferred request on the control runtime; what it returns is sent back unless the request is one-way.
    async fn request(&self, connection: &Arc<Connection>, request: Command) -> Option<Command>;

    /// Told once, on the shard's thread, for every connection that ended; not for one that the server's end found
    /// still waiting for its shard.
    fn closed(&self, connection: &Arc<Connection>) {
        let _ = connection;
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address that cannot be listened on; most often the port is in use.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no thread or no event queue.
    #[error("cannot start the server's threads: {0}")]
    Start(#[from] io::Error),
}

/// What the threads of the control runtime have to notice their end, even past the deadline.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// What acceptor, shards, sessions and control tasks share.
struct Shared {
    options: ServerOptions,
    service: Arc<dyn Service>,
    control: Handle,
    /// Deferred requests under way.
    deferred: TaskTracker,
    seats: Arc<Seats>,
}

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Everything is served.
    Serving,
    /// Nothing is accepted or read any more.
    Draining,
    /// What is written is finished until then.
    Finishing(Instant),
}

/// A running server. It stops when dropped, at once; [`Server::stop`] does it with grace.
pub struct Server {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    running: Option<Running>,
}

/// What has to be ended outside any runtime.
struct Running {
    control: Runtime,
    acceptors: TaskTracker,
    shards: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Listens on all of `addresses` and starts to serve. Port 0 takes a free one.
    ///
    /// # Errors
    /// An address that cannot be listened on, or no threads.
    pub fn bind(
        addresses: &[SocketAddr],
        options: ServerOptions,
        service: Arc<dyn Service>,
    ) -> Result<Self, BindError> {
        let listeners = addresses
            .iter()
            .map(|&address| accept::listen(address).map_err(|source| BindError::Listen { address, source }))
            .collect::<Result<Vec<_>, _>>()?;
        let bound = listeners.iter().map(|listener| listener.local_addr()).collect::<Result<_, _>>()?;
        let control = Builder::new_multi_thread()
            .worker_threads(options.control_threads.max(1))
            .thread_name(format!("{}-control", options.name))
            .enable_all()
            .build()?;
        let (phase, watched) = watch::channel(Phase::Serving);
        let seats = Seats::new(options.max_connections, options.max_connections_of_address);
        let shared = Arc::new(Shared {
            options,
            service,
            control: control.handle().clone(),
            deferred: TaskTracker::new(),
            seats,
        });
        let running = Running { control, acceptors: TaskTracker::new(), shards: Vec::new() };
        // From here on an error drops the server, which ends what has been started.
        let mut server = Self { addresses: bound, shared, phase, running: Some(running) };
        server.start(listeners, &watched)?;
        Ok(server)
    }

    fn start(
        &mut self,
        listeners: Vec<std::net::TcpListener>,
        phase: &watch::Receiver<Phase>,
    ) -> io::Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let mut shards = Vec::new();
        for index in 0..self.shared.options.shards.max(1) {
            let (dealt, thread) = Shard::start(index, Arc::clone(&self.shared), phase.clone())?;
            shards.push(dealt);
            running.shards.push(thread);
        }
        let dealer = Arc::new(accept::Dealer::new(shards, Arc::clone(&self.shared)));
        let _context = running.control.enter();
        for listener in listeners {
            let accepting = accept::run(listener, Arc::clone(&dealer), phase.clone())?;
            running.acceptors.spawn_on(accepting, running.control.handle());
        }
        Ok(())
    }

    /// The addresses that are listened on, with the real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The runtime of everything that is not hot.
    pub fn control(&self) -> &Handle {
        &self.shared.control
    }

    /// Connections at present.
    pub fn connections(&self) -> usize {
        self.shared.seats.taken()
    }

    /// Stops: accepts and reads no more, lets deferred requests and writes end until the deadline, then closes. All
    /// threads have ended when it returns.
    ///
    /// It blocks, but may be called from asynchronous code.
    pub fn stop(mut self, deadline: Duration) {
        self.end(deadline);
    }

    fn end(&mut self, deadline: Duration) {
        let Some(running) = self.running.take() else { return };
        let until = Instant::now() + deadline;
        self.shared.deferred.close();
        running.acceptors.close();
        let (phase, deferred) = (self.phase.clone(), self.shared.deferred.clone());
        let ending = move || running.end(&phase, &deferred, until);
        // A runtime may neither be dropped nor blocked on by a thread that runs one itself.
        let name = format!("{}-stop", self.shared.options.name);
        match thread::Builder::new().name(name).spawn(ending) {
            Ok(thread) => {
                if thread.join().is_err() {
                    tracing::error!("stopping the server panicked");
                }
            }
            Err(error) => {
                tracing::error!(%error, "no thread to stop the server on, it is left to the system")
            }
        }
    }
}

impl Running {
    fn end(self, phase: &watch::Sender<Phase>, deferred: &TaskTracker, until: Instant) {
        let left = || until.saturating_duration_since(Instant::now());
        phase.send_replace(Phase::Draining);
        self.control.block_on(async {
            self.acceptors.wait().await;
            if tokio::time::timeout(left(), deferred.wait()).await.is_err() {
                tracing::warn!(requests = deferred.len(), "requests were cut off by the end of the server");
            }
        });
        phase.send_replace(Phase::Finishing(until));
        for shard in self.shards {
            if shard.join().is_err() {
                tracing::error!("a shard had panicked");
            }
        }
        self.control.shutdown_timeout(left().max(LAST_GRACE));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
