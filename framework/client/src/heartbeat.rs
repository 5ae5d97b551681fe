//! Telling all brokers, every 30 seconds and whenever something changed, which groups this client has.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::dialect::{self, Dialect},
};
use rocketmq_boot_remoting::Peer;
use tokio::time::timeout;

use crate::{Error, core::Core};

/// Pause after which a broker that missed a heartbeat is tried again: until it hears one, it does not count this
/// client to its groups, and the others take its queues.
const MISSED: Duration = Duration::from_secs(2);

/// Sends heartbeats until the client ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut silent = HashSet::new();
    loop {
        let failed = if core.groups.is_empty() { Vec::new() } else { beat(&core).await };
        report(&core, &mut silent, failed);
        let pause = if silent.is_empty() { core.options.heartbeat } else { MISSED };
        // Either is reason enough to go on.
        let _ = timeout(pause, core.pulse.notified()).await;
    }
}

/// Which brokers have taken a heartbeat on their present connection, and which state of the groups it told.
#[derive(Debug, Default)]
pub(crate) struct Introduced(Mutex<HashMap<String, u64>>);

impl Introduced {
    /// A broker forgets its clients with their connections.
    pub(crate) fn forget(&self, address: &str) {
        self.0.lock().remove(address);
    }
}

/// Sends one heartbeat to every broker; gives those that did not take it.
pub(crate) async fn beat(core: &Core) -> Vec<(String, Error)> {
    // Slaves serve consumers only.
    let peers = core.brokers.all(!core.groups.has_consumers());
    let beats = peers.iter().map(|peer| async move {
        let error = beat_to(core, peer).await.err()?;
        Some((peer.address().to_owned(), error))
    });
    join_all(beats).await.into_iter().flatten().collect()
}

/// Sends one heartbeat to one broker; gives its answer, which tells the broker's version.
pub(crate) async fn beat_to(core: &Core, peer: &Peer) -> Result<Command, Error> {
    let state = core.groups.state();
    let heartbeat = core.groups.heartbeat(&core.id);
    let body = bytes::Bytes::from(dialect::write(&heartbeat, Dialect::Standard));
    let request = Command::bare(RequestCode::HEART_BEAT).with_body(body);
    let answer = core.ask(peer, "take a heartbeat", request).await?;
    core.introduced.0.lock().insert(peer.address().to_owned(), state);
    Ok(answer)
}

/// Makes sure that every master has heard of the groups as they are now, so that it can reach this client.
pub(crate) async fn introduce(core: &Core) {
    let state = core.groups.state();
    let strangers: Vec<Peer> = {
        let introduced = core.introduced.0.lock();
        let knows = |peer: &Peer| introduced.get(peer.address()) == Some(&state);
        core.brokers.all(true).into_iter().filter(|peer| !knows(peer)).collect()
    };
    let beats = strangers.iter().map(|peer| beat_to(core, peer));
    for error in join_all(beats).await.into_iter().filter_map(Result::err) {
        tracing::debug!(%error, "broker has not heard of this client");
    }
}

/// Logs what changed, and remembers who did not take the last heartbeat.
fn report(core: &Core, silent: &mut HashSet<String>, failed: Vec<(String, Error)>) {
    let before = std::mem::take(silent);
    for (broker, error) in failed {
        if !before.contains(&broker) {
            tracing::warn!(broker, %error, "broker does not take heartbeats");
        }
        silent.insert(broker);
    }
    for peer in core.brokers.all(false) {
        let broker = peer.address();
        if before.contains(broker) && !silent.contains(broker) {
            tracing::info!(broker, "broker takes heartbeats again");
        }
    }
}
