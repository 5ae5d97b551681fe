//! A name server and a broker as real processes, ours or Apache's, on one temporary folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;
use crate::wire::{self, Wire};
use crate::{port, route};

/// Ours are there in milliseconds. A JVM on a busy machine takes its time, and the first one fetches its jars.
const BOOT_PATIENCE: Duration = Duration::from_secs(300);
const START_ATTEMPTS: usize = 3;

/// The name under which the broker registers.
pub const BROKER_NAME: &str = "broker-a";

/// Whose servers run.
#[derive(Debug, Clone)]
pub enum Servers {
    /// The programs of this repository.
    Ours {
        /// The name server.
        name_server: PathBuf,
        /// The broker.
        broker: PathBuf,
    },
    /// Apache's, in this version.
    Apache(&'static str),
}

/// A server process and where it listens.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    /// `ip:port`, reachable from here.
    pub address: String,
}

/// A name server with one broker, which can be ended and started again on its store.
#[derive(Debug)]
pub struct Cluster {
    servers: Servers,
    extra: String,
    broker: Option<Server>,
    broker_port: u16,
    name_server: Server,
    // Dropped last: the servers above still write to it while they stop.
    home: TempDir,
}

impl Cluster {
    /// Starts both and waits until the name server knows the broker. The lines of `extra` end the broker's conf file.
    ///
    /// # Panics
    /// When one does not start.
    pub fn start(servers: Servers, extra: &str) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let name_server = start_name_server(&servers, &home.path().join("namesrv"));
        let mut cluster =
            Self { servers, extra: extra.to_owned(), broker: None, broker_port: 0, name_server, home };
        cluster.start_broker();
        cluster
    }

    /// The name server's address.
    pub fn name_server(&self) -> &str {
        &self.name_server.address
    }

    /// The broker's address.
    pub fn broker(&self) -> &str {
        &self.running().address
    }

    /// The name server's process.
    pub fn name_server_process(&mut self) -> &mut Process {
        &mut self.name_server.process
    }

    /// The broker's process, to be signalled.
    ///
    /// # Panics
    /// When it was stopped.
    pub fn broker_process(&mut self) -> &mut Process {
        &mut self.broker.as_mut().expect("the broker runs").process
    }

    /// The folder that both have below them all that they write.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The broker's storePathRootDir.
    pub fn store(&self) -> PathBuf {
        self.home.path().join("broker/store")
    }

    /// Creates a topic and waits until clients can find it.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn create_topic(&self, topic: &str, queues: u32) {
        let mut wire = Wire::connect(self.broker()).expect("the broker listens");
        wire.call(&wire::create_topic(topic, queues)).expect("the broker answers").success();
        route::wait(self.name_server(), topic, self.broker());
    }

    /// Starts the broker again, on the same folder and port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_broker(&mut self) {
        assert!(self.broker.is_none(), "the broker runs already");
        let home = self.home.path().join("broker");
        let name_server = &self.name_server.address;
        let broker = start_broker(&self.servers, &home, self.broker_port, name_server, &self.extra);
        let (_, port) = broker.address.rsplit_once(':').expect("an address has a port");
        self.broker_port = port.parse().expect("a port is a number");
        route::wait(&self.name_server.address, "TBW102", &broker.address);
        self.broker = Some(broker);
    }

    /// Stops the broker with SIGTERM.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop_broker(&mut self) {
        self.broker.take().expect("the broker runs").process.terminate();
    }

    /// Starts the broker again as one of others' making, on the same folder, port and name server.
    ///
    /// # Panics
    /// When it does not start, or the one before still runs.
    pub fn hand_over(&mut self, servers: Servers, extra: &str) {
        self.servers = servers;
        extra.clone_into(&mut self.extra);
        self.start_broker();
    }

    /// Kills the broker with SIGKILL.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_broker(&mut self) {
        self.broker.take().expect("the broker runs").process.kill();
    }

    fn running(&self) -> &Server {
        self.broker.as_ref().expect("the broker runs")
    }
}

/// Starts a name server at home in `home`.
///
/// # Panics
/// When it does not start.
pub fn start_name_server(servers: &Servers, home: &Path) -> Server {
    match servers {
        Servers::Ours { name_server, .. } => {
            let conf = write_conf(home, &format!("listenPort=0\nkvConfigPath={}/kv.json\n", home.display()));
            let mut command = Command::new(name_server);
            command.arg("-c").arg(conf);
            boot("mqnamesrv", command).unwrap_or_else(|said| panic!("mqnamesrv did not start:\n{said}"))
        }
        Servers::Apache(version) => apache(version, "namesrv", home, 0, &[]),
    }
}

/// Starts a broker on a port (0: a free one) with its store under `home`.
///
/// # Panics
/// When it does not start.
pub fn start_broker(servers: &Servers, home: &Path, port: u16, name_server: &str, extra: &str) -> Server {
    match servers {
        Servers::Ours { broker, .. } => {
            let conf = write_conf(home, &broker_conf(home, port, name_server, extra));
            boot_broker(broker, &conf).unwrap_or_else(|said| panic!("mqbroker did not start:\n{said}"))
        }
        Servers::Apache(version) => {
            let conf = write_conf(home, extra);
            apache(version, "broker", home, port, &[name_server.into(), conf.into()])
        }
    }
}

/// The conf file of a broker of ours.
pub fn broker_conf(home: &Path, port: u16, name_server: &str, extra: &str) -> String {
    format!(
        "brokerClusterName = DefaultCluster\nbrokerName = {BROKER_NAME}\nbrokerId = 0\nlistenPort = {port}\n\
         brokerIP1 = 127.0.0.1\nnamesrvAddr = {name_server}\nstorePathRootDir = {0}/store\n\
         storePathCommitLog = {0}/store/commitlog\nautoCreateTopicEnable = true\ndiskSpaceWarningLevelRatio = 99\n{extra}\n",
        home.display()
    )
}

/// Starts a broker of ours from a conf file.
///
/// # Errors
/// With what it said, when it ends instead.
pub fn boot_broker(program: &Path, conf: &Path) -> Result<Server, String> {
    let mut command = Command::new(program);
    command.arg("-c").arg(conf);
    boot("mqbroker", command)
}

/// Writes a conf file into `home`.
///
/// # Panics
/// When the folder cannot be written.
pub fn write_conf(home: &Path, lines: &str) -> PathBuf {
    fs::create_dir_all(home).expect("the server's folder can be made");
    let conf = home.join("server.conf");
    fs::write(&conf, lines).expect("the conf file can be written");
    conf
}

fn boot(name: &str, command: Command) -> Result<Server, String> {
    let process = Process::spawn(name, command);
    match process.line(BOOT_PATIENCE, booted) {
        Some(address) => Ok(Server { process, address }),
        None => Err(process.output()),
    }
}

/// The address in a boot line: a broker's stands behind its name, a name server's at the end.
fn booted(line: &str) -> Option<String> {
    if !line.contains("boot success") {
        return None;
    }
    let address = match line.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
        Some((named, _)) => named.rsplit_once(", ").map_or(named, |(_, address)| address),
        None => line.rsplit_once("address ")?.1.split_whitespace().next()?.trim_end_matches('.'),
    };
    Some(address.replace("0.0.0.0", "127.0.0.1"))
}

fn apache(version: &str, role: &str, home: &Path, port: u16, more: &[OsString]) -> Server {
    let mut said = String::new();
    for _ in 0..START_ATTEMPTS {
        // Another process may take the port between the look and the bind; then a new one is chosen.
        let port = if port == 0 { port::free() } else { port };
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/apache.sh"));
        command.arg(role).arg(version).arg(port.to_string()).arg(home).args(more);
        let process = Process::spawn(format!("Apache's {role} {version}"), command);
        if process.line(BOOT_PATIENCE, |line| line.contains("boot success").then_some(())).is_some() {
            return Server { process, address: format!("127.0.0.1:{port}") };
        }
        said = process.output();
    }
    panic!("Apache's {role} {version} did not start:\n{said}")
}

#[cfg(test)]
mod tests {
    use super::booted;

    #[test]
    fn boot_lines_of_both_servers_name_the_address() {
        let name_server = "The Name Server boot success. serializeType=JSON, address 0.0.0.0:9876";
        assert_eq!(booted(name_server).as_deref(), Some("127.0.0.1:9876"));
        let broker =
            "The broker[broker-a, 127.0.0.1:10911] boot success. serializeType=JSON and name server is x:1";
        assert_eq!(booted(broker).as_deref(), Some("127.0.0.1:10911"));
        assert_eq!(booted("load config properties file OK"), None);
    }
}
