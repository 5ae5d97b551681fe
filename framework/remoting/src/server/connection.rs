//! A client's connection as services see it: where to send, from any thread.

use std::{
    any::Any,
    fmt, io,
    net::{Shutdown, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rocketmq_boot_protocol::Command;
use socket2::SockRef;
use tokio::{net::tcp::OwnedWriteHalf, time::timeout};

use super::ServerOptions;
use crate::{
    Error,
    calls::Calls,
    outbox::{Outbox, Refused},
};

/// Write buffers that grew beyond this are given back: ten thousand connections may have one each.
const KEEP_BYTES: usize = 4 * 1024;

/// Why something could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The client is gone.
    #[error("the connection is closed")]
    Closed,
    /// The client does not read, and more waits for it than the limit allows.
    #[error("too much is unwritten on the connection")]
    Full,
}

/// A connection of a server.
pub struct Connection {
    id: u64,
    remote: SocketAddr,
    local: SocketAddr,
    write: OwnedWriteHalf,
    outbox: Outbox,
    calls: Arc<Calls>,
    address: Arc<str>,
    closed: AtomicBool,
    deferred: AtomicUsize,
    deferred_bytes: AtomicUsize,
    /// Twice the batches of frames that were read, and one more while a frame is not whole.
    reading: AtomicU64,
    limits: Limits,
    attachment: OnceLock<Box<dyn Any + Send + Sync>>,
}

struct Limits {
    frame_bytes: usize,
    deferred: usize,
    deferred_bytes: usize,
    pause_unwritten_bytes: usize,
}

impl Connection {
    pub(super) fn new(id: u64, write: OwnedWriteHalf, options: &ServerOptions) -> io::Result<Self> {
        let remote = write.peer_addr()?;
        let address: Arc<str> = remote.to_string().into();
        Ok(Self {
            id,
            remote,
            local: write.local_addr()?,
            write,
            outbox: Outbox::new(options.max_unwritten_bytes, KEEP_BYTES),
            calls: Calls::new(Arc::clone(&address), options.max_calls),
            address,
            closed: AtomicBool::new(false),
            deferred: AtomicUsize::new(0),
            deferred_bytes: AtomicUsize::new(0),
            reading: AtomicU64::new(0),
            limits: Limits {
                frame_bytes: options.max_frame_bytes,
                deferred: options.max_deferred,
                deferred_bytes: options.max_deferred_bytes,
                pause_unwritten_bytes: options.pause_unwritten_bytes,
            },
            attachment: OnceLock::new(),
        })
    }

    /// A number that no other connection of the server had or will have.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The client's address.
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The address that the client connected to.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends whole frames, from any thread: into the socket at once as far as it takes them, the rest is finished
    /// by the connection's shard.
    ///
    /// # Errors
    /// Nothing was sent: the client is gone or does not read.
    pub fn send(&self, frames: &[u8]) -> Result<(), SendError> {
        self.outbox.write_through(self.write.as_ref(), frames).map_err(|refused| match refused {
            Refused::Full => SendError::Full,
            Refused::Closed | Refused::TooLarge(_) => SendError::Closed,
        })
    }

    /// Sends a request to the client and waits for its response; the opaque is set here.
    ///
    /// # Errors
    /// As [`Peer::call`](crate::Peer::call). It must be awaited on a tokio runtime.
    pub async fn call(&self, mut request: Command, limit: Duration) -> Result<Command, Error> {
        let call = self.calls.begin()?;
        request.opaque = call.opaque();
        self.write(&request)?;
        timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout { address: Arc::clone(&self.address), after: limit }))
    }

    /// Sends a request to the client that is not answered.
    ///
    /// # Errors
    /// The client is gone or does not read.
    pub fn one_way(&self, request: Command) -> Result<(), Error> {
        self.write(&request.one_way())
    }

    /// Sends one command.
    ///
    /// # Errors
    /// The client is gone or does not read, or the command is larger than a frame may be.
    pub fn write(&self, command: &Command) -> Result<(), Error> {
        let (limit, address) = (self.limits.frame_bytes, || Arc::clone(&self.address));
        let sent = self.outbox.encode(self.write.as_ref(), limit, |out| command.encode(out));
        sent.map_err(|refused| match refused {
            Refused::Full => Error::Overloaded { address: address() },
            Refused::Closed => Error::closed(&self.address, "the client is gone"),
            Refused::TooLarge(bytes) => Error::TooLarge { address: address(), bytes, limit },
        })
    }

    /// Closes the connection; what is unwritten is lost.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.outbox.poke();
    }

    /// Whether the connection has ended or was told to.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What the service attached, if it is a `T`.
    pub fn attachment<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.attachment.get()?.downcast_ref()
    }

    /// What the service attached, attached now if nothing is.
    ///
    /// # Panics
    /// When something of another type is attached: a service attaches one type.
    pub fn attachment_or<T: Any + Send + Sync>(&self, init: impl FnOnce() -> T) -> &T {
        let attached = self.attachment.get_or_init(|| Box::new(init()));
        attached.downcast_ref().expect("a service attaches one type to its connections")
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(super) fn stream(&self) -> &tokio::net::TcpStream {
        self.write.as_ref()
    }

    /// Whether reading has to wait: for deferred requests to be answered, or for the client to read. The session is
    /// poked when that may have changed.
    pub(super) fn is_paused(&self) -> bool {
        self.deferred.load(Ordering::Acquire) >= self.limits.deferred
            || self.deferred_bytes.load(Ordering::Acquire) >= self.limits.deferred_bytes
            || (self.outbox.unwritten() >= self.limits.pause_unwritten_bytes
                && self.outbox.unwritten_and_poke() >= self.limits.pause_unwritten_bytes)
    }

    /// Notes that frames were read whole.
    pub(super) fn note_frames(&self) {
        // Only the connection's session changes it.
        self.reading.store((self.reading.load(Ordering::Relaxed) | 1) + 1, Ordering::Relaxed);
    }

    /// Notes whether the beginning of a frame is there.
    pub(super) fn note_begun(&self, begun: bool) {
        let before = self.reading.load(Ordering::Relaxed);
        self.reading.store(before & !1 | u64::from(begun), Ordering::Relaxed);
    }

    /// The frame that is not whole yet.
    pub(super) fn reading(&self) -> Option<Reading> {
        let reading = self.reading.load(Ordering::Relaxed);
        (reading & 1 == 1).then_some(Reading(reading))
    }

    /// Counts a deferred request until the guard is dropped.
    pub(super) fn defer(self: &Arc<Self>, bytes: usize) -> Deferred {
        self.deferred.fetch_add(1, Ordering::AcqRel);
        self.deferred_bytes.fetch_add(bytes, Ordering::AcqRel);
        Deferred { connection: Arc::clone(self), bytes }
    }

    /// Ends everything that can wait on this connection.
    pub(super) fn end(&self, reason: &str) {
        self.closed.store(true, Ordering::Release);
        self.outbox.close();
        self.calls.fail(&Error::closed(&self.address, reason));
        // A service may still hold the connection, and with it the socket. It fails only when the client has ended
        // the connection already.
        let _ = SockRef::from(self.stream()).shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// A frame of which the beginning was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading(u64);

impl Reading {
    /// Whether no frame was read before it.
    pub(super) fn is_first(self) -> bool {
        self.0 == 1
    }
}

/// A deferred request that is not answered yet.
pub(super) struct Deferred {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Drop for Deferred {
    fn drop(&mut self) {
        let connection = &self.connection;
        let count = connection.deferred.fetch_sub(1, Ordering::AcqRel);
        let bytes = connection.deferred_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if count >= connection.limits.deferred || bytes >= connection.limits.deferred_bytes {
            connection.outbox.poke();
        }
    }
}
