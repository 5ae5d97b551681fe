//! Looking for messages: by key (12), by their place in the commit log (33), and the entries of a queue (321).
//!
//! All of it may wait for the disk, so it is done where blocking is allowed, a few at a time.

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        dialect::{Dialect, write},
        query::{QueueEntries, QueueEntry},
    },
    header::query::{QueryConsumeQueue, QueryMessage, QueryMessageReply, UNIQUE_KEY_QUERY, ViewMessage},
};
use rocketmq_boot_remoting::Connection;
use rocketmq_boot_store::{KeyKind, KeyQuery};

use crate::{dispatch, reject::Reject, state::State};

/// Queries that are answered at the same time; others wait.
pub(crate) const MAX_QUERIES: usize = 4;
/// Bytes of messages in the answer to a query; clients take frames of 16 MiB.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// Entries of a queue in one answer.
const MAX_ENTRIES: usize = 4_096;

/// Whether a code is answered here.
pub(crate) fn is_query(code: RequestCode) -> bool {
    matches!(
        code,
        RequestCode::QUERY_MESSAGE | RequestCode::VIEW_MESSAGE_BY_ID | RequestCode::QUERY_CONSUME_QUEUE
    )
}

impl State {
    /// Answers a query away from the threads that others wait for.
    pub(crate) async fn query(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: Command,
    ) -> Option<Command> {
        let permit = Arc::clone(&self.queries).acquire_owned().await.ok()?;
        let (state, connection) = (Arc::clone(self), Arc::clone(connection));
        let request = Arc::new(request);
        let asked = Arc::clone(&request);
        let answered = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            dispatch::answer(&state, &connection, &asked)
        });
        let answer = answered.await.unwrap_or_else(|error| Err(Reject::failed(error.to_string())));
        Some(answer.unwrap_or_else(|reject| reject.answer(&request)))
    }

    /// The newest messages with a key, as they are stored (12).
    pub(crate) fn query_message(&self, request: &Command) -> Result<Command, Reject> {
        let header: QueryMessage = request.header()?;
        let unique =
            request.fields.get(UNIQUE_KEY_QUERY).is_some_and(|unique| unique.eq_ignore_ascii_case("true"));
        let wanted = match unique {
            true => self.settings.default_query_max,
            false => usize::try_from(header.max_num).unwrap_or(0),
        };
        let kind = match header.index_type.as_deref() {
            Some("T") if !unique => KeyKind::Tag,
            _ => KeyKind::Key,
        };
        let found = self.store.find_by_key(&KeyQuery {
            topic: &header.topic,
            key: &header.key,
            kind,
            max_messages: wanted.min(self.settings.max_query),
            max_bytes: MAX_ANSWER_BYTES,
            begin: header.begin_timestamp,
            end: header.end_timestamp,
        })?;
        let reply = QueryMessageReply {
            index_last_update_timestamp: found.last_timestamp,
            index_last_update_phyoffset: found.last_position,
        };
        if found.count == 0 {
            return Ok(Reject::nothing_by_key().answer(request).with_header(&reply));
        }
        Ok(Command::success(request).with_header(&reply).with_body(found.records))
    }

    /// The message at a place in the commit log, as it is stored (33).
    pub(crate) fn view_message(&self, request: &Command) -> Result<Command, Reject> {
        let header: ViewMessage = request.header()?;
        let nothing = || Reject::nothing_at(header.offset);
        let position = u64::try_from(header.offset).map_err(|_| nothing())?;
        // Whatever is asked for, only a whole record that says that it lies there is given.
        let record = self.store.record(position).ok().flatten().ok_or_else(nothing)?;
        Ok(Command::success(request).with_body(record))
    }

    /// Entries of a consume queue (321).
    pub(crate) fn query_consume_queue(&self, request: &Command) -> Result<Command, Reject> {
        let header: QueryConsumeQueue = request.header()?;
        let (topic, index) = (&header.topic, header.index);
        let place = format!("{}@{topic}", header.queue_id);
        let queue = u32::try_from(header.queue_id).ok().and_then(|id| self.store.find_queue(topic, id));
        let queue = queue.ok_or_else(|| Reject::failed(format!("{place} is not exist!")))?;
        let (min, max) = (queue.min_offset(), self.store.readable_end(&queue));
        if !(min..max).contains(&index) {
            let mut answer = Command::success(request);
            answer.remark = Some(format!("Index {index} of {place} is not exist!"));
            return Ok(answer);
        }
        let count = usize::try_from(header.count).unwrap_or(0).min(MAX_ENTRIES);
        let entries = self.store.entries(&queue, index, count)?.into_iter().map(|entry| QueueEntry {
            eval: false,
            physic_offset: i64::try_from(entry.physical_offset).unwrap_or(i64::MAX),
            physic_size: i32::try_from(entry.size).unwrap_or(i32::MAX),
            tags_code: entry.tags_code,
        });
        let mut body = QueueEntries {
            max_queue_index: max,
            min_queue_index: min,
            queue_data: Some(entries.collect()),
            ..QueueEntries::default()
        };
        if let Some(group) = &header.consumer_group {
            let subscription = self.clients.subscription(group, topic);
            body.filter_data = Some(match &subscription {
                None => format!("{group}@{topic} is not online!"),
                Some(subscription) if subscription.is_tags() => "null".to_owned(),
                Some(subscription) => subscription.sub_string.clone(),
            });
            body.subscription_data = subscription.map(|subscription| (*subscription).clone());
        }
        Ok(Command::success(request).with_body(write(&body, Dialect::Fastjson)))
    }
}
