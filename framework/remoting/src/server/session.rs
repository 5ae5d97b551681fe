//! The life of one connection on its shard.
//!
//! This is the hot loop: read, hand all whole frames to the service, write the answers. Between the read and the
//! write there is no spawn, no channel, no timer and no other thread.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BufMut;
use rocketmq_boot_protocol::frame;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::tcp::OwnedReadHalf,
};

use super::{Batch, Connection, Phase, shard::Local};

/// After so many bytes of one connection the others have their turn.
const TURN_BYTES: usize = 256 * 1024;

/// Frames larger than this are read into a buffer of their own, which spares them being moved from read to read.
const LARGE_BYTES: usize = 64 * 1024;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// By the client.
    Left,
    /// By an error of its socket.
    Lost(io::Error),
    /// By what the client sent.
    Refused(String),
    /// By the service, by being idle, or with the server.
    Closed,
}

/// A connection and what has been read of it.
pub(super) struct Session {
    connection: Arc<Connection>,
    read: OwnedReadHalf,
    local: Rc<Local>,
    /// The beginning of a frame that is not whole yet.
    tail: Vec<u8>,
    /// How long that frame is, when it is a large one: then `tail` has room for exactly it.
    large: Option<usize>,
}

impl Session {
    pub(super) fn new(connection: Arc<Connection>, read: OwnedReadHalf, local: Rc<Local>) -> Self {
        Self { connection, read, local, tail: Vec::new(), large: None }
    }

    /// Serves the connection for as long as it lives.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let outbox = self.connection.outbox();
        // Registers for pokes first, so that whatever is looked at below cannot change unnoticed.
        if let Poll::Ready(error) = outbox.poll_finish(context, self.connection.stream()) {
            return Poll::Ready(End::Lost(error));
        }
        if self.connection.is_closed() {
            return Poll::Ready(End::Closed);
        }
        match self.local.phase() {
            Phase::Serving => self.poll_read(context),
            Phase::Draining => Poll::Pending,
            Phase::Finishing(_) if outbox.unwritten_and_poke() == 0 => Poll::Ready(End::Closed),
            Phase::Finishing(_) => Poll::Pending,
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let mut turn = 0;
        while turn < TURN_BYTES {
            if self.connection.is_paused() {
                return Poll::Pending;
            }
            let arrived =
                match if self.large.is_some() { self.fill_large(context) } else { self.fill(context) } {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => return Poll::Ready(End::Left),
                    Poll::Ready(Ok(arrived)) => arrived,
                    Poll::Ready(Err(end)) => return Poll::Ready(end),
                };
            self.connection.outbox().touch();
            turn += arrived;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads into the shard's buffer, behind what is left of the last read, and handles what is whole.
    fn fill(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, End>> {
        let local = Rc::clone(&self.local);
        let mut buffer = local.buffer();
        let kept = self.tail.len();
        buffer[..kept].copy_from_slice(&self.tail);
        let mut free = ReadBuf::new(&mut buffer[kept..]);
        match Pin::new(&mut self.read).poll_read(context, &mut free) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(End::Lost(error))),
            Poll::Ready(Ok(())) => {}
        }
        let arrived = free.filled().len();
        let bytes = &buffer[..kept + arrived];
        let rest = match self.handle(bytes) {
            Ok(taken) => {
                if taken > 0 {
                    self.connection.note_frames();
                }
                &bytes[taken..]
            }
            Err(end) => return Poll::Ready(Err(end)),
        };
        Poll::Ready(self.keep(rest).map(|()| arrived))
    }

    /// Reads on in a large frame, and handles it when it is whole.
    fn fill_large(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, End>> {
        let whole = self.large.unwrap_or(0);
        let missing = whole - self.tail.len();
        let mut free = (&mut self.tail).limit(missing);
        match self.read.try_read_buf(&mut free) {
            Ok(arrived) if self.tail.len() < whole => Poll::Ready(Ok(arrived)),
            Ok(arrived) => {
                let frame = std::mem::take(&mut self.tail);
                self.large = None;
                self.connection.note_frames();
                Poll::Ready(self.handle(&frame).map(|_| arrived))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match self.read.as_ref().poll_read_ready(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(End::Lost(error))),
                    Poll::Ready(Ok(())) => context.waker().wake_by_ref(),
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(End::Lost(error))),
        }
    }

    /// Has the whole frames of `bytes` handled and writes their answers; how many bytes they took.
    fn handle(&self, bytes: &[u8]) -> Result<usize, End> {
        let mut out = self.local.out();
        out.clear();
        let shared = self.local.shared();
        let mut batch = Batch::new(bytes, &mut out, &self.connection, shared);
        let handled = catch_unwind(AssertUnwindSafe(|| shared.service.batch(&self.connection, &mut batch)));
        if handled.is_err() {
            tracing::error!(remote = %self.connection.remote(), "handling a batch panicked, its connection is closed");
            return Err(End::Closed);
        }
        match batch.finish() {
            (taken, None) => Ok(taken),
            (_, Some(reason)) => Err(End::Refused(reason)),
        }
    }

    /// Keeps the beginning of the next frame.
    fn keep(&mut self, rest: &[u8]) -> Result<(), End> {
        self.tail.clear();
        // A prefix that is none was refused by the batch already.
        let next = frame::frame_len(rest).ok().flatten().unwrap_or(0);
        let limit = self.local.shared().options.max_frame_bytes;
        if next > limit {
            return Err(End::Refused(format!("a frame of {next} bytes, over the limit of {limit}")));
        }
        if next > LARGE_BYTES {
            self.large = Some(next);
            self.tail.reserve_exact(next);
        }
        if rest.is_empty() {
            self.tail.shrink_to(0);
        }
        self.tail.extend_from_slice(rest);
        self.connection.note_begun(!rest.is_empty());
        Ok(())
    }
}
