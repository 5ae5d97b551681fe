//! Giving a message back to its broker, which delivers it again later or buries it.

use std::{sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode,
    header::send::SendBack,
    message::{MessageView, property, record::Record},
};
use tokio::time::sleep;

use super::{
    Model,
    push::Shared,
    verdict::{LEVEL_BY_ATTEMPT, LEVEL_DEAD},
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
    pub(super) fn of(message: &MessageView) -> Self {
        Self {
            queue_offset: message.queue_offset,
            physical_offset: message.physical_offset,
            broker: Arc::clone(&message.broker_name),
            message_id: Some(message.message_id.clone()),
            topic: message.topic.clone(),
        }
    }

    pub(super) fn of_record(broker: &Arc<str>, record: &Record<'_>) -> Self {
        Self {
            queue_offset: record.queue_offset,
            physical_offset: record.physical_offset,
            broker: Arc::clone(broker),
            message_id: record.property(property::UNIQ_KEY).map(ToOwned::to_owned),
            topic: record.topic.to_owned(),
        }
    }
}

/// Sends a message back by its place in the broker's log; when that fails and the message itself is at hand, sends
/// a copy of it to the retry topic of any broker.
pub(super) async fn send_back(
    shared: &Shared,
    letter: &Letter,
    message: Option<&MessageView>,
    level: i32,
) -> Result<(), SendError> {
    let sent = match by_place(shared, letter, level).await {
        Ok(()) => Ok(()),
        Err(error) => match message {
            Some(message) => {
                tracing::debug!(group = shared.options.group, %error, "message is sent to its retry topic");
                by_copy(shared, message, level).await
            }
            None => Err(SendError::NoRoute { topic: letter.topic.clone(), source: error }),
        },
    };
    if sent.is_ok() && shared.core().routes.known(&shared.retry_topic).is_none() {
        // The retry topic came into being with this message at the latest; it should be consumed in time.
        shared.enrolled.rebalance.notify_one();
    }
    sent
}

/// How many failed deliveries the group allows.
fn max_retries(shared: &Shared) -> i32 {
    i32::try_from(shared.options.max_attempts - 1).unwrap_or(i32::MAX)
}

async fn by_place(shared: &Shared, letter: &Letter, level: i32) -> Result<(), Error> {
    let header = SendBack {
        offset: letter.physical_offset,
        group: shared.options.group.clone(),
        delay_level: level,
        origin_message_id: letter.message_id.clone(),
        origin_topic: Some(letter.topic.clone()),
        unit_mode: false,
        max_reconsume_times: Some(max_retries(shared)),
    };
    let request = Command::request(RequestCode::CONSUMER_SEND_MSG_BACK, &header);
    let peer = shared.core().master(&letter.broker)?;
    shared.core().ask(&peer, "take a message back", request).await.map(drop)
}

async fn by_copy(shared: &Shared, message: &MessageView, level: i32) -> Result<(), SendError> {
    let outgoing = copy(&shared.options.group, &shared.retry_topic, max_retries(shared), message, level);
    let outgoing = outgoing
        .map_err(|source| SendError::Message { topic: shared.retry_topic.clone(), source: source.into() })?;
    let ids = vec![message.message_id.clone()];
    match deliver(shared.core(), &outgoing, ids, &Choice::Turn, &shared.turn, EFFORT).await {
        // It is stored; the group will see it.
        Err(SendError::NotDurable { .. }) => Ok(()),
        sent => sent.map(drop),
    }
}

/// The message as a send to the retry topic.
fn copy(
    group: &str,
    retry_topic: &str,
    max_retries: i32,
    message: &MessageView,
    level: i32,
) -> Result<Outgoing, property::PropertyError> {
    debug_assert!(retry_topic.ends_with(group));
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
    let delay = match level {
        LEVEL_BY_ATTEMPT | LEVEL_DEAD => message.reconsume_times.saturating_add(FIRST_LEVEL),
        level => level,
    };
    properties.insert(property::DELAY, &delay.to_string())?;
    let reconsumed = match level {
        // A broker buries what has failed more often than it may.
        LEVEL_DEAD => max_retries.saturating_add(1),
        _ => message.reconsume_times.saturating_add(1),
    };
    Ok(Outgoing {
        group: PRODUCER_GROUP.to_owned(),
        topic: retry_topic.to_owned(),
        body: message.body.clone(),
        properties: properties.as_str().to_owned(),
        flag: message.flag,
        born_timestamp: message.born_timestamp,
        reconsumed: Some((reconsumed, max_retries)),
        ..Outgoing::default()
    })
}

/// Has a message that cannot be read buried by its broker, however often that has to be tried: the handler cannot
/// judge it, and skipping it would lose it.
pub(super) fn bury(shared: &Arc<Shared>, window: &Arc<Window>, letter: Letter) {
    if shared.options.model == Model::Broadcasting {
        window.settle(letter.queue_offset);
        return;
    }
    let (undertaker, window) = (Arc::clone(shared), Arc::clone(window));
    shared.spawn_handling(async move {
        let shared = undertaker;
        while let Err(error) = send_back(&shared, &letter, None, LEVEL_DEAD).await {
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
        let outgoing = copy("g", "%RETRY%g", 16, message, level).unwrap();
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
        assert_eq!(copied(&message(0, ""), LEVEL_DEAD).0, Some((17, 16)));
    }
}
