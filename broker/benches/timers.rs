//! What a million waiting timers cost, and how exactly they come.
//!
//! `cargo bench -p rocketmq-boot-broker --bench timers [-- waiting]`. A broker and one producer in this process: memory and
//! processor time of both before, while timers wait for an hour from now on, and then the time between the instants that
//! other timers were asked for and those at which they could be pulled.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may fail by panicking")]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rocketmq_boot_broker::{Broker, Settings};
use rocketmq_boot_protocol::{
    Clock, Command, Encoding, Frame, RequestCode, ResponseCode,
    header::{
        pull::{PullMessage, PullMessageReply, sys_flag},
        send::{SendMessage, SendMessageShort},
    },
    message::record::records,
};

const IN_FLIGHT: i64 = 512;
const FIRING: i64 = 20_000;
const IDLE: Duration = Duration::from_secs(20);

fn main() {
    let waiting = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        broker_name: "bench".into(),
        listen_port: 0,
        store_root: folder.path().join("store"),
        ..Settings::default()
    };
    let clock = Clock::system();
    let broker = Broker::start(settings, clock.clone()).unwrap();
    let mut wire = Wire::connect(&broker);
    wire.send_all(1, |_| clock.now_ms());
    thread::sleep(Duration::from_secs(2));
    let before = Cost::now();

    let (started, from) = (Instant::now(), clock.now_ms() + 3_600_000);
    // Spread over a day and a half, so that nearly every tick has some.
    wire.send_all(waiting, |n| from + n * 129_600_000 / waiting);
    println!("sent {waiting} timers in {:.1} s", started.elapsed().as_secs_f64());
    await_enqueued(&mut wire, waiting);
    println!("all were in the wheel after {:.1} s", started.elapsed().as_secs_f64());
    thread::sleep(Duration::from_secs(5));
    let full = Cost::now();
    println!(
        "memory: {:.1} MiB of its own and {:.1} MiB of mapped files more than before",
        mib(full.anonymous - before.anonymous),
        mib(full.mapped - before.mapped)
    );
    thread::sleep(IDLE);
    let idle = Cost::now();
    let share = (idle.processor - full.processor).as_secs_f64() / IDLE.as_secs_f64();
    println!("processor while none comes: {:.2} % of a core", share * 100.0);
    firing(&mut wire, &clock);
    broker.stop(Duration::from_secs(30));
}

/// Sends timers for the next seconds and measures when they come.
fn firing(wire: &mut Wire, clock: &Clock) {
    let from = clock.now_ms() + 5_000;
    wire.topic = "firing";
    wire.send_all(FIRING, |n| from + n * 20_000 / FIRING);
    let (mut offset, mut errors) = (0, Vec::new());
    while errors.len() < usize::try_from(FIRING).unwrap() {
        let answer = wire.call(pull(offset));
        offset = answer.header::<PullMessageReply>().unwrap().next_begin_offset;
        for record in records(&answer.body) {
            let record = record.unwrap();
            let asked: i64 = record.property("TIMER_DELIVER_MS").unwrap().parse().unwrap();
            errors.push(record.store_timestamp - asked);
        }
    }
    errors.sort_unstable();
    let at = |share: usize| errors[(errors.len() - 1) * share / 1_000];
    println!(
        "{FIRING} timers over 20 s came {} to {} ms after their instants: median {}, p99 {}, p99.9 {}",
        errors[0],
        at(1_000),
        at(500),
        at(990),
        at(999)
    );
}

/// Waits until the counts of waiting timers say that all are in the wheel.
fn await_enqueued(wire: &mut Wire, waiting: i64) {
    let text = format!("\"{}\":{{\"count\":{waiting},", wire.topic);
    loop {
        let answer = wire.call(Command::bare(RequestCode::GET_TIMER_METRICS));
        if String::from_utf8_lossy(&answer.body).contains(&text) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn mib(bytes: i64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// What the process has cost so far.
struct Cost {
    anonymous: i64,
    mapped: i64,
    processor: Duration,
}

impl Cost {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let bytes = |key: &str| -> i64 {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 1_024
        };
        // The second field holds a name in brackets; user and system time are the 14th and 15th, in hundredths.
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Self {
            anonymous: bytes("RssAnon"),
            mapped: bytes("RssFile") + bytes("RssShmem"),
            processor: Duration::from_millis(ticks * 10),
        }
    }
}

struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    opaque: i32,
    topic: &'static str,
}

impl Wire {
    fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new(), opaque: 0, topic: "waiting" }
    }

    fn send_all(&mut self, count: i64, at_ms: impl Fn(i64) -> i64) {
        let (mut sent, mut answered) = (0, 0);
        while answered < count {
            let mut bytes = Vec::new();
            while sent < count && sent - answered < IN_FLIGHT {
                let command = timer(self.topic, sent, at_ms(sent));
                bytes.extend_from_slice(&self.number(command).to_bytes());
                sent += 1;
            }
            self.stream.write_all(&bytes).unwrap();
            loop {
                assert_eq!(self.receive().response_code(), ResponseCode::SUCCESS);
                answered += 1;
                if Frame::split(&self.buffer).unwrap().is_none() {
                    break;
                }
            }
        }
    }

    fn number(&mut self, mut command: Command) -> Command {
        self.opaque = self.opaque.wrapping_add(1);
        command.opaque = self.opaque;
        command.encoding = Encoding::Json;
        command
    }

    fn call(&mut self, command: Command) -> Command {
        let bytes = self.number(command).to_bytes();
        self.stream.write_all(&bytes).unwrap();
        self.receive()
    }

    fn receive(&mut self) -> Command {
        loop {
            if let Some((frame, length)) = Frame::split(&self.buffer).unwrap() {
                let command = Command::decode(frame).unwrap();
                self.buffer.drain(..length);
                return command;
            }
            let mut chunk = [0; 64 << 10];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the broker closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

fn timer(topic: &str, number: i64, at_ms: i64) -> Command {
    let header = SendMessage {
        producer_group: "bench".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 1,
        properties: Some(format!("UNIQ_KEY\u{1}{number:032}\u{2}TIMER_DELIVER_MS\u{1}{at_ms}\u{2}")),
        ..SendMessage::default()
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &SendMessageShort::from(header)).with_body(vec![b'x'; 128])
}

fn pull(offset: i64) -> Command {
    let header = PullMessage {
        consumer_group: "bench".into(),
        topic: "firing".into(),
        queue_offset: offset,
        max_message_nums: 1_000,
        sys_flag: sys_flag::SUBSCRIPTION | sys_flag::SUSPEND,
        suspend_timeout_millis: 15_000,
        subscription: Some("*".into()),
        ..PullMessage::default()
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}
