//! How far groups are: 208, 300, 303, 317 and 343.

use std::{collections::BTreeMap, sync::Arc};

use rocketmq_boot_protocol::{
    Command,
    body::{
        TopicList,
        progress::{AllConsumeStats, ConsumeStats, GroupList, QueueProgress, QueueTimeSpan, TimeSpans},
    },
    header::{
        group::GroupName,
        progress::{ConsumeStatsOf, ConsumeStatsOfAll, TopicOfGroup},
        topic::TopicName,
    },
};

use super::with_body;
use crate::{reject::Reject, state::State, topics::Topic};

impl State {
    /// How far one group is (208).
    pub(crate) fn consume_stats(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumeStatsOf = request.header()?;
        let group = &header.consumer_group;
        let listed: Vec<String> = texts(header.topic_list.as_deref(), ';');
        let mut stats = ConsumeStats::default();
        let topics = if listed.is_empty() {
            let mut topics = match header.topic.filter(|topic| !topic.trim().is_empty()) {
                Some(topic) => vec![topic],
                None => self.offsets.topics_of(group),
            };
            topics.retain(|topic| !self.clients.has_unsubscribed(group, topic));
            topics
        } else {
            listed
        };
        for topic in topics.iter().filter_map(|topic| self.topics.find(topic)) {
            self.add_progress(&mut stats, group, &topic, topic.config.read_queue_nums)?;
        }
        Ok(with_body(request, &stats))
    }

    /// How far all groups are (317).
    pub(crate) fn all_consume_stats(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumeStatsOfAll = request.header()?;
        let mut all =
            AllConsumeStats { broker_addr: self.store_host().to_string(), ..AllConsumeStats::default() };
        for group in self.groups.snapshot().subscription_group_table.into_keys() {
            let mut of_group = Vec::new();
            for topic in self.offsets.topics_of(&group) {
                if self.clients.has_unsubscribed(&group, &topic) {
                    continue;
                }
                let Some(topic) = self.topics.find(&topic) else { continue };
                if header.is_order && !topic.config.order {
                    continue;
                }
                let mut stats = ConsumeStats::default();
                self.add_progress(&mut stats, &group, &topic, topic.config.write_queue_nums)?;
                all.total_diff += stats.behind();
                all.total_inflight_diff += stats.in_flight();
                of_group.push(stats);
            }
            all.consume_stats_list.push(BTreeMap::from([(group, of_group)]));
        }
        Ok(with_body(request, &all))
    }

    /// Adds a topic's queues to what is known of a group.
    fn add_progress(
        &self,
        stats: &mut ConsumeStats,
        group: &str,
        topic: &Arc<Topic>,
        queues: i32,
    ) -> Result<(), Reject> {
        let committed = self.offsets.queues_of(group, topic.name());
        let reader = topic.traffic.find_reader(group);
        for queue_id in 0..queues {
            let queue = self.topics.queue(topic, queue_id);
            let consumer_offset = committed.get(&i64::from(queue_id)).copied().unwrap_or(0);
            let pulled = reader.as_ref().and_then(|reader| reader.next(queue_id));
            let progress = QueueProgress {
                broker_offset: self.store.readable_end(&queue.stored),
                consumer_offset,
                last_timestamp: self.store.store_time(&queue.stored, consumer_offset - 1)?.unwrap_or(0),
                pull_offset: pulled.map_or(consumer_offset, |pulled| pulled.max(consumer_offset)),
            };
            stats.offset_table.0.insert(self.queue_ref(topic.name(), queue_id), progress);
        }
        stats.consume_tps += reader.map_or(0.0, |reader| reader.gets.tps(self.sample()));
        Ok(())
    }

    /// What times a topic's queues span, and where a group is in them (303).
    pub(crate) fn time_spans(&self, request: &Command) -> Result<Command, Reject> {
        let header: TopicOfGroup = request.header()?;
        let topic = self.topics.find(&header.topic).ok_or_else(|| Reject::topic_unknown(&header.topic))?;
        let committed = self.offsets.queues_of(&header.group, &header.topic);
        let mut spans = TimeSpans::default();
        for queue_id in 0..topic.config.write_queue_nums {
            let queue = self.topics.queue(&topic, queue_id);
            let time = |offset| Ok::<_, Reject>(self.store.store_time(&queue.stored, offset)?.unwrap_or(-1));
            let end = self.store.readable_end(&queue.stored);
            let consumed = committed.get(&i64::from(queue_id)).copied().unwrap_or(-1);
            let first = self.store.earliest_time(&queue.stored)?.unwrap_or(-1);
            let behind = consumed < end && end > 0;
            spans.consume_time_span_set.push(QueueTimeSpan {
                consume_time_stamp: if consumed > 0 { time(consumed - 1)? } else { first },
                delay_time: if behind {
                    self.clock.now_ms() - time(consumed.max(queue.stored.min_offset()))?
                } else {
                    0
                },
                max_time_stamp: time(end - 1)?,
                message_queue: self.queue_ref(&header.topic, queue_id),
                min_time_stamp: first,
            });
        }
        Ok(with_body(request, &spans))
    }

    /// The groups that consume a topic now, or have (300).
    pub(crate) fn groups_of_topic(&self, request: &Command) -> Result<Command, Reject> {
        let header: TopicName = request.header()?;
        let mut group_list = self.clients.subscribers(&header.topic);
        group_list.extend(self.offsets.groups_of(&header.topic));
        group_list.sort_unstable();
        group_list.dedup();
        Ok(with_body(request, &GroupList { group_list }))
    }

    /// The topics that a group has consumed (343).
    pub(crate) fn topics_of_group(&self, request: &Command) -> Result<Command, Reject> {
        let header: GroupName = request.header()?;
        let topic_list = self.offsets.topics_of(&header.group);
        Ok(with_body(request, &TopicList { broker_addr: Some(self.store_host().to_string()), topic_list }))
    }
}

/// The parts of a text, without blank ones.
pub(super) fn texts(text: Option<&str>, separator: char) -> Vec<String> {
    let parts = text.unwrap_or_default().split(separator).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
