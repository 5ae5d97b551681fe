//! Who a client is: its address and its id.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
};

/// Tells clients of one process apart that were made within one tick of the clock.
const RANDOM_BITS: u32 = 20;

/// The address that other hosts see this one by: the source that the system would use towards `server`.
///
/// Connecting a datagram socket sends nothing; it only asks the routing table.
pub(crate) fn local_address(server: Option<SocketAddr>) -> IpAddr {
    let documentation = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    [server, Some(documentation)]
        .into_iter()
        .flatten()
        .find_map(source_towards)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn source_towards(server: SocketAddr) -> Option<IpAddr> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// The id of a client: `ip@instance`, where an instance without a name is `pid#nanoseconds`.
///
/// Two members of a group with one id would be given the same queues.
pub(crate) fn client_id(ip: IpAddr, instance: Option<&str>, now_nanos: u128) -> String {
    match instance {
        Some(name) => format!("{ip}@{name}"),
        None => {
            let random = RandomState::new().build_hasher().finish() >> (u64::BITS - RANDOM_BITS);
            let nanos = (now_nanos >> RANDOM_BITS << RANDOM_BITS) | u128::from(random);
            format!("{ip}@{}#{nanos}", std::process::id())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_loopback_the_address_is_loopback() {
        let server = "127.0.0.1:9876".parse().ok();
        assert_eq!(local_address(server), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn ids_have_javas_form_and_differ_within_one_tick() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(client_id(ip, Some("shop"), 1), "127.0.0.1@shop");
        let ids: std::collections::HashSet<String> = (0..20).map(|_| client_id(ip, None, 1 << 60)).collect();
        assert!(ids.len() > 15, "{ids:?}");
        let pid = std::process::id();
        assert!(ids.iter().all(|id| id.starts_with(&format!("127.0.0.1@{pid}#1152921504"))), "{ids:?}");
    }
}
