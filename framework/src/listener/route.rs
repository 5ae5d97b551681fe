//! From a message to the listener that wants it.

use std::collections::HashMap;

use rocketmq_boot_protocol::{message::property, topic::group_of_retry};

use super::plan::Listener;
use crate::MessageView;

/// The listeners of a group by topic and tag.
///
/// A listener that names the tag goes before one that takes all.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    topics: HashMap<String, HashMap<String, usize>>,
}

impl Routes {
    /// The routes to each of the listeners, by index.
    pub(crate) fn new<'a>(listeners: impl IntoIterator<Item = &'a Listener>) -> Self {
        let mut routes = Self::default();
        for (index, listener) in listeners.into_iter().enumerate() {
            let topic = routes.topics.entry(listener.topic.clone()).or_default();
            topic.extend(listener.tags.names().map(|tag| (tag.to_owned(), index)));
        }
        routes
    }

    /// The index of the listener for a message.
    pub(crate) fn find(&self, message: &MessageView) -> Option<usize> {
        let topic = self.topics.get(topic_of(message))?;
        let named = message.tag().and_then(|tag| topic.get(tag));
        named.or_else(|| topic.get("*")).copied()
    }
}

/// The topic that a message was sent to, also when it comes back for a retry.
pub(crate) fn topic_of(message: &MessageView) -> &str {
    match group_of_retry(&message.topic) {
        Some(_) => message.property(property::RETRY_TOPIC).unwrap_or(&message.topic),
        None => &message.topic,
    }
}
