//! Notes that transactions ended: `RMQ_SYS_TRANS_OP_HALF_TOPIC`.
//!
//! A note's body names half messages by their offsets in the half queue. Apache's 4.x writes one number, 5.x several
//! with a comma behind each; both are read. One number without a comma is what every version reads, so it is what
//! is written, unless a half message was put back: then every copy that is known is named. A note is stored together
//! with what it stands for and never gathered in memory, where a killed process would lose it and have committed
//! messages delivered twice.

use std::{collections::BTreeSet, net::SocketAddr, ops::ControlFlow, sync::Arc};

use rocketmq_boot_protocol::{
    message::{
        hash::tags_code,
        record::{Draft, Record, records},
    },
    topic,
};
use rocketmq_boot_store::{Append, Heat, ReadError, ReadLimit, ReadStatus};

use crate::{
    reject::Reject,
    send::outcome_of,
    state::State,
    topics::{Topic, TopicQueue},
};

/// Marks notes; there is no other kind.
const TAG: &str = "d";
const PROPERTIES: &[u8] = b"TAGS\x01d\x02";

/// Records read at a time.
const BATCH: ReadLimit = ReadLimit { max_messages: 64, max_bytes: 256 << 10, max_scan: 64 };

/// A note, ready to be stored.
#[derive(Debug)]
pub(crate) struct Op {
    queue: Arc<TopicQueue>,
    body: String,
    host: SocketAddr,
    born_timestamp: i64,
}

impl Op {
    /// The note as an append.
    pub(crate) fn append(&self) -> Append<'_> {
        Append {
            queue: &self.queue.stored,
            draft: Draft {
                queue_id: 0,
                flag: 0,
                sys_flag: 0,
                born_timestamp: self.born_timestamp,
                born_host: self.host,
                store_host: self.host,
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: self.body.as_bytes(),
                topic: topic::TRANS_OP_HALF_TOPIC.as_bytes(),
                properties: PROPERTIES,
                more_properties: &[],
            },
            tags_code: tags_code(TAG),
            joined: false,
            outcome: None,
        }
    }
}

/// The half messages that a note names; none for what is no note.
pub(super) fn named<'a>(record: &Record<'a>) -> impl Iterator<Item = i64> + use<'a> {
    let tag = rocketmq_boot_protocol::message::property::TAGS;
    let body = if record.property(tag) == Some(TAG) { record.body } else { &[] };
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.split(',').filter_map(|offset| offset.trim().parse().ok())
}

impl State {
    /// A note that a transaction ended whose half message lies at all these offsets; some may be the same.
    pub(super) fn op(&self, offsets: impl IntoIterator<Item = i64>) -> Result<Op, Reject> {
        let offsets: BTreeSet<i64> = offsets.into_iter().collect();
        Ok(Op {
            queue: self.topics.queue(&*self.system_topic(topic::TRANS_OP_HALF_TOPIC)?, 0),
            body: match offsets.first() {
                Some(only) if offsets.len() == 1 => only.to_string(),
                _ => offsets.iter().map(|offset| format!("{offset},")).collect(),
            },
            host: self.store_host(),
            born_timestamp: self.clock.now_ms(),
        })
    }

    /// Stores a note that stands for nothing else.
    pub(super) fn store_op(&self, op: &Op) -> Result<(), Reject> {
        let mut appends = [op.append()];
        self.store.append(&mut appends);
        let [append] = appends;
        outcome_of(append.outcome).map(drop)
    }

    pub(super) fn system_topic(&self, name: &str) -> Result<Arc<Topic>, Reject> {
        self.topics.find(name).ok_or_else(|| Reject::topic_not_exist(name))
    }

    /// Shows the records of a queue in `from..to` to `look` until it breaks off; what is lost is passed over.
    ///
    /// Answers the offset that was not looked at any more.
    pub(super) fn scan(
        &self,
        queue: &TopicQueue,
        from: i64,
        to: i64,
        mut look: impl FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<i64, ReadError> {
        let (mut at, mut bytes) = (from, Vec::new());
        while at < to && !self.stopping.is_cancelled() {
            bytes.clear();
            let outcome = self.store.read(&queue.stored, at, BATCH, &mut |_| true, &mut bytes, Heat::Any)?;
            if outcome.status == ReadStatus::Found {
                for record in records(&bytes) {
                    let Ok(record) = record else { break };
                    if record.queue_offset >= to {
                        return Ok(to);
                    }
                    if look(&record).is_break() {
                        return Ok(record.queue_offset);
                    }
                }
            }
            if outcome.next_offset <= at {
                // The end of what can be read.
                return Ok(at);
            }
            at = outcome.next_offset;
        }
        Ok(at.min(to))
    }
}
