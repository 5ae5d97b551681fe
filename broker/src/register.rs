//! Telling name servers that this broker exists and what topics it has (103, 104).
//!
//! Each name server has a task of its own: one that is away delays no other. All topics are sent each time, at once
//! when one changes and every `registerNameServerPeriod` otherwise.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        KvTable,
        config::RegisterBrokerBody,
        dialect::{Dialect, write},
        lenient,
    },
    header::broker::{BrokerIdentity, RegisterBroker},
    topic::{PERM_READ, PERM_WRITE},
};
use rocketmq_boot_remoting::{Peer, PeerOptions};

use crate::state::State;

/// How long a name server has for its answer (`registerBrokerTimeoutMills` of 4.9).
const TIMEOUT: Duration = Duration::from_secs(6);

/// Changes that come this close together are told together.
const GATHER: Duration = Duration::from_millis(10);

/// How soon a name server that did not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);

impl State {
    /// Keeps one name server informed until the broker stops, then says goodbye to it. `first` is told when the
    /// first attempt is over, whatever came of it.
    pub(crate) async fn stay_registered(self: Arc<Self>, name_server: String, first: mpsc::Sender<()>) {
        let peer = Peer::new(name_server.clone(), PeerOptions::default(), None);
        let mut changes = self.topics.changes();
        let mut registered = false;
        loop {
            let pause = match self.register(&peer).await {
                Ok(()) => {
                    if !registered {
                        tracing::info!(name_server, broker = self.settings.broker_name, "registered");
                    }
                    registered = true;
                    self.settings.register_period
                }
                Err(why) => {
                    tracing::warn!(name_server, why, "cannot register, trying again");
                    registered = false;
                    RETRY
                }
            };
            // Nobody listens any more after the start.
            let _ = first.send(());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = changes.changed() => tokio::time::sleep(GATHER).await,
                () = self.stopping.cancelled() => break,
            }
        }
        if registered {
            let goodbye = Command::request(RequestCode::UNREGISTER_BROKER, &self.identity());
            if let Err(error) = peer.call(goodbye, RETRY).await {
                tracing::warn!(name_server, %error, "cannot unregister");
            }
        }
        peer.close();
    }

    async fn register(&self, peer: &Peer) -> Result<(), String> {
        let mut topics = self.topics.snapshot();
        // Clients choose brokers by the permissions in routes.
        for config in topics.topic_config_table.values_mut() {
            config.perm &= self.settings.permission | !(PERM_READ | PERM_WRITE);
        }
        let body =
            RegisterBrokerBody { topic_config_serialize_wrapper: topics, ..RegisterBrokerBody::default() };
        let body = write(&body, Dialect::Fastjson);
        let identity = self.identity();
        let header = RegisterBroker {
            broker_name: identity.broker_name,
            broker_addr: identity.broker_addr,
            cluster_name: identity.cluster_name,
            ha_server_addr: String::new(),
            broker_id: identity.broker_id,
            heartbeat_timeout_millis: None,
            enable_acting_master: Some(false),
            compressed: false,
            body_crc32: crc(&body),
        };
        let request = Command::request(RequestCode::REGISTER_BROKER, &header).with_body(body);
        let answer = peer.call(request, TIMEOUT).await.map_err(|error| error.to_string())?;
        match answer.code {
            0 => {
                self.learn_order(&answer);
                Ok(())
            }
            _ => Err(format!("{}: {}", answer.response_code(), answer.remark.unwrap_or_default())),
        }
    }

    /// Takes over which topics are order topics: the name server answers with its `ORDER_TOPIC_CONFIG`.
    fn learn_order(&self, answer: &Command) {
        if answer.body.is_empty() {
            return;
        }
        match lenient::read::<KvTable>("order topics", &answer.body) {
            Ok(order) => self.topics.keep_order(order.table.into_keys()),
            Err(error) => tracing::warn!(%error, "the name server's order topics cannot be read"),
        }
    }

    fn identity(&self) -> BrokerIdentity {
        BrokerIdentity {
            broker_name: self.settings.broker_name.clone(),
            broker_addr: self.store_host().to_string(),
            cluster_name: self.settings.cluster_name.clone(),
            broker_id: self.settings.broker_id,
        }
    }
}

/// The body's checksum, with the top bit cleared as Java's signed integers want it.
fn crc(body: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap_or(0)
}
