//! Every request that a name server answers, by its code.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use rocketmq_boot_protocol::{
    Clock, Command, DecodeError, RequestCode, ResponseCode,
    body::{
        BrokerMemberGroup, BrokerMembers, DataVersion, Dialect, KvTable, TopicList, TopicRoute,
        config::RegisterBrokerBody, dialect, lenient, registration,
    },
    header::{
        broker::{BrokerIdentity, QueryDataVersionReply, RegisterBroker, RegisterBrokerReply},
        route::{
            AddWritePermReply, BrokerName, BrokerOfCluster, ClusterName, GetKvConfigReply, KvConfigKey,
            KvNamespace, PutKvConfig, WipeWritePermReply,
        },
        topic::TopicName,
    },
    properties_file::Properties,
};
use rocketmq_boot_remoting::{Connection, Service};
use serde::Serialize;

use crate::{
    kv_config::{KvConfig, KvError, ORDER_TOPICS},
    name_server::Options,
    routes::{RegisterError, Registration, Routes},
    settings,
};

/// Since 4.9.4 clients read standard JSON.
const STANDARD_JSON_SINCE: i32 = 401;

/// Since 3.0.11 a registration's body holds more than topics.
const WHOLE_BODY_SINCE: i32 = 37;

/// Flags of a topic: it belongs to a unit, and units subscribe to it.
const UNIT: i32 = 1;
const UNIT_SUB: i32 = 2;

/// A name server's state and what it answers.
pub(crate) struct Requests {
    clock: Clock,
    routes: Mutex<Routes>,
    settings: Arc<Mutex<KvConfig>>,
    /// The connections of registered brokers, to be closed when they expire.
    brokers: Mutex<HashMap<u64, Weak<Connection>>>,
    options: RwLock<Options>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Undecodable(#[from] DecodeError),
    #[error("{0}")]
    NotRegistered(#[from] RegisterError),
    #[error("the body's CRC-32 does not match the header's")]
    Damaged,
    #[error("{0}")]
    Settings(#[from] KvError),
    #[error("{0} is switched off on this name server")]
    SwitchedOff(RequestCode),
    #[error("{0} is switched off on this name server: configUpdateEnable=true allows it")]
    NoUpdates(RequestCode),
    #[error("Can not update config in black list.")]
    BlackListed,
    #[error("nothing was changed: {0}")]
    NotChanged(String),
    #[error(
        "No topic route info in name server for the topic: {0}; create the topic, or allow its automatic creation"
    )]
    NoRoute(String),
    #[error("No config item, Namespace: {0}")]
    NoNamespace(String),
    #[error("No config item, Namespace: {0} Key: {1}")]
    NoSetting(String, String),
    #[error(" request type {0} not supported")]
    Unsupported(RequestCode),
}

impl Refusal {
    const fn code(&self) -> ResponseCode {
        match self {
            Self::NoUpdates(_) | Self::BlackListed => ResponseCode::NO_PERMISSION,
            Self::NoRoute(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::NoNamespace(_) | Self::NoSetting(..) => ResponseCode::QUERY_NOT_FOUND,
            Self::Unsupported(_) => ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            _ => ResponseCode::SYSTEM_ERROR,
        }
    }
}

impl Requests {
    pub(crate) fn new(options: &Options, settings: KvConfig, clock: Clock) -> Self {
        Self {
            clock,
            routes: Mutex::new(Routes::new(options.delete_missing_topics)),
            settings: Arc::new(Mutex::new(settings)),
            brokers: Mutex::default(),
            options: RwLock::new(options.clone()),
        }
    }

    /// Forgets brokers that were silent for too long, and closes their connections.
    pub(crate) fn expire(&self) {
        for id in self.routes.lock().expire(self.clock.monotonic()) {
            if let Some(connection) = self.brokers.lock().remove(&id).and_then(|known| known.upgrade()) {
                connection.close();
            }
        }
    }

    async fn answer(&self, connection: &Arc<Connection>, request: &Command) -> Result<Command, Refusal> {
        let code = request.request_code();
        match code {
            RequestCode::GET_ROUTEINFO_BY_TOPIC => self.route(request),
            RequestCode::REGISTER_BROKER => self.register(connection, request),
            RequestCode::UNREGISTER_BROKER => self.unregister(request),
            RequestCode::QUERY_DATA_VERSION => self.data_version(request),
            RequestCode::BROKER_HEARTBEAT => self.heartbeat(request),
            RequestCode::GET_BROKER_CLUSTER_INFO => Ok(json(request, &self.routes.lock().clusters())),
            RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER if self.options.read().list_all_topics => {
                Ok(topic_list(request, self.routes.lock().topics(), None))
            }
            RequestCode::GET_TOPICS_BY_CLUSTER if self.options.read().list_topics_of_cluster => {
                let cluster = request.header::<ClusterName>()?.cluster;
                Ok(topic_list(request, self.routes.lock().topics_of(&cluster), None))
            }
            RequestCode::GET_UNIT_TOPIC_LIST
            | RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST
            | RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST
                if self.options.read().list_topics_of_cluster =>
            {
                Ok(self.unit_topics(request))
            }
            RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER
            | RequestCode::GET_TOPICS_BY_CLUSTER
            | RequestCode::GET_UNIT_TOPIC_LIST
            | RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST
            | RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => Err(Refusal::SwitchedOff(code)),
            RequestCode::GET_BROKER_MEMBER_GROUP => self.members(request),
            RequestCode::REGISTER_TOPIC_IN_NAMESRV => self.add_queues(request),
            RequestCode::UPDATE_NAMESRV_CONFIG => self.change_options(request),
            RequestCode::GET_NAMESRV_CONFIG => Ok(self.print_options(request)),
            RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS => {
                let routes = self.routes.lock();
                Ok(topic_list(request, routes.system_topics(), routes.any_broker()))
            }
            RequestCode::WIPE_WRITE_PERM_OF_BROKER | RequestCode::ADD_WRITE_PERM_OF_BROKER => {
                self.write_permission(request)
            }
            RequestCode::DELETE_TOPIC_IN_NAMESRV => self.delete_topic(request),
            RequestCode::PUT_KV_CONFIG | RequestCode::DELETE_KV_CONFIG => self.change_setting(request).await,
            RequestCode::GET_KV_CONFIG => self.setting(request),
            RequestCode::GET_KVLIST_BY_NAMESPACE => self.settings_of(request),
            _ => Err(Refusal::Unsupported(code)),
        }
    }

    fn route(&self, request: &Command) -> Result<Command, Refusal> {
        let asked = request.header::<TopicName>()?;
        let Some(mut route) = self.routes.lock().route(&asked.topic) else {
            return Err(Refusal::NoRoute(asked.topic));
        };
        if self.options.read().order_topics_in_routes {
            route.order_topic_conf = self.settings.lock().get(ORDER_TOPICS, &asked.topic).map(str::to_owned);
        }
        let standard =
            request.version >= STANDARD_JSON_SINCE || asked.accept_standard_json_only == Some(true);
        let dialect = if standard { Dialect::Standard } else { Dialect::Fastjson };
        Ok(Command::success(request).with_body(dialect::write(&route, dialect)))
    }

    fn register(&self, connection: &Arc<Connection>, request: &Command) -> Result<Command, Refusal> {
        let header = request.header::<RegisterBroker>()?;
        if header.body_crc32 != 0 && header.body_crc32 != registration::checksum(&request.body) {
            return Err(Refusal::Damaged);
        }
        let body = match (request.body.is_empty(), header.compressed) {
            (true, _) => RegisterBrokerBody::default(),
            (false, true) => registration::decode(&request.body)?,
            (false, false) if request.version < WHOLE_BODY_SINCE => RegisterBrokerBody {
                topic_config_serialize_wrapper: lenient::read("registration", &request.body)?,
                ..RegisterBrokerBody::default()
            },
            (false, false) => lenient::read("registration", &request.body)?,
        };
        let timeout = header.heartbeat_timeout_millis.and_then(|millis| u64::try_from(millis).ok());
        let registration = Registration {
            cluster: header.cluster_name,
            broker: header.broker_name,
            id: header.broker_id,
            address: header.broker_addr,
            ha_address: header.ha_server_addr,
            timeout: timeout.map(Duration::from_millis),
            acting_master: header.enable_acting_master,
            zone: request.fields.get("zoneName").map(str::to_owned),
            topics: body.topic_config_serialize_wrapper,
            connection: connection.id(),
        };
        self.brokers.lock().insert(connection.id(), Arc::downgrade(connection));
        let registered = self.routes.lock().register(registration, self.clock.monotonic())?;
        // The connection may have ended while this was done; its end must not come before.
        if connection.is_closed() {
            self.forget(connection.id());
        }
        let reply =
            RegisterBrokerReply { ha_server_addr: registered.ha_address, master_addr: registered.master };
        let order = match self.options.read().order_topics_to_brokers {
            true => self.settings.lock().namespace(ORDER_TOPICS),
            false => None,
        };
        let order: KvTable = order.unwrap_or_default();
        Ok(Command::success(request).with_header(&reply).with_body(dialect::write(&order, Dialect::Fastjson)))
    }

    fn unregister(&self, request: &Command) -> Result<Command, Refusal> {
        let BrokerIdentity { broker_name, broker_addr, cluster_name, .. } = request.header()?;
        self.routes.lock().unregister(&cluster_name, &broker_addr, &broker_name);
        Ok(Command::success(request))
    }

    fn data_version(&self, request: &Command) -> Result<Command, Refusal> {
        let BrokerIdentity { broker_addr, cluster_name, .. } = request.header()?;
        let theirs = match request.body.is_empty() {
            true => DataVersion::default(),
            false => lenient::read("data version", &request.body)?,
        };
        let mut routes = self.routes.lock();
        let ours = routes.version(&cluster_name, &broker_addr);
        let changed = ours != Some(theirs);
        routes.beat(&cluster_name, &broker_addr, self.clock.monotonic());
        let answer = Command::success(request).with_header(&QueryDataVersionReply { changed });
        Ok(match ours {
            Some(ours) => answer.with_body(dialect::write(&ours, Dialect::Fastjson)),
            None => answer,
        })
    }

    fn heartbeat(&self, request: &Command) -> Result<Command, Refusal> {
        let BrokerIdentity { broker_addr, cluster_name, .. } = request.header()?;
        self.routes.lock().beat(&cluster_name, &broker_addr, self.clock.monotonic());
        Ok(Command::success(request))
    }

    fn write_permission(&self, request: &Command) -> Result<Command, Refusal> {
        let broker = request.header::<BrokerName>()?.broker_name;
        let give = request.request_code() == RequestCode::ADD_WRITE_PERM_OF_BROKER;
        let topics = self.routes.lock().set_writable(&broker, give);
        let topics = i32::try_from(topics).unwrap_or(i32::MAX);
        tracing::warn!(broker, topics, give, "write permission changed");
        let answer = Command::success(request);
        Ok(match give {
            true => answer.with_header(&AddWritePermReply { add_topic_count: topics }),
            false => answer.with_header(&WipeWritePermReply { wipe_topic_count: topics }),
        })
    }

    fn delete_topic(&self, request: &Command) -> Result<Command, Refusal> {
        let asked = request.header::<TopicName>()?;
        let cluster = asked.cluster_name.filter(|name| !name.is_empty());
        self.routes.lock().delete_topic(&asked.topic, cluster.as_deref());
        Ok(Command::success(request))
    }

    fn unit_topics(&self, request: &Command) -> Command {
        let wanted: fn(i32) -> bool = match request.request_code() {
            RequestCode::GET_UNIT_TOPIC_LIST => |flags| flags & UNIT != 0,
            RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST => |flags| flags & UNIT_SUB != 0,
            _ => |flags| flags & UNIT == 0 && flags & UNIT_SUB != 0,
        };
        topic_list(request, self.routes.lock().topics_with(wanted), None)
    }

    fn members(&self, request: &Command) -> Result<Command, Refusal> {
        let BrokerOfCluster { cluster_name, broker_name } = request.header()?;
        let broker_addrs = self
            .routes
            .lock()
            .members(&broker_name)
            .map(|broker| broker.broker_addrs.clone())
            .unwrap_or_default();
        let cluster = cluster_name.unwrap_or_default();
        let broker_member_group = BrokerMemberGroup { broker_addrs, broker_name, cluster };
        Ok(json(request, &BrokerMembers { broker_member_group }))
    }

    fn add_queues(&self, request: &Command) -> Result<Command, Refusal> {
        let asked = request.header::<TopicName>()?;
        let route: TopicRoute = lenient::read("topic route", &request.body)?;
        self.routes.lock().add_queues(&asked.topic, route.queue_datas);
        Ok(Command::success(request))
    }

    fn print_options(&self, request: &Command) -> Command {
        let options = self.options.read();
        let mut lines: Vec<String> =
            settings::items(&options).map(|(key, value)| format!("{key}={value}\n")).collect();
        lines.sort_unstable();
        Command::success(request).with_body(lines.concat())
    }

    /// Changes all settings of the body, or none. They last until the name server ends.
    fn change_options(&self, request: &Command) -> Result<Command, Refusal> {
        let mut options = self.options.write();
        if !options.config_update {
            return Err(Refusal::NoUpdates(request.request_code()));
        }
        let asked =
            Properties::parse(&request.body).map_err(|error| Refusal::NotChanged(error.to_string()))?;
        if asked.entries().iter().any(|entry| settings::is_black_listed(&options, &entry.key)) {
            return Err(Refusal::BlackListed);
        }
        let mut changed = options.clone();
        for entry in asked.entries() {
            settings::change(&mut changed, entry).map_err(Refusal::NotChanged)?;
            tracing::warn!(key = entry.key, value = entry.value, "a setting is changed over the wire");
        }
        self.routes.lock().delete_missing(changed.delete_missing_topics);
        *options = changed;
        Ok(Command::success(request))
    }

    /// Sets or deletes a setting. The file is written on a thread that may block.
    async fn change_setting(&self, request: &Command) -> Result<Command, Refusal> {
        let KvConfigKey { namespace, key } = request.header()?;
        let value = match request.request_code() {
            RequestCode::PUT_KV_CONFIG => Some(request.header::<PutKvConfig>()?.value),
            _ => None,
        };
        let settings = Arc::clone(&self.settings);
        let change = move || match value {
            Some(value) => settings.lock().put(&namespace, &key, &value),
            None => settings.lock().delete(&namespace, &key),
        };
        match tokio::task::spawn_blocking(change).await {
            Ok(changed) => changed?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
        Ok(Command::success(request))
    }

    fn setting(&self, request: &Command) -> Result<Command, Refusal> {
        let KvConfigKey { namespace, key } = request.header()?;
        match self.settings.lock().get(&namespace, &key) {
            None => Err(Refusal::NoSetting(namespace, key)),
            Some(value) => {
                Ok(Command::success(request).with_header(&GetKvConfigReply { value: Some(value.to_owned()) }))
            }
        }
    }

    fn settings_of(&self, request: &Command) -> Result<Command, Refusal> {
        let KvNamespace { namespace } = request.header()?;
        match self.settings.lock().namespace(&namespace) {
            None => Err(Refusal::NoNamespace(namespace)),
            Some(table) => Ok(json(request, &table)),
        }
    }

    fn forget(&self, connection: u64) {
        if self.brokers.lock().remove(&connection).is_some() {
            self.routes.lock().disconnect(connection);
        }
    }
}

#[async_trait]
impl Service for Requests {
    async fn request(&self, connection: &Arc<Connection>, request: Command) -> Option<Command> {
        Some(self.answer(connection, &request).await.unwrap_or_else(|refusal| {
            let remote = connection.remote();
            tracing::debug!(%remote, code = %request.request_code(), %refusal, "a request was refused");
            Command::failure(&request, refusal.code(), refusal.to_string())
        }))
    }

    fn closed(&self, connection: &Arc<Connection>) {
        self.forget(connection.id());
    }
}

fn json(request: &Command, body: &impl Serialize) -> Command {
    Command::success(request).with_body(dialect::write(body, Dialect::Fastjson))
}

fn topic_list(request: &Command, topics: Vec<String>, broker: Option<String>) -> Command {
    json(request, &TopicList { broker_addr: broker, topic_list: topics })
}
