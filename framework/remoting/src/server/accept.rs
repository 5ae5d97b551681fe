//! Taking connections and dealing them to the shards, one after the other.
//!
//! One acceptor a listener and no `SO_REUSEPORT`: that would let a second server take a port that is in use.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::sleep,
};

use super::{Phase, Shared};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Asked of the kernel for each direction of a socket.
const SOCKET_BUFFER_BYTES: usize = 1024 * 1024;

/// How long accepting rests after a first error, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A listening socket. Its options are those of every connection that it gets.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Lets a restarted server have its port while old connections linger; two servers at once still cannot.
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Deals connections to shards.
pub(super) struct Dealer {
    shards: Vec<mpsc::Sender<std::net::TcpStream>>,
    next: AtomicUsize,
    shared: Arc<Shared>,
}

impl Dealer {
    pub(super) fn new(shards: Vec<mpsc::Sender<std::net::TcpStream>>, shared: Arc<Shared>) -> Self {
        Self { shards, next: AtomicUsize::new(0), shared }
    }

    async fn deal(&self, stream: TcpStream, remote: SocketAddr) {
        let (limit, count) = (self.shared.options.max_connections, &self.shared.connections);
        if count.load(Ordering::Relaxed) >= limit {
            tracing::warn!(%remote, limit, "a connection was refused, there are too many");
            return;
        }
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%remote, %error, "a connection went before it was served");
                return;
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        if self.shards[turn].send(stream).await.is_err() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Accepts until the server stops. Must be called on a runtime.
pub(super) fn run(
    listener: TcpListener,
    dealer: Arc<Dealer>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(async move {
        let stopping = async { phase.wait_for(|phase| *phase != Phase::Serving).await.is_ok() };
        tokio::select! {
            _ = stopping => {}
            () = accept(&listener, &dealer) => {}
        }
    })
}

async fn accept(listener: &tokio::net::TcpListener, dealer: &Dealer) {
    let mut pause = BACK_OFF.0;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                pause = BACK_OFF.0;
                dealer.deal(stream, remote).await;
            }
            // It went away between the handshake and now, which is no trouble of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Most often there are no file descriptors left; trying at once would only burn a core.
                tracing::error!(%error, ?pause, "accepting connections failed, resting");
                sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
        }
    }
}
