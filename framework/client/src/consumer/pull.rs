//! A pull, and what its answer means.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rocketmq_boot_protocol::{
    Command, DecodeError, Encoding, RequestCode, ResponseCode,
    body::SubscriptionData,
    header::pull::{PullMessage, PullMessageReply, sys_flag},
    message::{
        MessageQueue, MessageView, property,
        record::{Record, RecordError, records},
    },
};

use super::{retry::Letter, shared::Shared};
use crate::{
    Error,
    brokers::MASTER,
    core::{Core, accept},
};

const PULL: &str = "give messages";

/// A pull.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) group: &'a str,
    pub(super) queue: &'a MessageQueue,
    pub(super) subscription: &'a SubscriptionData,
    /// The first offset wanted.
    pub(super) next: i64,
    /// Everything below is consumed, if that is to be said here.
    pub(super) committed: Option<i64>,
    /// The broker to ask.
    pub(super) broker_id: i64,
    /// How many messages.
    pub(super) batch: u16,
    /// How long the broker may hold the question; not at all without this.
    pub(super) hold: Option<Duration>,
    /// For the answer.
    pub(super) limit: Duration,
    /// Whether a lite pull consumer asks.
    pub(super) lite: bool,
}

/// What a broker answered.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) outcome: Outcome,
    pub(super) reply: PullMessageReply,
    /// Stored records back to back.
    pub(super) body: Bytes,
}

/// Whether there are messages, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There are.
    Messages,
    /// The queue ends here.
    End,
    /// The filter left nothing of what was looked at.
    NoMatch,
    /// The offset is not in the queue.
    Moved,
}

/// Asks for messages; the broker may hold the question while there are none. `None` when it is busy.
pub(super) async fn pull(core: &Core, ask: &Ask<'_>) -> Result<Option<Pulled>, Error> {
    let queue = ask.queue;
    let member = core.brokers.member(&queue.broker_name, ask.broker_id);
    let (peer, id) = member.ok_or_else(|| Error::UnknownBroker { broker: queue.broker_name.clone() })?;
    // Slaves keep no offsets.
    let committed = ask.committed.filter(|offset| *offset > 0 && id == MASTER);
    let flag = |set: bool, bit: i32| if set { bit } else { 0 };
    // The subscription goes with every pull, so that a broker that has just forgotten this client, because it was
    // restarted or the connection was lost, filters as it should nevertheless.
    let header = PullMessage {
        consumer_group: ask.group.to_owned(),
        topic: queue.topic.clone(),
        queue_id: queue.queue_id,
        queue_offset: ask.next,
        max_message_nums: i32::from(ask.batch),
        sys_flag: sys_flag::SUBSCRIPTION
            | flag(committed.is_some(), sys_flag::COMMIT_OFFSET)
            | flag(ask.hold.is_some(), sys_flag::SUSPEND)
            | flag(ask.lite, sys_flag::LITE_PULL),
        commit_offset: committed.unwrap_or(0),
        suspend_timeout_millis: ask
            .hold
            .map_or(0, |hold| i64::try_from(hold.as_millis()).unwrap_or(i64::MAX)),
        subscription: Some(ask.subscription.sub_string.clone()),
        sub_version: ask.subscription.sub_version,
        expression_type: Some(ask.subscription.expression_type.clone()),
        max_message_bytes: None,
        broker_name: Some(queue.broker_name.clone()),
    };
    let code = if ask.lite { RequestCode::LITE_PULL_MESSAGE } else { RequestCode::PULL_MESSAGE };
    let mut request = Command::request(code, &header);
    request.encoding = Encoding::Binary;
    let called = core.call(&peer, request, ask.limit).await;
    let answer = called.map_err(|source| Error::Call { action: PULL, source })?;
    let outcome = match answer.response_code() {
        ResponseCode::SUCCESS => Outcome::Messages,
        ResponseCode::PULL_NOT_FOUND => Outcome::End,
        ResponseCode::PULL_RETRY_IMMEDIATELY => Outcome::NoMatch,
        ResponseCode::PULL_OFFSET_MOVED => Outcome::Moved,
        ResponseCode::SYSTEM_BUSY | ResponseCode::FLOW_CONTROL => return Ok(None),
        _ => return accept(&peer, PULL, answer).map(|_| None),
    };
    let unreadable = |source: DecodeError| Error::Answer { address: peer.address().to_owned(), source };
    let reply = answer.header::<PullMessageReply>().map_err(unreadable)?;
    Ok(Some(Pulled { outcome, reply, body: answer.body }))
}

/// What a pull brought, after the filter.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<MessageView>,
    /// The same messages as they are stored, to be looked at again when they fail.
    pub(super) kept: Vec<Kept>,
    /// Records whose body cannot be had.
    pub(super) unreadable: Vec<Letter>,
    /// The offset behind the last record.
    pub(super) next: i64,
}

/// A message as it was pulled. It keeps the whole pull in memory, which the windows bound.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) offset: i64,
    pub(super) record: Bytes,
    /// Deliveries that failed here, beside those that the record tells of.
    pub(super) failures: i32,
}

/// How records become messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) queue: &'a MessageQueue,
    pub(super) subscription: &'a SubscriptionData,
    pub(super) retry_topic: &'a str,
    pub(super) max_body_bytes: usize,
}

/// Decodes the records that are at or behind `from` and have a tag that is subscribed to: the broker compares only
/// hashes of tags.
///
/// # Errors
/// The body does not begin with a record.
pub(super) fn decode(reader: &Reader<'_>, body: &Bytes, from: i64) -> Result<Batch, RecordError> {
    let queue = reader.queue;
    let mut batch = Batch { messages: Vec::new(), kept: Vec::new(), unreadable: Vec::new(), next: from };
    let broker: Arc<str> = Arc::from(queue.broker_name.as_str());
    let mut at = 0;
    for (index, record) in records(body).enumerate() {
        let record = match record {
            Ok(record) => record,
            // The pull that follows begins with this one.
            Err(error) if index > 0 => {
                tracing::error!(%queue, %error, "broker sent what is no message");
                break;
            }
            Err(error) => return Err(error),
        };
        let begin = at;
        at += usize::try_from(record.total_size).unwrap_or(usize::MAX);
        if record.queue_offset < from {
            continue;
        }
        batch.next = batch.next.max(record.queue_offset.saturating_add(1));
        if !is_wanted(reader.subscription, &record) {
            continue;
        }
        match MessageView::decode(&record, reader.max_body_bytes) {
            Ok(mut view) => {
                dress(&mut view, &broker, reader.retry_topic);
                batch.kept.push(Kept {
                    offset: view.queue_offset,
                    record: body.slice(begin..at),
                    failures: 0,
                });
                batch.messages.push(view);
            }
            Err(error) => {
                tracing::error!(%queue, offset = record.queue_offset, %error, "message cannot be read");
                batch.unreadable.push(Letter::of_record(&broker, reader.retry_topic, &record));
            }
        }
    }
    Ok(batch)
}

impl Kept {
    /// The message once more; it was decoded before, so there is one.
    pub(super) fn view(&self, shared: &Shared, broker: &str) -> Option<MessageView> {
        let record = Record::decode(&self.record).ok()?;
        let mut view = MessageView::decode(&record, shared.options.max_body_bytes).ok()?;
        dress(&mut view, &Arc::from(broker), &shared.retry_topic);
        view.reconsume_times = view.reconsume_times.saturating_add(self.failures);
        Some(view)
    }
}

/// Whether a message has one of the tags that are subscribed to.
fn is_wanted(subscription: &SubscriptionData, record: &Record<'_>) -> bool {
    subscription.tags_set.is_empty()
        || record.property(property::TAGS).is_some_and(|tag| subscription.tags_set.contains(tag))
}

/// Fills in what the record does not say. A message that comes back is handled under the topic that it was sent to.
pub(super) fn dress(view: &mut MessageView, broker: &Arc<str>, retry_topic: &str) {
    view.broker_name = Arc::clone(broker);
    if view.topic == retry_topic
        && let Some(topic) = view.property(property::RETRY_TOPIC).map(ToOwned::to_owned)
    {
        view.topic = topic;
    }
}
