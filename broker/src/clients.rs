//! Who is connected: producers and consumers by group, as their heartbeats say.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use rocketmq_boot_protocol::{
    Clock, Command, RequestCode,
    body::{
        ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel, SubscriptionData,
        connection::{self, ConsumerConnections, Producer, ProducerConnections, ProducerTable},
    },
    header::group::ConsumerGroup,
};
use rocketmq_boot_remoting::Connection;

/// Silence after which a client is forgotten.
const EXPIRY: Duration = Duration::from_secs(120);

/// A client's connection within a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) connection: Arc<Connection>,
    pub(crate) client_id: String,
    /// The name of the client's language.
    pub(crate) language: &'static str,
    /// The ordinal of the client's version.
    pub(crate) version: i32,
    /// When it last sent a heartbeat, in ms since 1970.
    pub(crate) seen_ms: i64,
    seen: Duration,
}

#[derive(Debug, Default)]
struct Consumers {
    from_where: ConsumeFromWhere,
    consume_type: ConsumeType,
    model: MessageModel,
    subscriptions: BTreeMap<String, Arc<SubscriptionData>>,
    members: HashMap<u64, Member>,
    notify: bool,
    /// Of the last heartbeat that brought subscriptions.
    fingerprint: Option<i32>,
}

#[derive(Debug, Default)]
struct Tables {
    consumers: HashMap<String, Consumers>,
    producers: HashMap<String, HashMap<u64, Member>>,
    /// Producers by client id: who waits for a reply is known by it.
    requesters: HashMap<String, Arc<Connection>>,
}

/// The registry of clients.
#[derive(Debug)]
pub(crate) struct Clients {
    clock: Clock,
    tables: RwLock<Tables>,
    /// Whose turn it is to be asked about a transaction.
    turn: AtomicUsize,
}

/// The client behind a heartbeat.
#[derive(Debug)]
pub(crate) struct Beat<'a> {
    pub(crate) connection: &'a Arc<Connection>,
    pub(crate) client_id: &'a str,
    pub(crate) language: &'static str,
    pub(crate) version: i32,
    /// The hash of its subscriptions; 0 when it does not know heartbeats without them.
    pub(crate) fingerprint: i32,
    pub(crate) without_subscriptions: bool,
}

impl Clients {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, tables: RwLock::default(), turn: AtomicUsize::new(0) }
    }

    fn member(&self, beat: &Beat<'_>) -> Member {
        Member {
            connection: Arc::clone(beat.connection),
            client_id: beat.client_id.to_owned(),
            language: beat.language,
            version: beat.version,
            seen_ms: self.clock.now_ms(),
            seen: self.clock.monotonic(),
        }
    }

    /// Takes in a consumer's heartbeat. The other members are told when membership or subscriptions changed.
    ///
    /// Answers whether its subscriptions are not those that the group is known by: then a client that left them out
    /// has to send them.
    pub(crate) fn consumer_beat(&self, beat: &Beat<'_>, data: &ConsumerData, notify: bool) -> bool {
        let (told, differs) = {
            let mut tables = self.tables.write();
            let group = tables.consumers.entry(data.group_name.clone()).or_default();
            group.from_where = data.consume_from_where;
            group.consume_type = data.consume_type;
            group.model = data.message_model;
            group.notify = notify;
            let joined = group.members.insert(beat.connection.id(), self.member(beat)).is_none();
            // A group that is new here, or was made by heartbeats without subscriptions, is known by none.
            let differs =
                group.fingerprint.map_or(beat.without_subscriptions, |known| known != beat.fingerprint);
            let changed = !beat.without_subscriptions && group.subscribe(&data.subscription_data_set);
            if !beat.without_subscriptions {
                group.fingerprint = Some(beat.fingerprint);
            }
            (if joined || changed { group.to_notify() } else { Vec::new() }, differs)
        };
        tell(&data.group_name, &told);
        differs
    }

    /// Takes in a producer's heartbeat.
    pub(crate) fn producer_beat(&self, beat: &Beat<'_>, group: &str) {
        let member = self.member(beat);
        let mut tables = self.tables.write();
        if tables.requesters.get(beat.client_id).is_none_or(|known| known.id() != beat.connection.id()) {
            tables.requesters.insert(beat.client_id.to_owned(), Arc::clone(beat.connection));
        }
        tables.producers.entry(group.to_owned()).or_default().insert(beat.connection.id(), member);
    }

    /// A client leaves a consumer group.
    pub(crate) fn consumer_leaves(&self, connection: u64, group: &str) {
        let told = self.tables.write().leave(group, |id, _| id == connection);
        tell(group, &told);
    }

    /// A client leaves a producer group.
    pub(crate) fn producer_leaves(&self, connection: u64, group: &str) {
        let mut tables = self.tables.write();
        let Some(members) = tables.producers.get_mut(group) else { return };
        members.remove(&connection);
        if members.is_empty() {
            tables.producers.remove(group);
        }
        tables.forget_requesters();
    }

    /// A connection closed: its client leaves all groups at once.
    pub(crate) fn connection_closed(&self, connection: u64) {
        self.remove(|id, _| id == connection);
    }

    /// Forgets clients that have been silent for two minutes.
    pub(crate) fn expire(&self) {
        let now = self.clock.monotonic();
        self.remove(|_, member| now.saturating_sub(member.seen) > EXPIRY);
    }

    fn remove(&self, gone: impl Fn(u64, &Member) -> bool) {
        let told: Vec<_> = {
            let mut tables = self.tables.write();
            tables.producers.retain(|_, members| {
                members.retain(|id, member| !gone(*id, member));
                !members.is_empty()
            });
            tables.forget_requesters();
            let concerned = |group: &Consumers| group.members.iter().any(|(id, member)| gone(*id, member));
            let groups: Vec<String> = tables
                .consumers
                .iter()
                .filter(|(_, group)| concerned(group))
                .map(|(name, _)| name.clone())
                .collect();
            groups.into_iter().map(|name| (tables.leave(&name, &gone), name)).collect()
        };
        for (members, group) in told {
            tell(&group, &members);
        }
    }

    /// The connection of a producer.
    pub(crate) fn producer(&self, client_id: &str) -> Option<Arc<Connection>> {
        self.tables.read().requesters.get(client_id).cloned()
    }

    /// A member of a consumer group.
    pub(crate) fn consumer(&self, group: &str, client_id: &str) -> Option<Member> {
        let tables = self.tables.read();
        tables.consumers.get(group)?.members.values().find(|member| member.client_id == client_id).cloned()
    }

    /// The members of a consumer group.
    pub(crate) fn consumers_of(&self, group: &str) -> Vec<Member> {
        let tables = self.tables.read();
        tables.consumers.get(group).map_or_else(Vec::new, |group| group.members.values().cloned().collect())
    }

    /// Who can be asked about a producer group's transactions, each time beginning with the next.
    pub(crate) fn members_to_ask(&self, group: &str) -> Vec<Arc<Connection>> {
        let tables = self.tables.read();
        let Some(members) = tables.producers.get(group) else { return Vec::new() };
        let mut connections: Vec<_> = members.values().map(|member| &member.connection).collect();
        connections.sort_unstable_by_key(|connection| connection.id());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % connections.len().max(1);
        connections.rotate_left(turn);
        connections.into_iter().cloned().collect()
    }

    /// The ids of a group's members; `None` for a group that nobody is in.
    pub(crate) fn consumer_ids(&self, group: &str) -> Option<Vec<String>> {
        let tables = self.tables.read();
        let members = &tables.consumers.get(group)?.members;
        let mut ids: Vec<String> = members.values().map(|member| member.client_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        Some(ids)
    }

    /// The members of a consumer group with what they subscribe to; `None` for a group that nobody is in.
    pub(crate) fn consumers(&self, group: &str) -> Option<ConsumerConnections> {
        let tables = self.tables.read();
        let group = tables.consumers.get(group)?;
        Some(ConsumerConnections {
            connection_set: connections(&group.members),
            consume_from_where: group.from_where,
            consume_type: group.consume_type,
            message_model: group.model,
            subscription_table: group
                .subscriptions
                .iter()
                .map(|(topic, subscription)| (topic.clone(), (**subscription).clone()))
                .collect(),
        })
    }

    /// The members of a producer group; `None` for a group that nobody is in.
    pub(crate) fn producers(&self, group: &str) -> Option<ProducerConnections> {
        let tables = self.tables.read();
        Some(ProducerConnections { connection_set: connections(tables.producers.get(group)?) })
    }

    /// All producer groups.
    pub(crate) fn all_producers(&self) -> ProducerTable {
        let producer = |member: &Member| Producer {
            client_id: member.client_id.clone(),
            language: member.language.to_owned(),
            last_update_timestamp: member.seen_ms,
            remote_ip: format!("/{}", member.connection.remote()),
            version: member.version,
        };
        let sorted = |members: &HashMap<u64, Member>| {
            let mut producers: Vec<_> = members.values().map(producer).collect();
            producers.sort_unstable();
            producers
        };
        let tables = self.tables.read();
        ProducerTable {
            data: tables.producers.iter().map(|(group, members)| (group.clone(), sorted(members))).collect(),
        }
    }

    /// The groups of which somebody subscribes to a topic, in order.
    pub(crate) fn subscribers(&self, topic: &str) -> Vec<String> {
        let tables = self.tables.read();
        let subscribed = tables.consumers.iter().filter(|(_, group)| group.subscriptions.contains_key(topic));
        let mut groups: Vec<_> = subscribed.map(|(group, _)| group.clone()).collect();
        groups.sort_unstable();
        groups
    }

    /// Whether a group has subscriptions, of which none is to this topic.
    pub(crate) fn has_unsubscribed(&self, group: &str, topic: &str) -> bool {
        self.tables
            .read()
            .consumers
            .get(group)
            .is_some_and(|group| !group.subscriptions.is_empty() && !group.subscriptions.contains_key(topic))
    }

    /// Whether anybody consumes for the group.
    pub(crate) fn is_online(&self, group: &str) -> bool {
        self.tables.read().consumers.contains_key(group)
    }

    /// How a group consumes; `None` for a group that nobody is in.
    pub(crate) fn model(&self, group: &str) -> Option<MessageModel> {
        self.tables.read().consumers.get(group).map(|group| group.model)
    }

    /// What a group's heartbeats say of a topic.
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.tables.read().consumers.get(group)?.subscriptions.get(topic).cloned()
    }
}

impl Tables {
    /// Drops clients that are in no producer group any more.
    fn forget_requesters(&mut self) {
        let producers = &self.producers;
        self.requesters
            .retain(|_, connection| producers.values().any(|members| members.contains_key(&connection.id())));
    }

    /// Drops members of a consumer group; answers those who have to be told.
    fn leave(&mut self, group: &str, gone: impl Fn(u64, &Member) -> bool) -> Vec<Arc<Connection>> {
        let Some(consumers) = self.consumers.get_mut(group) else { return Vec::new() };
        let before = consumers.members.len();
        consumers.members.retain(|id, member| !gone(*id, member));
        if consumers.members.is_empty() {
            self.consumers.remove(group);
            return Vec::new();
        }
        if consumers.members.len() == before { Vec::new() } else { consumers.to_notify() }
    }
}

impl Consumers {
    /// Takes over a heartbeat's subscriptions: newer versions win, topics that it does not name any more go
    /// (the last heartbeat speaks for the group).
    fn subscribe(&mut self, subscriptions: &[SubscriptionData]) -> bool {
        let mut changed = false;
        for new in subscriptions {
            match self.subscriptions.get(&new.topic) {
                Some(old) if old.sub_version >= new.sub_version => {}
                old => {
                    changed |= old.is_none();
                    self.subscriptions.insert(new.topic.clone(), Arc::new(new.clone()));
                }
            }
        }
        let before = self.subscriptions.len();
        self.subscriptions.retain(|topic, _| subscriptions.iter().any(|new| new.topic == *topic));
        changed || self.subscriptions.len() != before
    }

    /// Broadcasting members divide nothing, so they are not told.
    fn to_notify(&self) -> Vec<Arc<Connection>> {
        if !self.notify || self.model == MessageModel::Broadcasting {
            return Vec::new();
        }
        self.members.values().map(|member| Arc::clone(&member.connection)).collect()
    }
}

fn connections(members: &HashMap<u64, Member>) -> Vec<connection::Connection> {
    let told = |member: &Member| connection::Connection {
        client_addr: member.connection.remote().to_string(),
        client_id: member.client_id.clone(),
        language: member.language.to_owned(),
        version: member.version,
    };
    let mut connections: Vec<_> = members.values().map(told).collect();
    connections.sort_unstable();
    connections
}

/// Tells members that the group changed (40); they rebalance at once.
fn tell(group: &str, members: &[Arc<Connection>]) {
    if members.is_empty() {
        return;
    }
    let header = ConsumerGroup { consumer_group: group.to_owned() };
    let notice = Command::request(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED, &header).one_way();
    for connection in members {
        // One that is closed leaves the group anyway.
        if let Err(error) = connection.one_way(notice.clone()) {
            tracing::debug!(group, %error, "a member could not be told");
        }
    }
}
