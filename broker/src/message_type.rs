//! What kind of message a topic is for, and the check of it on send.
//!
//! In RocketMQ 5.x this check is the proxy's (`enableTopicMessageTypeCheck`); its broker stores whatever comes. Here the
//! broker can do it, in the proxy's words, for applications that talk to it directly. It is off unless it is asked for.

use rocketmq_boot_protocol::{
    RequestCode,
    hot::SendView,
    message::{batch, property as keys},
};

use crate::{
    attributes::{MESSAGE_TYPE, MIXED},
    reject::Reject,
    state::State,
    topics::Topic,
};

const NORMAL: &str = "NORMAL";

impl State {
    /// Refuses a message that is not of the type that its topic is for.
    pub(crate) fn check_message_type(&self, view: &SendView<'_>, topic: &Topic) -> Result<(), Reject> {
        let expected = topic.config.attributes.get(MESSAGE_TYPE).map_or(NORMAL, String::as_str);
        if expected == MIXED || self.is_own(topic.name()) || topic.is_derived() {
            return Ok(());
        }
        if !(view.batch && view.code == RequestCode::SEND_BATCH_MESSAGE) {
            return compare(expected, type_of(view.properties));
        }
        for item in batch::items(view.body) {
            let item = item.map_err(|error| Reject::illegal_message(error.to_string()))?;
            compare(expected, type_of(std::str::from_utf8(item.properties).unwrap_or_default()))?;
        }
        Ok(())
    }
}

fn compare(expected: &str, actual: &str) -> Result<(), Reject> {
    if expected == actual {
        return Ok(());
    }
    Err(Reject::illegal_message(format!(
        "TopicMessageType validate failed, the expected type is {expected}, but actual type is {actual}"
    )))
}

/// The type that a message's properties make it.
fn type_of(properties: &str) -> &'static str {
    let has = |key: &str| keys::get(properties, key).is_some();
    if keys::get(properties, keys::TRAN_MSG).is_some_and(|half| half.eq_ignore_ascii_case("true")) {
        return "TRANSACTION";
    }
    let delays = [keys::DELAY, keys::TIMER_DELIVER_MS, keys::TIMER_DELAY_SEC, keys::TIMER_DELAY_MS];
    if delays.iter().any(|key| has(key)) {
        return "DELAY";
    }
    if has(keys::SHARDING_KEY) { "FIFO" } else { NORMAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_of_the_type_of_its_strongest_property() {
        for (properties, expected) in [
            ("", "NORMAL"),
            ("TAGS\u{1}a\u{2}", "NORMAL"),
            ("__SHARDINGKEY\u{1}k\u{2}", "FIFO"),
            ("__SHARDINGKEY\u{1}k\u{2}DELAY\u{1}3\u{2}", "DELAY"),
            ("TIMER_DELAY_SEC\u{1}3\u{2}", "DELAY"),
            ("TRAN_MSG\u{1}true\u{2}DELAY\u{1}3\u{2}", "TRANSACTION"),
            ("TRAN_MSG\u{1}false\u{2}", "NORMAL"),
        ] {
            assert_eq!(type_of(properties), expected, "{properties:?}");
        }
    }
}
