//! Topics: 17, 18, 21, 202, 215, 305 and 351.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    Command,
    body::{
        DataVersion, TopicConfig, TopicList,
        config::{AllTopics, TopicConfigList},
        lenient,
        progress::{QueueEnds, TopicStats},
    },
    header::topic::{AllTopics as AllTopicsOf, AllTopicsReply, CreateTopic, TopicName},
    topic,
};

use super::with_body;
use crate::{
    attributes::{Changes, MESSAGE_TYPE, MIXED},
    reject::Reject,
    state::State,
};

/// Topics or groups of one answer, when an asker wants pages (`splitMetadataSize` of 5.4).
const PAGE: usize = 2_000;

impl State {
    /// Creates or changes a topic (17).
    pub(crate) fn create_topic(&self, request: &Command) -> Result<Command, Reject> {
        let header: CreateTopic = request.header()?;
        self.check_users(&header.topic)?;
        topic::validate_topic(&header.topic)?;
        let changes = Changes::of_text(header.attributes.as_deref().unwrap_or_default())?;
        self.check_mixed(&changes)?;
        self.topics.put(vec![TopicConfig {
            attributes: changes.into_table(),
            order: header.order,
            perm: header.perm,
            read_queue_nums: header.read_queue_nums,
            topic_filter_type: header
                .topic_filter_type
                .unwrap_or_else(|| TopicConfig::default().topic_filter_type),
            topic_name: header.topic,
            topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
            write_queue_nums: header.write_queue_nums,
            ..TopicConfig::default()
        }])?;
        Ok(Command::success(request))
    }

    /// Creates or changes several topics, all or none of them (18).
    pub(crate) fn create_topics(&self, request: &Command) -> Result<Command, Reject> {
        let list: TopicConfigList = lenient::read("list of topics", &request.body)?;
        for config in &list.topic_config_list {
            self.check_users(&config.topic_name)?;
            self.check_mixed(&Changes::of_table(&config.attributes)?)?;
        }
        self.topics.put(list.topic_config_list)?;
        Ok(Command::success(request))
    }

    /// Deletes a topic with its queues and everybody's offsets (215).
    pub(crate) fn delete_topic(&self, request: &Command) -> Result<Command, Reject> {
        let header: TopicName = request.header()?;
        self.check_users(&header.topic)?;
        topic::validate_topic(&header.topic)?;
        self.topics.delete(&header.topic)?;
        self.offsets.remove_topic(&header.topic);
        Ok(Command::success(request))
    }

    /// All topics, or a page of them (21).
    pub(crate) fn all_topics(&self, request: &Command) -> Result<Command, Reject> {
        let header: AllTopicsOf = request.header()?;
        let topics = self.topics.snapshot();
        let total = topics.topic_config_table.len();
        let page =
            Page { from: header.topic_seq, most: header.max_topic_num, seen: header.data_version.as_deref() };
        let body = AllTopics {
            data_version: topics.data_version,
            topic_config_table: page.cut(topics.topic_config_table, topics.data_version),
            ..AllTopics::default()
        };
        let reply = AllTopicsReply { total_topic_num: i32::try_from(total).ok() };
        Ok(with_body(request, &body).with_header(&reply))
    }

    /// One topic (351).
    pub(crate) fn topic_config(&self, request: &Command) -> Result<Command, Reject> {
        let header: TopicName = request.header()?;
        let topic = self.topics.find(&header.topic).ok_or_else(|| Reject::no_topic_here(&header.topic))?;
        Ok(with_body(request, &topic.config))
    }

    /// What lies in a topic (202).
    pub(crate) fn topic_stats(&self, request: &Command) -> Result<Command, Reject> {
        let header: TopicName = request.header()?;
        let topic = self.topics.find(&header.topic).ok_or_else(|| Reject::topic_unknown(&header.topic))?;
        let queues = topic.config.read_queue_nums.max(topic.config.write_queue_nums);
        let mut stats =
            TopicStats { topic_put_tps: topic.traffic.puts.tps(self.sample()), ..TopicStats::default() };
        for queue_id in 0..queues {
            let queue = self.topics.queue(&topic, queue_id);
            let max_offset = self.store.readable_end(&queue.stored);
            let ends = QueueEnds {
                last_update_timestamp: self.store.store_time(&queue.stored, max_offset - 1)?.unwrap_or(0),
                max_offset,
                min_offset: queue.stored.min_offset(),
            };
            stats.offset_table.0.insert(self.queue_ref(&header.topic, queue_id), ends);
        }
        Ok(with_body(request, &stats))
    }

    /// The topics that are the system's (305).
    pub(crate) fn system_topics(&self, request: &Command) -> Result<Command, Reject> {
        let names = self.topics.snapshot().topic_config_table.into_keys();
        let topic_list = names.filter(|name| self.is_own(name)).collect();
        Ok(with_body(request, &TopicList { broker_addr: None, topic_list }))
    }

    /// Whether a topic is the system's: cluster and broker have topics of their names.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        let own = [&self.settings.cluster_name, &self.settings.broker_name];
        topic::is_system(name)
            || name == topic::OFFSET_MOVED_EVENT
            || own.iter().any(|own| *own == name)
            || name.strip_prefix(&*self.settings.cluster_name) == Some("_REPLY_TOPIC")
    }

    /// Refuses the system's topics.
    fn check_users(&self, topic: &str) -> Result<(), Reject> {
        if self.is_own(topic) {
            return Err(Reject::invalid(format!("The topic[{topic}] is conflict with system topic.")));
        }
        Ok(())
    }

    fn check_mixed(&self, changes: &Changes) -> Result<(), Reject> {
        if changes.get(MESSAGE_TYPE) == Some(MIXED) && !self.settings.mixed_message_type {
            return Err(Reject::invalid("MIXED message type is not supported."));
        }
        Ok(())
    }
}

/// Which part of a table somebody wants. Without any of its members it is the whole.
pub(super) struct Page<'a> {
    pub(super) from: Option<i32>,
    pub(super) most: Option<i32>,
    pub(super) seen: Option<&'a str>,
}

impl Page<'_> {
    /// The part of a table that stands at a version. When the table has changed since the page before, the first page
    /// is given again.
    pub(super) fn cut<V>(&self, table: BTreeMap<String, V>, version: DataVersion) -> BTreeMap<String, V> {
        if self.from.is_none() && self.most.is_none() && self.seen.is_none() {
            return table;
        }
        let seen: Option<DataVersion> =
            self.seen.and_then(|seen| lenient::read("data version", seen.as_bytes()).ok());
        let from = match seen {
            Some(seen) if seen == version => {
                self.from.and_then(|from| usize::try_from(from).ok()).unwrap_or(0)
            }
            _ => 0,
        };
        let most = self.most.and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE).min(PAGE);
        table.into_iter().skip(from).take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_until_the_table_changes() {
        let version = |counter| DataVersion { counter, ..DataVersion::default() };
        let table = || (b'a'..=b'e').map(|name| (char::from(name).to_string(), ())).collect();
        let cut = |from, most, seen| {
            let page = Page { from, most, seen };
            page.cut(table(), version(3)).into_keys().collect::<String>()
        };
        let same = Some(r#"{"counter":3,"stateVersion":0,"timestamp":0}"#);
        assert_eq!(cut(None, None, None), "abcde");
        assert_eq!(cut(Some(0), Some(2), None), "ab");
        assert_eq!(cut(Some(2), Some(2), same), "cd");
        assert_eq!(cut(Some(4), Some(2), same), "e");
        assert_eq!(cut(Some(5), Some(2), same), "");
        assert_eq!(cut(Some(2), Some(2), Some(r#"{"counter":2}"#)), "ab");
        assert_eq!(cut(Some(-1), Some(-1), same), "abcde");
    }
}
