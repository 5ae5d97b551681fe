//! Who is connected: 203, 204, 328 and 345.

use rocketmq_boot_protocol::{
    Command,
    body::connection::GroupSubscription,
    header::{
        group::{ConsumerGroup, ProducerGroup},
        progress::TopicOfGroup,
    },
};

use super::with_body;
use crate::{reject::Reject, state::State};

impl State {
    /// The members of a consumer group and what they subscribe to (203).
    pub(crate) fn consumer_connections(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumerGroup = request.header()?;
        let group = &header.consumer_group;
        let connections = self.clients.consumers(group).ok_or_else(|| Reject::not_online(group))?;
        Ok(with_body(request, &connections))
    }

    /// The members of a producer group (204).
    pub(crate) fn producer_connections(&self, request: &Command) -> Result<Command, Reject> {
        let header: ProducerGroup = request.header()?;
        let group = &header.producer_group;
        let connections = self.clients.producers(group);
        let connections =
            connections.ok_or_else(|| Reject::failed(format!("the producer group[{group}] not exist")))?;
        Ok(with_body(request, &connections))
    }

    /// All producers (328).
    pub(crate) fn all_producers(&self, request: &Command) -> Command {
        with_body(request, &self.clients.all_producers())
    }

    /// What a group subscribes to in a topic (345).
    pub(crate) fn subscription_of_group(&self, request: &Command) -> Result<Command, Reject> {
        let header: TopicOfGroup = request.header()?;
        let subscription = self.clients.subscription(&header.group, &header.topic);
        let body = GroupSubscription {
            subscription_data: subscription.map(|subscription| (*subscription).clone()),
            group: header.group,
            topic: header.topic,
        };
        Ok(with_body(request, &body))
    }
}
