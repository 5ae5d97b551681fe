//! The frames of one read.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use rocketmq_boot_protocol::{Command, Frame, ResponseCode, frame::FrameError};

use super::{Connection, Shared, connection::Deferred, salvage};

/// The whole frames of one read, borrowed, and the place for their answers.
pub struct Batch<'a> {
    bytes: &'a [u8],
    at: usize,
    error: Option<FrameError>,
    out: &'a mut Vec<u8>,
    connection: &'a Arc<Connection>,
    shared: &'a Arc<Shared>,
    doomed: Option<&'static str>,
}

/// Answers of so many bytes are worth a write of their own.
const SPILL_BYTES: usize = 16 * 1024;

impl<'a> Batch<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        out: &'a mut Vec<u8>,
        connection: &'a Arc<Connection>,
        shared: &'a Arc<Shared>,
    ) -> Self {
        Self { bytes, at: 0, error: None, out, connection, shared, doomed: None }
    }

    /// The next frame. After the last whole one, and before bytes that can be no frame, there is none.
    #[expect(clippy::should_implement_trait, reason = "answers are written between the frames")]
    pub fn next(&mut self) -> Option<Frame<'a>> {
        if self.error.is_some() {
            return None;
        }
        match Frame::split(&self.bytes[self.at..]) {
            Ok(Some((frame, length))) => {
                self.at += length;
                Some(frame)
            }
            Ok(None) => None,
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    /// Where answers are appended, whole frames. They are written together after the batch.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Writes the answers so far if they are large already: the client can work on them while the rest of the batch
    /// is handled. For services between two frames.
    pub fn spill(&mut self) {
        if self.out.len() >= SPILL_BYTES {
            self.write_out();
        }
    }

    /// Whether answers could not be written any more, so that handling the rest of the batch serves nobody.
    pub fn is_lost(&self) -> bool {
        self.doomed.is_some()
    }

    fn write_out(&mut self) {
        if !self.out.is_empty() && self.connection.send(self.out).is_err() {
            // More is unwritten than the limit although reading paused long before: nobody reads these answers.
            self.doomed = Some("the client does not read its answers");
        }
        self.out.clear();
    }

    /// Hands a frame to [`Service::request`](super::Service::request), or, when it is a response of the client, to
    /// the call that waits for it.
    ///
    /// A header that cannot be decoded is answered with an error here.
    pub fn defer(&mut self, frame: Frame<'a>) {
        let command = match Command::decode(frame) {
            Ok(command) => command,
            Err(error) => {
                tracing::debug!(remote = %self.connection.remote(), %error, "a header could not be decoded");
                match salvage::answer(frame, &error) {
                    salvage::Answer::Send(answer) => answer.encode(self.out),
                    salvage::Answer::Nothing => {}
                    salvage::Answer::Close => self.doomed = Some("a header that cannot even be answered"),
                }
                return;
            }
        };
        if command.is_response() {
            let opaque = command.opaque;
            if !self.connection.calls().complete(command) {
                tracing::debug!(remote = %self.connection.remote(), opaque, "nobody waits for this response");
            }
            return;
        }
        let held = self.connection.defer(frame.header.len() + frame.body.len());
        let answering = answer(Arc::clone(self.shared), Arc::clone(self.connection), command, held);
        self.shared.deferred.spawn_on(answering, &self.shared.control);
    }

    /// Defers what the service left and writes the answers; how many bytes were taken, and why the connection has to
    /// be closed if so.
    pub(super) fn finish(mut self) -> (usize, Option<String>) {
        while let Some(frame) = self.next() {
            self.defer(frame);
        }
        self.write_out();
        let reason = self.error.map(|error| error.to_string()).or(self.doomed.map(str::to_owned));
        (self.at, reason)
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("bytes", &self.bytes.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Has a request handled and sends the answer.
async fn answer(shared: Arc<Shared>, connection: Arc<Connection>, request: Command, held: Deferred) {
    let (code, wanted) = (request.request_code(), !request.is_one_way());
    let panicked =
        Command::failure(&request, ResponseCode::SYSTEM_ERROR, "the handler of the request panicked");
    let handled = AssertUnwindSafe(shared.service.request(&connection, request)).catch_unwind().await;
    let answer = handled.unwrap_or_else(|_| {
        tracing::error!(remote = %connection.remote(), %code, "the handler of a request panicked");
        Some(panicked)
    });
    if let Some(answer) = answer.filter(|_| wanted)
        && let Err(error) = connection.write(&answer)
    {
        tracing::debug!(%code, %error, "an answer could not be sent");
    }
    drop(held);
}
