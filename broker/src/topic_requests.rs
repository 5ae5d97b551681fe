//! Creating and deleting topics: 17 and 215.

use rocketmq_boot_protocol::{
    Command,
    body::TopicConfig,
    header::topic::{CreateTopic, TopicName},
    topic,
};

use crate::{reject::Reject, state::State};

impl State {
    /// Creates or changes a topic (17).
    pub(crate) fn create_topic(&self, request: &Command) -> Result<Command, Reject> {
        let header: CreateTopic = request.header()?;
        self.check_users(&header.topic)?;
        if !(0..=15).contains(&header.perm) {
            return Err(Reject::invalid(format!(
                "perm {} of topic {}: 0 to 15 is allowed",
                header.perm, header.topic
            )));
        }
        let attributes =
            self.topics.find(&header.topic).map(|old| old.config.attributes.clone()).unwrap_or_default();
        self.topics.put(TopicConfig {
            attributes,
            more: Default::default(),
            order: header.order,
            perm: header.perm,
            read_queue_nums: header.read_queue_nums,
            topic_filter_type: header
                .topic_filter_type
                .unwrap_or_else(|| TopicConfig::default().topic_filter_type),
            topic_name: header.topic,
            topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
            write_queue_nums: header.write_queue_nums,
        })?;
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

    /// Refuses the system's topics; cluster and broker have topics of their names.
    fn check_users(&self, topic: &str) -> Result<(), Reject> {
        let own = [&self.settings.cluster_name, &self.settings.broker_name];
        if topic::is_system(topic) || own.iter().any(|name| *name == topic) {
            return Err(Reject::invalid(format!("the topic[{topic}] is conflict with system topic.")));
        }
        Ok(())
    }
}
