//! How a client behaves towards its cluster.

use std::time::Duration;

use rocketmq_boot_protocol::Clock;
use rocketmq_boot_remoting::PeerOptions;

use crate::{Client, Credentials, identity::SpeaksFor};

/// Builds a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use rocketmq_boot_client::Client;
///
/// let client = Client::builder("10.0.0.1:9876;10.0.0.2:9876")
///     .instance("shop-1")
///     .route_refresh(Duration::from_secs(10))
///     .build();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientBuilder {
    pub(crate) name_servers: String,
    pub(crate) instance: Option<String>,
    pub(crate) clock: Clock,
    pub(crate) route_refresh: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) peer: PeerOptions,
    pub(crate) namespace: Option<String>,
    pub(crate) speaks_for: SpeaksFor,
    pub(crate) unit: Option<String>,
    pub(crate) unit_mode: bool,
    pub(crate) vip_channel: bool,
}

impl ClientBuilder {
    pub(crate) fn new(name_servers: String) -> Self {
        Self {
            name_servers,
            instance: None,
            clock: Clock::system(),
            route_refresh: Duration::from_secs(30),
            heartbeat: Duration::from_secs(30),
            request_timeout: Duration::from_secs(3),
            peer: PeerOptions::default(),
            namespace: None,
            speaks_for: SpeaksFor::default(),
            unit: None,
            unit_mode: false,
            vip_channel: false,
        }
    }

    /// Names this client: its id becomes `ip@name`, and a broadcasting consumer finds its offsets again after a
    /// restart under that name **(default: a name that no other client has; offsets under `DEFAULT`)**.
    ///
    /// Two clients of one name on one host must not consume for the same group.
    #[doc(alias = "instanceName")]
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Takes wall time, which messages are stamped with, from `clock` **(default: the system's)**.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how often routes are asked for again **(default: 30 s)**.
    #[doc(alias = "pollNameServerInterval")]
    pub fn route_refresh(mut self, interval: Duration) -> Self {
        self.route_refresh = interval;
        self
    }

    /// Sets how often brokers hear from this client **(default: 30 s)**. They forget a client after 120 s.
    #[doc(alias = "heartbeatBrokerInterval")]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// Sets how long a question to a name server or broker may take **(default: 3 s)**. Sends and pulls have
    /// limits of their own.
    #[doc(alias = "mqClientApiTimeout")]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.request_timeout = limit;
        self
    }

    /// Sets how connections are made, bounded and encrypted. What completes requests is the client's own: it is set
    /// by [`ClientBuilder::credentials`] and [`ClientBuilder::namespace_v2`].
    pub fn connections(mut self, options: PeerOptions) -> Self {
        self.peer = options;
        self
    }

    /// Signs every request in the name of a user **(default: nobody)**.
    #[doc(alias = "AclClientRPCHook")]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.speaks_for.credentials = Some(credentials);
        self
    }

    /// Puts all topics and groups into a namespace: brokers know topic `orders` as `name%orders` **(default: none)**.
    /// System topics stay what they are.
    #[doc(alias = "setNamespace")]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// Says beside every request that topics and groups are those of a namespace, and leaves it to the servers,
    /// which know it since 5.2 **(default: none)**.
    #[doc(alias = "setNamespaceV2")]
    pub fn namespace_v2(mut self, name: impl Into<String>) -> Self {
        self.speaks_for.namespace = Some(name.into());
        self
    }

    /// Encrypts all connections, to name servers and to brokers **(default: none is)**.
    #[cfg(feature = "tls")]
    #[doc(alias = "useTLS")]
    pub fn tls(mut self, tls: rocketmq_boot_remoting::Tls) -> Self {
        self.peer.tls = Some(tls);
        self
    }

    /// Names the unit that this client belongs to; its id ends with it **(default: none)**.
    #[doc(alias = "unitName")]
    pub fn unit(mut self, name: impl Into<String>) -> Self {
        self.unit = Some(name.into());
        self
    }

    /// Sets whether messages are marked as a unit's **(default: false)**.
    #[doc(alias = "unitMode")]
    pub fn unit_mode(mut self, on: bool) -> Self {
        self.unit_mode = on;
        self
    }

    /// Sets whether sends go to the brokers' second port, two below the first, which nothing else makes wait
    /// **(default: false, as in Java since 4.5.1)**.
    #[doc(alias = "vipChannelEnabled")]
    pub fn vip_channel(mut self, on: bool) -> Self {
        self.vip_channel = on;
        self
    }

    /// Makes the client. Nothing is connected yet.
    pub fn build(self) -> Client {
        Client::from_builder(self)
    }
}
