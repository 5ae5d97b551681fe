//! Asking brokers whether they take a filter, before anything is consumed with it.

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        SubscriptionData,
        dialect::{self, Dialect},
        query::ClientCheck,
    },
};

use super::shared::Shared;
use crate::{Error, brokers::MASTER, routes::Missing};

impl Shared {
    /// Has all filters checked that not every broker takes.
    pub(super) async fn check_filters(&self) -> Result<(), Error> {
        let subscriptions = self.enrolled.data.read().subscription_data_set.clone();
        for subscription in &subscriptions {
            self.check_filter(subscription).await?;
        }
        Ok(())
    }

    /// Has a filter checked by the first broker of its topic. A topic that does not exist yet is left to the pulls.
    pub(super) async fn check_filter(&self, subscription: &SubscriptionData) -> Result<(), Error> {
        if subscription.is_tags() {
            return Ok(());
        }
        let core = self.core();
        let route = match core.route(&subscription.topic, Missing::Refuse).await {
            Err(Error::NoRoute { .. }) => return Ok(()),
            route => route?,
        };
        let brokers = route.data.broker_datas.iter();
        let Some((peer, _)) =
            brokers.filter_map(|broker| core.brokers.member(&broker.broker_name, MASTER)).next()
        else {
            return Ok(());
        };
        let check = ClientCheck {
            client_id: core.id.clone(),
            group: self.options.group.clone(),
            namespace: None,
            subscription_data: Some(subscription.clone()),
        };
        let request = Command::bare(RequestCode::CHECK_CLIENT_CONFIG)
            .with_body(dialect::write(&check, Dialect::Standard));
        core.ask(&peer, "take a filter", request).await.map(drop)
    }
}
