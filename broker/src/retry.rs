//! Failed messages on their way back (36): to the retry topic through a delay level, or to the dead letters.

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    header::send::SendBack,
    message::{id::OffsetMessageId, property as keys, record::Record},
    topic,
};

use crate::{
    properties::replace,
    reject::Reject,
    state::{Own, State},
};

/// Clients before 3.4.9 do not say how often they want a message.
const FIRST_WITH_LIMIT: i32 = 121;

/// The level of the first retry: attempt n waits at level 3 + n.
const FIRST_LEVEL: i32 = 3;

impl State {
    /// Takes a failed message back.
    pub(crate) fn send_back(self: &Arc<Self>, request: &Command) -> Result<Command, Reject> {
        let header: SendBack = request.header()?;
        let group = self.groups.find_or_create(&header.group)?;
        if !self.may_write() {
            return Err(Reject::broker_forbids(&self.settings.broker_name, "sending"));
        }
        if group.retry_queue_nums <= 0 {
            return Ok(Command::success(request));
        }
        let retry =
            self.topics.find_or_create_derived(&topic::retry_topic(&header.group), group.retry_queue_nums)?;
        if !retry.writable() {
            return Err(Reject::topic_forbids(retry.name(), "sending"));
        }
        let offset = u64::try_from(header.offset).map_err(|_| not_there(header.offset))?;
        let bytes = self
            .store
            .record(offset)
            .map_err(|error| Reject::failed(format!("look message by offset failed, {offset}: {error}")))?
            .ok_or_else(|| not_there(header.offset))?;
        let record = Record::decode(&bytes).map_err(|error| Reject::failed(error.to_string()))?;

        let limit = match header.max_reconsume_times {
            Some(limit) if request.version >= FIRST_WITH_LIMIT => limit,
            _ => group.retry_max_times,
        };
        let dead = record.reconsume_times >= limit || header.delay_level < 0;
        let level = match (dead, header.delay_level) {
            (true, _) => 0,
            (false, 0) => FIRST_LEVEL.saturating_add(record.reconsume_times),
            (false, level) => level,
        };
        let target = match dead {
            true => self.topics.find_or_create_derived(&topic::dlq_topic(&header.group), 1)?,
            false => retry,
        };
        let properties = self.properties_of_return(&record, level);
        let queue_id = target.queue_to_write(-1, || self.counters.random())?;
        self.append_own(
            &target,
            queue_id,
            &Own {
                properties: &properties,
                reconsume_times: record.reconsume_times.saturating_add(1),
                level: usize::try_from(level).unwrap_or(0),
                record: &record,
                committed: None,
            },
        )
        .map_err(|reject| Reject::failed(reject.remark))?;
        self.count_return(&header.group, &record);
        Ok(Command::success(request))
    }

    /// Counts a return with the topic that the message was first sent to.
    fn count_return(&self, group: &str, record: &Record<'_>) {
        let origin = record.property(keys::RETRY_TOPIC).unwrap_or(record.topic);
        if let Some(reader) = self.topics.find(origin).and_then(|topic| topic.traffic.reader(group)) {
            reader.returns.add(1, 1, 0);
        }
    }

    /// The original's properties with what a returned message needs. Where it came from is set only once.
    fn properties_of_return(&self, record: &Record<'_>, level: i32) -> String {
        let text = record.text();
        let origin_id = OffsetMessageId {
            host: record.store_host,
            physical_offset: u64::try_from(record.physical_offset).unwrap_or(0),
        }
        .to_string();
        let level = level.to_string();
        let topic = record.topic.to_owned();
        let mut replaced = vec![
            // Dead letters say level 0, as Apache's do.
            (keys::DELAY, Some(level.as_str())),
            (keys::WAIT, Some("false")),
        ];
        if record.property(keys::RETRY_TOPIC).is_none() {
            replaced.push((keys::RETRY_TOPIC, Some(&topic)));
        }
        if record.property(keys::ORIGIN_MESSAGE_ID).is_none() {
            replaced.push((keys::ORIGIN_MESSAGE_ID, Some(&origin_id)));
        }
        replace(&text, &replaced)
    }
}

fn not_there(offset: i64) -> Reject {
    Reject::failed(format!("look message by offset failed, {offset}"))
}
