//! Clients that mean harm, or are as broken as if they did: each kind does one thing over and over, for as long as it is
//! let.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use flate2::{Compression, write::ZlibEncoder};

use crate::wire::{self, Request, Wire, code, frame};

/// Connections that one kind keeps at a time.
const HELD: usize = 20;
/// Requests that one kind sends in a row.
const FLOOD: i32 = 50;
/// Between two rounds of a kind, so that all together they are a nuisance and no measurement of the machine.
const BREATH: Duration = Duration::from_millis(100);

/// Whom it is done to.
#[derive(Debug, Clone)]
pub struct Victims {
    /// The name server.
    pub name_server: String,
    /// The broker.
    pub broker: String,
    /// A topic of the attackers' own.
    pub topic: String,
}

/// One kind of malice: its name and one round of it. Errors are the servers' defence, and pass.
pub type Kind = (&'static str, fn(&Victims) -> io::Result<()>);

/// All kinds.
pub const KINDS: &[Kind] = &[
    ("connections that come and go", |v| Wire::connect(&v.broker).map(drop)),
    ("connections that say nothing", |v| hold(&v.broker, b"")),
    ("half a length", |v| hold(&v.broker, &[0, 0])),
    ("half a frame", |v| hold(&v.broker, &wire::send(&v.topic, 0, b"half").encode(1)[..40])),
    ("a promise of 16 MiB", |v| hold(&v.broker, &[0, 255, 255, 255, 0, 0, 0, 2, b'{', b'}'])),
    ("a negative length", |v| say(&v.broker, &[0xFF; 64])),
    ("a request in clear HTTP", |v| say(&v.broker, b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n")),
    ("a header nested 100,000 deep", |v| say(&v.broker, &frame(&[b'['; 100_000], b""))),
    ("a byte at a time", |v| {
        let mut wire = Wire::connect(&v.broker)?;
        wire::send(&v.topic, 0, b"slow").encode(1).iter().try_for_each(|byte| wire.send_bytes(&[*byte]))
    }),
    ("pulls that wait and are left", |v| {
        // Nothing was ever sent to the second queue.
        let pull = wire::pull("malice", &v.topic, 1, 0).field("sysFlag", 6);
        flood(&v.broker, &pull.field("suspendTimeoutMillis", 60_000))
    }),
    ("pulls whose answers nobody reads", |v| flood(&v.broker, &wire::pull("malice", &v.topic, 0, 0))),
    ("sends whose answers nobody reads", |v| flood(&v.broker, &wire::send(&v.topic, 0, &[b'x'; 512]))),
    ("sends that ask for no answer", |v| flood(&v.broker, &wire::send(&v.topic, 0, b"x").one_way())),
    ("codes that do not exist", |v| ask(&v.broker, &Request::new(7_777))),
    ("a message over the limit", |v| ask(&v.broker, &wire::send(&v.topic, 0, &vec![0; 5 << 20]))),
    ("topics that are paths", |v| ask(&v.broker, &wire::send("../../etc/passwd", 0, b"x"))),
    ("a batch with lying lengths", |v| {
        let batch = wire::send(&v.topic, 0, &[0x7F; 4_096]).with_code(code::SEND_BATCH).field("m", true);
        ask(&v.broker, &batch)
    }),
    ("a heartbeat of 100,000 groups", |v| {
        let groups: Vec<String> = (0..100_000).map(|n| format!("{{\"groupName\":\"g{n}\"}}")).collect();
        let body = format!("{{\"clientID\":\"malice\",\"producerDataSet\":[{}]}}", groups.join(","));
        ask(&v.broker, &Request::new(code::HEARTBEAT).body(body))
    }),
    ("a registration that unpacks to 100 MiB", |v| {
        let registration = Request::new(code::REGISTER_BROKER)
            .field("brokerName", "malice")
            .field("brokerAddr", "10.0.0.1:1")
            .field("clusterName", "DefaultCluster")
            .field("haServerAddr", "10.0.0.1:2")
            .field("brokerId", 0)
            .field("compressed", true)
            .field("bodyCrc32", 0);
        ask(&v.name_server, &registration.body(bomb()?))
    }),
    ("routes of topics that do not exist", |v| {
        flood(&v.name_server, &Request::new(code::ROUTE).field("topic", "nowhere"))
    }),
    ("commits for groups that do not exist", |v| {
        let commit =
            Request::new(code::UPDATE_OFFSET).field("consumerGroup", "nobody").field("topic", &v.topic);
        flood(&v.broker, &commit.field("queueId", 0).field("commitOffset", -7))
    }),
];

/// Does what a kind does until `stop`; gives how often.
pub fn rage(kind: Kind, victims: &Victims, stop: &AtomicBool) -> u64 {
    let (_, round) = kind;
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        // Being thrown out is what it expects.
        let _ = round(victims);
        rounds += 1;
        thread::sleep(BREATH);
    }
    rounds
}

/// Says something and waits until the server has had enough.
fn say(address: &str, bytes: &[u8]) -> io::Result<()> {
    let mut wire = Wire::connect(address)?;
    wire.send_bytes(bytes)?;
    wire.finish()?;
    wire.closed()
}

fn ask(address: &str, request: &Request) -> io::Result<()> {
    Wire::connect(address)?.call(request).map(drop)
}

/// Keeps connections open that have said the same, for a while.
fn hold(address: &str, bytes: &[u8]) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..HELD {
        let mut wire = Wire::connect(address)?;
        wire.send_bytes(bytes)?;
        held.push(wire);
    }
    thread::sleep(BREATH);
    Ok(())
}

/// Sends a request again and again without reading one answer, and leaves.
fn flood(address: &str, request: &Request) -> io::Result<()> {
    let mut wire = Wire::connect(address)?;
    wire.give_up_writing_after(BREATH)?;
    let bytes: Vec<u8> = (0..FLOOD).flat_map(|opaque| request.encode(opaque)).collect();
    wire.send_bytes(&bytes)
}

fn bomb() -> io::Result<Vec<u8>> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..100 {
        packed.write_all(&zeros)?;
    }
    packed.finish()
}
