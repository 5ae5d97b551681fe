//! One connection to a broker: requests are gathered and written at once, answers are read where they lie.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use memchr::memmem;
use rocketmq_boot_protocol::{Command, Encoding, Frame, command::FLAG_RESPONSE, frame};

use super::request::FIRST_OPAQUE;

/// A broker that says nothing for so long is a failure of the run.
const PATIENCE: Duration = Duration::from_secs(30);

const INBOX_BYTES: usize = 512 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Line {
    pub(super) stream: TcpStream,
    pub(super) inbox: Inbox,
    /// Frames that [`Line::flush`] writes.
    pub(super) outbox: Vec<u8>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot connect to {address}: {error}")))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, inbox: Inbox::new(), outbox: Vec::new() })
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// When the connection is gone or the broker has stopped reading.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.outbox)?;
        self.outbox.clear();
        Ok(())
    }

    /// Reads once, waiting for something to come.
    ///
    /// # Errors
    /// When the connection ends or stays silent.
    pub fn fill(&mut self) -> io::Result<()> {
        self.inbox.fill(&mut self.stream)
    }

    /// Sends one request outside all counting and waits for its answer.
    ///
    /// # Errors
    /// When the connection ends, or the broker refuses.
    pub fn call(&mut self, mut request: Command) -> io::Result<Command> {
        request.opaque = FIRST_OPAQUE - 1;
        request.encode(&mut self.outbox);
        self.flush()?;
        loop {
            while let Some((frame, taken)) = self.inbox.frame()? {
                let answer = Command::decode(frame).map_err(io::Error::other)?;
                self.inbox.take(taken);
                if answer.is_response() && answer.opaque == request.opaque {
                    if answer.code != 0 {
                        return Err(refusal(&answer));
                    }
                    return Ok(answer);
                }
            }
            self.fill()?;
        }
    }
}

/// The error that a refusal is.
fn refusal(answer: &Command) -> io::Error {
    let remark = answer.remark.as_deref().unwrap_or("without a remark");
    io::Error::other(format!("refused with {}: {remark}", answer.response_code()))
}

/// Bytes that have come and were not looked at yet.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    code: memmem::Finder<'static>,
    opaque: memmem::Finder<'static>,
    flag: memmem::Finder<'static>,
}

/// An answer, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The response code.
    pub code: i32,
    /// The request's number.
    pub opaque: i32,
    /// The body.
    pub body: &'a [u8],
    frame: Frame<'a>,
}

impl Answer<'_> {
    /// What the broker says about a code that is not success.
    pub fn refusal(&self) -> io::Error {
        match Command::decode(self.frame) {
            Ok(answer) => refusal(&answer),
            Err(error) => io::Error::other(error),
        }
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; INBOX_BYTES],
            start: 0,
            end: 0,
            code: memmem::Finder::new("\"code\":"),
            opaque: memmem::Finder::new("\"opaque\":"),
            flag: memmem::Finder::new("\"flag\":"),
        }
    }

    pub(super) fn fill(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if let Some(length) =
            frame::frame_len(&self.bytes[self.start..self.end]).map_err(io::Error::other)?
            && self.start + length > self.bytes.len()
        {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let size = self.bytes.len().max(length);
            self.bytes.resize(size, 0);
        } else if self.bytes.len() - self.end < 64 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match stream.read(&mut self.bytes[self.end..])? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection")),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }

    fn frame(&self) -> io::Result<Option<(Frame<'_>, usize)>> {
        Frame::split(&self.bytes[self.start..self.end]).map_err(io::Error::other)
    }

    fn take(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// The next whole answer; requests that the broker makes by itself are passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Answer<'_>>> {
        loop {
            let start = self.start;
            let (code, opaque, flag) = match self.frame()? {
                None => return Ok(None),
                Some((frame, taken)) => {
                    let read = match frame.encoding {
                        Encoding::Binary => binary(frame.header),
                        Encoding::Json => self.json(frame.header),
                    };
                    self.start += taken;
                    read.ok_or_else(|| io::Error::other("an answer's header cannot be read"))?
                }
            };
            if flag & FLAG_RESPONSE == 0 {
                continue;
            }
            let split = Frame::split(&self.bytes[start..self.start]).map_err(io::Error::other)?;
            let Some((frame, _)) = split else { return Ok(None) };
            return Ok(Some(Answer { code, opaque, body: frame.body, frame }));
        }
    }

    fn json(&self, header: &[u8]) -> Option<(i32, i32, i32)> {
        let number = |finder: &memmem::Finder<'_>| {
            let at = finder.find(header)? + finder.needle().len();
            let mut digits = header[at..].iter().take_while(|byte| byte.is_ascii_digit());
            digits.try_fold(0_i32, |sum, byte| sum.checked_mul(10)?.checked_add(i32::from(byte - b'0')))
        };
        Some((number(&self.code)?, number(&self.opaque)?, number(&self.flag)?))
    }
}

fn binary(header: &[u8]) -> Option<(i32, i32, i32)> {
    let code = i16::from_be_bytes(*header.first_chunk()?);
    let opaque = i32::from_be_bytes(*header.get(5..)?.first_chunk()?);
    let flag = i32::from_be_bytes(*header.get(9..)?.first_chunk()?);
    Some((i32::from(code), opaque, flag))
}
