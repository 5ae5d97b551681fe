//! How many frames a second one connection carries when the service does next to nothing.
//!
//! The raw client writes frames that were encoded before and counts the answers, so that what is measured is the
//! server: read, split, answer, write. The second part measures calls through a [`Peer`].
//! Run with `cargo bench -p rocketmq-boot-remoting`; words behind `--` choose what to run.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rocketmq_boot_protocol::{Command, Encoding, RequestCode, frame};
use rocketmq_boot_remoting::{Batch, Connection, Peer, PeerOptions, Server, ServerOptions, Service};

const BODY: [u8; 128] = [b'x'; 128];
const MEASURE: Duration = Duration::from_secs(3);

struct Echo;

#[async_trait]
impl Service for Echo {
    fn batch(&self, _: &Arc<Connection>, batch: &mut Batch<'_>) {
        while let Some(frame) = batch.next() {
            // What a hot handler does at least: an answer of its own in place of the request.
            let start = batch.out().len();
            let out = batch.out();
            out.extend_from_slice(&[0; frame::PREFIX_BYTES]);
            out.extend_from_slice(frame.header);
            if frame.encoding == Encoding::Binary {
                // The flag stands behind code, language, version and opaque; a peer looks at it.
                out[start + frame::PREFIX_BYTES + 12] |= 1;
            }
            frame::finish(out, start, frame.encoding, frame.body);
        }
    }

    async fn request(&self, _: &Arc<Connection>, request: Command) -> Option<Command> {
        Some(Command::success(&request))
    }
}

fn main() {
    let filters: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let run = |name: String, measure: &dyn Fn() -> f64| {
        if filters.iter().all(|filter| name.contains(filter.as_str())) {
            println!("{name:<40} {:>12.0} a second", measure());
        }
    };
    for encoding in [Encoding::Binary, Encoding::Json] {
        let frame = request(encoding).to_bytes();
        for (connections, in_flight) in [(1, 1), (1, 64), (1, 1024), (64, 1)] {
            let name = format!("raw {encoding:?}, {connections} x {in_flight} in flight");
            run(name, &|| raw(&frame, connections, in_flight));
        }
    }
    for in_flight in [1, 64, 1024] {
        run(format!("peer, {in_flight} in flight"), &|| peer(in_flight));
    }
}

fn request(encoding: Encoding) -> Command {
    Command { encoding, ..Command::bare(RequestCode::SEND_MESSAGE_V2).with_body(BODY.to_vec()) }
}

fn serve() -> Server {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Server::bind(&[any], ServerOptions::default(), Arc::new(Echo)).unwrap()
}

/// Writes as many frames as answers came, on every connection in turn.
fn raw(frame: &[u8], connections: usize, in_flight: usize) -> f64 {
    let server = serve();
    let (mut buffer, full) = (vec![0; 1024 * 1024], frame.repeat(in_flight));
    let mut streams: Vec<_> = (0..connections)
        .map(|_| {
            let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(&full).unwrap();
            (stream, 0)
        })
        .collect();
    let (started, mut frames) = (Instant::now(), 0_u32);
    while started.elapsed() < MEASURE {
        for (stream, partial) in &mut streams {
            let read = stream.read(&mut buffer).unwrap() + *partial;
            let whole = read / frame.len();
            *partial = read % frame.len();
            stream.write_all(&full[..whole * frame.len()]).unwrap();
            frames += u32::try_from(whole).unwrap();
        }
    }
    f64::from(frames) / started.elapsed().as_secs_f64()
}

/// Calls from tasks of one thread, each the next one as soon as it is answered.
fn peer(in_flight: usize) -> f64 {
    let server = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let calls: u32 = runtime.block_on(async {
        let peer = Peer::new(server.addresses()[0].to_string(), PeerOptions::default(), None);
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let peer = peer.clone();
                tokio::spawn(async move {
                    let mut calls = 0;
                    while started.elapsed() < MEASURE {
                        let answer = peer.call(request(Encoding::Binary), MEASURE * 2).await.unwrap();
                        assert_eq!(answer.body.len(), BODY.len());
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let mut calls = 0;
        for task in tasks {
            calls += task.await.unwrap();
        }
        calls
    });
    f64::from(calls) / started.elapsed().as_secs_f64()
}
