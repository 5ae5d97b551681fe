//! One connection of a peer, from its first byte to its end.
//!
//! A single task owns it: it reads responses and requests, finishes writes that would have blocked, and closes the
//! connection when it has been idle. Callers write by themselves, through the outbox.

use std::{
    future::poll_fn,
    io,
    net::Shutdown,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use rocketmq_boot_protocol::{Command, Frame, ResponseCode, frame};
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Inner, Peer};
use crate::{
    Error,
    calls::{Call, Calls},
    outbox::{Outbox, Refused},
    stream::Stream,
};

/// Asked of the kernel for each direction of a socket.
const SOCKET_BUFFER_BYTES: usize = 1024 * 1024;

/// What a read buffer begins with, and goes back to after a large frame.
const READ_BYTES: usize = 64 * 1024;

/// Write buffers that grew beyond this are given back.
const KEEP_BYTES: usize = 256 * 1024;

/// The idle limit is looked at so many times within its length.
const IDLE_TICKS: u32 = 4;

/// A live connection.
#[derive(Debug)]
pub(super) struct Link {
    address: Arc<str>,
    stream: Stream,
    outbox: Outbox,
    calls: Arc<Calls>,
    max_frame_bytes: usize,
    /// How many calls a read answered lately: so many callers are about to send their next request.
    burst: AtomicUsize,
    /// What the server said in its last answer; 0 before the first.
    version: AtomicI32,
    made_at: Instant,
    /// When the last bytes arrived, in ms after it was made.
    heard_at: AtomicU64,
    stop: CancellationToken,
}

/// Connects, and starts the task that owns the connection.
pub(super) async fn connect(peer: &Arc<Inner>) -> Result<Arc<Link>, Error> {
    let options = &peer.options;
    let failed = |source| Error::Connect { address: Arc::clone(&peer.address), source: Arc::new(source) };
    let stream = timeout(options.connect_timeout, open(peer))
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
        .map_err(failed)?;
    let link = Arc::new(Link {
        address: Arc::clone(&peer.address),
        stream,
        outbox: Outbox::new(options.max_unwritten_bytes, KEEP_BYTES),
        calls: Calls::new(Arc::clone(&peer.address), options.max_calls),
        max_frame_bytes: options.max_frame_bytes,
        burst: AtomicUsize::new(0),
        version: AtomicI32::new(0),
        made_at: Instant::now(),
        heard_at: AtomicU64::new(0),
        stop: CancellationToken::new(),
    });
    let owner = Owner {
        link: Arc::clone(&link),
        arrivals: Arrivals { buffer: vec![0; READ_BYTES], filled: 0 },
        peer: Arc::downgrade(peer),
        inbound: JoinSet::new(),
        max_inbound: options.max_inbound,
    };
    tokio::spawn(owner.run(options.idle));
    Ok(link)
}

async fn open(peer: &Inner) -> io::Result<Stream> {
    let socket = TcpStream::connect(&*peer.address).await.and_then(prepared)?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &peer.options.tls {
        return Ok(Stream::Tls(Box::new(tls.connect(&peer.address, socket).await?)));
    }
    Ok(Stream::Plain(socket))
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    // A local port nobody listens on can meet itself: the kernel may pick it for the calling end too.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    Ok(stream)
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// The version that the server gave itself.
    pub(super) fn version(&self) -> Option<i32> {
        Some(self.version.load(Ordering::Relaxed)).filter(|version| *version > 0)
    }

    /// How long nothing has arrived.
    pub(super) fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_at.load(Ordering::Relaxed));
        self.made_at.elapsed().saturating_sub(heard)
    }

    /// Sends the request that `encode` appends, waiting for room when too much is unwritten; the call that comes
    /// back is its response.
    ///
    /// An error means that nothing was sent.
    pub(super) async fn send(&self, encode: &(impl Fn(i32, &mut Vec<u8>) + Sync)) -> Result<Call, Error> {
        let call = self.calls.begin()?;
        let opaque = call.opaque();
        self.write(|out| encode(opaque, out)).await?;
        Ok(call)
    }

    /// Writes what `encode` appends, waiting for room when too much is unwritten.
    async fn write(&self, encode: impl Fn(&mut Vec<u8>)) -> Result<(), Error> {
        while let Err(error) = self.append(&encode) {
            match error {
                Error::Overloaded { .. } => self.outbox.room().await,
                error => return Err(error),
            }
        }
        // Flushes also when the caller gives up while it stands back.
        let _flush = Flush(self);
        if self.burst.load(Ordering::Relaxed) > 1 {
            stand_back().await;
        }
        Ok(())
    }

    /// Writes a command now or not at all.
    pub(super) fn try_write(&self, command: &Command) -> Result<(), Error> {
        self.append(|out| command.encode(out)).map(|()| self.outbox.flush(&self.stream))
    }

    fn append(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let limit = self.max_frame_bytes;
        let address = || Arc::clone(&self.address);
        self.outbox.append(limit, encode).map_err(|refused| match refused {
            Refused::Full => Error::Overloaded { address: address() },
            Refused::TooLarge(bytes) => Error::TooLarge { address: address(), bytes, limit },
            Refused::Closed => {
                self.stop("it was lost");
                Error::closed(&self.address, "it was lost")
            }
        })
    }

    /// Ends the connection; its task follows.
    pub(super) fn stop(&self, reason: &str) {
        self.end(&Error::closed(&self.address, reason));
    }

    fn end(&self, error: &Error) {
        self.stop.cancel();
        self.outbox.close();
        self.calls.fail(error);
        // The peer may hold on to this link until its next call; the other side should know now. It fails only on
        // a connection that the other side has ended already.
        let _ = SockRef::from(self.stream.socket()).shutdown(Shutdown::Both);
    }
}

/// Flushes a link's outbox when dropped.
struct Flush<'a>(&'a Link);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.outbox.flush(&self.0.stream);
    }
}

/// Lets the tasks run that are ready now. Callers that were answered by the same read then share one write, where
/// on a single thread each would write for itself.
async fn stand_back() {
    let mut stood = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stood, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What the connection's task owns.
struct Owner {
    link: Arc<Link>,
    arrivals: Arrivals,
    peer: Weak<Inner>,
    inbound: JoinSet<()>,
    max_inbound: usize,
}

/// What was read and not yet handled.
struct Arrivals {
    buffer: Vec<u8>,
    filled: usize,
}

impl Arrivals {
    /// Reads once. Dropping it between polls loses nothing.
    async fn fill(&mut self, stream: &Stream) -> io::Result<usize> {
        let free = &mut self.buffer[self.filled..];
        let arrived = poll_fn(|context| stream.poll_read(context, free)).await?;
        self.filled += arrived;
        Ok(arrived)
    }

    /// Moves what is behind `at` to the front; how many bytes the frame that begins there takes, 0 when that is not
    /// known yet.
    fn consume(&mut self, at: usize) -> usize {
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        frame::frame_len(&self.buffer[..self.filled]).ok().flatten().unwrap_or(0)
    }

    /// Gives the buffer room for a frame of `bytes`.
    fn fit(&mut self, bytes: usize) {
        let size = bytes.max(READ_BYTES);
        if size != self.buffer.len() {
            self.buffer.resize(size, 0);
            self.buffer.shrink_to(size);
        }
    }
}

impl Owner {
    async fn run(mut self, idle: Duration) {
        let error = self.serve(idle).await;
        tracing::debug!(address = %self.link.address, reason = %error, "connection ended");
        self.link.end(&error);
        self.inbound.shutdown().await;
        let Some(peer) = self.peer() else { return };
        peer.inner.forget(&self.link);
        if let Some(inbound) = peer.inner.inbound.clone() {
            inbound.disconnected(&peer);
        }
    }

    /// Works until the connection ends; says why it did.
    async fn serve(&mut self, idle: Duration) -> Error {
        let link = Arc::clone(&self.link);
        let mut quiet = 0;
        let mut ticks = interval((idle / IDLE_TICKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = link.stop.cancelled() => return Error::closed(&link.address, "the peer was closed"),
                filled = self.arrivals.fill(&link.stream), if self.inbound.len() < self.max_inbound => {
                    let handled = match filled {
                        Ok(0) => Err(Error::closed(&link.address, "the other side closed it")),
                        Ok(_) => self.frames(),
                        Err(error) => Err(self.lost(&error)),
                    };
                    if let Err(error) = handled {
                        return error;
                    }
                }
                error = link.outbox.finish(&link.stream) => return self.lost(&error),
                Some(_) = self.inbound.join_next() => {}
                _ = ticks.tick() => {
                    quiet = if link.outbox.take_active() { 0 } else { quiet + 1 };
                    if quiet >= IDLE_TICKS {
                        return Error::closed(&link.address, "it was idle");
                    }
                }
            }
        }
    }

    fn lost(&self, error: &io::Error) -> Error {
        Error::closed(&self.link.address, error.to_string())
    }

    /// Handles the whole frames that have been read.
    fn frames(&mut self) -> Result<(), Error> {
        self.link.outbox.touch();
        let heard = u64::try_from(self.link.made_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.link.heard_at.store(heard, Ordering::Relaxed);
        let buffer = std::mem::take(&mut self.arrivals.buffer);
        let (mut at, mut answered) = (0, 0);
        let outcome = loop {
            match Frame::split(&buffer[at..self.arrivals.filled]) {
                Ok(Some((frame, length))) => {
                    at += length;
                    match Command::decode(frame) {
                        Ok(command) => {
                            answered += usize::from(command.is_response());
                            self.arrived(command);
                        }
                        Err(source) => {
                            let address = Arc::clone(&self.link.address);
                            break Err(Error::Decode { address, source });
                        }
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Error::closed(&self.link.address, error.to_string())),
            }
        };
        self.arrivals.buffer = buffer;
        // A read that happens to bring little does not mean that the callers have become few.
        let fading = self.link.burst.load(Ordering::Relaxed) / 2;
        self.link.burst.store(answered.max(fading), Ordering::Relaxed);
        outcome?;
        let next = self.arrivals.consume(at);
        if next > self.link.max_frame_bytes {
            return Err(Error::closed(&self.link.address, format!("it sent a frame of {next} bytes")));
        }
        self.arrivals.fit(next);
        Ok(())
    }

    fn arrived(&mut self, command: Command) {
        if command.is_response() {
            let opaque = command.opaque;
            self.link.version.store(command.version, Ordering::Relaxed);
            if !self.link.calls.complete(command) {
                tracing::debug!(address = %self.link.address, opaque, "nobody waits for this response any more");
            }
            return;
        }
        let Some(peer) = self.peer() else { return };
        let link = Arc::clone(&self.link);
        self.inbound.spawn(answer(peer, link, command));
    }

    fn peer(&self) -> Option<Peer> {
        self.peer.upgrade().map(|inner| Peer { inner })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Reached without an end only when the runtime goes, which nobody may wait through.
        self.link.stop("its runtime ended");
    }
}

/// Has a request of the server handled, and sends the answer back on the connection that it came by.
async fn answer(peer: Peer, link: Arc<Link>, request: Command) {
    let (code, wanted) = (request.request_code(), !request.is_one_way());
    let envelope = Command { body: Default::default(), fields: Default::default(), ..request.clone() };
    let answer = match peer.inner.inbound.clone() {
        None => Some(Command::failure(
            &envelope,
            ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            format!("this client answers no requests, {code} neither"),
        )),
        Some(inbound) => {
            let handled = AssertUnwindSafe(inbound.request(&peer, request)).catch_unwind().await;
            handled.unwrap_or_else(|_| {
                tracing::error!(address = %link.address, %code, "the handler of a request panicked");
                Some(Command::failure(&envelope, ResponseCode::SYSTEM_ERROR, "the handler panicked"))
            })
        }
    };
    if let (Some(mut answer), true) = (answer, wanted) {
        answer.opaque = envelope.opaque;
        if let Err(error) = link.write(|out| answer.encode(out)).await {
            tracing::debug!(%code, %error, "an answer could not be sent");
        }
    }
}
