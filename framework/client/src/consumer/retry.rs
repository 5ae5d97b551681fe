//! Giving a message back to its broker, which delivers it again later or buries it.

use std::{sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode,
    header::send::SendBack,
    message::{MessageQueue, MessageView, property, record::Record},
};
use tokio::time::sleep;

use super::{
    pull::Kept,
    shared::Shared,
    verdict::{DEAD_LETTER_REASON, LEVEL_BY_ATTEMPT, LEVEL_DEAD},
    window::Window,
};
use crate::{
    Error, SendError,
    producer::{Choice, Effort, Outgoing, deliver},
};

/// The producer group that Java's client sends failed messages with.
const PRODUCER_GROUP: &str = "CLIENT_INNER_PRODUCER";

/// The level of a first retry; each further one is a level higher.
const FIRST_LEVEL: i32 = 3;

/// What is kept of a reason.
const MAX_REASON_CHARS: usize = 1_000;

/// Attempts and time for a message that is sent to its retry topic.
const EFFORT: Effort<'_> = Effort::new(3, Duration::from_secs(3));

/// What a broker has to know about a message to find it again.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) queue_offset: i64,
    physical_offset: i64,
    broker: Arc<str>,
    message_id: Option<String>,
    topic: String,
}

impl Letter {
    pub(super) fn of_record(broker: &Arc<str>, retry_topic: &str, record: &Record<'_>) -> Self {
        let origin = record.property(property::RETRY_TOPIC).filter(|_| record.topic == retry_topic);
        Self {
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            broker: Arc::clone(broker),
            message_id: record.property(property::UNIQ_KEY).map(ToOwned::to_owned),
            topic: origin.unwrap_or(record.topic).to_owned(),
        }
    }
}

/// Sends a message back by its place in the broker's log; when that fails, sends a copy of it to the retry topic of
/// any broker.
pub(super) async fn send_back(
    shared: &Shared,
    queue: &MessageQueue,
    kept: &Kept,
    level: i32,
) -> Result<(), SendError> {
    let sent = match place(shared, queue, kept) {
        Some(letter) => by_place(shared, &letter, level).await,
        None => Err(Error::UnknownBroker { broker: queue.broker_name.clone() }),
    };
    let sent = match sent {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::debug!(group = shared.options.group, %error, "message is sent to its retry topic");
            by_copy(shared, queue, kept, level, None).await
        }
    };
    announce(shared, sent.is_ok());
    sent
}

/// Has a message buried now. A copy that has failed too often is sent, which the broker takes for a dead letter: it
/// can say why. When that fails the broker is asked to bury the message itself.
pub(super) async fn bury(
    shared: &Shared,
    queue: &MessageQueue,
    kept: &Kept,
    reason: &str,
) -> Result<(), SendError> {
    let group = &shared.options.group;
    tracing::warn!(group, %queue, offset = kept.offset, reason, "message goes to the dead letters");
    let error = match by_copy(shared, queue, kept, LEVEL_DEAD, Some(reason)).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    tracing::debug!(group, %error, "message is buried by its place");
    match place(shared, queue, kept) {
        Some(letter) => by_place(shared, &letter, LEVEL_DEAD).await.map_err(|_| error),
        None => Err(error),
    }
}

fn place(shared: &Shared, queue: &MessageQueue, kept: &Kept) -> Option<Letter> {
    let record = Record::decode(&kept.record).ok()?;
    Some(Letter::of_record(&Arc::from(queue.broker_name.as_str()), &shared.retry_topic, &record))
}

/// The retry topic came into being with its first message at the latest; it should be consumed in time.
fn announce(shared: &Shared, sent: bool) {
    if sent && shared.core().routes.known(&shared.retry_topic).is_none() {
        shared.enrolled.rebalance.notify_one();
    }
}

async fn by_place(shared: &Shared, letter: &Letter, level: i32) -> Result<(), Error> {
    let header = SendBack {
        offset: letter.physical_offset,
        group: shared.options.group.clone(),
        delay_level: level,
        origin_message_id: letter.message_id.clone(),
        origin_topic: Some(letter.topic.clone()),
        unit_mode: false,
        max_reconsume_times: Some(shared.options.max_retries()),
    };
    let request = Command::request(RequestCode::CONSUMER_SEND_MSG_BACK, &header);
    let peer = shared.core().master(&letter.broker)?;
    shared.core().ask(&peer, "take a message back", request).await.map(drop)
}

async fn by_copy(
    shared: &Shared,
    queue: &MessageQueue,
    kept: &Kept,
    level: i32,
    reason: Option<&str>,
) -> Result<(), SendError> {
    let (Some(handling), Some(message)) = (shared.handling(), kept.view(shared, &queue.broker_name)) else {
        return Err(SendError::Closed);
    };
    let max_retries = shared.options.max_retries();
    let outgoing = copy(&shared.retry_topic, max_retries, &message, level, reason);
    let outgoing = outgoing
        .map_err(|source| SendError::Message { topic: shared.retry_topic.clone(), source: source.into() })?;
    let ids = vec![message.message_id.clone()];
    match deliver(shared.core(), &outgoing, ids, &Choice::Turn, &handling.turn, EFFORT).await {
        // It is stored; the group will see it.
        Err(SendError::NotDurable { .. }) => Ok(()),
        sent => sent.map(drop),
    }
}

/// The message as a send to the retry topic.
fn copy(
    retry_topic: &str,
    max_retries: i32,
    message: &MessageView,
    level: i32,
    reason: Option<&str>,
) -> Result<Outgoing, property::PropertyError> {
    let mut properties = message.properties.clone();
    if properties.get(property::RETRY_TOPIC).is_none() {
        properties.insert(property::RETRY_TOPIC, &message.topic)?;
    }
    if properties.get(property::ORIGIN_MESSAGE_ID).is_none() {
        properties.insert(property::ORIGIN_MESSAGE_ID, &message.offset_message_id)?;
    }
    for left_behind in [property::TRAN_MSG, property::RECONSUME_TIME, property::MAX_RECONSUME_TIMES] {
        properties.remove(left_behind);
    }
    match level {
        // Some brokers would hold a dead letter back like any other message.
        LEVEL_DEAD => properties.remove(property::DELAY),
        LEVEL_BY_ATTEMPT => {
            let delay = message.reconsume_times.saturating_add(FIRST_LEVEL);
            properties.insert(property::DELAY, &delay.to_string())?;
        }
        level => properties.insert(property::DELAY, &level.to_string())?,
    }
    let reconsumed = match level {
        // A broker buries what has failed more often than it may.
        LEVEL_DEAD => {
            let max_retries = max_retries.min(i32::MAX - 1);
            properties.insert(property::DLQ_ORIGIN_TOPIC, &message.topic)?;
            properties.insert(property::DLQ_ORIGIN_MESSAGE_ID, &message.message_id)?;
            if let Some(reason) = reason.map(legible).filter(|reason| !reason.is_empty()) {
                properties.insert(DEAD_LETTER_REASON, &reason)?;
            }
            (max_retries + 1, max_retries)
        }
        _ => (message.reconsume_times.saturating_add(1), max_retries),
    };
    Ok(Outgoing {
        group: PRODUCER_GROUP.to_owned(),
        topic: retry_topic.to_owned(),
        body: message.body.clone(),
        properties: properties.as_str().to_owned(),
        flag: message.flag,
        born_timestamp: message.born_timestamp,
        reconsumed: Some(reconsumed),
        ..Outgoing::default()
    })
}

/// A reason as a property can hold it.
fn legible(reason: &str) -> String {
    let separators = [char::from(property::NAME_SEPARATOR), char::from(property::SEPARATOR)];
    reason.chars().filter(|char| !separators.contains(char)).take(MAX_REASON_CHARS).collect()
}

/// Has a message that cannot be read buried by its broker, however often that has to be tried: the handler cannot
/// judge it, and skipping it would lose it. Who polls has no dead letters; for them it is passed over.
pub(super) fn bury_unread(shared: &Arc<Shared>, window: &Arc<Window>, letter: Letter) {
    if !shared.options.retries() {
        window.settle(letter.queue_offset);
        return;
    }
    let (undertaker, window) = (Arc::clone(shared), Arc::clone(window));
    shared.spawn_handling(async move {
        let shared = undertaker;
        while let Err(error) = by_place(&shared, &letter, LEVEL_DEAD).await {
            tracing::warn!(group = shared.options.group, %error, "message could not be buried yet");
            let pause = sleep(shared.options.pause_after_error);
            if shared.intake.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
        window.settle(letter.queue_offset);
    });
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::message::record::Draft;

    use super::*;

    fn message(reconsume_times: i32, properties: &str) -> MessageView {
        let draft = Draft {
            queue_id: 0,
            flag: 5,
            sys_flag: 0,
            born_timestamp: 6,
            born_host: "127.0.0.1:1".parse().unwrap(),
            store_host: "127.0.0.1:2".parse().unwrap(),
            reconsume_times,
            prepared_transaction_offset: 0,
            body: b"body",
            topic: b"orders",
            properties: properties.as_bytes(),
            more_properties: b"",
        };
        let mut bytes = Vec::new();
        draft.encode(7, 8, 9, &mut bytes).unwrap();
        MessageView::decode(&Record::decode(&bytes).unwrap(), 100).unwrap()
    }

    fn copied(message: &MessageView, level: i32) -> (Option<(i32, i32)>, property::Properties) {
        let outgoing = copy("%RETRY%g", 16, message, level, Some("no\u{2}such\u{1}order")).unwrap();
        assert_eq!((outgoing.topic.as_str(), &outgoing.body[..]), ("%RETRY%g", &b"body"[..]));
        (outgoing.reconsumed, outgoing.properties.into())
    }

    #[test]
    fn a_first_failure_remembers_where_it_came_from() {
        let message = message(0, "TAGS\x01a\x02TRAN_MSG\x01true\x02");
        let (reconsumed, properties) = copied(&message, LEVEL_BY_ATTEMPT);
        assert_eq!(reconsumed, Some((1, 16)));
        let value = |key| properties.get(key);
        assert_eq!(
            (value("RETRY_TOPIC"), value("DELAY"), value("TAGS")),
            (Some("orders"), Some("3"), Some("a"))
        );
        assert_eq!(value("ORIGIN_MESSAGE_ID"), Some(message.offset_message_id.as_str()));
        assert_eq!(value("TRAN_MSG"), None);
    }

    #[test]
    fn later_failures_keep_the_origin_and_climb_the_ladder() {
        let message = message(4, "RETRY_TOPIC\x01first\x02ORIGIN_MESSAGE_ID\x01id\x02DELAY\x016\x02");
        let (reconsumed, properties) = copied(&message, LEVEL_BY_ATTEMPT);
        assert_eq!(reconsumed, Some((5, 16)));
        let value = |key| properties.get(key);
        assert_eq!(
            (value("RETRY_TOPIC"), value("ORIGIN_MESSAGE_ID"), value("DELAY")),
            (Some("first"), Some("id"), Some("7"))
        );
        assert_eq!(copied(&message, 2).1.get("DELAY"), Some("2"));
    }

    #[test]
    fn a_dead_letter_has_failed_once_too_often() {
        let (reconsumed, properties) = copied(&message(0, "UNIQ_KEY\x01id\x02"), LEVEL_DEAD);
        assert_eq!(reconsumed, Some((17, 16)));
        let values = [DEAD_LETTER_REASON, "DLQ_ORIGIN_TOPIC", "DLQ_ORIGIN_MESSAGE_ID"];
        let values = values.map(|key| properties.get(key));
        assert_eq!(values, [Some("nosuchorder"), Some("orders"), Some("id")]);
        assert_eq!(copied(&message(0, ""), LEVEL_BY_ATTEMPT).1.get(DEAD_LETTER_REASON), None);
    }
}
