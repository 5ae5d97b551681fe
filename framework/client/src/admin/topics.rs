//! Topics: made, changed, listed, looked into and deleted.

use std::{collections::BTreeMap, future::IntoFuture};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        TopicConfig, TopicList,
        config::AllTopics,
        progress::{GroupList, TopicStats},
    },
    header::{
        route::ClusterName,
        topic::{CreateTopic, TopicName},
    },
    topic::{AUTO_CREATE_TOPIC, validate_topic},
};

use super::{Admin, Scope, read};
use crate::{Awaited, Error};

/// A topic that is created, or changed, when it is awaited.
#[derive(Debug, Clone)]
#[must_use = "a topic is created when this is awaited"]
pub struct NewTopic {
    admin: Admin,
    scope: Scope,
    config: TopicConfig,
}

impl NewTopic {
    /// Sets which brokers get it **(default: all masters)**.
    pub fn on(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the numbers of queues that can be read and written, where they differ.
    pub fn queues(mut self, read: u16, write: u16) -> Self {
        self.config.read_queue_nums = i32::from(read);
        self.config.write_queue_nums = i32::from(write);
        self
    }

    /// Sets the permission bits: 4 read, 2 write, 1 inherit **(default: 6)**.
    pub fn permissions(mut self, bits: i32) -> Self {
        self.config.perm = bits;
        self
    }

    /// Sets whether the order of messages matters **(default: false)**.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.config.order = ordered;
        self
    }

    /// Sets an attribute, such as `message.type` to `FIFO`; 5.x only.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.attributes.insert(format!("+{}", key.into()), value.into());
        self
    }

    async fn create(self) -> Result<(), Error> {
        self.admin.put_topic(&self.scope, &self.config).await
    }
}

impl IntoFuture for NewTopic {
    type Output = Result<(), Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}

impl Admin {
    /// Creates a topic with this many queues on every master, or changes it to have as many; await the builder.
    ///
    /// The brokers tell their name servers at once, but not before they answer: a route may take a moment.
    ///
    /// # Errors
    /// The name is not allowed, there is no broker, or one of them refused.
    #[doc(alias = "createAndUpdateTopicConfig")]
    pub fn create_topic(&self, topic: impl Into<String>, queues: u16) -> NewTopic {
        let config = TopicConfig::new(topic, i32::from(queues));
        NewTopic { admin: self.clone(), scope: Scope::All, config }
    }

    /// Creates a topic, or changes it to be like this. Attributes are changes: `+key` with a value sets one, `-key`
    /// without removes it.
    ///
    /// # Errors
    /// As [`Admin::create_topic`].
    pub async fn put_topic(&self, scope: &Scope, config: &TopicConfig) -> Result<(), Error> {
        validate_topic(&config.topic_name)?;
        let change = |(key, value): (&String, &String)| match value.is_empty() {
            true => key.clone(),
            false => format!("{key}={value}"),
        };
        let attributes: Vec<String> = config.attributes.iter().map(change).collect();
        let header = CreateTopic {
            topic: config.topic_name.clone(),
            default_topic: Some(AUTO_CREATE_TOPIC.to_owned()),
            read_queue_nums: config.read_queue_nums,
            write_queue_nums: config.write_queue_nums,
            perm: config.perm,
            topic_filter_type: Some(config.topic_filter_type.clone()),
            topic_sys_flag: Some(config.topic_sys_flag),
            order: config.order,
            attributes: Some(attributes.join(",")).filter(|attributes| !attributes.is_empty()),
            ..CreateTopic::default()
        };
        let request = Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header);
        self.change(scope, "create a topic", request).await
    }

    /// The names of all topics, those of groups' retries and dead letters and RocketMQ's own included.
    ///
    /// # Errors
    /// No name server answers, or it does not tell.
    #[doc(alias = "fetchAllTopicList")]
    pub async fn topics(&self) -> Result<Vec<String>, Error> {
        let request = Command::bare(RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
        let (answer, server) = self.ask_name_server("tell its topics", request).await?;
        Ok(read::<TopicList>(&server, &answer)?.topic_list)
    }

    /// The names of a cluster's topics.
    ///
    /// # Errors
    /// As [`Admin::topics`].
    pub async fn topics_of_cluster(&self, cluster: &str) -> Result<Vec<String>, Error> {
        let header = ClusterName { cluster: cluster.to_owned() };
        let request = Command::request(RequestCode::GET_TOPICS_BY_CLUSTER, &header);
        let (answer, server) = self.ask_name_server("tell a cluster's topics", request).await?;
        Ok(read::<TopicList>(&server, &answer)?.topic_list)
    }

    /// A topic as the broker at an address has it; `None` when it has not. Brokers since 5.0.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "examineTopicConfig")]
    pub async fn topic_config(&self, broker: &str, topic: &str) -> Result<Option<TopicConfig>, Error> {
        let header = TopicName { topic: topic.to_owned(), ..TopicName::default() };
        let request = Command::request(RequestCode::GET_TOPIC_CONFIG, &header);
        match self.ask_for(broker, "tell a topic's configuration", request).await {
            Ok(config) => Ok(Some(config)),
            Err(Error::Refused { code: ResponseCode::TOPIC_NOT_EXIST, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All topics of the broker at an address, by name.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "getAllTopicConfig")]
    pub async fn topic_configs(&self, broker: &str) -> Result<BTreeMap<String, TopicConfig>, Error> {
        let request = Command::bare(RequestCode::GET_ALL_TOPIC_CONFIG);
        let all: AllTopics = self.ask_for(broker, "tell its topics", request).await?;
        Ok(all.topic_config_table)
    }

    /// What lies in a topic, on all brokers that carry it.
    ///
    /// # Errors
    /// There is no route to the topic, or one of its brokers does not answer.
    #[doc(alias = "examineTopicStats")]
    pub async fn topic_stats(&self, topic: &str) -> Result<TopicStats, Error> {
        let header = TopicName { topic: topic.to_owned(), ..TopicName::default() };
        let request = Command::request(RequestCode::GET_TOPIC_STATS_INFO, &header);
        let mut all = TopicStats::default();
        for peer in self.carriers(topic).await? {
            let answer = self.core().ask(&peer, "tell what lies in a topic", request.clone()).await?;
            let stats: TopicStats = read(&peer, &answer)?;
            all.offset_table.0.extend(stats.offset_table.0);
            all.topic_put_tps += stats.topic_put_tps;
        }
        Ok(all)
    }

    /// The groups that consume a topic, or have consumed it.
    ///
    /// # Errors
    /// As [`Admin::topic_stats`].
    #[doc(alias = "queryTopicConsumeByWho")]
    pub async fn groups_of_topic(&self, topic: &str) -> Result<Vec<String>, Error> {
        let header = TopicName { topic: topic.to_owned(), ..TopicName::default() };
        let request = Command::request(RequestCode::QUERY_TOPIC_CONSUME_BY_WHO, &header);
        let mut groups = std::collections::BTreeSet::new();
        for peer in self.carriers(topic).await? {
            let answer = self.core().ask(&peer, "tell who consumes a topic", request.clone()).await?;
            groups.extend(read::<GroupList>(&peer, &answer)?.group_list);
        }
        Ok(groups.into_iter().collect())
    }

    /// Deletes a topic with its messages from every master of a scope, then from the name servers.
    ///
    /// # Errors
    /// There is no broker, or one of them or a name server refused.
    #[doc(alias = "deleteTopicInBroker")]
    pub async fn delete_topic(&self, scope: &Scope, topic: &str) -> Result<(), Error> {
        validate_topic(topic)?;
        let mut header = TopicName { topic: topic.to_owned(), ..TopicName::default() };
        let request = Command::request(RequestCode::DELETE_TOPIC_IN_BROKER, &header);
        self.change(scope, "delete a topic", request).await?;
        if let Scope::Cluster(cluster) = scope {
            header.cluster_name = Some(cluster.clone());
        }
        if !matches!(scope, Scope::Broker(_)) {
            let request = Command::request(RequestCode::DELETE_TOPIC_IN_NAMESRV, &header);
            self.change_name_servers("forget a topic", request).await?;
        }
        Ok(())
    }
}
