//! How many frames a second one connection carries when the service does next to nothing.
//!
//! The client writes frames that were encoded before and counts the answers, so that what is measured is the server:
//! read, split, answer, write. Run with `cargo bench -p rocketmq-boot-remoting`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rocketmq_boot_protocol::{Command, Encoding, RequestCode, frame};
use rocketmq_boot_remoting::{Batch, Connection, Server, ServerOptions, Service};

const BODY: [u8; 128] = [b'x'; 128];
const MEASURE: Duration = Duration::from_secs(3);

struct Echo;

#[async_trait]
impl Service for Echo {
    fn batch(&self, _: &Arc<Connection>, batch: &mut Batch<'_>) {
        while let Some(frame) = batch.next() {
            // What a hot handler does at least: an answer of its own in place of the request.
            let (header, body) = (frame.header, frame.body);
            frame::write(batch.out(), frame.encoding, body, |out| out.extend_from_slice(header));
        }
    }

    async fn request(&self, _: &Arc<Connection>, request: Command) -> Option<Command> {
        Some(Command::success(&request))
    }
}

fn main() {
    for encoding in [Encoding::Binary, Encoding::Json] {
        let mut request = Command::bare(RequestCode::SEND_MESSAGE_V2).with_body(BODY.to_vec());
        request.encoding = encoding;
        for in_flight in [1, 64, 1024] {
            let rate = rate(&request.to_bytes(), in_flight);
            println!(
                "{encoding:?} header, {} B body, {in_flight:5} in flight: {rate:>12.0} frames/s",
                BODY.len()
            );
        }
    }
}

fn rate(frame: &[u8], in_flight: usize) -> f64 {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::bind(&[any], ServerOptions::default(), Arc::new(Echo)).unwrap();
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut buffer, full) = (vec![0; 1024 * 1024], frame.repeat(in_flight));
    stream.write_all(&full).unwrap();
    let (started, mut frames, mut partial) = (Instant::now(), 0_u32, 0);
    while started.elapsed() < MEASURE {
        let read = stream.read(&mut buffer).unwrap() + partial;
        let whole = read / frame.len();
        partial = read % frame.len();
        stream.write_all(&full[..whole * frame.len()]).unwrap();
        frames += u32::try_from(whole).unwrap();
    }
    f64::from(frames) / started.elapsed().as_secs_f64()
}
