//! The list of name servers: one is asked until it fails, then the next.
//!
//! The list is fixed, or it lies behind a web address that is looked at every two minutes, as Java's client does with
//! the domain of its name servers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use rocketmq_boot_protocol::Command;
use rocketmq_boot_remoting::{Peer, PeerOptions};
use tokio::time::{sleep, timeout};

use crate::{
    Error,
    core::Core,
    discovery::{self, Endpoint},
};

/// How often the list behind a web address is looked at.
const REFRESH: Duration = Duration::from_secs(120);

/// All of them hold the same routes, so any answer will do, a refusal too.
#[derive(Debug)]
pub(crate) struct NameServers {
    peers: RwLock<Arc<[Peer]>>,
    options: PeerOptions,
    /// Where the list lies, if it is not fixed.
    endpoint: Option<Endpoint>,
    /// The one that answered last.
    current: AtomicUsize,
}

impl NameServers {
    /// Reads `host:port;host:port`, or takes `http://..` for the place where such a list lies.
    pub(crate) fn new(list: &str, options: &PeerOptions) -> Self {
        let endpoint = Endpoint::parse(list);
        let peers = match &endpoint {
            Some(_) => Arc::default(),
            None => addresses(list).map(|address| Peer::new(address, options.clone(), None)).collect(),
        };
        Self { peers: RwLock::new(peers), options: options.clone(), endpoint, current: AtomicUsize::new(0) }
    }

    /// The first one's address, when it is given by number.
    pub(crate) fn first_address(&self) -> Option<SocketAddr> {
        self.peers.read().first()?.address().parse().ok()
    }

    /// All addresses, separated by `;`.
    pub(crate) fn addresses(&self) -> String {
        self.peers.read().iter().map(Peer::address).collect::<Vec<_>>().join(";")
    }

    /// Asks one after the other until one answers; each may take `limit`.
    pub(crate) async fn call(&self, request: &Command, limit: Duration) -> Result<(Command, Peer), Error> {
        let peers = self.all(limit).await?;
        let mut tried = Vec::new();
        let first = self.current.load(Ordering::Relaxed);
        for step in 0..peers.len() {
            let at = (first + step) % peers.len();
            match peers[at].call(request.clone(), limit).await {
                Ok(answer) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok((answer, peers[at].clone()));
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

    /// The list, looked for when it is not known yet.
    pub(crate) async fn all(&self, limit: Duration) -> Result<Arc<[Peer]>, Error> {
        let known = Arc::clone(&*self.peers.read());
        match &self.endpoint {
            Some(endpoint) if known.is_empty() => self.look(endpoint, limit).await,
            _ => Ok(known),
        }
    }

    /// Looks at the list behind the web address; connections to those that stay in it are kept.
    async fn look(&self, endpoint: &Endpoint, limit: Duration) -> Result<Arc<[Peer]>, Error> {
        let failed = |reason| Error::Discovery { endpoint: endpoint.to_string(), reason };
        let fetched = timeout(limit, discovery::fetch(endpoint)).await;
        let list = fetched.unwrap_or_else(|_| Err(format!("no answer within {limit:?}"))).map_err(failed)?;
        let mut peers = self.peers.write();
        let keep = |address: &str| peers.iter().find(|peer| peer.address() == address).cloned();
        let make = |address| keep(address).unwrap_or_else(|| Peer::new(address, self.options.clone(), None));
        let now: Arc<[Peer]> = addresses(&list).map(make).collect();
        if now.is_empty() {
            return Err(failed("it holds no address".to_owned()));
        }
        for gone in peers.iter().filter(|peer| now.iter().all(|kept| kept.address() != peer.address())) {
            gone.close();
        }
        *peers = Arc::clone(&now);
        Ok(now)
    }

    pub(crate) fn close(&self) {
        self.peers.read().iter().for_each(Peer::close);
    }
}

fn addresses(list: &str) -> impl Iterator<Item = &str> {
    list.split([';', ',']).map(str::trim).filter(|address| !address.is_empty())
}

impl Core {
    /// Keeps the list behind a web address fresh; returns at once when there is none.
    pub(crate) async fn refresh_name_servers_forever(self: Arc<Self>) {
        let Some(endpoint) = &self.name_servers.endpoint else { return };
        loop {
            sleep(REFRESH).await;
            if let Err(error) = self.name_servers.look(endpoint, self.options.request_timeout).await {
                tracing::warn!(%error, "the list of name servers stays as it is");
            }
        }
    }
}
