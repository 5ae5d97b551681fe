//! What all producers and consumers of one client share.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode, header::group::UnregisterClient, message::id::UniqueKeys,
};
use rocketmq_boot_remoting::Peer;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ClientBuilder, Error, Feature,
    brokers::Brokers,
    groups::Groups,
    heartbeat::{self, Introduced},
    identity,
    inbound::Answers,
    liveness,
    name_servers::NameServers,
    namespace::Namespace,
    producer::request::Requests,
    routes::Routes,
    trace,
};

/// The shared part of a [`Client`](crate::Client).
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: ClientBuilder,
    pub(crate) ip: IpAddr,
    pub(crate) id: String,
    pub(crate) keys: UniqueKeys,
    pub(crate) name_servers: NameServers,
    pub(crate) brokers: Brokers,
    pub(crate) routes: Routes,
    pub(crate) groups: Groups,
    pub(crate) namespace: Namespace,
    /// Which brokers know the groups.
    pub(crate) introduced: Introduced,
    pub(crate) requests: Requests,
    /// The queues of the trace records that are not sent yet.
    pub(crate) tracers: Mutex<Vec<mpsc::WeakSender<trace::Entry>>>,
    /// Rung to have a heartbeat sent now.
    pub(crate) pulse: Notify,
    /// Ends every task of the client.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    started: AtomicBool,
}

impl Core {
    pub(crate) fn new(mut options: ClientBuilder) -> Arc<Self> {
        options.peer.outbound = options.speaks_for.outbound();
        let name_servers = NameServers::new(&options.name_servers, &options.peer);
        let ip = identity::local_address(name_servers.first_address());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = now.map_or(0, |since| since.as_nanos());
        Arc::new_cyclic(|core| Self {
            ip,
            id: identity::client_id(ip, options.instance.as_deref(), options.unit.as_deref(), nanos),
            keys: UniqueKeys::new(ip, std::process::id()),
            name_servers,
            brokers: Brokers::new(options.peer.clone(), Some(Arc::new(Answers::new(core.clone())))),
            routes: Routes::default(),
            groups: Groups::default(),
            namespace: Namespace::new(options.namespace.as_deref()),
            introduced: Introduced::default(),
            requests: Requests::default(),
            tracers: Mutex::default(),
            pulse: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            started: AtomicBool::new(false),
            options,
        })
    }

    /// Starts the client's own tasks, once, after a name server has answered.
    ///
    /// # Errors
    /// None of the name servers answers, or the client is closed.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), Error> {
        if self.stop.is_cancelled() {
            return Err(Error::Closed);
        }
        if self.started.load(Ordering::Acquire) {
            return Ok(());
        }
        self.greet_name_servers().await?;
        if !self.started.swap(true, Ordering::AcqRel) {
            self.spawn(Arc::clone(self).refresh_routes_forever());
            self.spawn(heartbeat::run(Arc::clone(self)));
            self.spawn(liveness::run(Arc::clone(self)));
            self.spawn(Arc::clone(self).refresh_name_servers_forever());
        }
        Ok(())
    }

    /// Runs a task until it or the client ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Asks a broker and turns a refusal into an error.
    pub(crate) async fn ask(
        &self,
        peer: &Peer,
        action: &'static str,
        request: Command,
    ) -> Result<Command, Error> {
        let answer = self
            .call(peer, request, self.options.request_timeout)
            .await
            .map_err(|source| Error::Call { action, source })?;
        accept(peer, action, answer)
    }

    /// Makes sure that a broker has a feature. Who has not heard of the broker's version asks with a heartbeat.
    pub(crate) async fn require(&self, peer: &Peer, feature: Feature) -> Result<(), Error> {
        let version = match peer.version() {
            Some(version) => version,
            None => heartbeat::beat_to(self, peer).await?.version,
        };
        if version >= feature.since() {
            return Ok(());
        }
        Err(Error::Unsupported { feature, broker: peer.address().to_owned(), version })
    }

    /// Asks a broker. One that is about to stop says so instead of answering; it is asked once more on a new
    /// connection, behind which the next one may stand already.
    pub(crate) async fn call(
        &self,
        peer: &Peer,
        request: Command,
        limit: Duration,
    ) -> Result<Command, rocketmq_boot_remoting::Error> {
        let began = Instant::now();
        let again = request.clone();
        let answer = peer.call(request, limit).await?;
        if answer.response_code() != ResponseCode::GO_AWAY {
            return Ok(answer);
        }
        tracing::info!(broker = peer.address(), "broker is about to stop");
        peer.renew();
        peer.call(again, limit.saturating_sub(began.elapsed())).await
    }

    /// The connection to the master called `broker`.
    pub(crate) fn master(&self, broker: &str) -> Result<Peer, Error> {
        self.brokers.master(broker).ok_or_else(|| Error::UnknownBroker { broker: broker.to_owned() })
    }

    /// Tells all brokers that a group of this client is gone.
    pub(crate) async fn unregister(&self, producer_group: Option<&str>, consumer_group: Option<&str>) {
        let header = UnregisterClient {
            client_id: self.id.clone(),
            producer_group: producer_group.map(ToOwned::to_owned),
            consumer_group: consumer_group.map(ToOwned::to_owned),
        };
        let request = Command::request(RequestCode::UNREGISTER_CLIENT, &header);
        let peers = self.brokers.all(false);
        let calls = peers.iter().filter(|peer| peer.is_connected()).map(|peer| {
            let request = request.clone();
            async move {
                if let Err(error) = self.ask(peer, "unregister a group", request).await {
                    tracing::debug!(%error, "broker was not told that a group left");
                }
            }
        });
        futures_util::future::join_all(calls).await;
    }

    /// Says goodbye for all producers, ends the tasks and closes the connections.
    pub(crate) async fn close(&self) {
        if self.stop.is_cancelled() {
            return;
        }
        trace::flush(self, self.options.request_timeout).await;
        for group in self.groups.producer_groups() {
            self.unregister(Some(&group), None).await;
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.brokers.close();
        self.name_servers.close();
    }
}

/// The answer, when it is a success.
pub(crate) fn accept(peer: &Peer, action: &'static str, answer: Command) -> Result<Command, Error> {
    match answer.response_code() {
        ResponseCode::SUCCESS => Ok(answer),
        code => Err(Error::Refused {
            action,
            address: peer.address().to_owned(),
            code,
            remark: answer.remark.unwrap_or_default(),
        }),
    }
}
