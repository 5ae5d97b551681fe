//! The brokers that routes name: their addresses by name and id, and one connection an address.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;
use rocketmq_boot_protocol::body::TopicRoute;
use rocketmq_boot_remoting::{Inbound, Peer, PeerOptions};

/// The id of a master.
pub(crate) const MASTER: i64 = 0;

/// Every broker that some route names.
pub(crate) struct Brokers {
    options: PeerOptions,
    /// Answers what brokers ask.
    inbound: Option<Arc<dyn Inbound>>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// Addresses by id, by name.
    names: HashMap<String, BTreeMap<i64, String>>,
    /// Connections by address.
    peers: HashMap<String, Peer>,
}

impl Brokers {
    pub(crate) fn new(options: PeerOptions, inbound: Option<Arc<dyn Inbound>>) -> Self {
        Self { options, inbound, state: RwLock::default() }
    }

    /// The connection to `address`, made when it is first asked for.
    pub(crate) fn peer(&self, address: &str) -> Peer {
        if let Some(peer) = self.state.read().peers.get(address) {
            return peer.clone();
        }
        let mut state = self.state.write();
        let make = || Peer::new(address, self.options.clone(), self.inbound.clone());
        state.peers.entry(address.to_owned()).or_insert_with(make).clone()
    }

    /// Takes in the addresses of a route; tells whether one of them is new.
    pub(crate) fn learn(&self, route: &TopicRoute) -> bool {
        let mut state = self.state.write();
        let mut new = false;
        for broker in &route.broker_datas {
            let addresses: BTreeMap<i64, String> = broker.broker_addrs.0.clone().into_iter().collect();
            let known = state.names.entry(broker.broker_name.clone()).or_default();
            if *known != addresses {
                new = true;
                *known = addresses;
            }
        }
        new
    }

    /// Forgets the brokers that none of `routes` names any more, and closes the connections to them.
    pub(crate) fn forget_all_but<'a>(&self, routes: impl Iterator<Item = &'a TopicRoute>) {
        let named: HashSet<&str> =
            routes.flat_map(|route| &route.broker_datas).map(|broker| broker.broker_name.as_str()).collect();
        let mut state = self.state.write();
        state.names.retain(|name, _| named.contains(name.as_str()));
        let State { names, peers } = &mut *state;
        let addresses: HashSet<&String> = names.values().flat_map(BTreeMap::values).collect();
        let fast: HashSet<String> = addresses.iter().filter_map(|address| vip_address(address)).collect();
        peers.retain(|address, peer| {
            let keep = addresses.contains(address) || fast.contains(address);
            if !keep {
                tracing::info!(broker = %address, "broker left the cluster");
                peer.close();
            }
            keep
        });
    }

    /// The connection to the master called `name`.
    pub(crate) fn master(&self, name: &str) -> Option<Peer> {
        let address = self.state.read().names.get(name)?.get(&MASTER)?.clone();
        Some(self.peer(&address))
    }

    /// The connection to the broker called `name` with this id, else to its master, else to any of its slaves; and
    /// the id of the one that it is.
    pub(crate) fn member(&self, name: &str, id: i64) -> Option<(Peer, i64)> {
        let (id, address) = {
            let state = self.state.read();
            let addresses = state.names.get(name)?;
            let known = addresses.get_key_value(&id).or_else(|| addresses.get_key_value(&MASTER));
            let (id, address) = known.or_else(|| addresses.first_key_value())?;
            (*id, address.clone())
        };
        Some((self.peer(&address), id))
    }

    /// Those that are connected to at present.
    pub(crate) fn connected(&self) -> Vec<Peer> {
        self.state.read().peers.values().filter(|peer| peer.is_connected()).cloned().collect()
    }

    /// Connections to all of them, or to the masters alone.
    pub(crate) fn all(&self, masters_only: bool) -> Vec<Peer> {
        let addresses: Vec<String> = {
            let state = self.state.read();
            let wanted = |id: i64| !masters_only || id == MASTER;
            state
                .names
                .values()
                .flatten()
                .filter(|(id, _)| wanted(**id))
                .map(|(_, address)| address.clone())
                .collect()
        };
        addresses.iter().map(|address| self.peer(address)).collect()
    }

    pub(crate) fn close(&self) {
        self.state.read().peers.values().for_each(Peer::close);
    }
}

/// The address of a broker's second port, which takes nothing but sends.
pub(crate) fn vip_address(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?.checked_sub(2)?;
    Some(format!("{host}:{port}"))
}

impl std::fmt::Debug for Brokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brokers").field("names", &self.state.read().names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::body::BrokerData;

    use super::*;

    fn route(brokers: &[(&str, &[(i64, &str)])]) -> TopicRoute {
        let data = |(name, addresses): &(&str, &[(i64, &str)])| BrokerData {
            broker_name: (*name).to_owned(),
            broker_addrs: addresses.iter().map(|(id, address)| (*id, (*address).to_owned())).collect(),
            ..BrokerData::default()
        };
        TopicRoute { broker_datas: brokers.iter().map(data).collect(), ..TopicRoute::default() }
    }

    fn addresses(peers: &[Peer]) -> Vec<&str> {
        let mut addresses: Vec<&str> = peers.iter().map(Peer::address).collect();
        addresses.sort_unstable();
        addresses
    }

    #[test]
    fn learning_tells_what_is_new() {
        let brokers = Brokers::new(PeerOptions::default(), None);
        assert!(brokers.learn(&route(&[("a", &[(0, "a:1")])])));
        assert!(!brokers.learn(&route(&[("a", &[(0, "a:1")])])));
        assert!(brokers.learn(&route(&[("a", &[(0, "a:2"), (1, "s:1")])])));
        assert_eq!(brokers.master("a").unwrap().address(), "a:2");
        assert_eq!(addresses(&brokers.all(false)), ["a:2", "s:1"]);
        assert_eq!(addresses(&brokers.all(true)), ["a:2"]);
    }

    #[test]
    fn a_missing_member_is_stood_in_for() {
        let brokers = Brokers::new(PeerOptions::default(), None);
        brokers.learn(&route(&[("a", &[(0, "m"), (1, "s")]), ("b", &[(2, "only")])]));
        let member = |name, id| brokers.member(name, id).map(|(peer, id)| (peer.address().to_owned(), id));
        assert_eq!(member("a", 1), Some(("s".to_owned(), 1)));
        assert_eq!(member("a", 9), Some(("m".to_owned(), 0)));
        assert_eq!(member("b", 0), Some(("only".to_owned(), 2)));
        assert_eq!(member("c", 0), None);
        assert!(brokers.master("b").is_none());
    }

    #[test]
    fn the_second_port_is_two_below_and_goes_with_its_broker() {
        assert_eq!(vip_address("10.0.0.1:10911").as_deref(), Some("10.0.0.1:10909"));
        assert_eq!(vip_address("[::1]:10911").as_deref(), Some("[::1]:10909"));
        assert_eq!([vip_address("a:1"), vip_address("a")], [None, None]);
        let brokers = Brokers::new(PeerOptions::default(), None);
        let one = route(&[("a", &[(0, "a:10911")])]);
        brokers.learn(&one);
        brokers.peer("a:10909");
        brokers.peer("b:10909");
        brokers.forget_all_but([&one].into_iter());
        let state = brokers.state.read();
        assert_eq!(state.peers.keys().collect::<Vec<_>>(), ["a:10909"]);
    }

    #[test]
    fn brokers_that_no_route_names_are_forgotten() {
        let brokers = Brokers::new(PeerOptions::default(), None);
        let both = route(&[("a", &[(0, "a:1")]), ("b", &[(0, "b:1")])]);
        brokers.learn(&both);
        assert_eq!(brokers.all(false).len(), 2);
        let left = route(&[("b", &[(0, "b:1")])]);
        brokers.forget_all_but([&left].into_iter());
        assert_eq!(addresses(&brokers.all(false)), ["b:1"]);
        assert!(brokers.master("a").is_none());
    }
}
