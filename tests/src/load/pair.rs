//! A name server and a broker, started one right after the other as a user would, against the clock.
//!
//! [`Cluster`](crate::cluster::Cluster) waits for boot lines and routes, which a measurement of the start must not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rocketmq_boot_protocol::Encoding;
use tempfile::TempDir;

use super::{
    line::Line,
    request::{FIRST_OPAQUE, Send, Target},
    usage::{self, Memory},
};
use crate::{
    cluster::{self, Servers},
    port,
    process::Process,
};

/// A JVM on a busy machine takes its time, and the first one fetches its jars.
const PATIENCE: Duration = Duration::from_secs(300);

/// Both servers, with a fresh store.
#[derive(Debug)]
pub struct Pair {
    broker: Process,
    name_server: Process,
    address: String,
    first_accepted: Duration,
    // Dropped last: the servers above still write to it while they stop.
    _home: TempDir,
}

impl Pair {
    /// Starts both under `parent` and waits until the broker has accepted a message. The lines of `extra` end the
    /// broker's conf file.
    ///
    /// # Errors
    /// When the servers do not get there.
    pub fn start(servers: &Servers, parent: &Path, extra: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let home = TempDir::with_prefix_in("side-by-side-", parent)?;
        let (name_server_port, broker_port) = (port::free(), port::free());
        let name_server_home = home.path().join("namesrv");
        let broker_home = home.path().join("broker");
        let name_server = name_server_command(servers, &name_server_home, name_server_port);
        let to = format!("127.0.0.1:{name_server_port}");
        let broker = broker_command(servers, &broker_home, broker_port, &to, extra);
        let began = Instant::now();
        let name_server = Process::spawn("the name server", name_server);
        let broker = Process::spawn("the broker", broker);
        let address = format!("127.0.0.1:{broker_port}");
        first_accepted(&address, began).map_err(|error| {
            let said = format!("{}\n{}", name_server.output(), broker.output());
            io::Error::new(error.kind(), format!("{error}; the servers said:\n{said}"))
        })?;
        let first_accepted = began.elapsed();
        Ok(Self { broker, name_server, address, first_accepted, _home: home })
    }

    /// The broker's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The broker's process id.
    pub fn broker(&self) -> u32 {
        self.broker.id()
    }

    /// From the start of the name server's process to the first accepted message.
    pub fn first_accepted(&self) -> Duration {
        self.first_accepted
    }

    /// Resident memory of both.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn memory(&self) -> io::Result<Memory> {
        let (name_server, broker) = (usage::memory(self.name_server.id())?, usage::memory(self.broker.id())?);
        Ok(Memory {
            resident_bytes: name_server.resident_bytes + broker.resident_bytes,
            anonymous_bytes: name_server.anonymous_bytes + broker.anonymous_bytes,
        })
    }
}

/// Sends to a topic that the broker has to create, until it does.
fn first_accepted(address: &str, began: Instant) -> io::Result<()> {
    let target = Target { topic: "first", queue: 0 };
    let send = Send::new(target, Encoding::Json, 128);
    loop {
        let Err(error) = accepted(address, &send) else { return Ok(()) };
        if began.elapsed() > PATIENCE {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn accepted(address: &str, send: &Send) -> io::Result<()> {
    let mut line = Line::connect(address)?;
    send.write(FIRST_OPAQUE, 1, &mut line.outbox);
    line.flush()?;
    loop {
        if let Some(answer) = line.inbox.next()? {
            return if answer.code == 0 { Ok(()) } else { Err(answer.refusal()) };
        }
        line.inbox.fill(&mut line.stream)?;
    }
}

fn name_server_command(servers: &Servers, home: &Path, port: u16) -> Command {
    match servers {
        Servers::Ours { name_server, .. } => {
            let lines = format!("listenPort = {port}\nkvConfigPath = {}/kv.json\n", home.display());
            with_conf(name_server, cluster::write_conf(home, &lines))
        }
        Servers::Apache(version) => {
            let mut command = apache(version, "namesrv", port);
            command.arg(home);
            command
        }
    }
}

fn broker_command(servers: &Servers, home: &Path, port: u16, name_server: &str, extra: &str) -> Command {
    match servers {
        Servers::Ours { broker, .. } => {
            let lines = cluster::broker_conf(home, port, name_server, extra);
            with_conf(broker, cluster::write_conf(home, &lines))
        }
        Servers::Apache(version) => {
            let conf = cluster::write_conf(home, extra);
            let mut command = apache(version, "broker", port);
            command.arg(home).arg(name_server).arg(conf);
            command
        }
    }
}

fn with_conf(program: &Path, conf: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.arg("-c").arg(conf);
    command
}

/// Its script becomes the server, with a server's heap and Apache's own defaults.
fn apache(version: &str, role: &str, port: u16) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/apache.sh"));
    command.env("PEER_PROFILE", "bench").arg(role).arg(version).arg(port.to_string());
    command
}
