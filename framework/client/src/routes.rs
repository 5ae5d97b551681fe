//! Routes as they were last heard, asked for on first use and then every 30 seconds.
//!
//! A route is kept when its name server cannot be asked, and also when the name server says that it does not know
//! the topic: one that was just restarted knows nothing until the brokers have told it, and taking that for the
//! truth would stop everybody.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt, stream};
use parking_lot::RwLock;
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{TopicRoute, lenient},
    header::topic::TopicName,
    topic::AUTO_CREATE_TOPIC,
};
use tokio::time::sleep;

use crate::{
    Error,
    brokers::vip_address,
    core::{Core, accept},
    meter::SendMeter,
    route::{self, Route},
};

const ASK: &str = "tell a route";

/// Routes asked for at a time when all are refreshed.
const AT_A_TIME: usize = 8;

/// Routes by topic.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: RwLock<HashMap<String, Arc<Route>>>,
    /// Held while a route is asked for, so that a burst of first sends asks once.
    asking: tokio::sync::Mutex<()>,
}

/// What to do about a topic that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is an error.
    Refuse,
    /// Where automatic topics are made, it will be made by the first send.
    UseTemplate,
}

impl Routes {
    /// The route, if it was heard before.
    pub(crate) fn known(&self, topic: &str) -> Option<Arc<Route>> {
        self.known.read().get(topic).cloned()
    }
}

impl Core {
    /// The route of a topic, asked for when it is not known.
    pub(crate) async fn route(&self, topic: &str, missing: Missing) -> Result<Arc<Route>, Error> {
        let usable = |route: &Arc<Route>| missing == Missing::UseTemplate || !route.from_template;
        if let Some(route) = self.routes.known(topic).filter(usable) {
            return Ok(route);
        }
        let _asking = self.routes.asking.lock().await;
        if let Some(route) = self.routes.known(topic).filter(usable) {
            return Ok(route);
        }
        if let Some(data) = self.ask_route(topic).await? {
            return Ok(self.learn_route(topic, data, false));
        }
        let no_route = || Error::NoRoute { topic: topic.to_owned() };
        if missing == Missing::Refuse {
            return Err(no_route());
        }
        let mut template = self.ask_route(AUTO_CREATE_TOPIC).await?.ok_or_else(no_route)?;
        route::cap_template(&mut template);
        Ok(self.learn_route(topic, template, true))
    }

    /// Asks for a route now, whatever is known; `None` when the topic does not exist.
    pub(crate) async fn refresh_route(&self, topic: &str) -> Result<Option<Arc<Route>>, Error> {
        let _asking = self.routes.asking.lock().await;
        Ok(self.ask_route(topic).await?.map(|data| self.learn_route(topic, data, false)))
    }

    /// Any answer shows that a name server is there.
    pub(crate) async fn greet_name_servers(&self) -> Result<(), Error> {
        self.ask_route(AUTO_CREATE_TOPIC).await.map(drop)
    }

    /// Asks the name servers; `None` when they do not know the topic.
    async fn ask_route(&self, topic: &str) -> Result<Option<TopicRoute>, Error> {
        let header = TopicName { topic: topic.to_owned(), ..TopicName::default() };
        let request = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC, &header);
        let (answer, server) = self.name_servers.call(&request, self.options.request_timeout).await?;
        if answer.response_code() == ResponseCode::TOPIC_NOT_EXIST {
            return Ok(None);
        }
        let answer = accept(&server, ASK, answer)?;
        let mut data: TopicRoute = lenient::read("route", &answer.body)
            .map_err(|source| Error::Answer { address: server.address().to_owned(), source })?;
        // Name servers list both in any order; a change of order is no change.
        data.queue_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        data.broker_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        Ok(Some(data))
    }

    fn learn_route(&self, topic: &str, data: TopicRoute, from_template: bool) -> Arc<Route> {
        let mut known = self.routes.known.write();
        if let Some(route) = known.get(topic)
            && route.from_template == from_template
            && route.data == data
        {
            return Arc::clone(route);
        }
        let new_broker = self.brokers.learn(&data);
        let meter = SendMeter::new(topic, &self.id);
        let route = Route::new(topic, data, from_template, meter, |address| {
            let fast = self.options.vip_channel.then(|| vip_address(address)).flatten();
            self.brokers.peer(fast.as_deref().unwrap_or(address))
        });
        known.insert(topic.to_owned(), Arc::clone(&route));
        drop(known);
        tracing::debug!(topic, queues = route.targets.len(), from_template, "route changed");
        if new_broker {
            self.pulse.notify_one();
        }
        self.groups.rebalance_subscribers(topic);
        route
    }

    pub(crate) async fn refresh_routes_forever(self: Arc<Self>) {
        loop {
            sleep(self.options.route_refresh).await;
            self.refresh_routes().await;
        }
    }

    /// Asks for every route that is in use, then forgets the brokers that are in none.
    async fn refresh_routes(&self) {
        let mut topics = self.groups.topics();
        topics.extend(self.routes.known.read().keys().cloned());
        let refresh = |topic: String| async move {
            match self.ask_route(&topic).await {
                Ok(Some(data)) => drop(self.learn_route(&topic, data, false)),
                Ok(None) => tracing::debug!(topic, "name server knows no route"),
                Err(error) => tracing::warn!(topic, %error, "route could not be refreshed"),
            }
        };
        stream::iter(topics).for_each_concurrent(AT_A_TIME, refresh).await;
        let routes: Vec<Arc<Route>> = self.routes.known.read().values().cloned().collect();
        self.brokers.forget_all_but(routes.iter().map(|route| &route.data));
    }
}
