//! A running name server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rocketmq_boot_protocol::Clock;
use rocketmq_boot_remoting::{BindError, Server, ServerOptions};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    kv_config::{KvConfig, KvError},
    requests::Requests,
};

/// How long answers may take to get out when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// How a name server runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one **(default: 127.0.0.1:9876)**.
    pub listen: SocketAddr,
    /// Where settings are kept; without it they end with the process **(default: none)**.
    pub kv_config_path: Option<PathBuf>,
    /// How often it looks for brokers that went silent **(default: 5 s)**.
    pub scan_interval: Duration,
    /// A connection on which nothing was read or written for this long is closed **(default: 120 s)**.
    pub idle: Duration,
    /// Whether routes name the order configuration of their topic **(default: false)**.
    pub order_topics_in_routes: bool,
    /// Whether registering brokers are told the order configuration **(default: true)**.
    pub order_topics_to_brokers: bool,
    /// Whether all topics may be listed **(default: true)**.
    pub list_all_topics: bool,
    /// Whether the topics of a cluster may be listed **(default: true)**.
    pub list_topics_of_cluster: bool,
    /// Whether a registration takes away topics that it does not name **(default: false)**.
    pub delete_missing_topics: bool,
    /// Whether settings that are safe to change may be changed over the wire **(default: false)**.
    pub config_update: bool,
    /// Settings that may not be changed over the wire, beside those that never may **(default: none)**.
    pub config_black_list: Vec<String>,
    /// The name of the environment that tools show **(default: `center`)**.
    pub product_env_name: String,
    /// Threads that serve connections **(default: 1)**.
    pub shards: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9876)),
            kv_config_path: None,
            scan_interval: Duration::from_secs(5),
            idle: Duration::from_secs(120),
            order_topics_in_routes: false,
            order_topics_to_brokers: true,
            list_all_topics: true,
            list_topics_of_cluster: true,
            delete_missing_topics: false,
            config_update: false,
            config_black_list: Vec::new(),
            product_env_name: "center".to_owned(),
            shards: 1,
        }
    }
}

/// Why a name server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its settings cannot be read.
    #[error(transparent)]
    Settings(#[from] KvError),
}

/// A running name server. It stops when dropped.
///
/// It has threads of its own, so it can be started and stopped from synchronous and asynchronous code alike, and
/// several can run in a process.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    server: Server,
    expiry: JoinHandle<()>,
}

impl NameServer {
    /// Starts a name server. It listens when this returns.
    ///
    /// # Errors
    /// The address is in use or not ours, or the settings' file cannot be understood.
    pub fn start(options: Options, clock: Clock) -> Result<Self, StartError> {
        let settings = KvConfig::open(options.kv_config_path.clone())?;
        let requests = Arc::new(Requests::new(&options, settings, clock.clone()));
        let server_options = ServerOptions {
            name: "namesrv".to_owned(),
            shards: options.shards,
            idle: options.idle,
            clock,
            ..ServerOptions::default()
        };
        let server = Server::bind(&[options.listen], server_options, requests.clone())?;
        let expiry = server.control().spawn(expire(requests, options.scan_interval));
        let address = server.addresses().first().copied().unwrap_or(options.listen);
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "anybody who reaches this address can change routes: nothing protects it");
        }
        tracing::info!(%address, "name server started");
        Ok(Self { address, server, expiry })
    }

    /// The address that is listened on, with the real port.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: answers that are under way get out, then everything is closed.
    pub fn stop(self) {
        let Self { address, server, expiry } = self;
        expiry.abort();
        server.stop(STOP_GRACE);
        tracing::info!(%address, "name server stopped");
    }
}

/// Looks for silent brokers until the server's runtime ends.
async fn expire(requests: Arc<Requests>, every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        requests.expire();
    }
}
