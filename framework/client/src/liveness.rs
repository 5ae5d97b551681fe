//! Noticing connections that are dead without a word: the host is gone, or a box on the way has forgotten them.
//!
//! A pull may be held for a long time, so silence by itself means nothing. A broker that was silent for a while is
//! asked something small; when it does not answer that, the connection is given up, and what waited for answers on it
//! goes on elsewhere or on a new one. All of it takes less than 15 s.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use rocketmq_boot_protocol::{Command, RequestCode, header::offset::QueueOffset, topic::AUTO_CREATE_TOPIC};
use rocketmq_boot_remoting::{Error, Peer};
use tokio::time::sleep;

use crate::core::Core;

/// How often connections are looked at.
const LOOK: Duration = Duration::from_secs(3);

/// Silence after which a broker is asked.
const SILENCE: Duration = Duration::from_secs(8);

/// How long it has for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks after the connections of a client until it ends.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        sleep(LOOK).await;
        let silent = core.brokers.connected().into_iter();
        let silent = silent.filter(|peer| peer.silent_for().is_some_and(|silence| silence >= SILENCE));
        join_all(silent.map(|peer| async move { probe(&peer, PATIENCE).await })).await;
    }
}

/// Asks for the largest offset of a queue: every broker answers that from memory, if only with a refusal.
async fn probe(peer: &Peer, patience: Duration) {
    let header = QueueOffset { topic: AUTO_CREATE_TOPIC.to_owned(), queue_id: 0 };
    let request = Command::request(RequestCode::GET_MAX_OFFSET, &header);
    if let Err(Error::Timeout { .. }) = peer.call(request, patience).await {
        tracing::warn!(broker = peer.address(), "broker is silent, its connection is given up");
        peer.disconnect("the broker was silent");
    }
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_remoting::PeerOptions;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_waits_on_a_dead_connection_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // It takes the connection and never says a word.
        let silent = tokio::spawn(async move { listener.accept().await.unwrap() });
        let peer = Peer::new(address, PeerOptions::default(), None);
        let held = tokio::spawn({
            let peer = peer.clone();
            async move { peer.call(Command::bare(RequestCode::PULL_MESSAGE), Duration::from_secs(600)).await }
        });
        let connection = silent.await.unwrap();
        probe(&peer, Duration::from_millis(10)).await;
        assert!(matches!(held.await.unwrap(), Err(Error::Closed { .. })));
        assert!(!peer.is_connected());
        drop(connection);
    }
}
