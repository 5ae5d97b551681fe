//! What a connection's bytes go through: the socket itself, or TLS upon it.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

/// What an [`Outbox`](crate::outbox::Outbox) writes into, from any thread.
pub(crate) trait Sink {
    /// Takes as many of the bytes as it can without waiting.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether bytes that were taken are not in the socket yet. The next write, of no bytes too, goes on with them.
    fn is_behind(&self) -> bool;

    /// Waits until the socket takes bytes again.
    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Sink for TcpStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn is_behind(&self) -> bool {
        false
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_write_ready(self, context)
    }
}

/// A peer's connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Nothing between.
    Plain(TcpStream),
    /// TLS.
    #[cfg(feature = "tls")]
    Tls(Box<crate::tls::TlsStream>),
}

impl Stream {
    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// Reads once. One task at a time may wait here.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => loop {
                std::task::ready!(socket.poll_read_ready(context))?;
                match socket.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
            },
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.poll_read(context, buffer),
        }
    }
}

impl Sink for Stream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.try_write(bytes),
        }
    }

    fn is_behind(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_behind(),
        }
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(context)
    }
}
