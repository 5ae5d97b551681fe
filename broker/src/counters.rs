//! What the broker has done since it started. Counted where it happens, read by tests and the log.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Running totals.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    pulled: AtomicU64,
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
    pub(crate) fn sent(&self, body_bytes: usize) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(u64::try_from(body_bytes).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn pulled(&self, messages: usize) {
        self.pulled.fetch_add(u64::try_from(messages).unwrap_or(0), Ordering::Relaxed);
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
}
