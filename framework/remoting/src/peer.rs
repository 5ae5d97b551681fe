//! The calling side: one address, one connection that is made when it is first needed.
//!
//! A [`Peer`] is a handle. It holds the dialling and the back-off; what a connection does while it lives is in
//! `link`.

mod link;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{Command, frame};
use tokio::time::{Instant, sleep_until, timeout};

use self::link::Link;
use crate::Error;

/// How a peer connects, waits and bounds itself.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// How long a connection may take to be made **(default: 3 s)**.
    pub connect_timeout: Duration,
    /// A connection on which nothing was read or written for this long is closed **(default: 120 s)**.
    pub idle: Duration,
    /// The pause after a first failed connection; it doubles with each further one **(default: 20 ms)**.
    pub first_back_off: Duration,
    /// The longest pause between connections **(default: 500 ms)**.
    pub longest_back_off: Duration,
    /// The largest frame that is sent or taken **(default: 16 MiB)**.
    pub max_frame_bytes: usize,
    /// Unwritten bytes above which callers wait **(default: 16 MiB)**.
    pub max_unwritten_bytes: usize,
    /// Calls under way at a time **(default: 65 536)**.
    pub max_calls: usize,
    /// Requests of the server answered at a time; above it nothing is read **(default: 64)**.
    pub max_inbound: usize,
    /// How connections are encrypted **(default: not at all)**.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
    /// What completes every request **(default: nothing)**.
    pub outbound: Option<Arc<dyn Outbound>>,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            idle: Duration::from_secs(120),
            first_back_off: Duration::from_millis(20),
            longest_back_off: Duration::from_millis(500),
            max_frame_bytes: frame::MAX_FRAME_BYTES,
            max_unwritten_bytes: 16 * 1024 * 1024,
            max_calls: 65_536,
            max_inbound: 64,
            #[cfg(feature = "tls")]
            tls: None,
            outbound: None,
        }
    }
}

/// Completes requests before they are written: signs them, or says for whom they speak.
pub trait Outbound: fmt::Debug + Send + Sync + 'static {
    /// Changes a request that is about to be sent; nothing but the opaque is changed after it.
    fn request(&self, request: &mut Command);
}

/// Answers the requests that a server sends to its client.
#[async_trait]
pub trait Inbound: Send + Sync + 'static {
    /// Handles a request; what it returns is sent back unless the request is one-way.
    ///
    /// Requests run concurrently, so one that takes long holds up nothing.
    async fn request(&self, peer: &Peer, request: Command) -> Option<Command>;

    /// Told once for every connection that ended. The next call makes a new one.
    fn disconnected(&self, peer: &Peer) {
        let _ = peer;
    }
}

/// A server to call: one address and at most one connection to it.
///
/// Clones share the connection. It is made by the first call, on that caller's runtime, and again by the next call
/// after it was lost. It ends when the last clone is dropped or [`Peer::close`] is called.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    address: Arc<str>,
    options: PeerOptions,
    inbound: Option<Arc<dyn Inbound>>,
    state: Mutex<State>,
    /// Connections that take no more requests and wait for their last answers.
    retired: Mutex<Vec<Weak<Link>>>,
    /// Held by the one caller that connects while the others wait for what comes of it.
    dial: tokio::sync::Mutex<Dial>,
}

enum State {
    Disconnected,
    Connected(Arc<Link>),
    Closed,
}

#[derive(Default)]
struct Dial {
    attempts: u64,
    failure: Option<(Error, Instant)>,
    back_off: Duration,
}

impl Peer {
    /// A peer at `host:port`. Nothing is connected yet.
    pub fn new(address: impl Into<String>, options: PeerOptions, inbound: Option<Arc<dyn Inbound>>) -> Self {
        let inner = Inner {
            address: address.into().into(),
            options,
            inbound,
            state: Mutex::new(State::Disconnected),
            retired: Mutex::default(),
            dial: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Sends a request and waits for its response; the opaque is set here.
    ///
    /// # Errors
    /// No connection, no answer within `limit`, or any other [`Error`]. A response with an error code is a
    /// response.
    pub async fn call(&self, mut request: Command, limit: Duration) -> Result<Command, Error> {
        self.complete(&mut request);
        self.call_with(|opaque, out| request.encode_as(opaque, out), limit).await
    }

    /// [`Peer::call`] for a request that exists only as the frame that `encode` appends: once for every connection
    /// that has to be tried, with the opaque to write.
    ///
    /// Such a request is not completed by [`PeerOptions::outbound`], see [`Peer::completes`].
    ///
    /// # Errors
    /// As [`Peer::call`].
    pub async fn call_with(
        &self,
        encode: impl Fn(i32, &mut Vec<u8>) + Send + Sync,
        limit: Duration,
    ) -> Result<Command, Error> {
        let exchange = async {
            loop {
                match self.link().await?.send(&encode).await {
                    Ok(call) => return call.await,
                    // The connection went before a byte was taken, so the call has not begun.
                    Err(Error::Closed { .. }) if !self.is_closed() => {}
                    Err(error) => return Err(error),
                }
            }
        };
        timeout(limit, exchange).await.unwrap_or_else(|_| {
            Err(Error::Timeout { address: Arc::clone(&self.inner.address), after: limit })
        })
    }

    /// Sends a request that nobody answers. Success means that it was handed to the connection, no more.
    ///
    /// # Errors
    /// No connection, or one that takes no more bytes at present.
    pub async fn one_way(&self, request: Command) -> Result<(), Error> {
        let mut request = request.one_way();
        self.complete(&mut request);
        loop {
            match self.link().await?.try_write(&request) {
                Err(Error::Closed { .. }) if !self.is_closed() => {}
                sent => return sent,
            }
        }
    }

    /// Closes the connection for good: calls under way and all later ones fail.
    pub fn close(&self) {
        if let State::Connected(link) = std::mem::replace(&mut *self.inner.state.lock(), State::Closed) {
            link.stop("the peer was closed");
        }
        self.inner.stop_retired("the peer was closed");
    }

    /// Has the next call make a new connection. Calls that are under way are still answered on the old one, until the
    /// other side closes it.
    pub fn renew(&self) {
        let mut state = self.inner.state.lock();
        if let State::Connected(link) = &*state {
            let mut retired = self.inner.retired.lock();
            retired.retain(|link| link.strong_count() > 0);
            retired.push(Arc::downgrade(link));
            *state = State::Disconnected;
        }
    }

    /// Ends the connection, if there is one: calls under way fail, and the next one makes a new connection.
    pub fn disconnect(&self, reason: &str) {
        let link = {
            let mut state = self.inner.state.lock();
            match std::mem::replace(&mut *state, State::Disconnected) {
                State::Connected(link) => link,
                other => return *state = other,
            }
        };
        link.stop(reason);
    }

    /// How long nothing has arrived on the connection; `None` without one.
    pub fn silent_for(&self) -> Option<Duration> {
        match &*self.inner.state.lock() {
            State::Connected(link) if link.is_open() => Some(link.silent_for()),
            _ => None,
        }
    }

    /// Whether requests are completed by [`PeerOptions::outbound`].
    pub fn completes(&self) -> bool {
        self.inner.options.outbound.is_some()
    }

    fn complete(&self, request: &mut Command) {
        if let Some(outbound) = &self.inner.options.outbound {
            outbound.request(request);
        }
    }

    /// The version that the server gave itself in an answer on the present connection; `None` before the first.
    ///
    /// RocketMQ numbers its releases, two a release: 407 is 4.9.7, 413 is 5.0.0.
    pub fn version(&self) -> Option<i32> {
        match &*self.inner.state.lock() {
            State::Connected(link) if link.is_open() => link.version(),
            _ => None,
        }
    }

    /// Whether there is a connection at present.
    pub fn is_connected(&self) -> bool {
        matches!(&*self.inner.state.lock(), State::Connected(link) if link.is_open())
    }

    fn is_closed(&self) -> bool {
        matches!(*self.inner.state.lock(), State::Closed)
    }

    fn current(&self) -> Result<Option<Arc<Link>>, Error> {
        match &*self.inner.state.lock() {
            State::Connected(link) if link.is_open() => Ok(Some(Arc::clone(link))),
            State::Closed => Err(Error::closed(&self.inner.address, "the peer was closed")),
            _ => Ok(None),
        }
    }

    /// The connection, made now when there is none.
    async fn link(&self) -> Result<Arc<Link>, Error> {
        if let Some(link) = self.current()? {
            return Ok(link);
        }
        let attempts = self.inner.dial.try_lock().map(|dial| dial.attempts).ok();
        let mut dial = self.inner.dial.lock().await;
        if let Some(link) = self.current()? {
            return Ok(link);
        }
        match &dial.failure {
            // Somebody else tried while this caller waited; trying again at once would tell the same.
            Some((error, _)) if attempts.is_none_or(|before| before != dial.attempts) => {
                return Err(error.clone());
            }
            Some((_, not_before)) => sleep_until(*not_before).await,
            None => {}
        }
        dial.attempts += 1;
        match link::connect(&self.inner).await {
            Ok(link) => {
                *dial = Dial { attempts: dial.attempts, ..Dial::default() };
                self.adopt(link)
            }
            Err(error) => {
                let options = &self.inner.options;
                dial.back_off = (dial.back_off * 2).clamp(options.first_back_off, options.longest_back_off);
                dial.failure = Some((error.clone(), Instant::now() + dial.back_off));
                Err(error)
            }
        }
    }

    fn adopt(&self, link: Arc<Link>) -> Result<Arc<Link>, Error> {
        let mut state = self.inner.state.lock();
        if matches!(*state, State::Closed) {
            link.stop("the peer was closed");
            return Err(Error::closed(&self.inner.address, "the peer was closed"));
        }
        *state = State::Connected(Arc::clone(&link));
        Ok(link)
    }
}

impl Inner {
    /// Lets go of a connection that has ended.
    fn forget(&self, ended: &Arc<Link>) {
        let mut state = self.state.lock();
        if matches!(&*state, State::Connected(link) if Arc::ptr_eq(link, ended)) {
            *state = State::Disconnected;
        }
    }
}

impl Inner {
    fn stop_retired(&self, reason: &str) {
        self.retired.lock().drain(..).filter_map(|link| link.upgrade()).for_each(|link| link.stop(reason));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop_retired("the peer was dropped");
        if let State::Connected(link) = self.state.get_mut() {
            link.stop("the peer was dropped");
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("address", &self.inner.address)
            .field("connected", &self.is_connected())
            .finish()
    }
}
