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

use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::sleep,
};

use super::{Phase, Shared, shard::Arrival};

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
    shards: Vec<mpsc::Sender<Arrival>>,
    next: AtomicUsize,
    shared: Arc<Shared>,
    refused: Seldom,
}

impl Dealer {
    pub(super) fn new(shards: Vec<mpsc::Sender<Arrival>>, shared: Arc<Shared>) -> Self {
        Self { shards, next: AtomicUsize::new(0), shared, refused: Seldom::default() }
    }

    async fn deal(&self, stream: TcpStream, remote: SocketAddr) {
        let seat = match self.shared.seats.take(remote.ip()) {
            Ok(seat) => seat,
            Err(reason) => {
                // Whoever knocks in a loop must not fill the log.
                if let Some(since_last) = self.refused.count(self.shared.options.clock.monotonic()) {
                    tracing::warn!(%remote, %reason, since_last, "connections are refused");
                }
                return;
            }
        };
        let stream = match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%remote, %error, "a connection went before it was served");
                return;
            }
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        // Without its shard, which ends with the server, the connection ends here.
        let _ = self.shards[turn].send(Arrival { stream, seat }).await;
    }
}

/// Something that is worth a line in the log once in a while only.
#[derive(Debug, Default)]
struct Seldom(Mutex<(Option<Duration>, u64)>);

impl Seldom {
    /// Counts one more at `now`; gives how many there were since the last that was worth a line, when this one is.
    fn count(&self, now: Duration) -> Option<u64> {
        const PAUSE: Duration = Duration::from_secs(10);
        let mut state = self.0.lock();
        state.1 += 1;
        if state.0.is_some_and(|last| now.saturating_sub(last) < PAUSE) {
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_fill_no_log() {
        let refused = Seldom::default();
        let at = |seconds| refused.count(Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(11), at(30)],
            [Some(1), None, None, Some(3), None, Some(2)]
        );
    }
}
