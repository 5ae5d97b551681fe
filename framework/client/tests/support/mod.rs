//! A small cluster in this process: brokers that keep messages in memory and misbehave on demand.
//!
//! Every broker is a name server too. It is no reference for what a broker does; it answers what the client asks for
//! in these tests, and remembers what it was asked.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part of it")]

mod broker;
mod connection;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rocketmq_boot_client::{Client, MessageView};
use rocketmq_boot_protocol::{Command, RequestCode, ResponseCode, body::SubscriptionData};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time::timeout,
};

pub(crate) use self::{broker::draft, connection::Answers};

/// Longer than anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// An interval that no test lives to see.
pub(crate) const NEVER: Duration = Duration::from_secs(3_600);

/// What a broker does with a request instead of serving it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instead {
    /// Answers this code.
    Refuse(ResponseCode),
    /// Serves it, and answers this code with the reply all the same.
    ServeAs(ResponseCode),
    /// Never answers.
    StaySilent,
    /// Closes the connection.
    HangUp,
}

/// Brokers that know of each other.
pub(crate) struct Cluster {
    pub(crate) brokers: Vec<Arc<Broker>>,
}

/// One of them.
pub(crate) struct Broker {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) state: Mutex<State>,
    /// Rung at every request and every append.
    pub(crate) news: Notify,
    pub(crate) cluster: Mutex<Vec<(String, String)>>,
    /// Slaves: the master's name, the slave's id and its address.
    pub(crate) slaves: Mutex<Vec<(String, i64, String)>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Stored records by queue, by topic.
    pub(crate) topics: HashMap<String, Vec<Vec<Vec<u8>>>>,
    /// Whether topics are made by sends.
    pub(crate) template: bool,
    pub(crate) offsets: HashMap<(String, String, i32), i64>,
    pub(crate) members: HashMap<String, HashMap<String, Member>>,
    /// Who holds a queue's lock, by group, topic and queue.
    pub(crate) locks: HashMap<(String, String, i32), String>,
    pub(crate) connections: HashMap<u64, mpsc::UnboundedSender<Option<Vec<u8>>>>,
    pub(crate) requests: Vec<Command>,
    pub(crate) instead: HashMap<i32, Vec<Instead>>,
    pub(crate) always: HashMap<i32, Instead>,
    /// The broker id that pulls are told to go to.
    pub(crate) suggest: i64,
    /// The lowest offset of every queue.
    pub(crate) min_offset: i64,
    /// Connections of producers, by group and by client.
    pub(crate) producers: HashMap<String, u64>,
    pub(crate) clients: HashMap<String, u64>,
    /// What answers say of the broker's age, when it is not of today.
    pub(crate) version: Option<i32>,
}

#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) connection: u64,
    pub(crate) subscriptions: Vec<SubscriptionData>,
}

impl Cluster {
    /// Starts brokers called `a`, `b`, ..
    pub(crate) async fn start(brokers: usize) -> Self {
        let mut listeners = Vec::new();
        for name in ('a'..).take(brokers) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listeners.push((name.to_string(), listener.local_addr().unwrap().to_string(), listener));
        }
        let all: Vec<_> =
            listeners.iter().map(|(name, address, _)| (name.clone(), address.clone())).collect();
        let start = |(name, address, listener)| {
            let broker = Arc::new(Broker {
                name,
                address,
                state: Mutex::default(),
                news: Notify::new(),
                cluster: Mutex::new(all.clone()),
                slaves: Mutex::default(),
            });
            tokio::spawn(Arc::clone(&broker).listen(listener));
            broker
        };
        Self { brokers: listeners.into_iter().map(start).collect() }
    }

    /// Makes a topic with this many queues on every broker.
    pub(crate) fn topic(&self, name: &str, queues: usize) {
        for broker in &self.brokers {
            broker.state.lock().topics.insert(name.to_owned(), vec![Vec::new(); queues]);
        }
    }

    pub(crate) fn name_servers(&self) -> String {
        self.brokers.iter().map(|broker| broker.address.clone()).collect::<Vec<_>>().join(";")
    }

    /// A client whose intervals do not run out during a test.
    pub(crate) fn client(&self) -> Client {
        Client::builder(self.name_servers()).route_refresh(NEVER).heartbeat(NEVER).build()
    }

    /// The only broker.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.brokers[0]
    }
}

impl Broker {
    /// Has the next request of this code treated otherwise.
    pub(crate) fn once(&self, code: RequestCode, instead: Instead) {
        self.state.lock().instead.entry(code.0).or_default().push(instead);
    }

    /// Has all requests of this code treated otherwise.
    pub(crate) fn always(&self, code: RequestCode, instead: Instead) {
        self.state.lock().always.insert(code.0, instead);
    }

    /// The requests of this code so far.
    pub(crate) fn requests(&self, code: RequestCode) -> Vec<Command> {
        self.state.lock().requests.iter().filter(|request| request.code == code.0).cloned().collect()
    }

    pub(crate) fn count(&self, code: RequestCode) -> usize {
        self.requests(code).len()
    }

    /// How many messages lie in a topic.
    pub(crate) fn stored(&self, topic: &str) -> usize {
        self.state.lock().topics.get(topic).map_or(0, |queues| queues.iter().map(Vec::len).sum())
    }

    /// The records of a topic, queue after queue.
    pub(crate) fn records(&self, topic: &str) -> Vec<Vec<u8>> {
        self.state.lock().topics.get(topic).map_or_else(Vec::new, |queues| queues.concat())
    }

    pub(crate) fn committed(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        self.state.lock().offsets.get(&(group.to_owned(), topic.to_owned(), queue)).copied()
    }

    /// Waits until the broker's state is as wanted.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if done(self) {
                    return;
                }
                news.await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}: did not come to pass");
    }

    /// Asks the producers of a group something.
    pub(crate) fn ask_producer(&self, group: &str, request: &Command) {
        let state = self.state.lock();
        let connection = &state.connections[&state.producers[group]];
        let _ = connection.send(Some(request.to_bytes().to_vec()));
    }

    /// Closes all connections.
    pub(crate) fn hang_up(&self) {
        for connection in self.state.lock().connections.values() {
            let _ = connection.send(None);
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().connections.len()
    }
}

/// What a handler was given.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    messages: Arc<Mutex<Vec<MessageView>>>,
    more: Arc<Notify>,
}

impl Seen {
    pub(crate) fn add(&self, message: MessageView) {
        self.messages.lock().push(message);
        self.more.notify_one();
    }

    pub(crate) fn all(&self) -> Vec<MessageView> {
        self.messages.lock().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.messages
            .lock()
            .iter()
            .map(|message| String::from_utf8_lossy(&message.body).into_owned())
            .collect()
    }

    pub(crate) fn set(&self) -> BTreeSet<String> {
        self.bodies().into_iter().collect()
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                self.more.notified().await;
            }
        };
        let done = timeout(PATIENCE, wait).await.is_ok();
        assert!(done, "{what}: only {:?}", self.bodies());
    }

    pub(crate) async fn until_count(&self, count: usize) {
        self.until("messages", |seen| seen.messages.lock().len() >= count).await;
    }
}

/// `0`, `1`, .. as bodies.
pub(crate) fn numbers(count: usize) -> BTreeSet<String> {
    (0..count).map(|n| n.to_string()).collect()
}
