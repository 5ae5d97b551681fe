//! The rows of the table and their floors.

use std::collections::BTreeMap;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Window64,
    Window1024,
    Json64,
    Connections64,
    SyncFlush64,
    Pull,
    EndToEndMedian,
    EndToEndTail,
    Cpu64,
    IdleMemory,
    Start,
}

/// What a row has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Floor {
    /// At least so many times Apache's.
    Times(f64),
    /// At most one of so many parts of Apache's.
    Part(f64),
    /// At most so much.
    AtMost(f64),
}

/// The readings of one system in one round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readings(BTreeMap<Row, f64>);

impl Readings {
    pub(crate) fn set(&mut self, row: Row, reading: f64) {
        self.0.insert(row, reading);
    }

    pub(crate) fn get(&self, row: Row) -> Option<f64> {
        self.0.get(&row).copied()
    }
}

impl Row {
    pub(crate) const ALL: [Self; 11] = [
        Self::Window64,
        Self::Window1024,
        Self::Json64,
        Self::Connections64,
        Self::SyncFlush64,
        Self::Pull,
        Self::EndToEndMedian,
        Self::EndToEndTail,
        Self::Cpu64,
        Self::IdleMemory,
        Self::Start,
    ];

    /// Key, title, unit and floor.
    const fn facts(self) -> (&'static str, &'static str, &'static str, Floor) {
        match self {
            Self::Window64 => ("w64", "1 connection, 64 in flight, 128 B", "msg/s", Floor::Times(6.0)),
            Self::Window1024 => ("w1024", "1 connection, 1024 in flight, 128 B", "msg/s", Floor::Times(12.0)),
            Self::Json64 => ("json64", "1 connection, 64 in flight, 1 KiB, JSON", "msg/s", Floor::Times(4.0)),
            Self::Connections64 => ("c64", "64 connections, 1 in flight, 128 B", "msg/s", Floor::Times(2.0)),
            Self::SyncFlush64 => ("sync64", "SYNC_FLUSH, 64 connections, 1 KiB", "msg/s", Floor::Times(3.0)),
            Self::Pull => ("pull", "pull 32 messages, 8 outstanding, 128 B", "msg/s", Floor::Times(2.0)),
            Self::EndToEndMedian => ("e2e-p50", "send to held pull, 1 per ms, p50", "us", Floor::Part(8.0)),
            Self::EndToEndTail => ("e2e-p99", "send to held pull, 1 per ms, p99", "us", Floor::Part(4.0)),
            Self::Cpu64 => ("cpu-w64", "broker CPU a message, 64 in flight", "us", Floor::Part(10.0)),
            Self::IdleMemory => ("idle-rss", "name server + broker idle, RSS", "MiB", Floor::AtMost(25.0)),
            Self::Start => ("start", "start to first accepted message", "ms", Floor::AtMost(150.0)),
        }
    }

    pub(crate) const fn key(self) -> &'static str {
        self.facts().0
    }

    pub(crate) const fn title(self) -> &'static str {
        self.facts().1
    }

    pub(crate) const fn unit(self) -> &'static str {
        self.facts().2
    }

    pub(crate) const fn floor(self) -> Floor {
        self.facts().3
    }

    pub(crate) const fn needs_sync_flush(self) -> bool {
        matches!(self, Self::SyncFlush64)
    }

    /// Whether it is read off the start of the servers.
    pub(crate) const fn needs_start(self) -> bool {
        matches!(self, Self::IdleMemory | Self::Start | Self::SyncFlush64 | Self::Cpu64)
    }

    pub(crate) const fn needs_warm_up(self) -> bool {
        !matches!(self, Self::IdleMemory | Self::Start | Self::SyncFlush64)
    }
}
