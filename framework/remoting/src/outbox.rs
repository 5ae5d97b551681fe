//! Bytes on their way into a socket.
//!
//! Whoever has something to say appends it under a short lock. The first one writes it into the socket itself, from
//! its own thread, and everything that others append meanwhile goes with the next write: no task, channel or timer
//! stands between. What the socket would not take is finished by the connection's owner, in [`Outbox::finish`].

use std::io;

use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::Notify};

/// After so many writes for others a sender leaves the rest to the owner.
const ROUNDS: usize = 8;

/// Buffers that grew beyond this are given back once they are empty.
const KEEP_BYTES: usize = 256 * 1024;

/// The unwritten bytes of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    /// Tells the owner that there is something to finish.
    stuck: Notify,
    /// Tells senders that there is room again.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Appended and not yet taken by a writer.
    queued: Vec<u8>,
    /// What the owner has to finish, from `at`; otherwise an empty buffer to swap with.
    rest: Vec<u8>,
    at: usize,
    phase: Phase,
    /// Bytes that a writer has in its hands.
    in_hand: usize,
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
    /// Takes bytes while fewer than `limit` are unwritten.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), stuck: Notify::new(), room: Notify::new() }
    }

    /// Appends what `encode` writes, at most `max` bytes of it, and writes all there is unless somebody does so already.
    pub(crate) fn send(
        &self,
        stream: &TcpStream,
        max: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Refused> {
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
            return Err(Refused::TooLarge(bytes));
        }
        if state.phase != Phase::Idle {
            return Ok(());
        }
        state.phase = Phase::Writing;
        let batch = state.take();
        drop(state);
        self.write(stream, batch, 0);
        Ok(())
    }

    /// Bytes not yet in the socket.
    pub(crate) fn unwritten(&self) -> usize {
        self.state.lock().unwritten()
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

    /// Writes what senders could not, for as long as the socket lives. Dropping it between polls loses nothing.
    pub(crate) async fn finish(&self, stream: &TcpStream) -> io::Error {
        loop {
            let phase = self.state.lock().phase;
            match phase {
                Phase::Stuck => {}
                Phase::Closed => return io::ErrorKind::BrokenPipe.into(),
                Phase::Idle | Phase::Writing => {
                    self.stuck.notified().await;
                    continue;
                }
            }
            if let Err(error) = stream.writable().await {
                return error;
            }
            if let Some((batch, at)) = self.resume() {
                self.write(stream, batch, at);
            }
        }
    }

    /// Refuses everything from now on and forgets what is unwritten.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        *state = State { phase: Phase::Closed, ..State::default() };
        drop(state);
        self.room.notify_waiters();
        self.stuck.notify_one();
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
    fn write(&self, stream: &TcpStream, mut batch: Vec<u8>, mut at: usize) {
        let mut rounds = 0;
        loop {
            let written = match stream.try_write(&batch[at..]) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.leave(batch, at);
                }
                // The owner is told, and meets the same error when it reads.
                Err(_) => return self.close(),
            };
            at += written;
            if at < batch.len() {
                continue;
            }
            rounds += 1;
            batch.clear();
            batch.shrink_to(KEEP_BYTES);
            at = 0;
            let mut state = self.state.lock();
            if state.phase == Phase::Closed {
                return;
            }
            std::mem::swap(&mut batch, &mut state.queued);
            state.in_hand = batch.len();
            let done = batch.is_empty();
            if done {
                state.rest = batch;
                state.phase = Phase::Idle;
                drop(state);
                return self.room.notify_waiters();
            }
            drop(state);
            self.room.notify_waiters();
            if rounds == ROUNDS {
                return self.leave(batch, 0);
            }
        }
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
        self.stuck.notify_one();
    }
}

impl State {
    fn unwritten(&self) -> usize {
        self.queued.len() + self.rest.len() - self.at + self.in_hand
    }

    fn take(&mut self) -> Vec<u8> {
        let batch = std::mem::replace(&mut self.queued, std::mem::take(&mut self.rest));
        self.in_hand = batch.len();
        batch
    }
}
