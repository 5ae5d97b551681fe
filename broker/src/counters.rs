//! What the broker has done since it started. Counted where it happens, read by tests and the log.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use crate::statistics::Work;

/// Running totals.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    put: AtomicU64,
    put_bytes: AtomicU64,
    put_failed: AtomicU64,
    put_by_users: AtomicU64,
    pulled_by_users: AtomicU64,
    pulled: AtomicU64,
    found: AtomicU64,
    missed: AtomicU64,
    longest_get_ms: AtomicU64,
    random: AtomicU32,
}

/// The totals at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Messages stored for producers.
    pub sent: u64,
    /// Bytes of their bodies.
    pub sent_bytes: u64,
    /// Messages handed to consumers.
    pub pulled: u64,
}

impl Counters {
    /// Messages were stored for producers.
    pub(crate) fn sent(&self, messages: u64, body_bytes: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
        self.sent_bytes.fetch_add(body_bytes, Ordering::Relaxed);
    }

    /// Messages were stored, for producers or of the broker's own making, in a topic that is the system's or not.
    pub(crate) fn put(&self, messages: u64, record_bytes: u64, system: bool) {
        if !system {
            self.put_by_users.fetch_add(messages, Ordering::Relaxed);
        }
        self.put.fetch_add(messages, Ordering::Relaxed);
        self.put_bytes.fetch_add(record_bytes, Ordering::Relaxed);
    }

    /// A message could not be stored.
    pub(crate) fn put_failed(&self) {
        self.put_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages were handed to a consumer, of a topic that is the system's or not; 0 when a look into its queue found
    /// none.
    pub(crate) fn pulled(&self, messages: usize, system: bool) {
        if messages == 0 {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let messages = u64::try_from(messages).unwrap_or(0);
        self.found.fetch_add(1, Ordering::Relaxed);
        self.pulled.fetch_add(messages, Ordering::Relaxed);
        if !system {
            self.pulled_by_users.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// A look into a queue that was measured took this long.
    pub(crate) fn looked(&self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if ms > 0 {
            self.longest_get_ms.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// The longest of those, in ms.
    pub(crate) fn longest_get_ms(&self) -> u64 {
        self.longest_get_ms.load(Ordering::Relaxed)
    }

    /// Spreads messages that name no queue over all of them.
    pub(crate) fn random(&self) -> u32 {
        self.random.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            sent: self.sent.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            pulled: self.pulled.load(Ordering::Relaxed),
        }
    }

    /// Messages that could not be stored.
    pub(crate) fn failures(&self) -> u64 {
        self.put_failed.load(Ordering::Relaxed)
    }

    /// What rates are made from.
    pub(crate) fn work(&self) -> Work {
        Work {
            put: self.put.load(Ordering::Relaxed),
            put_bytes: self.put_bytes.load(Ordering::Relaxed),
            found: self.found.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            transferred: self.pulled.load(Ordering::Relaxed),
            put_by_users: self.put_by_users.load(Ordering::Relaxed),
            got_by_users: self.pulled_by_users.load(Ordering::Relaxed),
            ..Work::default()
        }
    }
}
