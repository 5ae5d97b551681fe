//! Who is connected: how many at a time, in all and from one address.
//!
//! A seat is taken when a connection is accepted and given up when the last trace of it goes. What comes from the
//! machine itself is counted, but not against the limit of an address: there the address says nothing about who it is.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

/// The seats of a server.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    limit_of_address: usize,
    taken: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place among them.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    address: Option<IpAddr>,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSeat {
    #[error("there are {0} connections already")]
    Full(usize),
    #[error("there are {0} connections from its address already")]
    FullAddress(usize),
}

impl Seats {
    pub(super) fn new(limit: usize, limit_of_address: usize) -> Arc<Self> {
        let (taken, by_address) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { limit, limit_of_address, taken, by_address })
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a seat for a connection from `remote`.
    pub(super) fn take(self: &Arc<Self>, remote: IpAddr) -> Result<Seat, NoSeat> {
        let address = origin(remote);
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(NoSeat::Full(self.limit));
        }
        // From here on the seat gives back what was taken.
        let mut seat = Seat { seats: Arc::clone(self), address: None };
        if let Some(address) = address {
            let mut by_address = self.by_address.lock();
            let count = by_address.entry(address).or_default();
            if *count >= self.limit_of_address {
                return Err(NoSeat::FullAddress(self.limit_of_address));
            }
            *count += 1;
            seat.address = Some(address);
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.seats.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or the IPv6 network that one customer gets; none on the loopback.
fn origin(remote: IpAddr) -> Option<IpAddr> {
    match remote.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            Some(IpAddr::V6(Ipv6Addr::from(network)))
        }
        address => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn seats_are_limited_by_address_and_in_all() {
        let seats = Seats::new(5, 2);
        let first = seats.take(address("10.0.0.1")).unwrap();
        let _second = seats.take(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(seats.take(address("10.0.0.1")).unwrap_err(), NoSeat::FullAddress(2));
        assert_eq!(seats.taken(), 2, "a refused one leaves no trace");
        drop(first);
        let _third = seats.take(address("10.0.0.1")).unwrap();
        let _others = [address("2001:db8::1"), address("2001:db8::2")].map(|a| seats.take(a).unwrap());
        assert_eq!(seats.take(address("2001:db8::3")).unwrap_err(), NoSeat::FullAddress(2));
        let _more = seats.take(address("2001:db8:0:1::1")).unwrap();
        assert_eq!(seats.take(address("10.0.0.2")).unwrap_err(), NoSeat::Full(5));
    }

    #[test]
    fn the_loopback_is_one_host_with_many_clients() {
        let seats = Seats::new(1_000, 1);
        let taken: Vec<_> = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"]
            .repeat(50)
            .into_iter()
            .map(|a| seats.take(address(a)).unwrap())
            .collect();
        assert_eq!((taken.len(), seats.taken()), (200, 200));
        drop(taken);
        assert_eq!((seats.taken(), seats.by_address.lock().len()), (0, 0));
    }
}
