//! Where a group's offsets are kept: on the broker when its members share, in a file of this host when each of them
//! gets everything.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rocketmq_boot_protocol::{
    Command, RequestCode, header::offset::UpdateConsumerOffset, message::MessageQueue,
};

use super::offsets_file::{self, Table};
use crate::{Error, admin::Young, core::Core};

/// The offsets of one consumer.
#[derive(Debug)]
#[doc(alias = "OffsetStore")]
pub(super) enum Offsets {
    /// Kept by the broker of each queue.
    #[doc(alias = "RemoteBrokerOffsetStore")]
    Broker {
        /// The consumer's group.
        group: String,
    },
    /// Kept in a file.
    #[doc(alias = "LocalFileOffsetStore")]
    File {
        path: PathBuf,
        /// What the file holds, and whether that is older than this.
        table: Arc<Mutex<Kept>>,
    },
}

#[derive(Debug)]
pub(super) struct Kept {
    table: Table,
    changed: bool,
}

/// Whether the broker's answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A lost commit is made up for by the next.
    Skip,
    /// There is no next one.
    Wait,
}

impl Offsets {
    pub(super) fn on_broker(group: &str) -> Self {
        Self::Broker { group: group.to_owned() }
    }

    /// Reads the file, if there is one.
    pub(super) async fn in_file(path: PathBuf) -> Result<Self, Error> {
        let read = blocking({
            let path = path.clone();
            move || offsets_file::load(&path)
        });
        match read.await {
            Ok(table) => {
                let kept = Kept { table, changed: false };
                Ok(Self::File { path, table: Arc::new(Mutex::new(kept)) })
            }
            Err(source) => Err(Error::OffsetsFile { path, source: Arc::new(source) }),
        }
    }

    /// How far a queue was consumed; `None` when nothing of it was.
    pub(super) async fn load(
        &self,
        core: &Core,
        queue: &MessageQueue,
        young: Young,
    ) -> Result<Option<i64>, Error> {
        match self {
            Self::Broker { group } => core.committed_offset(group, queue, young).await,
            Self::File { table, .. } => Ok(table.lock().table.get(queue).copied()),
        }
    }

    /// Says how far these queues are consumed.
    ///
    /// # Errors
    /// The first that occurred, after all of them were tried.
    pub(super) async fn save(
        &self,
        core: &Core,
        offsets: &[(MessageQueue, i64)],
        answer: Answer,
    ) -> Result<(), Error> {
        match self {
            Self::Broker { group } => {
                let save = |(queue, offset): &(MessageQueue, i64)| {
                    let (queue, offset) = (queue.clone(), *offset);
                    async move { save_on_broker(core, group, &queue, offset, answer).await }
                };
                // At once, so that a broker that does not answer holds up nothing of the others.
                join_all(offsets.iter().map(save)).await.into_iter().fold(Ok(()), Result::and)
            }
            Self::File { path, table } => save_in_file(path, table, offsets).await,
        }
    }
}

async fn save_on_broker(
    core: &Core,
    group: &str,
    queue: &MessageQueue,
    offset: i64,
    answer: Answer,
) -> Result<(), Error> {
    const COMMIT: &str = "commit an offset";
    let header = UpdateConsumerOffset {
        consumer_group: group.to_owned(),
        topic: queue.topic.clone(),
        queue_id: queue.queue_id,
        commit_offset: offset,
    };
    let request = Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header);
    let peer = core.master(&queue.broker_name)?;
    match answer {
        Answer::Wait => core.ask(&peer, COMMIT, request).await.map(drop),
        Answer::Skip => peer.one_way(request).await.map_err(|source| Error::Call { action: COMMIT, source }),
    }
}

async fn save_in_file(
    path: &Path,
    kept: &Arc<Mutex<Kept>>,
    offsets: &[(MessageQueue, i64)],
) -> Result<(), Error> {
    let text = {
        let mut kept = kept.lock();
        for (queue, offset) in offsets {
            if kept.table.get(queue) != Some(offset) {
                kept.table.insert(queue.clone(), *offset);
                kept.changed = true;
            }
        }
        if !kept.changed {
            return Ok(());
        }
        kept.changed = false;
        offsets_file::write(&kept.table)
    };
    let written = blocking({
        let path = path.to_owned();
        move || offsets_file::save(&path, &text)
    });
    written.await.map_err(|source| {
        kept.lock().changed = true;
        Error::OffsetsFile { path: path.to_owned(), source: Arc::new(source) }
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
