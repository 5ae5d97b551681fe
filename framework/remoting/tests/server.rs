//! What a server does, seen by clients that speak in bytes. Everything runs with one shard and with four.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{Clock, Command, Encoding, Frame, RequestCode, ResponseCode};
use rocketmq_boot_remoting::{Batch, BindError, Connection, Error, Server, ServerOptions, Service};
use tokio::sync::Semaphore;

/// Far beyond what any test needs; only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

const HOT_ECHO: RequestCode = RequestCode(9_000);
const HOLD: RequestCode = RequestCode(9_001);
const WAKE: RequestCode = RequestCode(9_002);
const ECHO: RequestCode = RequestCode(9_003);
const PANIC: RequestCode = RequestCode(9_004);
const FLOOD: RequestCode = RequestCode(9_005);
const ASK_BACK: RequestCode = RequestCode(9_006);
const GATED: RequestCode = RequestCode(9_007);
const HOT_PANIC: RequestCode = RequestCode(9_008);

const FLOOD_BYTES: usize = 256 * 1024;

struct Play {
    held: Mutex<Vec<(Arc<Connection>, Command)>>,
    closed: AtomicUsize,
    handled: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl Service for Play {
    fn batch(&self, connection: &Arc<Connection>, batch: &mut Batch<'_>) {
        while let Some(frame) = batch.next() {
            let Ok(command) = Command::decode(frame) else {
                batch.defer(frame);
                continue;
            };
            match command.request_code() {
                _ if command.is_response() => batch.defer(frame),
                HOT_ECHO => {
                    Command::success(&command).with_body(command.body.clone()).encode(batch.out());
                    batch.spill();
                }
                HOLD => self.held.lock().push((Arc::clone(connection), command)),
                WAKE => {
                    for (connection, held) in self.held.lock().drain(..) {
                        connection.send(&Command::success(&held).with_body("woken").to_bytes()).unwrap();
                    }
                }
                FLOOD => {
                    self.handled.fetch_add(1, Ordering::SeqCst);
                    Command::success(&command).with_body(vec![b'f'; FLOOD_BYTES]).encode(batch.out());
                }
                HOT_PANIC => panic!("as the test asked"),
                _ => batch.defer(frame),
            }
        }
    }

    async fn request(&self, connection: &Arc<Connection>, request: Command) -> Option<Command> {
        self.handled.fetch_add(1, Ordering::SeqCst);
        match request.request_code() {
            PANIC => panic!("as the test asked"),
            ASK_BACK => {
                let question = Command::bare(RequestCode::GET_CONSUMER_RUNNING_INFO);
                let answer = connection.call(question, LONG).await.unwrap();
                Some(Command::success(&request).with_body(answer.body))
            }
            GATED => {
                self.gate.acquire().await.unwrap().forget();
                Some(Command::success(&request))
            }
            _ => Some(Command::success(&request).with_body(request.body.clone())),
        }
    }

    fn closed(&self, _: &Arc<Connection>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

struct Scene {
    server: Server,
    play: Arc<Play>,
}

impl Scene {
    fn start(options: ServerOptions) -> Self {
        let play = Arc::new(Play {
            held: Mutex::default(),
            closed: AtomicUsize::new(0),
            handled: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let server = Server::bind(&[any_port()], options, play.clone()).unwrap();
        Self { server, play }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.server.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Client { stream, buffer: Vec::new(), opaque: 0 }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Runs a test with one shard and with four.
fn on_shards(options: ServerOptions, test: impl Fn(Scene)) {
    for shards in [1, 4] {
        test(Scene::start(ServerOptions { shards, ..options.clone() }));
    }
}

fn with_shards(test: impl Fn(Scene)) {
    on_shards(ServerOptions::default(), test);
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    opaque: i32,
}

impl Client {
    fn request(&mut self, code: RequestCode, body: &str) -> Command {
        self.opaque += 1;
        let mut command = Command::bare(code).with_body(body.to_owned());
        command.opaque = self.opaque;
        command
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn send(&mut self, code: RequestCode, body: &str) -> i32 {
        let command = self.request(code, body);
        self.write(&command.to_bytes());
        command.opaque
    }

    /// The next command; `None` when the server has closed.
    fn read(&mut self) -> Option<Command> {
        loop {
            if let Some((frame, length)) = Frame::split(&self.buffer).unwrap() {
                let command = Command::decode(frame).unwrap();
                self.buffer.drain(..length);
                return Some(command);
            }
            let mut bytes = vec![0; 64 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn call(&mut self, code: RequestCode, body: &str) -> Command {
        let opaque = self.send(code, body);
        let answer = self.read().unwrap();
        assert_eq!(answer.opaque, opaque);
        assert!(answer.is_response());
        answer
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < LONG, "never happened: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn hot_and_deferred_requests_are_answered_in_their_encoding() {
    with_shards(|scene| {
        let mut client = scene.connect();
        for encoding in [Encoding::Json, Encoding::Binary] {
            for code in [HOT_ECHO, ECHO] {
                let mut request = client.request(code, "hello");
                // The binary header has 16 bits for a code.
                request.encoding = encoding;
                client.write(&request.to_bytes());
                let answer = client.read().unwrap();
                assert_eq!((answer.encoding, &answer.body[..]), (encoding, &b"hello"[..]));
                assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
            }
        }
    });
}

#[test]
fn all_frames_of_one_write_are_answered_in_order() {
    with_shards(|scene| {
        let mut client = scene.connect();
        let requests: Vec<_> = (0..5_000).map(|n| client.request(HOT_ECHO, &n.to_string())).collect();
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.to_bytes()).collect();
        let mut writer = client.stream.try_clone().unwrap();
        let writing = thread::spawn(move || writer.write_all(&bytes).unwrap());
        for request in requests {
            let answer = client.read().unwrap();
            assert_eq!((answer.opaque, answer.body), (request.opaque, request.body));
        }
        writing.join().unwrap();
    });
}

#[test]
fn frames_are_put_together_from_any_pieces() {
    with_shards(|scene| {
        let mut client = scene.connect();
        client.stream.set_nodelay(true).unwrap();
        let request = client.request(HOT_ECHO, "piecemeal");
        for byte in request.to_bytes() {
            client.write(&[byte]);
        }
        assert_eq!(client.read().unwrap().body, "piecemeal");
        // Around the sizes of the buffers: the tail, the frame of its own, and what comes right behind.
        for bytes in [60_000, 70_000, 300_000, 5_000_000] {
            let large = client.request(HOT_ECHO, &"x".repeat(bytes));
            let small = client.request(HOT_ECHO, "behind");
            let mut both = large.to_bytes().to_vec();
            both.extend(small.to_bytes());
            let mut writer = client.stream.try_clone().unwrap();
            let writing = thread::spawn(move || {
                for piece in both.chunks(17_777) {
                    writer.write_all(piece).unwrap();
                }
            });
            assert_eq!(client.read().unwrap().body.len(), bytes);
            assert_eq!(client.read().unwrap().body, "behind");
            writing.join().unwrap();
        }
    });
}

#[test]
fn a_malformed_frame_costs_its_connection_and_no_other() {
    with_shards(|scene| {
        let mut bystander = scene.connect();
        bystander.call(HOT_ECHO, "before");
        for (at, bad) in [
            &[0xFF, 0xFF, 0xFF, 0xFF][..],
            &[0, 0, 0, 0],
            &[0x7F, 0xFF, 0xFF, 0xFF],
            &[0, 0, 0, 8, 9, 0, 0, 4, 0, 0, 0, 0],
            &[0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 0],
            b"GET / HTTP/1.1\r\n\r\n",
        ]
        .into_iter()
        .enumerate()
        {
            let mut client = scene.connect();
            let good = client.request(HOT_ECHO, "good");
            client.write(&[&good.to_bytes()[..], bad].concat());
            assert_eq!(client.read().unwrap().body, "good");
            assert!(client.read().is_none(), "case {at}");
            eventually("the service is told", || scene.play.closed.load(Ordering::SeqCst) == at + 1);
        }
        bystander.call(HOT_ECHO, "after");
    });
}

#[test]
fn a_frame_over_the_limit_is_not_waited_for() {
    on_shards(ServerOptions { max_frame_bytes: 100_000, ..ServerOptions::default() }, |scene| {
        let mut client = scene.connect();
        assert_eq!(client.call(HOT_ECHO, &"x".repeat(99_000)).body.len(), 99_000);
        let mut large = client.request(HOT_ECHO, &"x".repeat(101_000)).to_bytes().to_vec();
        large.truncate(50);
        client.write(&large);
        assert!(client.read().is_none());
    });
}

#[test]
fn a_header_that_cannot_be_decoded_costs_only_its_request() {
    with_shards(|scene| {
        let mut client = scene.connect();
        let frame = |header: &[u8]| {
            let mut out = Vec::new();
            rocketmq_boot_protocol::frame::write(&mut out, Encoding::Json, b"body", |out| {
                out.extend_from_slice(header);
            });
            out
        };
        client.write(&frame(br#"{"code":{"a":1},"opaque":77}"#));
        let answer = client.read().unwrap();
        assert_eq!((answer.opaque, answer.response_code()), (77, ResponseCode::SYSTEM_ERROR));
        client.write(&frame(br#"{"code":{"a":1},"opaque":78,"flag":2}"#));
        client.call(HOT_ECHO, "still there");
        client.write(&frame(b"nonsense"));
        assert!(client.read().is_none());
    });
}

#[test]
fn a_panicking_handler_costs_only_its_request() {
    with_shards(|scene| {
        let mut client = scene.connect();
        assert_eq!(client.call(PANIC, "").response_code(), ResponseCode::SYSTEM_ERROR);
        assert_eq!(client.call(ECHO, "next").body, "next");
        // On the hot path nobody knows which request it was, so its connection goes.
        let mut other = scene.connect();
        other.send(HOT_PANIC, "");
        assert!(other.read().is_none());
        assert_eq!(client.call(HOT_ECHO, "next").body, "next");
    });
}

#[test]
fn one_way_requests_are_never_answered() {
    with_shards(|scene| {
        let mut client = scene.connect();
        for code in [ECHO, PANIC] {
            let quiet = client.request(code, "quiet").one_way();
            client.write(&quiet.to_bytes());
        }
        eventually("both were handled", || scene.play.handled.load(Ordering::SeqCst) == 2);
        assert_eq!(client.call(ECHO, "loud").body, "loud");
    });
}

#[test]
fn held_requests_are_answered_from_another_connection() {
    with_shards(|scene| {
        let mut waiting: Vec<_> = (0..8).map(|_| scene.connect()).collect();
        let opaques: Vec<_> = waiting.iter_mut().map(|client| client.send(HOLD, "")).collect();
        eventually("all are held", || scene.play.held.lock().len() == 8);
        scene.connect().send(WAKE, "");
        for (mut client, opaque) in waiting.into_iter().zip(opaques) {
            let answer = client.read().unwrap();
            assert_eq!((answer.opaque, &answer.body[..]), (opaque, &b"woken"[..]));
        }
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_loses_nothing() {
    with_shards(|scene| {
        let mut client = scene.connect();
        client.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        // The requests are padded, so that they fill the sockets' buffers and not the server's memory.
        let padding = "p".repeat(64 * 1024);
        let frame = client.request(FLOOD, &padding).to_bytes();
        let (mut whole, mut partial) = (0, 0);
        'full: for _ in 0..2_000 {
            partial = 0;
            while partial < frame.len() {
                match client.stream.write(&frame[partial..]) {
                    Ok(written) => partial += written,
                    Err(_) => break 'full,
                }
            }
            whole += 1;
        }
        assert!(whole < 2_000, "nothing holds back a client that does not read");
        let handled = scene.play.handled.load(Ordering::SeqCst);
        assert!(handled * FLOOD_BYTES < 16 * 1024 * 1024, "{handled} answers were produced for nobody");
        // Others on the same shards are served meanwhile.
        for _ in 0..4 {
            scene.connect().call(HOT_ECHO, "quick");
        }
        client.stream.set_write_timeout(Some(LONG)).unwrap();
        let mut writer = client.stream.try_clone().unwrap();
        let rest = frame.slice(partial..);
        let writing = thread::spawn(move || writer.write_all(&rest).unwrap());
        for _ in 0..=whole {
            assert_eq!(client.read().unwrap().body.len(), FLOOD_BYTES);
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_connection_with_too_many_deferred_requests_is_not_read() {
    on_shards(ServerOptions { max_deferred: 4, ..ServerOptions::default() }, |scene| {
        let mut client = scene.connect();
        for under_way in 1..=4 {
            client.send(GATED, "");
            eventually("it is handled", || scene.play.handled.load(Ordering::SeqCst) == under_way);
        }
        let hot = client.send(HOT_ECHO, "patience");
        client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let early = client.stream.read(&mut [0; 1]).unwrap_err();
        assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        client.stream.set_read_timeout(Some(LONG)).unwrap();
        scene.play.gate.add_permits(4);
        let mut opaques: Vec<_> = (0..5).map(|_| client.read().unwrap().opaque).collect();
        opaques.sort_unstable();
        assert_eq!(opaques, [1, 2, 3, 4, hot]);
    });
}

#[test]
fn a_server_calls_its_client_whatever_opaques_that_one_uses() {
    with_shards(|scene| {
        let mut client = scene.connect();
        let asked = client.send(ASK_BACK, "");
        let mut question = client.read().unwrap();
        assert!(!question.is_response());
        // The client's own request with the same opaque is no answer to it.
        client.opaque = question.opaque - 1;
        assert_eq!(client.call(HOT_ECHO, "same").body, "same");
        question.body = "told".into();
        let answer = Command::success(&question).with_body("told");
        client.write(&answer.to_bytes());
        let answer = client.read().unwrap();
        assert_eq!((answer.opaque, &answer.body[..]), (asked, &b"told"[..]));
    });
}

#[test]
fn a_call_to_a_client_that_leaves_fails() {
    with_shards(|scene| {
        let mut client = scene.connect();
        client.send(HOLD, "");
        eventually("it is held", || !scene.play.held.lock().is_empty());
        let connection = Arc::clone(&scene.play.held.lock()[0].0);
        let calling = scene.server.control().spawn({
            let connection = Arc::clone(&connection);
            async move { connection.call(Command::bare(RequestCode::HEART_BEAT), LONG).await }
        });
        client.read().unwrap();
        drop(client);
        let outcome = scene.server.control().block_on(calling).unwrap();
        assert!(matches!(outcome, Err(Error::Closed { .. })));
        eventually("its sending fails", || connection.send(b"").is_err());
    });
}

#[test]
fn idle_connections_are_closed_by_the_monotonic_hand() {
    let clock = Clock::manual(0);
    on_shards(ServerOptions { clock: clock.clone(), ..ServerOptions::default() }, |scene| {
        let mut idle = scene.connect();
        idle.call(HOT_ECHO, "");
        clock.advance(Duration::from_secs(1_000));
        let mut ended = scene.connect();
        ended.call(HOT_ECHO, "the wall hand does not matter");
        assert_eq!(scene.server.connections(), 2);
        let moving = clock.clone();
        eventually("both are closed", move || {
            moving.advance_monotonic(Duration::from_secs(60));
            scene.server.connections() == 0
        });
        assert!(idle.read().is_none() && ended.read().is_none());
    });
}

#[test]
fn connections_over_the_limit_are_closed() {
    on_shards(ServerOptions { max_connections: 1, ..ServerOptions::default() }, |scene| {
        let mut first = scene.connect();
        first.call(HOT_ECHO, "");
        assert!(scene.connect().read().is_none());
        first.call(HOT_ECHO, "");
        drop(first);
        eventually("there is room again", || scene.server.connections() == 0);
        scene.connect().call(HOT_ECHO, "");
    });
}

#[test]
fn a_frame_may_take_its_time_but_no_longer() {
    let clock = Clock::manual(0);
    let years = Duration::from_secs(1_000_000_000);
    let options = ServerOptions {
        idle: Duration::MAX,
        first_frame: Duration::from_secs(5),
        frame: years,
        clock: clock.clone(),
        ..ServerOptions::default()
    };
    on_shards(options, |scene| {
        let (mut silent, mut slow, mut late) = (scene.connect(), scene.connect(), scene.connect());
        late.call(HOT_ECHO, "one frame was whole");
        let second = late.request(HOT_ECHO, "a long one").to_bytes();
        late.write(&second[..9]);
        slow.write(&second[..9]);
        eventually("who has not sent a frame yet is closed", || {
            clock.advance_monotonic(Duration::from_secs(1));
            scene.server.connections() == 2
        });
        assert!(slow.read().is_none());
        late.write(&second[9..]);
        assert_eq!(late.read().unwrap().body.as_ref(), b"a long one");
        silent.call(HOT_ECHO, "nothing at all is idle, not slow");
        silent.write(&[0; 3]);
        let mut large = late.request(HOT_ECHO, "").with_body(vec![b'x'; 1 << 20]).to_bytes().to_vec();
        large.truncate(1 << 19);
        late.write(&large);
        eventually("both are closed for the frames that they have begun", || {
            clock.advance_monotonic(years / 2);
            scene.server.connections() == 0
        });
        assert!(silent.read().is_none() && late.read().is_none());
    });
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let scene = Scene::start(ServerOptions::default());
    let taken = scene.server.addresses()[0];
    let failed =
        Server::bind(&[any_port(), taken], ServerOptions::default(), scene.play.clone()).unwrap_err();
    assert!(matches!(failed, BindError::Listen { address, .. } if address == taken));
    assert!(failed.to_string().contains(&taken.to_string()), "{failed}");
    scene.server.stop(Duration::ZERO);
    Server::bind(&[taken], ServerOptions::default(), scene.play).unwrap();
}

#[test]
fn stopping_lets_deferred_requests_and_their_answers_out() {
    with_shards(|scene| {
        let mut client = scene.connect();
        client.send(GATED, "");
        eventually("it is handled", || scene.play.handled.load(Ordering::SeqCst) == 1);
        let address = scene.server.addresses()[0];
        let stopping = thread::spawn(move || scene.server.stop(LONG));
        eventually("nothing is accepted", || TcpStream::connect(address).is_err());
        scene.play.gate.add_permits(1);
        assert_eq!(client.read().unwrap().response_code(), ResponseCode::SUCCESS);
        assert!(client.read().is_none());
        stopping.join().unwrap();
    });
}

#[test]
fn stopping_under_load_ends_every_connection_and_thread() {
    with_shards(|scene| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let mut client = scene.connect();
                // A connection that its shard never came to serve is not told to the service.
                client.call(HOT_ECHO, "served");
                thread::spawn(move || {
                    let mut answered = 0_u64;
                    loop {
                        let request = client.request(HOT_ECHO, "load");
                        if client.stream.write_all(&request.to_bytes()).is_err() || client.read().is_none() {
                            return answered;
                        }
                        answered += 1;
                    }
                })
            })
            .collect();
        // In asynchronous code, where a runtime must not be dropped.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { scene.server.stop(Duration::from_millis(500)) });
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(scene.play.closed.load(Ordering::SeqCst), 8);
        // The server's threads held the service too.
        assert_eq!(Arc::strong_count(&scene.play), 1);
    });
}
