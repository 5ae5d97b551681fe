//! Telling all brokers, every 30 seconds and whenever something changed, which groups this client has.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::dialect::{self, Dialect},
};
use tokio::time::timeout;

use crate::{Error, core::Core};

/// Pause after which a broker that missed a heartbeat is tried again: until it hears one, it does not count this
/// client to its groups, and the others take its queues.
const MISSED: Duration = Duration::from_secs(2);

/// Sends heartbeats until the client ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut silent = HashSet::new();
    loop {
        let failed = beat(&core).await;
        report(&core, &mut silent, failed);
        let pause = if silent.is_empty() { core.options.heartbeat } else { MISSED };
        // Either is reason enough to go on.
        let _ = timeout(pause, core.pulse.notified()).await;
    }
}

/// Sends one heartbeat to every broker; gives those that did not take it.
pub(crate) async fn beat(core: &Core) -> Vec<(String, Error)> {
    let Some(heartbeat) = core.groups.heartbeat(&core.id) else { return Vec::new() };
    let body = bytes::Bytes::from(dialect::write(&heartbeat, Dialect::Standard));
    // Slaves serve consumers only.
    let peers = core.brokers.all(!core.groups.has_consumers());
    let beats = peers.iter().map(|peer| {
        let request = Command::bare(RequestCode::HEART_BEAT).with_body(body.clone());
        async move {
            let error = core.ask(peer, "take a heartbeat", request).await.err()?;
            Some((peer.address().to_owned(), error))
        }
    });
    join_all(beats).await.into_iter().flatten().collect()
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
