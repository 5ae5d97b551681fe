//! Several messages of one topic in one request (320): stored together, in order, in one queue.

use rocketmq_boot_protocol::{
    RequestCode,
    message::{Message, batch, property},
    topic::RETRY_PREFIX,
};

use super::{
    BatchRule, SendError,
    options::Options,
    outgoing::{Outgoing, check_body, check_topic, stamp},
};
use crate::core::Core;

/// Checks messages and makes them one request; gives the ids that they were given.
pub(super) fn outgoing(
    core: &Core,
    group: &str,
    options: &Options,
    messages: &[Message],
) -> Result<(Outgoing, Vec<String>), SendError> {
    check_together(messages)?;
    let [first, ..] = messages else { return Err(BatchRule::Empty.into()) };
    let topic = core.namespace.wrap(&first.topic).into_owned();
    check_topic(&topic)?;
    let born_timestamp = core.options.clock.now_ms();
    let mut body = Vec::new();
    let mut message_ids = Vec::with_capacity(messages.len());
    for message in messages {
        check_body(&message.topic, message.body.len(), options.max_message_bytes)?;
        let (properties, id) = stamp(core, &message.topic, &message.properties, born_timestamp)?;
        let item = batch::Item { flag: message.flag, body: &message.body, properties: properties.as_bytes() };
        batch::encode(&item, &mut body).map_err(BatchRule::Layout)?;
        // Checked as it grows, so that a huge list is not copied first and refused then.
        check_body(&message.topic, body.len(), options.max_message_bytes)?;
        message_ids.push(id);
    }
    // The batch itself has an id, which brokers answer as its transaction id.
    let mut of_batch = std::collections::BTreeMap::new();
    if let Some(wait) = first.properties.get(property::WAIT) {
        of_batch.insert(property::WAIT.to_owned(), wait.clone());
    }
    let (properties, _) = stamp(core, &first.topic, &of_batch, born_timestamp)?;
    let outgoing = Outgoing {
        code: RequestCode::SEND_BATCH_MESSAGE,
        group: group.to_owned(),
        topic,
        body: body.into(),
        properties,
        born_timestamp,
        topic_queues: options.topic_queues,
        ..Outgoing::default()
    };
    Ok((outgoing, message_ids))
}

fn check_together(messages: &[Message]) -> Result<(), BatchRule> {
    let [first, others @ ..] = messages else { return Err(BatchRule::Empty) };
    if first.topic.starts_with(RETRY_PREFIX) {
        return Err(BatchRule::Retry { topic: first.topic.clone() });
    }
    if messages.iter().any(is_delayed) {
        return Err(BatchRule::Delayed);
    }
    for other in others {
        if other.topic != first.topic {
            return Err(BatchRule::Topics { first: first.topic.clone(), other: other.topic.clone() });
        }
        if waits(other) != waits(first) {
            return Err(BatchRule::Wait);
        }
    }
    Ok(())
}

/// Whether a message is delivered later, by level or by time.
pub(super) fn is_delayed(message: &Message) -> bool {
    message.is_timed() || message.properties.contains_key(property::DELAY)
}

/// Whether the sender waits for the flush, which it does unless the message says otherwise.
pub(super) fn waits(message: &Message) -> bool {
    message.properties.get(property::WAIT).is_none_or(|wait| wait.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    fn of(messages: &[Message]) -> Result<(Outgoing, Vec<String>), SendError> {
        outgoing(&Client::connect("127.0.0.1:1").core, "shop", &Options::default(), messages)
    }

    fn rule(messages: &[Message]) -> BatchRule {
        match of(messages) {
            Err(SendError::Batch(rule)) => rule,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_message_keeps_its_body_properties_and_own_id() {
        let (outgoing, ids) =
            of(&[Message::new("t", "one").tag("a"), Message::new("t", "two").flag(2)]).unwrap();
        let items: Vec<_> = batch::items(&outgoing.body).collect::<Result<_, _>>().unwrap();
        assert_eq!((items[0].body, items[1].body, items[1].flag), (&b"one"[..], &b"two"[..], 2));
        for (item, id) in items.iter().zip(&ids) {
            assert_eq!(property::find(item.properties, b"UNIQ_KEY"), Some(id.as_bytes()));
        }
        assert_ne!(ids[0], ids[1]);
        assert_eq!(outgoing.request(0, "b", false).to_command().fields.get("m"), Some("true"));
    }

    #[test]
    fn messages_that_do_not_belong_together_are_refused() {
        let message = || Message::new("t", "x");
        assert_eq!(rule(&[]), BatchRule::Empty);
        assert!(matches!(rule(&[message(), Message::new("u", "x")]), BatchRule::Topics { .. }));
        assert_eq!(rule(&[message(), message().property("WAIT", "false")]), BatchRule::Wait);
        assert_eq!(rule(&[message(), message().delay_level(3)]), BatchRule::Delayed);
        assert!(matches!(rule(&[Message::new("%RETRY%g", "x")]), BatchRule::Retry { .. }));
        assert!(of(&[message(), message().property("WAIT", "TRUE")]).is_ok());
    }

    #[test]
    fn the_whole_batch_has_one_limit() {
        let half = || Message::new("t", vec![0; 2 << 20]);
        assert!(of(&[half()]).is_ok());
        assert!(matches!(of(&[half(), half()]), Err(SendError::TooLarge { .. })));
    }
}
