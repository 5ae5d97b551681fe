//! The list of name servers: one is asked until it fails, then the next.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rocketmq_boot_protocol::Command;
use rocketmq_boot_remoting::{Peer, PeerOptions};

use crate::Error;

/// All of them hold the same routes, so any answer will do, a refusal too.
#[derive(Debug)]
pub(crate) struct NameServers {
    peers: Vec<Peer>,
    /// The one that answered last.
    current: AtomicUsize,
}

impl NameServers {
    /// Reads `host:port;host:port`.
    pub(crate) fn new(list: &str, options: &PeerOptions) -> Self {
        let addresses = list.split([';', ',']).map(str::trim).filter(|address| !address.is_empty());
        let peers = addresses.map(|address| Peer::new(address, options.clone(), None)).collect();
        Self { peers, current: AtomicUsize::new(0) }
    }

    /// The first one's address, when it is given by number.
    pub(crate) fn first_address(&self) -> Option<SocketAddr> {
        self.peers.first()?.address().parse().ok()
    }

    /// Asks one after the other until one answers; each may take `limit`.
    pub(crate) async fn call(&self, request: &Command, limit: Duration) -> Result<(Command, &Peer), Error> {
        let mut tried = Vec::new();
        let first = self.current.load(Ordering::Relaxed);
        for step in 0..self.peers.len() {
            let at = (first + step) % self.peers.len();
            match self.peers[at].call(request.clone(), limit).await {
                Ok(answer) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok((answer, &self.peers[at]));
                }
                Err(error) => {
                    tracing::debug!(%error, "name server does not answer");
                    tried.push(error);
                }
            }
        }
        if tried.is_empty() {
            return Err(Error::NoNameServer);
        }
        Err(Error::NameServers { tried: tried.into() })
    }

    pub(crate) fn close(&self) {
        self.peers.iter().for_each(Peer::close);
    }
}
