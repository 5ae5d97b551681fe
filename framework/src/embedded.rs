//! The bundled server: name server and broker in the process of the application.
//!
//! It is an auto-configuration like any other; whether it starts was decided with everything else (see
//! `App::check`). It listens on the loopback address unless `rocketmq.server.host` says otherwise.

use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::Path,
    time::Duration,
};

use async_trait::async_trait;
use rocketmq_boot_broker::{Broker, StartError};
use rocketmq_boot_namesrv::NameServer;
use rocketmq_boot_protocol::Clock;
use tokio::task::spawn_blocking;

use crate::{
    auto::{AutoConfiguration, Part},
    config::settings::ServerSettings,
};

pub(crate) static SERVER: AutoConfiguration = AutoConfiguration {
    name: "bundled server",
    order: -1_000,
    start: |boot| {
        Box::pin(async move {
            match boot.server() {
                Some(settings) => {
                    start(settings, boot.home()).await.map(|server| Some(Box::new(server) as _))
                }
                None => Ok(None),
            }
        })
    },
};

/// The name that routes know the broker by, on whatever machine its data folder is.
const BROKER_NAME: &str = "rocketmq-boot";

struct Embedded {
    names: NameServer,
    broker: Broker,
    data: String,
}

async fn start(settings: &ServerSettings, home: &Path) -> Result<Embedded, String> {
    let host = address_of(&settings.host)?;
    let data = settings.data.display().to_string();
    let root = home.join(&settings.data);
    let (names_at, broker_port) = (SocketAddr::new(host, settings.name_server_port), settings.broker_port);
    let commit_log_file_bytes = settings.commit_log_file_bytes;
    // Both bring their own threads, and block until they serve.
    let started = spawn_blocking(move || {
        let clock = Clock::system();
        let options = rocketmq_boot_namesrv::Options {
            listen: names_at,
            kv_config_path: Some(root.join("namesrv").join("kvConfig.json")),
            ..Default::default()
        };
        let names = NameServer::start(options, clock.clone())
            .map_err(|error| told("name server", "name-server-port", &error))?;
        let settings = rocketmq_boot_broker::Settings {
            broker_name: BROKER_NAME.to_owned(),
            bind: Some(host),
            // Nobody can connect to an address that stands for all of them.
            advertised_ip: (!host.is_unspecified()).then_some(host),
            listen_port: broker_port,
            // Clients that ask for the VIP channel are told the ordinary port by their own settings.
            fast_port: false,
            name_servers: vec![names.address().to_string()],
            store_root: root,
            commit_log_file_bytes,
            // A developer's disk is often fuller than a server's may be.
            disk_full_percent: 99,
            ..Default::default()
        };
        match Broker::start(settings, clock) {
            Ok(broker) => Ok((names, broker)),
            Err(error) => {
                names.stop();
                let key = match &error {
                    StartError::Listen { .. } => "broker-port",
                    _ => "data",
                };
                Err(told("broker", key, &error))
            }
        }
    });
    let (names, broker) = started.await.map_err(|error| error.to_string())??;
    Ok(Embedded { names, broker, data })
}

fn told(what: &str, key: &str, error: &dyn Display) -> String {
    format!("the {what} did not start: {error} (see `rocketmq.server.{key}`)")
}

fn address_of(host: &str) -> Result<IpAddr, String> {
    let resolved = (host, 0).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved
        .map(|address| address.ip())
        .ok_or_else(|| format!("`rocketmq.server.host`: `{host}` is no address"))
}

#[async_trait]
impl Part for Embedded {
    fn name_server(&self) -> Option<String> {
        Some(self.names.address().to_string())
    }

    fn headline(&self) -> Option<String> {
        let (names, broker) = (self.names.address(), self.broker.address());
        Some(format!("bundled server {names} / {broker}, data {}", self.data))
    }

    async fn stop(self: Box<Self>, within: Duration) {
        let Self { names, broker, .. } = *self;
        let stopped = spawn_blocking(move || {
            broker.stop(within);
            names.stop();
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the bundled server did not stop cleanly");
        }
    }
}
