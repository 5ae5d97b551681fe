//! Waits until name servers know what a test is about to use, by asking them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wire::{Request, Wire, code};

/// A busy machine may take this long over a registration; Apache repeats a lost one after 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the route of `topic` leads to `broker`.
///
/// # Panics
/// When it does not in a minute.
pub fn wait(name_server: &str, topic: &str, broker: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = addresses(name_server, topic);
        if seen.iter().any(|address| address == broker) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the route of {topic} on {name_server} leads to {seen:?}, not to {broker}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `topic` has no route any more.
///
/// # Panics
/// When it still has one after a minute.
pub fn wait_gone(name_server: &str, topic: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !addresses(name_server, topic).is_empty() {
        assert!(Instant::now() < deadline, "{topic} still has a route on {name_server}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The brokers that `topic`'s route names.
///
/// # Panics
/// When the name server cannot be reached or answers nonsense.
pub fn addresses(name_server: &str, topic: &str) -> Vec<String> {
    let mut wire = Wire::connect(name_server).expect("the name server listens");
    let request = Request::new(code::ROUTE).field("topic", topic).field("acceptStandardJsonOnly", true);
    let answer = wire.call(&request).expect("the name server answers");
    if answer.code != 0 {
        return Vec::new();
    }
    let route: Value = serde_json::from_slice(&answer.body).expect("the route is standard JSON");
    let brokers = route["brokerDatas"].as_array().into_iter().flatten();
    let addresses =
        brokers.filter_map(|broker| broker["brokerAddrs"].as_object()).flat_map(|each| each.values());
    addresses.filter_map(Value::as_str).map(str::to_owned).collect()
}
