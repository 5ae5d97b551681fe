//! Requests and replies over messages.
//!
//! A request is a message that says which client waits and how long. Its consumer sends a reply to a topic that
//! exists only for this, through the broker that the requester is connected to, and that broker pushes it on (326).

use std::{
    collections::{HashMap, HashSet},
    future::IntoFuture,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::reply::PushReply,
    message::{
        Message, MessageQueue, MessageView,
        compress::decompress,
        property::{self, Properties},
        sys_flag,
    },
};
use tokio::sync::oneshot;

use super::{Awaited, Choice, Outgoing, SendError, Shared};
use crate::{Client, Error, core::Core, heartbeat, inbound::MAX_PUSHED_BODY_BYTES, routes::Missing};

/// What a reply's `MSG_TYPE` says.
const REPLY: &str = "reply";

/// Behind a cluster's name: the topic that its replies are sent to.
const REPLY_TOPIC: &str = "_REPLY_TOPIC";

/// The group that replies are sent in the name of when nobody gives another.
const REPLIER: &str = "CLIENT_INNER_PRODUCER";

/// A request that nobody answered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent, or not as surely as asked.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The request was sent, and no reply came in time. The consumer may have handled it all the same.
    #[error("no reply to request {message_id} to `{topic}` within {after:?}")]
    #[doc(alias = "RequestTimeoutException")]
    Timeout {
        /// The topic.
        topic: String,
        /// The request's id.
        message_id: String,
        /// The limit.
        after: Duration,
    },
    /// The client was closed while the reply was waited for.
    #[error("the client is closed")]
    Closed,
}

/// The requests of one client that wait for their replies, and what has to be known to get them.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: Mutex<HashMap<String, oneshot::Sender<MessageView>>>,
    /// Reply topics whose route was asked for.
    topics: Mutex<HashSet<String>>,
}

/// A request about to be sent; await it.
#[derive(Debug)]
#[must_use = "a request is sent when this is awaited"]
pub struct Requesting {
    shared: Arc<Shared>,
    message: Message,
    choice: Choice,
    limit: Option<Duration>,
}

impl Requesting {
    pub(super) fn new(shared: Arc<Shared>, message: Message) -> Self {
        Self { shared, message, choice: Choice::Turn, limit: None }
    }

    /// Sets how long sending and waiting for the reply may take together **(default: the producer's limit of a
    /// send)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sends to this queue.
    pub fn to(mut self, queue: MessageQueue) -> Self {
        self.choice = self.shared.this(queue);
        self
    }

    /// Sends to the queue of this key, see [`Sending::sharded_by`](super::Sending::sharded_by).
    pub fn sharded_by(mut self, key: impl std::fmt::Display) -> Self {
        self.choice = Choice::key(&key.to_string());
        self
    }

    async fn send(mut self) -> Result<MessageView, RequestError> {
        let shared = &*self.shared;
        let core = &shared.client.core;
        let limit = self.limit.unwrap_or(shared.options.send_timeout);
        shared.before(&mut self.message)?;
        let correlation_id = core.keys.next(core.options.clock.now_ms());
        for (key, value) in [
            (property::CORRELATION_ID, correlation_id.clone()),
            (property::REPLY_TO_CLIENT, core.id.clone()),
            (property::TTL, limit.as_millis().to_string()),
        ] {
            self.message.properties.insert(key.to_owned(), value);
        }
        let (outgoing, message_id) = shared.outgoing(self.message)?;
        let (sender, reply) = oneshot::channel();
        core.requests.waiting.lock().insert(correlation_id.clone(), sender);
        // Taken away however this ends.
        let _waiting = Waiting { core, correlation_id };
        let exchange = async {
            introduce(core, &outgoing.topic).await?;
            shared
                .deliver_one(&outgoing, message_id.clone(), &self.choice, shared.effort(Some(limit)))
                .await?;
            reply.await.map_err(|_| RequestError::Closed)
        };
        tokio::select! {
            () = core.stop.cancelled() => Err(RequestError::Closed),
            outcome = tokio::time::timeout(limit, exchange) => outcome.unwrap_or_else(|_| {
                let topic = core.namespace.unwrap(&outgoing.topic).into_owned();
                Err(RequestError::Timeout { topic, message_id: message_id.clone(), after: limit })
            }),
        }
    }
}

impl IntoFuture for Requesting {
    type Output = Result<MessageView, RequestError>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

struct Waiting<'a> {
    core: &'a Core,
    correlation_id: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.core.requests.waiting.lock().remove(&self.correlation_id);
    }
}

/// Makes sure that every broker which a reply may come by knows this client: the replier may choose any of the
/// request's cluster.
async fn introduce(core: &Core, topic: &str) -> Result<(), SendError> {
    let route = super::deliver::route(core, topic).await?;
    let clusters: HashSet<&str> = route.data.broker_datas.iter().map(|data| data.cluster.as_str()).collect();
    for cluster in clusters.into_iter().filter(|cluster| !cluster.is_empty()) {
        let reply_topic = format!("{cluster}{REPLY_TOPIC}");
        let first = core.requests.topics.lock().insert(reply_topic.clone());
        if first && let Err(error) = core.route(&reply_topic, Missing::Refuse).await {
            tracing::debug!(reply_topic, %error, "replies can come by the request's own brokers only");
        }
    }
    heartbeat::introduce(core).await;
    Ok(())
}

/// Takes a reply in that a broker pushes: 326.
pub(crate) fn take_in(core: &Core, request: &Command) -> Command {
    let reply = request.header::<PushReply>().map_err(|error| error.to_string()).and_then(|header| {
        let properties = Properties::from(header.properties.clone().unwrap_or_default());
        view(header, properties, &request.body)
    });
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!(error, "a reply cannot be read");
            return Command::failure(request, ResponseCode::SYSTEM_ERROR, error);
        }
    };
    let correlation_id = reply.property(property::CORRELATION_ID).unwrap_or_default();
    match core.requests.waiting.lock().remove(correlation_id) {
        // Who gave up at this moment does not want it any more.
        Some(waiting) => drop(waiting.send(reply)),
        None => tracing::debug!(correlation_id, "nobody waits for this reply any more"),
    }
    Command::success(request)
}

fn view(header: PushReply, properties: Properties, body: &Bytes) -> Result<MessageView, String> {
    let kind =
        sys_flag::compression(header.sys_flag).map_err(|bits| format!("compression {bits:#x} is unknown"))?;
    let body = match kind {
        Some(kind) => {
            decompress(kind, body, MAX_PUSHED_BODY_BYTES).map_err(|error| error.to_string())?.into()
        }
        None => body.clone(),
    };
    let host = |text: Option<String>| {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        text.and_then(|text| text.parse().ok()).unwrap_or(unknown)
    };
    Ok(MessageView {
        topic: header.topic,
        broker_name: Arc::default(),
        queue_id: header.queue_id,
        queue_offset: 0,
        physical_offset: 0,
        message_id: properties.get(property::UNIQ_KEY).unwrap_or_default().to_owned(),
        offset_message_id: String::new(),
        body,
        flag: header.flag,
        sys_flag: header.sys_flag & !sys_flag::COMPRESSED,
        born_timestamp: header.born_timestamp,
        born_host: host(header.born_host),
        store_timestamp: header.store_timestamp,
        store_host: host(header.store_host),
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        stored_bytes: 0,
        properties,
    })
}

/// A reply about to be sent; await it. Made by [`Client::reply`].
#[derive(Debug)]
#[must_use = "a reply is sent when this is awaited"]
pub struct Replying {
    client: Client,
    group: String,
    broker: Arc<str>,
    message_id: String,
    properties: Option<Addressed>,
    body: Bytes,
    limit: Duration,
}

/// What a request says about its reply.
#[derive(Debug)]
struct Addressed {
    cluster: String,
    correlation_id: String,
    client: String,
    ttl: Option<String>,
}

impl Replying {
    pub(crate) fn new(client: Client, request: &MessageView, body: Bytes) -> Self {
        let text = |key| request.property(key).map(ToOwned::to_owned);
        let addressed = || {
            Some(Addressed {
                cluster: text(property::CLUSTER)?,
                correlation_id: text(property::CORRELATION_ID)?,
                client: text(property::REPLY_TO_CLIENT)?,
                ttl: text(property::TTL),
            })
        };
        Self {
            limit: client.core.options.request_timeout,
            group: REPLIER.to_owned(),
            broker: Arc::clone(&request.broker_name),
            message_id: request.message_id.clone(),
            properties: addressed(),
            client,
            body,
        }
    }

    /// Says which group replies **(default: none that users have)**.
    pub fn in_name_of(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Sets how long the broker may take to hand the reply to the requester **(default: the client's limit of a
    /// question)**.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn send(self) -> Result<(), Error> {
        const ACTION: &str = "hand on a reply";
        let core = &self.client.core;
        let Some(addressed) = self.properties else {
            return Err(Error::NotARequest { message_id: self.message_id });
        };
        let topic = format!("{}{REPLY_TOPIC}", addressed.cluster);
        // The requester sent its request by this broker, so it is connected to it.
        let peer = match core.brokers.master(&self.broker) {
            Some(peer) => peer,
            None => {
                let route = core.route(&topic, Missing::Refuse).await?;
                let target = route.targets.first().ok_or_else(|| Error::NoRoute { topic: topic.clone() })?;
                target.peer.clone()
            }
        };
        let born_timestamp = core.options.clock.now_ms();
        let id = core.keys.next(born_timestamp);
        let properties = [
            (property::CORRELATION_ID, Some(addressed.correlation_id)),
            (property::REPLY_TO_CLIENT, Some(addressed.client)),
            (property::MSG_TYPE, Some(REPLY.to_owned())),
            (property::TTL, addressed.ttl),
            (property::UNIQ_KEY, Some(id)),
        ];
        let properties = properties.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let outgoing = Outgoing {
            code: RequestCode::SEND_REPLY_MESSAGE_V2,
            group: self.group,
            // They came out of such a text.
            properties: property::encode(properties).unwrap_or_default(),
            topic,
            body: self.body,
            born_timestamp,
            ..Outgoing::default()
        };
        let request = outgoing.request(0, &self.broker, core.options.unit_mode).to_command();
        let answer = peer.call(request, self.limit).await;
        let answer = answer.map_err(|source| Error::Call { action: ACTION, source })?;
        crate::core::accept(&peer, ACTION, answer).map(drop)
    }
}

impl IntoFuture for Replying {
    type Output = Result<(), Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
