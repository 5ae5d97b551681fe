//! Asking a cluster, and changing it: what `mqadmin` does, as typed calls.
//!
//! One file for each noun; `core` has the questions that consumers ask too. Changes go to every master of a
//! [`Scope`], one after the other, and stop at the first that refuses: what was changed before stays changed, and the
//! error says who refused.

mod brokers;
mod connections;
mod core;
mod groups;
mod messages;
mod name_servers;
mod offsets;
mod topics;

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        ClusterInfo, TopicRoute,
        dialect::{self, Dialect},
        lenient,
    },
    message::MessageQueue,
};
use rocketmq_boot_remoting::Peer;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use self::core::Young;
pub use self::{groups::NewGroup, messages::Search, topics::NewTopic};
use crate::{
    Client, Error,
    core::{Core, accept},
};

/// Asks name servers and brokers, and changes them; made by [`Client::admin`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: rocketmq_boot_client::Client) -> Result<(), rocketmq_boot_client::Error> {
/// let admin = client.admin();
/// admin.create_topic("orders", 8).await?;
/// for queue in admin.message_queues("orders").await? {
///     println!("{queue}: {}..{}", admin.min_offset(&queue).await?, admin.max_offset(&queue).await?);
/// }
/// println!("{} messages behind", admin.consume_stats("billing", None).await?.behind());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "DefaultMQAdminExt")]
pub struct Admin {
    client: Client,
}

/// Which brokers a change is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// The masters of all clusters.
    #[default]
    All,
    /// The masters of one cluster.
    Cluster(String),
    /// The broker at this address, `host:port`.
    Broker(String),
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    fn core(&self) -> &Core {
        &self.client.core
    }

    /// All brokers that the name servers know.
    ///
    /// # Errors
    /// No name server answers.
    #[doc(alias = "examineBrokerClusterInfo")]
    pub async fn cluster(&self) -> Result<ClusterInfo, Error> {
        let request = Command::bare(RequestCode::GET_BROKER_CLUSTER_INFO);
        self.ask_name_server("tell its brokers", request)
            .await
            .and_then(|(answer, server)| read(&server, &answer))
    }

    /// A topic's route, asked for now.
    ///
    /// # Errors
    /// No name server answers, or none knows the topic.
    #[doc(alias = "examineTopicRouteInfo")]
    pub async fn route(&self, topic: &str) -> Result<TopicRoute, Error> {
        let route = self.core().refresh_route(topic).await?;
        Ok(route.ok_or_else(|| Error::NoRoute { topic: topic.to_owned() })?.data.clone())
    }

    /// The queues that a topic's messages can be read from.
    ///
    /// # Errors
    /// As [`Admin::route`].
    #[doc(alias = "fetchSubscribeMessageQueues")]
    pub async fn message_queues(&self, topic: &str) -> Result<Vec<MessageQueue>, Error> {
        let route = self.core().refresh_route(topic).await?;
        Ok(route.ok_or_else(|| Error::NoRoute { topic: topic.to_owned() })?.readable.clone())
    }

    /// The addresses of the masters that a change is for.
    ///
    /// # Errors
    /// No name server answers, or there is no such master.
    pub async fn masters(&self, scope: &Scope) -> Result<Vec<String>, Error> {
        if let Scope::Broker(address) = scope {
            return Ok(vec![address.clone()]);
        }
        let cluster = self.cluster().await?;
        let within = |name: &String| match scope {
            Scope::Cluster(wanted) => {
                cluster.cluster_addr_table.get(wanted).is_some_and(|names| names.contains(name))
            }
            Scope::All | Scope::Broker(_) => true,
        };
        let brokers = cluster.broker_addr_table.iter().filter(|(name, _)| within(name));
        let masters: Vec<String> =
            brokers.filter_map(|(_, broker)| broker.master().map(ToOwned::to_owned)).collect();
        if masters.is_empty() {
            return Err(Error::NoMaster { scope: scope.clone() });
        }
        Ok(masters)
    }

    /// The connections to the masters that carry a topic.
    async fn carriers(&self, topic: &str) -> Result<Vec<Peer>, Error> {
        let route = self.route(topic).await?;
        let masters = route.broker_datas.iter().filter_map(|broker| broker.master());
        Ok(masters.map(|address| self.core().brokers.peer(address)).collect())
    }

    /// Makes a change on every master of a scope.
    async fn change(&self, scope: &Scope, action: &'static str, request: Command) -> Result<(), Error> {
        for address in self.masters(scope).await? {
            self.ask(&address, action, request.clone()).await?;
        }
        Ok(())
    }

    /// Asks the broker at an address.
    async fn ask(&self, address: &str, action: &'static str, request: Command) -> Result<Command, Error> {
        let peer = self.core().brokers.peer(address);
        self.core().ask(&peer, action, request).await
    }

    /// Asks the broker at an address for a body.
    async fn ask_for<T: DeserializeOwned>(
        &self,
        address: &str,
        action: &'static str,
        request: Command,
    ) -> Result<T, Error> {
        let peer = self.core().brokers.peer(address);
        read(&peer, &self.core().ask(&peer, action, request).await?)
    }

    async fn ask_name_server(
        &self,
        action: &'static str,
        request: Command,
    ) -> Result<(Command, Peer), Error> {
        let limit = self.core().options.request_timeout;
        let (answer, server) = self.core().name_servers.call(&request, limit).await?;
        Ok((accept(&server, action, answer)?, server))
    }
}

/// Reads the body of an answer.
fn read<T: DeserializeOwned>(peer: &Peer, answer: &Command) -> Result<T, Error> {
    lenient::read("answer", &answer.body).map_err(|error| unreadable(peer, error))
}

/// A request with a body of JSON.
fn with_body(code: RequestCode, body: &impl Serialize) -> Command {
    Command::bare(code).with_body(dialect::write(body, Dialect::Standard))
}

fn unreadable(peer: &Peer, source: rocketmq_boot_protocol::DecodeError) -> Error {
    Error::Answer { address: peer.address().to_owned(), source }
}
