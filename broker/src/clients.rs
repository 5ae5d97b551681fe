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
    body::{ConsumeType, ConsumerData, MessageModel, SubscriptionData},
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
    seen: Duration,
}

#[derive(Debug, Default)]
struct Consumers {
    consume_type: ConsumeType,
    model: MessageModel,
    subscriptions: BTreeMap<String, Arc<SubscriptionData>>,
    members: HashMap<u64, Member>,
    notify: bool,
}

#[derive(Debug, Default)]
struct Tables {
    consumers: HashMap<String, Consumers>,
    producers: HashMap<String, HashMap<u64, Member>>,
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
}

impl Clients {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, tables: RwLock::default(), turn: AtomicUsize::new(0) }
    }

    fn member(&self, beat: &Beat<'_>) -> Member {
        Member {
            connection: Arc::clone(beat.connection),
            client_id: beat.client_id.to_owned(),
            seen: self.clock.monotonic(),
        }
    }

    /// Takes in a consumer's heartbeat. The other members are told when membership or subscriptions changed.
    pub(crate) fn consumer_beat(&self, beat: &Beat<'_>, data: &ConsumerData, notify: bool) {
        let told = {
            let mut tables = self.tables.write();
            let group = tables.consumers.entry(data.group_name.clone()).or_default();
            group.consume_type = data.consume_type;
            group.model = data.message_model;
            group.notify = notify;
            let joined = group.members.insert(beat.connection.id(), self.member(beat)).is_none();
            let changed = group.subscribe(&data.subscription_data_set);
            if joined || changed { group.to_notify() } else { Vec::new() }
        };
        tell(&data.group_name, &told);
    }

    /// Takes in a producer's heartbeat.
    pub(crate) fn producer_beat(&self, beat: &Beat<'_>, group: &str) {
        let member = self.member(beat);
        self.tables
            .write()
            .producers
            .entry(group.to_owned())
            .or_default()
            .insert(beat.connection.id(), member);
    }

    /// A client leaves a consumer group.
    pub(crate) fn consumer_leaves(&self, connection: u64, group: &str) {
        let told = self.tables.write().leave(group, |id, _| id == connection);
        tell(group, &told);
    }

    /// A client leaves a producer group.
    pub(crate) fn producer_leaves(&self, connection: u64, group: &str) {
        let mut tables = self.tables.write();
        if let Some(members) = tables.producers.get_mut(group) {
            members.remove(&connection);
            if members.is_empty() {
                tables.producers.remove(group);
            }
        }
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

    /// Who can be asked about a producer group's transactions, each time beginning with the next.
    pub(crate) fn producers(&self, group: &str) -> Vec<Arc<Connection>> {
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
