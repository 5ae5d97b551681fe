//! Moving a group's offsets by way of its consumers (222 and 220), as brokers before 5.2 do.
//!
//! With `useServerSideResetOffset` the broker moves them itself; without, it works out where every queue should stand
//! and tells the consumers, who start again from there and commit it.

use std::{collections::BTreeMap, sync::Arc};

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        dialect::{Dialect, QueueMap, write},
        group::QueueRef,
        offset::{ListedOffset, QueueOffsets},
    },
    command::Language,
    header::progress::ResetOffset,
};
use rocketmq_boot_store::Boundary;
use serde::Serialize;

use super::FIRST_WITH_STATUS;
use crate::{reject::Reject, state::State};

/// The table for C++ clients, which cannot read objects as keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedOffsets {
    offset_table: Vec<ListedOffset>,
}

impl State {
    /// Has the consumers of a group move to a time.
    pub(crate) fn reset_by_consumers(self: &Arc<Self>, request: &Command) -> Result<Command, Reject> {
        let header: ResetOffset = request.header()?;
        let offsets = QueueOffsets { offset_table: QueueMap(self.offsets_to_tell(&header)?) };
        let consumers = self.clients.consumers_of(&header.group);
        if consumers.is_empty() {
            return Err(Reject::no_consumer_to_reset(&header.group, &header.topic, header.timestamp));
        }
        if let Some(old) = consumers.iter().find(|consumer| consumer.version < FIRST_WITH_STATUS) {
            return Err(Reject::client_too_old(old.version));
        }
        // A tool says by its language that the group's clients are written in C++.
        let body = match request.language {
            Language::Cpp => write(&ListedOffsets { offset_table: offsets.to_list() }, Dialect::Fastjson),
            _ => write(&offsets, Dialect::Fastjson),
        };
        let told = ResetOffset {
            topic: header.topic.clone(),
            group: header.group.clone(),
            timestamp: header.timestamp,
            ..ResetOffset::default()
        };
        let notice = Command::request(RequestCode::RESET_CONSUMER_CLIENT_OFFSET, &told).with_body(body);
        for consumer in consumers {
            if let Err(error) = consumer.connection.one_way(notice.clone()) {
                tracing::warn!(client = consumer.client_id, %error, "a consumer could not be told its new offsets");
            }
        }
        tracing::info!(group = header.group, topic = header.topic, "consumers were told new offsets");
        Ok(Command::success(request).with_body(write(&offsets, Dialect::Fastjson)))
    }

    /// Where each queue should stand. Without force nothing goes forward.
    fn offsets_to_tell(&self, header: &ResetOffset) -> Result<BTreeMap<QueueRef, i64>, Reject> {
        let topic =
            self.topics.find(&header.topic).ok_or_else(|| Reject::no_topic_to_reset(&header.topic))?;
        let mut offsets = BTreeMap::new();
        for queue_id in 0..topic.config.write_queue_nums {
            let committed = self
                .offsets
                .of(&header.group, &header.topic, queue_id)
                .ok_or_else(|| Reject::failed(format!("THe consumer group <{}> not exist", header.group)))?;
            let queue = self.topics.queue(&topic, queue_id);
            let wanted = match header.timestamp {
                -1 => self.store.readable_end(&queue.stored),
                timestamp => self.store.offset_by_time(&queue.stored, timestamp, Boundary::Lower)?,
            };
            let offset = if header.is_force { wanted } else { wanted.min(committed) };
            let broker_name = self.settings.broker_name.clone();
            offsets.insert(QueueRef { broker_name, queue_id, topic: header.topic.clone() }, offset);
        }
        Ok(offsets)
    }
}
