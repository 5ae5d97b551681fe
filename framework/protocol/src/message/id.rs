//! The two kinds of message ids.
//!
//! ```text
//! offset-message id (made by the broker):  address 4|16 | i32 port | i64 physical offset
//! unique key (made by the client):         address 4|16 | u16 pid | i32 random | i32 ms in month | u16 counter
//! ```
//!
//! Both are upper-case hex of 32 or 56 digits, so nothing but the place where an id stands tells them apart.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::atomic::{AtomicU16, Ordering},
};

use thiserror::Error;

/// Where a message lies: the broker's address and the position in its commit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// The address that the broker advertised when it stored the message.
    pub host: SocketAddr,
    /// The position in its commit log.
    pub physical_offset: u64,
}

/// A text that is not an [`OffsetMessageId`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not an offset message id: 32 or 56 hex digits with a port inside")]
pub struct IdError {
    /// The text, cut when it is long.
    pub text: String,
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.ip() {
            IpAddr::V4(address) => write_hex(f, &address.octets())?,
            IpAddr::V6(address) => write_hex(f, &address.octets())?,
        }
        write!(f, "{:08X}{:016X}", self.host.port(), self.physical_offset)
    }
}

impl FromStr for OffsetMessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse(text).ok_or_else(|| IdError { text: text.chars().take(80).collect() })
    }
}

fn parse(text: &str) -> Option<OffsetMessageId> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let address_digits = match text.len() {
        32 => 8,
        56 => 32,
        _ => return None,
    };
    let (address, rest) = text.split_at_checked(address_digits)?;
    let (port, offset) = rest.split_at_checked(8)?;
    let address: IpAddr = if address_digits == 8 {
        u32::from_str_radix(address, 16).ok()?.to_be_bytes().into()
    } else {
        u128::from_str_radix(address, 16).ok()?.to_be_bytes().into()
    };
    let port = u16::try_from(u32::from_str_radix(port, 16).ok()?).ok()?;
    let physical_offset = u64::from_str_radix(offset, 16).ok()?;
    Some(OffsetMessageId { host: SocketAddr::new(address, port), physical_offset })
}

/// Makes the ids that a client gives its messages.
///
/// A value, not a global: each client has its own, and a random part keeps those of one process apart.
#[derive(Debug)]
pub struct UniqueKeys {
    prefix: String,
    counter: AtomicU16,
}

impl UniqueKeys {
    /// Makes a generator for the client at `ip` in process `pid`.
    pub fn new(ip: IpAddr, pid: u32) -> Self {
        let [_, _, pid_high, pid_low] = pid.to_be_bytes();
        let [_, _, _, _, random @ ..] = RandomState::new().build_hasher().finish().to_be_bytes();
        let mut bytes = match ip {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        bytes.extend_from_slice(&[pid_high, pid_low]);
        bytes.extend_from_slice(&random);
        Self { prefix: Hex(&bytes).to_string(), counter: AtomicU16::new(0) }
    }

    /// The next id, for a message made at `now_ms`.
    pub fn next(&self, now_ms: i64) -> String {
        let in_month = u32::try_from(ms_in_month(now_ms)).unwrap_or(0);
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 6];
        bytes[..4].copy_from_slice(&in_month.to_be_bytes());
        bytes[4..].copy_from_slice(&count.to_be_bytes());
        let mut id = String::with_capacity(self.prefix.len() + 12);
        id.push_str(&self.prefix);
        for byte in bytes {
            id.push(hex_digit(byte >> 4));
            id.push(hex_digit(byte & 15));
        }
        id
    }
}

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since the first of the month, 00:00 UTC: always under 2^32.
fn ms_in_month(now_ms: i64) -> i64 {
    (day_of_month(now_ms.div_euclid(DAY_MS)) - 1) * DAY_MS + now_ms.rem_euclid(DAY_MS)
}

/// Day of the month, from 1, of a day counted from 1970-01-01.
///
/// Counts in years that begin on the first of March, so that the leap day is the last day of a year.
fn day_of_month(days: i64) -> i64 {
    let day_of_era = (days.saturating_add(719_468)).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5 + 1
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(nibble & 15)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_reads_as_java_writes_it() {
        let id: OffsetMessageId = "7F00000100004BD20000000000010A02".parse().unwrap();
        assert_eq!(id.host, "127.0.0.1:19410".parse().unwrap());
        assert_eq!(id.physical_offset, 68_098);
        assert_eq!(id.to_string(), "7F00000100004BD20000000000010A02");
    }

    #[test]
    fn what_is_no_id_is_an_error() {
        let good = "7F00000100004BD20000000000010A02";
        for length in 0..good.len() {
            assert!(good[..length].parse::<OffsetMessageId>().is_err(), "cut at {length}");
        }
        for bad in
            ["7F000001FFFFFFFF0000000000010A02", "+F00000100004BD20000000000010A02", "ééééééééééééééééé"]
        {
            assert!(bad.parse::<OffsetMessageId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn unique_keys_have_the_clients_parts_and_never_repeat() {
        let keys = UniqueKeys::new("10.0.0.1".parse().unwrap(), 0x1_ABCD);
        // 2023-11-14T22:13:20Z, 13 days into the month.
        let now_ms = 1_700_000_000_000;
        let (first, second) = (keys.next(now_ms), keys.next(now_ms));
        assert_eq!((first.len(), &first[..12]), (32, "0A000001ABCD"));
        assert_eq!(&first[20..28], format!("{:08X}", 13 * 86_400_000 + 80_000_000));
        assert_ne!(first, second);
        assert_eq!(UniqueKeys::new("::1".parse().unwrap(), 1).next(now_ms).len(), 56);
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        // 1970-01-01, 1970-01-31, 1970-02-01, 2000-02-29, 2000-03-01, 2100-02-28, 2100-03-01, 1969-12-31
        let days = [0, 30, 31, 11_016, 11_017, 47_540, 47_541, -1];
        assert_eq!(days.map(day_of_month), [1, 31, 1, 29, 1, 28, 1, 31]);
    }

    proptest! {
        #[test]
        fn ids_round_trip(v6 in any::<Option<[u8; 16]>>(), v4 in any::<[u8; 4]>(), port in any::<u16>(), physical_offset in any::<u64>()) {
            let ip = v6.map_or(IpAddr::from(v4), IpAddr::from);
            let id = OffsetMessageId { host: SocketAddr::new(ip, port), physical_offset };
            prop_assert_eq!(id.to_string().parse::<OffsetMessageId>().unwrap(), id);
        }

        #[test]
        fn time_in_the_month_always_fits(now_ms in any::<i64>()) {
            prop_assert!((0..31 * DAY_MS).contains(&ms_in_month(now_ms)));
        }
    }
}
