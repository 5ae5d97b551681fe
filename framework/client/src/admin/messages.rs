//! Messages: found by id and by key.

use std::{collections::BTreeMap, future::IntoFuture, sync::Arc};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::query::{QueryMessage, UNIQUE_KEY_QUERY, ViewMessage},
    message::{
        MessageView,
        id::OffsetMessageId,
        record::{Record, records},
    },
};
use rocketmq_boot_remoting::Peer;

use super::Admin;
use crate::{Awaited, Error};

/// The largest body that is shown, unpacked.
const MAX_BODY_BYTES: usize = 64 << 20;

/// A search that is made when it is awaited; what was found is sorted by the time at which it was stored.
#[derive(Debug, Clone)]
#[must_use = "a search is made when it is awaited"]
pub struct Search {
    admin: Admin,
    topic: String,
    key: String,
    unique: bool,
    max: u16,
    from: i64,
    to: i64,
}

impl Search {
    /// Sets how many messages each broker gives at most **(default: 64)**.
    pub fn max(mut self, messages: u16) -> Self {
        self.max = messages;
        self
    }

    /// Sets between which times the messages were stored, in ms since 1970 **(default: whenever)**.
    pub fn between(mut self, from: i64, to: i64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    async fn make(self) -> Result<Vec<MessageView>, Error> {
        let header = QueryMessage {
            topic: self.topic.clone(),
            key: self.key.clone(),
            max_num: i32::from(self.max),
            begin_timestamp: self.from,
            end_timestamp: self.to,
            index_type: self.unique.then(|| "U".to_owned()),
            last_key: None,
        };
        let mut request = Command::request(RequestCode::QUERY_MESSAGE, &header);
        if self.unique {
            request.fields.insert(UNIQUE_KEY_QUERY, "true");
        }
        let mut found = BTreeMap::new();
        for peer in self.admin.carriers(&self.topic).await? {
            let answer = match self.admin.core().ask(&peer, "look for messages", request.clone()).await {
                Err(Error::Refused { code: ResponseCode::QUERY_NOT_FOUND, .. }) => continue,
                answer => answer?,
            };
            for record in records(&answer.body) {
                let message = view(&peer, record.map_err(|error| wrong(&peer, &error))?)?;
                // A broker that finds by hash finds others too.
                let has_key = || message.keys().any(|key| key == self.key);
                if (self.unique && message.message_id == self.key) || (!self.unique && has_key()) {
                    found.insert((message.store_timestamp, message.offset_message_id.clone()), message);
                }
            }
        }
        Ok(found.into_values().collect())
    }
}

impl IntoFuture for Search {
    type Output = Result<Vec<MessageView>, Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

impl Admin {
    /// Looks for the messages of a topic that have a key; await the builder.
    ///
    /// # Errors
    /// There is no route to the topic, or one of its brokers does not answer.
    #[doc(alias = "queryMessage")]
    pub fn messages_by_key(&self, topic: impl Into<String>, key: impl Into<String>) -> Search {
        self.search(topic.into(), key.into(), false)
    }

    /// Looks for the messages of a topic with the id that their sender knows them by: one, or several when it was
    /// retried; await the builder.
    ///
    /// # Errors
    /// As [`Admin::messages_by_key`].
    #[doc(alias = "queryMsgByUniqueKey")]
    pub fn messages_by_id(&self, topic: impl Into<String>, message_id: impl Into<String>) -> Search {
        self.search(topic.into(), message_id.into(), true)
    }

    fn search(&self, topic: String, key: String, unique: bool) -> Search {
        Search { admin: self.clone(), topic, key, unique, max: 64, from: 0, to: i64::MAX }
    }

    /// The message at the place that an offset-message id names; `None` when it is gone.
    ///
    /// # Errors
    /// The text is no such id, or the broker that it names does not answer.
    #[doc(alias = "viewMessage")]
    pub async fn message_at(
        &self,
        topic: &str,
        offset_message_id: &str,
    ) -> Result<Option<MessageView>, Error> {
        let id: OffsetMessageId =
            offset_message_id.parse().map_err(|_| Error::MessageId { id: offset_message_id.to_owned() })?;
        let offset = i64::try_from(id.physical_offset)
            .map_err(|_| Error::MessageId { id: offset_message_id.to_owned() })?;
        let header = ViewMessage { topic: Some(topic.to_owned()), offset };
        let request = Command::request(RequestCode::VIEW_MESSAGE_BY_ID, &header);
        let peer = self.core().brokers.peer(&id.host.to_string());
        let answer = match self.core().ask(&peer, "show a message", request).await {
            // What brokers say of a place without a message.
            Err(Error::Refused { code: ResponseCode::SYSTEM_ERROR, .. }) => return Ok(None),
            answer => answer?,
        };
        let record = Record::decode(&answer.body).map_err(|error| wrong(&peer, &error))?;
        view(&peer, record).map(Some)
    }
}

fn view(peer: &Peer, record: Record<'_>) -> Result<MessageView, Error> {
    MessageView::decode(&record, MAX_BODY_BYTES).map_err(|error| wrong(peer, &error))
}

fn wrong(peer: &Peer, error: &dyn std::error::Error) -> Error {
    Error::Message { address: peer.address().to_owned(), reason: Arc::from(error.to_string()) }
}
