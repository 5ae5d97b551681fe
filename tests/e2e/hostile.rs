//! Bytes and values that no honest client sends, against both servers: each costs its sender something and nobody else
//! anything.

mod frames;
mod names;
mod together;
mod values;

use std::io;

use rocketmq_boot_tests::cluster::Cluster;
use rocketmq_boot_tests::wire::{self, Request, Wire, code};

use crate::servers::ours;

/// Both servers, and a client of each that was there before the attack and must not notice it.
struct Target {
    cluster: Cluster,
    to_name_server: Wire,
    to_broker: Wire,
}

const TOPIC: &str = "bystander";

impl Target {
    fn start() -> Self {
        let cluster = Cluster::start(ours(), "");
        cluster.create_topic(TOPIC, 1);
        let to_name_server = Wire::connect(cluster.name_server()).expect("the name server listens");
        let to_broker = Wire::connect(cluster.broker()).expect("the broker listens");
        Self { cluster, to_name_server, to_broker }
    }

    fn addresses(&self) -> [String; 2] {
        [self.cluster.name_server().to_owned(), self.cluster.broker().to_owned()]
    }

    /// Both servers still run and serve those who were there before.
    fn is_unharmed(&mut self, by: &str) {
        let served = |answer: io::Result<_>| match answer {
            Ok(answer) => answer,
            Err(error) => panic!("after {by} a bystander is not served: {error}"),
        };
        let route = Request::new(code::ROUTE).field("topic", TOPIC);
        served(self.to_name_server.call(&route)).success();
        let sent = served(self.to_broker.call(&wire::send(TOPIC, 0, by.as_bytes()))).success();
        let pull = wire::pull("bystanders", TOPIC, 0, sent.number("queueOffset"));
        let pulled = served(self.to_broker.call(&pull)).success();
        let records = rocketmq_boot_tests::record::records(&pulled.body);
        assert_eq!(
            records[0].body,
            by.as_bytes(),
            "after {by} a bystander reads something else than it wrote"
        );
        assert!(self.cluster.name_server_process().is_running(), "{by} has ended the name server");
        assert!(self.cluster.broker_process().is_running(), "{by} has ended the broker");
    }

    fn resident_bytes(&mut self) -> u64 {
        self.cluster.name_server_process().resident_bytes() + self.cluster.broker_process().resident_bytes()
    }
}
