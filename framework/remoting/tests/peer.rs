//! What a peer does, seen from a server that the test plays by hand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rocketmq_boot_protocol::{Command, Frame, RequestCode, ResponseCode};
use rocketmq_boot_remoting::{Error, Inbound, Peer, PeerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Far beyond what any test needs; only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

struct Server {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Server {
    async fn accept(listener: &TcpListener) -> Self {
        Self { stream: listener.accept().await.unwrap().0, buffer: Vec::new() }
    }

    /// The next command; `None` when the peer has closed.
    async fn read(&mut self) -> Option<Command> {
        loop {
            if let Some((frame, length)) = Frame::split(&self.buffer).unwrap() {
                let command = Command::decode(frame).unwrap();
                self.buffer.drain(..length);
                return Some(command);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn write(&mut self, command: &Command) {
        self.stream.write_all(&command.to_bytes()).await.unwrap();
    }

    /// Answers everything with its own body.
    async fn echo(mut self) {
        while let Some(request) = self.read().await {
            self.write(&Command::success(&request).with_body(request.body.clone())).await;
        }
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn peer(address: &str) -> Peer {
    Peer::new(address, PeerOptions::default(), None)
}

fn request(body: &str) -> Command {
    Command::bare(RequestCode::HEART_BEAT).with_body(body.to_owned())
}

#[tokio::test]
async fn responses_out_of_order_reach_their_own_calls() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let mut server = Server::accept(&listener).await;
        let mut requests = Vec::new();
        while requests.len() < 50 {
            requests.push(server.read().await.unwrap());
        }
        for request in requests.iter().rev() {
            server.write(&Command::success(request).with_body(request.body.clone())).await;
        }
        server
    });
    let peer = peer(&address);
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let peer = peer.clone();
            tokio::spawn(async move { peer.call(request(&number.to_string()), LONG).await.unwrap() })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().body, number.to_string());
    }
    drop(server.await.unwrap());
}

#[tokio::test]
async fn bodies_larger_than_every_buffer_come_back() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move { Server::accept(&listener).await.echo().await });
    let peer = peer(&address);
    let body = "x".repeat(5 * 1024 * 1024);
    let (first, second) = tokio::join!(peer.call(request(&body), LONG), peer.call(request(&body), LONG));
    assert_eq!((first.unwrap().body.len(), second.unwrap().body.len()), (body.len(), body.len()));
    drop(peer);
    server.await.unwrap();
}

#[tokio::test]
async fn a_call_without_answer_times_out_and_its_late_response_disturbs_nobody() {
    let (listener, address) = listen().await;
    let peer = peer(&address);
    let failed = peer.call(request("first"), Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(failed, Error::Timeout { .. }));
    assert_eq!(failed.address(), address);

    let next = tokio::spawn({
        let peer = peer.clone();
        async move { peer.call(request("second"), LONG).await.unwrap() }
    });
    let mut server = Server::accept(&listener).await;
    let first = server.read().await.unwrap();
    let second = server.read().await.unwrap();
    assert_eq!((&first.body[..], &second.body[..]), (&b"first"[..], &b"second"[..]));
    server.write(&Command::success(&first).with_body("late")).await;
    server.write(&Command::success(&second).with_body("right")).await;
    assert_eq!(next.await.unwrap().body, "right");
}

struct Doubler(AtomicUsize);

#[async_trait]
impl Inbound for Doubler {
    async fn request(&self, peer: &Peer, request: Command) -> Option<Command> {
        assert_ne!(request.body, "panic", "as the test asked");
        // A request of the server may call it back meanwhile.
        if request.body == "ask" {
            let answer = peer.call(self::request("asked"), LONG).await.unwrap();
            return Some(Command::success(&request).with_body(answer.body));
        }
        Some(Command::success(&request).with_body(request.body.repeat(2)))
    }

    fn disconnected(&self, _: &Peer) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn requests_of_the_server_are_answered() {
    let (listener, address) = listen().await;
    let inbound = Arc::new(Doubler(AtomicUsize::new(0)));
    let peer = Peer::new(&address, PeerOptions::default(), Some(inbound.clone()));
    peer.one_way(request("hello")).await.unwrap();
    let mut server = Server::accept(&listener).await;
    assert!(server.read().await.unwrap().is_one_way());

    for (opaque, body) in [(7, "panic"), (8, "ab"), (9, "ask")] {
        let mut command = request(body);
        command.opaque = opaque;
        server.write(&command).await;
        if body == "ask" {
            let asked = server.read().await.unwrap();
            assert_eq!(asked.body, "asked");
            server.write(&Command::success(&asked).with_body("told")).await;
        }
        let answer = server.read().await.unwrap();
        assert!(answer.is_response());
        assert_eq!(answer.opaque, opaque);
        match body {
            "panic" => assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR),
            "ab" => assert_eq!(answer.body, "abab"),
            _ => assert_eq!(answer.body, "told"),
        }
    }
    // One-way requests are never answered: the answer that comes belongs to the next one.
    server.write(&request("quiet").one_way()).await;
    server.write(&request("z")).await;
    assert_eq!(server.read().await.unwrap().body, "zz");

    drop(server);
    while inbound.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!peer.is_connected());
}

#[tokio::test]
async fn a_lost_connection_fails_its_calls_and_the_next_call_connects_again() {
    let (listener, address) = listen().await;
    let peer = peer(&address);
    let lost = tokio::spawn({
        let peer = peer.clone();
        async move { peer.call(request("lost"), LONG).await }
    });
    let mut server = Server::accept(&listener).await;
    server.read().await.unwrap();
    drop(server);
    assert!(matches!(lost.await.unwrap(), Err(Error::Closed { .. })));

    let server = tokio::spawn(async move { Server::accept(&listener).await.echo().await });
    assert_eq!(peer.call(request("again"), LONG).await.unwrap().body, "again");
    drop(peer);
    server.await.unwrap();
}

#[tokio::test]
async fn an_address_nobody_listens_on_is_a_connect_error_every_time() {
    let (listener, address) = listen().await;
    drop(listener);
    let peer = peer(&address);
    for _ in 0..3 {
        let failed = peer.call(request(""), LONG).await.unwrap_err();
        assert!(matches!(failed, Error::Connect { .. }), "{failed}");
        assert!(failed.to_string().contains(&address), "{failed}");
    }
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle_or_by_close() {
    let (listener, address) = listen().await;
    for close in [true, false] {
        let peer = peer(&address);
        peer.one_way(request("")).await.unwrap();
        let mut server = Server::accept(&listener).await;
        server.read().await.unwrap();
        if close {
            peer.close();
            assert!(matches!(peer.call(request(""), LONG).await, Err(Error::Closed { .. })));
            assert!(matches!(peer.one_way(request("")).await, Err(Error::Closed { .. })));
            assert!(server.read().await.is_none());
        } else {
            drop(peer);
            assert!(server.read().await.is_none());
        }
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (listener, address) = listen().await;
    let peer = peer(&address);
    peer.one_way(request("")).await.unwrap();
    let mut server = Server::accept(&listener).await;
    server.read().await.unwrap();
    tokio::time::pause();
    assert!(server.read().await.is_none());
    assert!(!peer.is_connected());
}

#[tokio::test]
async fn a_request_over_the_frame_limit_is_refused_and_the_connection_stays() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move { Server::accept(&listener).await.echo().await });
    let options = PeerOptions { max_frame_bytes: 1000, ..PeerOptions::default() };
    let peer = Peer::new(address, options, None);
    let failed = peer.call(request(&"x".repeat(1000)), LONG).await.unwrap_err();
    assert!(matches!(failed, Error::TooLarge { limit: 1000, .. }));
    assert_eq!(peer.call(request("small"), LONG).await.unwrap().body, "small");
    drop(peer);
    server.await.unwrap();
}

#[tokio::test]
async fn callers_wait_for_room_when_the_server_does_not_read() {
    let (listener, address) = listen().await;
    let options = PeerOptions { max_unwritten_bytes: 1024 * 1024, ..PeerOptions::default() };
    let peer = Peer::new(address, options, None);
    let body = "x".repeat(1024 * 1024);
    let mut sent = 0;
    while peer.one_way(request(&body)).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "nothing bounds what is unwritten");
    }
    let call = tokio::spawn({
        let peer = peer.clone();
        async move { peer.call(request("last"), LONG).await.unwrap() }
    });
    let mut server = Server::accept(&listener).await;
    for _ in 0..sent {
        assert_eq!(server.read().await.unwrap().body.len(), body.len());
    }
    let last = server.read().await.unwrap();
    server.write(&Command::success(&last)).await;
    call.await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_frame_end_the_connection_with_an_error() {
    let (listener, address) = listen().await;
    let peer = peer(&address);
    let call = tokio::spawn({
        let peer = peer.clone();
        async move { peer.call(request(""), LONG).await }
    });
    let mut server = Server::accept(&listener).await;
    server.read().await.unwrap();
    server.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
    let failed = call.await.unwrap().unwrap_err();
    assert!(matches!(failed, Error::Closed { .. }), "{failed}");
}
