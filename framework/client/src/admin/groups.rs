//! Consumer groups: made, changed, listed and deleted.

use std::{collections::BTreeMap, future::IntoFuture};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{SubscriptionGroupConfig, TopicList, config::SubscriptionGroups},
    header::group::{DeleteSubscriptionGroup, GroupName},
    topic::validate_group,
};

use super::{Admin, Scope, with_body};
use crate::{Awaited, Error};

/// A consumer group that is created, or changed, when it is awaited.
#[derive(Debug, Clone)]
#[must_use = "a group is created when this is awaited"]
pub struct NewGroup {
    admin: Admin,
    scope: Scope,
    config: SubscriptionGroupConfig,
}

impl NewGroup {
    /// Sets which brokers get it **(default: all masters)**.
    pub fn on(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets how often a message is retried before it goes to the dead letters **(default: 16)**.
    pub fn max_retries(mut self, retries: u16) -> Self {
        self.config.retry_max_times = i32::from(retries);
        self
    }

    /// Sets whether it may consume **(default: true)**.
    pub fn consume(mut self, allowed: bool) -> Self {
        self.config.consume_enable = allowed;
        self
    }

    /// Sets whether it may broadcast **(default: true)**.
    pub fn broadcast(mut self, allowed: bool) -> Self {
        self.config.consume_broadcast_enable = allowed;
        self
    }

    /// Changes whatever else there is.
    pub fn with(mut self, change: impl FnOnce(&mut SubscriptionGroupConfig)) -> Self {
        change(&mut self.config);
        self
    }

    async fn create(self) -> Result<(), Error> {
        self.admin.put_group(&self.scope, &self.config).await
    }
}

impl IntoFuture for NewGroup {
    type Output = Result<(), Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}

impl Admin {
    /// Creates a consumer group on every master, or changes it; await the builder.
    ///
    /// # Errors
    /// The name is not allowed, there is no broker, or one of them refused.
    #[doc(alias = "createAndUpdateSubscriptionGroupConfig")]
    pub fn create_group(&self, group: impl Into<String>) -> NewGroup {
        let config =
            SubscriptionGroupConfig { group_name: group.into(), ..SubscriptionGroupConfig::default() };
        NewGroup { admin: self.clone(), scope: Scope::All, config }
    }

    /// Creates a consumer group, or changes it to be like this.
    ///
    /// # Errors
    /// As [`Admin::create_group`].
    pub async fn put_group(&self, scope: &Scope, config: &SubscriptionGroupConfig) -> Result<(), Error> {
        validate_group(&config.group_name)?;
        let request = with_body(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, config);
        self.change(scope, "create a group", request).await
    }

    /// A group as the broker at an address has it; `None` when it has not. Brokers since 5.0.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "examineSubscriptionGroupConfig")]
    pub async fn group_config(
        &self,
        broker: &str,
        group: &str,
    ) -> Result<Option<SubscriptionGroupConfig>, Error> {
        let header = GroupName { group: group.to_owned() };
        let request = Command::request(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &header);
        match self.ask_for(broker, "tell a group's configuration", request).await {
            Ok(config) => Ok(Some(config)),
            Err(Error::Refused { code: ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All groups of the broker at an address, by name.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "getAllSubscriptionGroup")]
    pub async fn group_configs(
        &self,
        broker: &str,
    ) -> Result<BTreeMap<String, SubscriptionGroupConfig>, Error> {
        let request = Command::bare(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
        let all: SubscriptionGroups = self.ask_for(broker, "tell its groups", request).await?;
        Ok(all.subscription_group_table)
    }

    /// The topics that a group has consumed on the broker at an address.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "queryTopicsByConsumer")]
    pub async fn topics_of_group(&self, broker: &str, group: &str) -> Result<Vec<String>, Error> {
        let header = GroupName { group: group.to_owned() };
        let request = Command::request(RequestCode::QUERY_TOPICS_BY_CONSUMER, &header);
        let topics: TopicList = self.ask_for(broker, "tell a group's topics", request).await?;
        Ok(topics.topic_list)
    }

    /// Deletes a group from every master of a scope, and its offsets too when that is wanted.
    ///
    /// # Errors
    /// There is no broker, or one of them refused.
    pub async fn delete_group(&self, scope: &Scope, group: &str, offsets_too: bool) -> Result<(), Error> {
        let header = DeleteSubscriptionGroup { group_name: group.to_owned(), clean_offset: offsets_too };
        let request = Command::request(RequestCode::DELETE_SUBSCRIPTIONGROUP, &header);
        self.change(scope, "delete a group", request).await
    }
}
