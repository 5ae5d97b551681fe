//! A running broker: how it starts, what runs beside its requests, how it stops.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Clock,
    message::{hash, property, record::Record},
    topic,
};
use rocketmq_boot_remoting::{BindError, Server, ServerOptions};
use rocketmq_boot_store::{Flush, IndexSize, Options, Store, TagsCode, disk::RealDisk};
use rustix::process::{Resource, getrlimit};

use crate::{
    config::{FlushDisk, Settings},
    counters::Totals,
    dispatch::Requests,
    error::StartError,
    state::State,
};

/// How long a start waits for name servers to answer before it goes on without them.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(2);

/// Topic, properties and the fixed part of a record have this much room beside the body.
const MAX_BESIDE_BODY_BYTES: usize = 64 << 10;

/// How often silent clients are looked for.
const CLIENT_SCAN: Duration = Duration::from_secs(10);

/// A broker that serves until it is stopped or dropped.
///
/// It needs no runtime of its caller's: it brings its threads. Several live in one process.
#[derive(Debug)]
pub struct Broker {
    state: Arc<State>,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
}

impl Broker {
    /// Opens the store, binds the ports, registers, and serves.
    ///
    /// When name servers do not answer within two seconds the broker is started all the same and keeps trying.
    /// Blocks until then; from async code call it where blocking is allowed.
    ///
    /// # Errors
    /// What is wrong with the settings, the data folder or the port. Nothing is left running.
    pub fn start(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        settings.check().map_err(|wrong| StartError::Config(wrong.join("\n")))?;
        let store = open_store(&settings, &clock)?;
        let state = State::load(settings, store.clone(), clock).inspect_err(|_| close(&store))?;
        let bind = state.settings.bind_address();
        let options = ServerOptions {
            shards: state.settings.shard_count(),
            max_connections: state.settings.max_connections,
            max_connections_of_address: state.settings.max_connections_of_address,
            ..ServerOptions::default()
        };
        let server =
            Server::bind(&ports(bind, &state.settings), options, Arc::new(Requests(Arc::clone(&state))))
                .map_err(|error| match error {
                    BindError::Listen { address, source } => StartError::Listen { address, source },
                    other => StartError::Server(other),
                })
                .inspect_err(|_| close(&store))?;
        let port = server.addresses().first().map_or(0, SocketAddr::port);
        let address = SocketAddr::new(state.settings.advertised_ip.unwrap_or_else(|| advertised(bind)), port);
        state.bind(address, server.control().clone());
        start_tasks(&state);
        if !bind.is_loopback() {
            tracing::warn!(%bind, "anybody who reaches this address can read and write: there is no authentication");
        }
        Ok(Self { state, address, server: Mutex::new(Some(server)) })
    }

    /// The address that clients are told.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker's name.
    pub fn name(&self) -> &str {
        &self.state.settings.broker_name
    }

    /// What it has done since it started.
    pub fn totals(&self) -> Totals {
        self.state.counters.totals()
    }

    /// Stops: takes no more messages, says goodbye to name servers, lets answers out, saves everything and closes
    /// the store, within `deadline`. Blocks; a second call does nothing.
    pub fn stop(&self, deadline: Duration) {
        let Some(server) = self.server.lock().take() else { return };
        let end = Instant::now() + deadline;
        let state = &self.state;
        state.stopping.cancel();
        for parked in state.held.take_all() {
            state.answer_expired(parked);
        }
        state.tasks.close();
        wait_for_tasks(state, &server, deadline);
        server.stop(end.saturating_duration_since(Instant::now()));
        state.save();
        close(&state.store);
        state.close_timers();
        tracing::info!(broker = state.settings.broker_name, "stopped");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(5));
    }
}

fn open_store(settings: &Settings, clock: &Clock) -> Result<Store, StartError> {
    let root = settings.store_root.clone();
    let defaults = Options::new(root.clone());
    let options = Options {
        commit_log: settings.commit_log.clone().unwrap_or_else(|| defaults.commit_log.clone()),
        commit_log_file_bytes: settings.commit_log_file_bytes,
        consume_queue_file_entries: settings.consume_queue_file_entries,
        flush: match settings.flush {
            FlushDisk::Async => Flush::Async { interval: settings.flush_interval },
            FlushDisk::Sync => Flush::Sync { timeout: settings.sync_flush_timeout },
        },
        index: settings
            .message_index
            .then_some(IndexSize { slots: settings.index_slots, entries: settings.index_entries }),
        tags_code: TagsCode::new(tags_code(settings.delay_levels.clone())),
        max_record_bytes: settings.max_message_bytes + MAX_BESIDE_BODY_BYTES,
        open_queue_files: open_queue_files(),
        ..defaults
    };
    let opened = Store::open(options, clock.clone(), Arc::new(RealDisk));
    let (store, recovered) = opened.map_err(|source| StartError::Store { root, source })?;
    if recovered.unclean {
        tracing::warn!(?recovered, "the broker was not stopped cleanly; the store is recovered");
    }
    Ok(store)
}

/// How many files the queues may have open: a small part of what the process may, sockets need the rest.
fn open_queue_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 8).unwrap_or(usize::MAX).clamp(64, 4_096)
}

/// How tags codes are computed again when consume queues are rebuilt: those of delayed messages are due times.
fn tags_code(levels: Vec<Duration>) -> impl Fn(&Record<'_>) -> i64 + Send + Sync {
    move |record| {
        if record.topic != topic::SCHEDULE_TOPIC {
            return record.property(property::TAGS).map_or(0, hash::tags_code);
        }
        let level = usize::try_from(record.queue_id).unwrap_or(0);
        let delay = levels.get(level).copied().unwrap_or_default();
        record.store_timestamp.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
    }
}

fn close(store: &Store) {
    if let Err(error) = store.close() {
        tracing::error!(%error, "the store could not be closed cleanly; it will be recovered at the next start");
    }
}

/// The listen port, and the one two below it for clients with the VIP channel.
fn ports(bind: IpAddr, settings: &Settings) -> Vec<SocketAddr> {
    let port = settings.listen_port;
    let mut ports = vec![SocketAddr::new(bind, port)];
    if settings.fast_port && port > 2 {
        ports.push(SocketAddr::new(bind, port - 2));
    }
    ports
}

/// The machine's own address as others see it, when everything is listened on. Nothing is sent to find it out.
fn advertised(bind: IpAddr) -> IpAddr {
    if !bind.is_unspecified() {
        return bind;
    }
    let outward = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        // An address that is reserved for documentation: only the route to it is looked up.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    outward().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn start_tasks(state: &Arc<State>) {
    let (first, answered) = mpsc::channel();
    for name_server in state.settings.name_servers.clone() {
        let first = first.clone();
        state.keep("registration", move |state| state.stay_registered(name_server.clone(), first.clone()));
    }
    drop(first);
    state.keep("delayed messages", State::deliver_delayed);
    state.keep("transactions", State::check_transactions);
    state.keep("statistics", State::keep_statistics);
    state.keep("cleaning", State::clean);
    state.keep("timer messages", State::deliver_timers);
    state.keep("held pulls", |state| async move {
        loop {
            tokio::select! {
                expired = state.held.expired() => {
                    for parked in expired {
                        state.answer_expired(parked);
                    }
                }
                () = state.stopping.cancelled() => return,
            }
        }
    });
    state.keep("saving", |state| async move {
        let interval = state.settings.offset_interval;
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {
                    let state = Arc::clone(&state);
                    let saved = tokio::task::spawn_blocking(move || state.save()).await;
                    if let Err(error) = saved {
                        tracing::error!(%error, "saving failed");
                    }
                }
                () = state.stopping.cancelled() => return,
            }
        }
    });
    state.keep("silent clients", |state| async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(CLIENT_SCAN) => state.clients.expire(),
                () = state.stopping.cancelled() => return,
            }
        }
    });
    await_registration(state, &answered);
}

/// Waits until each name server was tried once, or for a while.
fn await_registration(state: &State, answered: &mpsc::Receiver<()>) {
    let end = Instant::now() + REGISTRATION_PATIENCE;
    for _ in &state.settings.name_servers {
        if answered.recv_timeout(end.saturating_duration_since(Instant::now())).is_err() {
            return;
        }
    }
}

/// Waits for the tasks on a thread of its own: this one may belong to a runtime, which must not block on another.
fn wait_for_tasks(state: &Arc<State>, server: &Server, deadline: Duration) {
    let (state, control) = (Arc::clone(state), server.control().clone());
    let waiting = std::thread::spawn(move || {
        control.block_on(async { tokio::time::timeout(deadline, state.tasks.wait()).await.is_ok() })
    });
    if !waiting.join().unwrap_or(false) {
        tracing::warn!("background tasks did not end in time");
    }
}
