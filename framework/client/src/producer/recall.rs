//! Taking back a message that its broker's timer still holds: 370.
//!
//! A handle is `v1 topic broker timestamp id`, separated by spaces, in URL-safe base64; it names the broker to ask.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use rocketmq_boot_protocol::{
    Command, RequestCode,
    header::recall::{RecallMessage, RecallMessageReply},
};

use super::Shared;
use crate::{Error, Feature, routes::Missing};

pub(super) async fn recall(shared: &Shared, topic: &str, handle: &str) -> Result<String, Error> {
    let core = &shared.client.core;
    let topic = core.namespace.wrap(topic);
    let broker = broker(&topic, handle).ok_or_else(|| Error::RecallHandle {
        topic: topic.clone().into_owned(),
        handle: handle.chars().take(128).collect(),
    })?;
    if core.brokers.master(&broker).is_none() {
        core.route(&topic, Missing::Refuse).await?;
    }
    let peer = core.master(&broker)?;
    core.require(&peer, Feature::Recall).await?;
    let header = RecallMessage {
        producer_group: Some(shared.group.clone()),
        topic: topic.into_owned(),
        recall_handle: Some(handle.to_owned()),
        broker_name: Some(broker),
    };
    let request = Command::request(RequestCode::RECALL_MESSAGE, &header);
    let answer = core.ask(&peer, "recall a message", request).await?;
    let unreadable = |source| Error::Answer { address: peer.address().to_owned(), source };
    Ok(answer.header::<RecallMessageReply>().map_err(unreadable)?.message_id)
}

/// The broker that a handle of this topic names.
fn broker(topic: &str, handle: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE.decode(handle).ok()?).ok()?;
    let mut parts = text.split(' ');
    let known = parts.next() == Some("v1") && parts.next() == Some(topic);
    let broker = parts.next().filter(|broker| known && !broker.is_empty())?;
    // The time and the id follow.
    parts.nth(1)?;
    Some(broker.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_broker() {
        // What a broker of 5.5.0 makes of: v1 reminders broker-a 1700000000000 0A
        let handle = "djEgcmVtaW5kZXJzIGJyb2tlci1hIDE3MDAwMDAwMDAwMDAgMEE=";
        assert_eq!(broker("reminders", handle).as_deref(), Some("broker-a"));
        assert_eq!(broker("other", handle), None);
        for text in ["v2 t b 1 A", "v1 t b 1", "v1 t  1 A", "v1", ""] {
            assert_eq!(broker("t", &URL_SAFE.encode(text)), None, "{text}");
        }
        assert_eq!(broker("t", "%%%"), None);
    }
}
