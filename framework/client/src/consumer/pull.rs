//! A pull, and what its answer means.

use std::sync::Arc;

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

use super::{Model, push::Shared, retry::Letter};
use crate::{Error, brokers::MASTER, core::accept};

const PULL: &str = "give messages";

/// Where a pull stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// The first offset wanted.
    pub(super) next: i64,
    /// Everything below is consumed.
    pub(super) committed: i64,
    /// The broker to ask.
    pub(super) broker_id: i64,
}

/// What a broker answered.
#[derive(Debug)]
pub(super) enum Pulled {
    /// Stored records back to back.
    Messages { body: Bytes, next: i64, broker_id: i64 },
    /// No message, or none that matches up to `next`.
    Nothing { next: i64, broker_id: i64 },
    /// The offset is not in the queue; this one is.
    Moved { next: i64 },
    /// Ask again in a moment.
    Busy,
}

/// Asks for messages; the broker holds the question while there are none.
pub(super) async fn pull(
    shared: &Shared,
    queue: &MessageQueue,
    subscription: &SubscriptionData,
    ask: Ask,
) -> Result<Pulled, Error> {
    let options = &shared.options;
    let peer = shared
        .core()
        .brokers
        .member(&queue.broker_name, ask.broker_id)
        .ok_or_else(|| Error::UnknownBroker { broker: queue.broker_name.clone() })?;
    let commits = options.model == Model::Clustering && ask.committed > 0 && ask.broker_id == MASTER;
    let hold = i64::try_from(options.pull_hold.as_millis()).unwrap_or(i64::MAX);
    // The subscription goes with every pull, so that a broker that has just forgotten this client, because it was
    // restarted or the connection was lost, filters as it should nevertheless.
    let header = PullMessage {
        consumer_group: options.group.clone(),
        topic: queue.topic.clone(),
        queue_id: queue.queue_id,
        queue_offset: ask.next,
        max_message_nums: i32::from(options.pull_batch),
        sys_flag: sys_flag::SUSPEND
            | sys_flag::SUBSCRIPTION
            | if commits { sys_flag::COMMIT_OFFSET } else { 0 },
        commit_offset: if commits { ask.committed } else { 0 },
        suspend_timeout_millis: hold,
        subscription: Some(subscription.sub_string.clone()),
        sub_version: subscription.sub_version,
        expression_type: Some(subscription.expression_type.clone()),
        max_message_bytes: None,
        broker_name: Some(queue.broker_name.clone()),
    };
    let mut request = Command::request(RequestCode::PULL_MESSAGE, &header);
    request.encoding = Encoding::Binary;
    let answer = peer
        .call(request, options.pull_timeout)
        .await
        .map_err(|source| Error::Call { action: PULL, source })?;
    let reply = || {
        let unreadable = |source: DecodeError| Error::Answer { address: peer.address().to_owned(), source };
        answer.header::<PullMessageReply>().map_err(unreadable)
    };
    match answer.response_code() {
        ResponseCode::SUCCESS => {
            let reply = reply()?;
            let (next, broker_id) = (reply.next_begin_offset, reply.suggest_which_broker_id);
            Ok(Pulled::Messages { next, broker_id, body: answer.body })
        }
        ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_RETRY_IMMEDIATELY => {
            let reply = reply()?;
            Ok(Pulled::Nothing { next: reply.next_begin_offset, broker_id: reply.suggest_which_broker_id })
        }
        ResponseCode::PULL_OFFSET_MOVED => Ok(Pulled::Moved { next: reply()?.next_begin_offset }),
        ResponseCode::SYSTEM_BUSY | ResponseCode::FLOW_CONTROL => Ok(Pulled::Busy),
        _ => accept(&peer, PULL, answer).map(|_| Pulled::Busy),
    }
}

/// What a pull brought, after the filter.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<MessageView>,
    /// Records whose body cannot be had.
    pub(super) unreadable: Vec<Letter>,
    /// The offset behind the last record.
    pub(super) next: i64,
}

/// Decodes the records that are at or behind `from` and have a tag that is subscribed to: the broker compares only
/// hashes of tags.
///
/// # Errors
/// The body does not begin with a record.
pub(super) fn decode(
    shared: &Shared,
    queue: &MessageQueue,
    subscription: &SubscriptionData,
    body: &[u8],
    from: i64,
) -> Result<Batch, RecordError> {
    let mut batch = Batch { messages: Vec::new(), unreadable: Vec::new(), next: from };
    let broker: Arc<str> = Arc::from(queue.broker_name.as_str());
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
        if record.queue_offset < from {
            continue;
        }
        batch.next = batch.next.max(record.queue_offset.saturating_add(1));
        if !is_wanted(subscription, &record) {
            continue;
        }
        match MessageView::decode(&record, shared.options.max_body_bytes) {
            Ok(mut view) => {
                view.broker_name = Arc::clone(&broker);
                restore_topic(&mut view, &shared.retry_topic);
                batch.messages.push(view);
            }
            Err(error) => {
                tracing::error!(%queue, offset = record.queue_offset, %error, "message cannot be read");
                batch.unreadable.push(Letter::of_record(&broker, &record));
            }
        }
    }
    Ok(batch)
}

fn is_wanted(subscription: &SubscriptionData, record: &Record<'_>) -> bool {
    subscription.tags_set.is_empty()
        || record.property(property::TAGS).is_some_and(|tag| subscription.tags_set.contains(tag))
}

/// A message that comes back is handled under the topic that it was sent to.
fn restore_topic(view: &mut MessageView, retry_topic: &str) {
    if view.topic == retry_topic
        && let Some(topic) = view.property(property::RETRY_TOPIC).map(ToOwned::to_owned)
    {
        view.topic = topic;
    }
}
