//! Sockets of a test broker: frames in, frames out, one task for every request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rocketmq_boot_protocol::{Command, Frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{Broker, Instead};

/// Where a request is answered.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) connection: u64,
    bytes: mpsc::UnboundedSender<Option<Vec<u8>>>,
}

impl Answers {
    pub(crate) fn send(&self, command: &Command) {
        let _ = self.bytes.send(Some(command.to_bytes().to_vec()));
    }

    pub(crate) fn hang_up(&self) {
        let _ = self.bytes.send(None);
    }
}

impl Broker {
    pub(super) async fn listen(self: Arc<Self>, listener: TcpListener) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        while let Ok((stream, _)) = listener.accept().await {
            let connection = NEXT.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(Arc::clone(&self).serve(stream, connection));
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, connection: u64) {
        let (mut read, mut write) = stream.into_split();
        let (bytes, mut outgoing) = mpsc::unbounded_channel::<Option<Vec<u8>>>();
        self.state.lock().connections.insert(connection, bytes.clone());
        let answers = Answers { connection, bytes };
        let mut buffer = Vec::new();
        loop {
            tokio::select! {
                count = read.read_buf(&mut buffer) => {
                    if !matches!(count, Ok(1..)) {
                        break;
                    }
                    while let Ok(Some((frame, length))) = Frame::split(&buffer) {
                        let request = Command::decode(frame).unwrap();
                        buffer.drain(..length);
                        self.take(request, &answers);
                    }
                }
                Some(bytes) = outgoing.recv() => match bytes {
                    Some(bytes) if write.write_all(&bytes).await.is_ok() => {}
                    _ => break,
                },
            }
        }
        self.state.lock().connections.remove(&connection);
        self.leave(connection);
        self.news.notify_waiters();
    }

    fn take(self: &Arc<Self>, request: Command, answers: &Answers) {
        let instead = {
            let mut state = self.state.lock();
            state.requests.push(request.clone());
            let once = state.instead.get_mut(&request.code).filter(|list| !list.is_empty());
            once.map(|list| list.remove(0)).or_else(|| state.always.get(&request.code).copied())
        };
        self.news.notify_waiters();
        if request.is_response() {
            return;
        }
        let (broker, answers) = (Arc::clone(self), answers.clone());
        tokio::spawn(async move {
            let answer = match instead {
                Some(Instead::StaySilent) => return,
                Some(Instead::HangUp) => return answers.hang_up(),
                Some(Instead::Refuse(code)) => Some(Command::failure(&request, code, "as the test wishes")),
                Some(Instead::ServeAs(code)) => broker.answer(&request, &answers).await.map(|mut answer| {
                    answer.code = code.0;
                    answer
                }),
                None => broker.answer(&request, &answers).await,
            };
            if let Some(mut answer) = answer.filter(|_| !request.is_one_way()) {
                answer.version = broker.state.lock().version.unwrap_or(answer.version);
                answers.send(&answer);
            }
        });
    }
}
