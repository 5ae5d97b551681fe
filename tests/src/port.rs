//! Ports for servers that cannot choose one themselves: Apache's do not take port 0.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::ops::RangeInclusive;

/// Below the range from which the kernel takes the local ports of outgoing connections.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Finds a port P with P-2 (fast port) and P+1 (replication) free as well.
///
/// # Panics
/// When a thousand attempts find none.
pub fn free() -> u16 {
    let random = RandomState::new();
    for attempt in 0_u32..1_000 {
        let choice = random.hash_one((std::process::id(), attempt)) % u64::from((LAST - FIRST) / 4);
        let port = FIRST + 4 * u16::try_from(choice).expect("the choice is within the range");
        if all_free(port - 2..=port + 1) {
            return port;
        }
    }
    panic!("no free ports between {FIRST} and {LAST}")
}

fn all_free(mut ports: RangeInclusive<u16>) -> bool {
    ports.all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok())
}
