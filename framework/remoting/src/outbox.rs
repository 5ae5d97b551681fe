//! Bytes on their way into a socket.
//!
//! Whoever has something to say writes it into the socket itself, from its own thread; what others append meanwhile
//! goes with the next write. No task, channel or timer stands between. What the socket would not take is finished
//! by the connection's owner, in [`Outbox::poll_finish`].

use std::{
    future::poll_fn,
    io,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::stream::Sink;

/// After so many writes for others a sender leaves the rest to the owner.
const ROUNDS: usize = 8;

/// The unwritten bytes of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Nothing is taken while so many bytes are unwritten.
    limit: usize,
    /// A buffer that grew beyond this is given back once it is empty.
    keep: usize,
    state: Mutex<State>,
    owner: AtomicWaker,
    /// Whether the owner wants to be woken when a sender has written something.
    owner_waits: AtomicBool,
    /// Tells senders that there is room again.
    room: Notify,
    /// Whether bytes moved since somebody last asked.
    active: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Appended and not yet taken by a writer.
    queued: Vec<u8>,
    /// What the owner has to finish, from `at`; otherwise an empty buffer to swap with.
    rest: Vec<u8>,
    at: usize,
    /// Bytes that a writer has in its hands.
    in_hand: usize,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Phase {
    #[default]
    Idle,
    Writing,
    Stuck,
    Closed,
}

/// Why bytes were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// More than the limit is unwritten.
    Full,
    /// The socket is closed.
    Closed,
    /// The encoded frame has so many bytes, more than a frame may have.
    TooLarge(usize),
}

impl Outbox {
    /// Takes bytes while fewer than `limit` are unwritten, and keeps buffers of up to `keep` bytes.
    pub(crate) fn new(limit: usize, keep: usize) -> Self {
        Self {
            limit,
            keep,
            state: Mutex::default(),
            owner: AtomicWaker::new(),
            owner_waits: AtomicBool::new(false),
            room: Notify::new(),
            active: AtomicBool::new(true),
        }
    }

    /// Appends the frame that `encode` writes, of at most `max` bytes. It goes out with the next [`Outbox::flush`].
    pub(crate) fn append(&self, max: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return Err(Refused::Closed);
        }
        if state.unwritten() >= self.limit {
            return Err(Refused::Full);
        }
        let start = state.queued.len();
        encode(&mut state.queued);
        let bytes = state.queued.len() - start;
        if bytes > max {
            state.queued.truncate(start);
            state.queued.shrink_to(self.keep);
            return Err(Refused::TooLarge(bytes));
        }
        Ok(())
    }

    /// Writes all that was appended, unless somebody does so already.
    pub(crate) fn flush(&self, stream: &impl Sink) {
        let mut state = self.state.lock();
        if state.phase != Phase::Idle || state.queued.is_empty() {
            return;
        }
        state.phase = Phase::Writing;
        let spare = std::mem::take(&mut state.rest);
        let batch = std::mem::replace(&mut state.queued, spare);
        state.in_hand = batch.len();
        drop(state);
        self.write(stream, batch, 0);
    }

    /// Appends and flushes.
    pub(crate) fn encode(
        &self,
        stream: &impl Sink,
        max: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Refused> {
        self.append(max, encode)?;
        self.flush(stream);
        Ok(())
    }

    /// Writes `bytes`, copying only what cannot go into the socket at once.
    pub(crate) fn write_through(&self, stream: &impl Sink, bytes: &[u8]) -> Result<(), Refused> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Closed => return Err(Refused::Closed),
            _ if state.unwritten() >= self.limit => return Err(Refused::Full),
            Phase::Writing | Phase::Stuck => {
                state.queued.extend_from_slice(bytes);
                return Ok(());
            }
            // Appended by somebody who is about to flush: frames may overtake each other, but not be mixed.
            Phase::Idle => {}
        }
        state.phase = Phase::Writing;
        state.in_hand = bytes.len();
        drop(state);
        let written = match stream.try_write(bytes) {
            Ok(written) => {
                self.touch();
                written
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.close();
                return Err(Refused::Closed);
            }
        };
        if written < bytes.len() || stream.is_behind() {
            self.leave(bytes[written..].to_vec(), 0);
        } else if let Some(batch) = self.next(Vec::new()) {
            self.write(stream, batch, 0);
        }
        Ok(())
    }

    /// Bytes not yet in the socket.
    pub(crate) fn unwritten(&self) -> usize {
        self.state.lock().unwritten()
    }

    /// As [`Outbox::unwritten`], and pokes the owner when a sender gets something written after this.
    pub(crate) fn unwritten_and_poke(&self) -> usize {
        // Set before looking: whoever writes after the look sees it.
        self.owner_waits.store(true, Ordering::SeqCst);
        self.unwritten()
    }

    /// Waits until there may be room after [`Refused::Full`].
    pub(crate) async fn room(&self) {
        let room = self.room.notified();
        tokio::pin!(room);
        // Registered before looking, so that room made in between is not missed.
        room.as_mut().enable();
        if self.unwritten() >= self.limit {
            room.await;
        }
    }

    /// Writes what senders could not; ready only with the error that ends the connection.
    ///
    /// The task that polls is the owner: it is woken when there is something to finish and by [`Outbox::poke`].
    pub(crate) fn poll_finish(&self, context: &mut Context<'_>, stream: &impl Sink) -> Poll<io::Error> {
        self.owner.register(context.waker());
        let phase = self.state.lock().phase;
        match phase {
            Phase::Closed => return Poll::Ready(io::ErrorKind::BrokenPipe.into()),
            Phase::Idle | Phase::Writing => return Poll::Pending,
            Phase::Stuck => {}
        }
        match stream.poll_write_ready(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(error),
            Poll::Ready(Ok(())) => {
                if let Some((batch, at)) = self.resume() {
                    self.write(stream, batch, at);
                }
                // Writing may have ended in any way, so the socket has to be asked again.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// [`Outbox::poll_finish`] to be awaited.
    pub(crate) async fn finish(&self, stream: &impl Sink) -> io::Error {
        poll_fn(|context| self.poll_finish(context, stream)).await
    }

    /// Wakes the owner.
    pub(crate) fn poke(&self) {
        self.owner.wake();
    }

    /// Notes that bytes moved.
    pub(crate) fn touch(&self) {
        self.active.store(true, Ordering::Relaxed);
    }

    /// Whether bytes moved since this was last asked.
    pub(crate) fn take_active(&self) -> bool {
        self.active.swap(false, Ordering::Relaxed)
    }

    /// Refuses everything from now on and forgets what is unwritten.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        *state = State { phase: Phase::Closed, ..State::default() };
        drop(state);
        self.room.notify_waiters();
        self.owner.wake();
    }

    fn resume(&self) -> Option<(Vec<u8>, usize)> {
        let mut state = self.state.lock();
        if state.phase != Phase::Stuck {
            return None;
        }
        state.phase = Phase::Writing;
        let at = std::mem::take(&mut state.at);
        let batch = std::mem::take(&mut state.rest);
        state.in_hand = batch.len() - at;
        Some((batch, at))
    }

    /// Writes `batch` from `at`, and then what was queued meanwhile, until nothing is left or the socket is full.
    fn write(&self, stream: &impl Sink, mut batch: Vec<u8>, mut at: usize) {
        let mut rounds = 0;
        loop {
            match stream.try_write(&batch[at..]) {
                Ok(written) => at += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.leave(batch, at),
                // The owner is told, and meets the same error when it reads.
                Err(_) => return self.close(),
            }
            self.touch();
            if at < batch.len() || stream.is_behind() {
                continue;
            }
            rounds += 1;
            match self.next(batch) {
                None => return,
                Some(next) if rounds == ROUNDS => return self.leave(next, 0),
                Some(next) => (batch, at) = (next, 0),
            }
        }
    }

    /// What was queued while `batch` was written; `None` when nothing was, which ends the writing.
    fn next(&self, mut batch: Vec<u8>) -> Option<Vec<u8>> {
        batch.clear();
        batch.shrink_to(self.keep);
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return None;
        }
        let left = if state.queued.is_empty() {
            state.phase = Phase::Idle;
            state.in_hand = 0;
            state.rest = batch;
            None
        } else {
            std::mem::swap(&mut batch, &mut state.queued);
            state.in_hand = batch.len();
            Some(batch)
        };
        drop(state);
        self.room.notify_waiters();
        if self.owner_waits.load(Ordering::SeqCst) && self.owner_waits.swap(false, Ordering::SeqCst) {
            self.owner.wake();
        }
        left
    }

    fn leave(&self, batch: Vec<u8>, at: usize) {
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return;
        }
        state.in_hand = 0;
        state.rest = batch;
        state.at = at;
        state.phase = Phase::Stuck;
        drop(state);
        self.owner.wake();
    }
}

impl State {
    fn unwritten(&self) -> usize {
        self.queued.len() + self.rest.len() - self.at + self.in_hand
    }
}
