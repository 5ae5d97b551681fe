//! Who is connected, and how single consumers are.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        connection::{ConsumerConnections, Producer, ProducerConnections, ProducerTable},
        relay::ConsumerPositions,
        running::{ConsumerRunning, DirectResult},
    },
    header::{
        group::{ConsumerGroup, ProducerGroup},
        progress::ConsumerStatus,
        relay,
    },
    topic::{retry_topic, validate_group},
};

use super::{Admin, read};
use crate::Error;

impl Admin {
    /// The ids of a group's consumers, as the brokers of `topic` know them. Empty when there are none.
    ///
    /// # Errors
    /// There is no route to the topic, or no broker answered.
    #[doc(alias = "findConsumerIdList")]
    pub async fn consumer_ids(&self, group: &str, topic: &str) -> Result<Vec<String>, Error> {
        validate_group(group)?;
        self.core().consumer_ids(group, topic).await
    }

    /// The members of a consumer group, with their subscriptions.
    ///
    /// # Errors
    /// No broker knows the group, or none of its members is online.
    #[doc(alias = "examineConsumerConnectionInfo")]
    pub async fn consumer_connections(&self, group: &str) -> Result<ConsumerConnections, Error> {
        let header = ConsumerGroup { consumer_group: group.to_owned() };
        let request = Command::request(RequestCode::GET_CONSUMER_CONNECTION_LIST, &header);
        self.of_group(group, "tell a group's members", request).await
    }

    /// The members of a producer group, as a broker of `topic` knows them.
    ///
    /// # Errors
    /// There is no route to the topic, or the group has no member online.
    #[doc(alias = "examineProducerConnectionInfo")]
    pub async fn producer_connections(&self, group: &str, topic: &str) -> Result<ProducerConnections, Error> {
        let header = ProducerGroup { producer_group: group.to_owned() };
        let request = Command::request(RequestCode::GET_PRODUCER_CONNECTION_LIST, &header);
        self.first_of(topic, "tell a group's members", request).await
    }

    /// All producers of the broker at an address, by group.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "getAllProducerInfo")]
    pub async fn producers(&self, broker: &str) -> Result<BTreeMap<String, Vec<Producer>>, Error> {
        let request = Command::bare(RequestCode::GET_ALL_PRODUCER_INFO);
        let table: ProducerTable = self.ask_for(broker, "tell its producers", request).await?;
        Ok(table.data)
    }

    /// How a member of a consumer group is.
    ///
    /// # Errors
    /// No broker knows the group, or the member is not online or does not answer.
    #[doc(alias = "getConsumerRunningInfo")]
    pub async fn consumer_running(&self, group: &str, client_id: &str) -> Result<ConsumerRunning, Error> {
        let header = relay::ConsumerRunning {
            consumer_group: group.to_owned(),
            client_id: client_id.to_owned(),
            jstack_enable: false,
        };
        let request = Command::request(RequestCode::GET_CONSUMER_RUNNING_INFO, &header);
        self.of_group(group, "tell how a consumer is", request).await
    }

    /// How far each member of a group is in a topic, by its own account.
    ///
    /// # Errors
    /// There is no route to the topic, or none of its brokers could ask the members.
    #[doc(alias = "getConsumeStatus")]
    pub async fn consumer_positions(&self, group: &str, topic: &str) -> Result<ConsumerPositions, Error> {
        let header = ConsumerStatus { topic: topic.to_owned(), group: group.to_owned(), client_addr: None };
        let request = Command::request(RequestCode::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, &header);
        self.first_of(topic, "ask consumers how far they are", request).await
    }

    /// Hands a message, by its offset-message id, to one member of a group, which handles it now. Where it lies and
    /// what the group has committed stay as they are.
    ///
    /// # Errors
    /// No broker knows the group, the member is not online, or there is no such message.
    #[doc(alias = "consumeMessageDirectly")]
    pub async fn consume_directly(
        &self,
        group: &str,
        client_id: &str,
        topic: &str,
        offset_message_id: &str,
    ) -> Result<DirectResult, Error> {
        let header = relay::ConsumeDirectly {
            consumer_group: group.to_owned(),
            client_id: client_id.to_owned(),
            message_id: Some(offset_message_id.to_owned()),
            topic: Some(topic.to_owned()),
            ..relay::ConsumeDirectly::default()
        };
        let request = Command::request(RequestCode::CONSUME_MESSAGE_DIRECTLY, &header);
        self.of_group(group, "hand a message over", request).await
    }

    /// Asks the brokers that know a group: they have its retry topic.
    async fn of_group<T: serde::de::DeserializeOwned>(
        &self,
        group: &str,
        action: &'static str,
        request: Command,
    ) -> Result<T, Error> {
        validate_group(group)?;
        self.first_of(&retry_topic(group), action, request).await
    }

    /// Asks the brokers of a topic, one after the other, until one knows.
    async fn first_of<T: serde::de::DeserializeOwned>(
        &self,
        topic: &str,
        action: &'static str,
        request: Command,
    ) -> Result<T, Error> {
        let mut failure = Error::NoRoute { topic: topic.to_owned() };
        for peer in self.carriers(topic).await? {
            match self.core().ask(&peer, action, request.clone()).await {
                Ok(answer) => return read(&peer, &answer),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}
