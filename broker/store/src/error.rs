//! What can go wrong, one type for each family of operations.

use std::{io, path::PathBuf, sync::Arc};

use rocketmq_boot_protocol::message::record::RecordError;
use thiserror::Error;

/// Why a store did not open. Nothing that is stored was changed, unless the disk failed while a tail was cut.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another broker, or another store of this process, uses the folder. Stop it, or choose another folder.
    #[error("{} is locked: another broker uses this folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file or folder cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not as long as all of its kind are: it was cut or half copied, or the configured size differs.
    #[error("{} is {actual} bytes long instead of {expected}: restore it, or set the size it was made with", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// What its kind is configured to be.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// A file of a sequence is missing.
    #[error("{} is missing: the files around it are there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The options cannot be.
    #[error("store option {option} cannot be {value}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it is.
        value: u64,
    },
}

impl OpenError {
    /// Wraps an I/O error with what was tried on which file.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Why a message was not appended. It is not in the log and will not appear.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A sync has failed, so nothing more is accepted until the broker is started on a sound disk.
    #[error("the store is read-only since its disk failed to keep what was written")]
    ReadOnly,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The disk counts as full, see [`Store::set_full`](crate::Store::set_full).
    #[error("the disk is used to {used_percent} %")]
    Full {
        /// How much of it is used.
        used_percent: u64,
    },
    /// The record, or a batch that must lie together, is too long.
    #[error("{bytes} bytes are more than the {limit_bytes} that can be appended at once")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The message does not fit the record's fields.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The topic cannot be a folder's name.
    #[error("topic `{topic}` cannot be stored")]
    Topic {
        /// The topic.
        topic: Arc<str>,
    },
    /// Another message of the same batch was refused.
    #[error("another message of the batch was refused")]
    Joined,
    /// The consume queues cannot be written as fast as messages arrive.
    #[error("too many consume-queue entries wait to be written")]
    Busy,
    /// The disk did not take it; a full disk says `StorageFull`.
    #[error("cannot write the commit log: {0}")]
    Io(Arc<io::Error>),
}

/// Why stored messages could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk failed.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What lies there is not the record that should.
    #[error("no sound record at {position} of the commit log: {reason}")]
    Damaged {
        /// The position.
        position: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Why a message is not known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlushFailure {
    /// The flush took longer than the configured time-out; it may still succeed.
    #[error("the flush takes longer than its time-out")]
    Timeout,
    /// The flush failed; the store is read-only.
    #[error("the flush failed")]
    Broken,
}
