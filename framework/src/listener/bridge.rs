//! The consumer of a group: the client hands it messages, it hands them to the dispatch.
//!
//! One of the two files that know the client.

use std::{collections::BTreeSet, path::Path, time::Duration};

use async_trait::async_trait;
use rocketmq_boot_client::{self as client, Handler, MessageView, PushConsumer};
use tracing::{debug, warn};

use super::{
    dispatch::Dispatch,
    plan::Group,
    spec::{Model, Start},
};
use crate::{context::Context, report::StartError, template::send::Cluster};

pub use rocketmq_boot_client::Verdict;

/// Queues of a topic that is made on the bundled server.
const QUEUES: u16 = 8;

/// How long a topic that was made may take to get into the routes.
const ROUTE_WAIT: Duration = Duration::from_secs(2);

/// Makes the topics that these groups listen to and that do not exist yet, so that the first message need not.
///
/// For the bundled server only: elsewhere topics belong to whoever runs the cluster.
pub(crate) async fn make_topics(cluster: &Cluster, groups: impl Iterator<Item = &Group>) {
    let admin = cluster.client().admin();
    let topics: BTreeSet<String> = groups.flat_map(|group| group.subscriptions().into_keys()).collect();
    for topic in topics {
        if admin.message_queues(&topic).await.is_ok() {
            continue;
        }
        if let Err(error) = admin.create_topic(&topic, QUEUES).await {
            // Consumers wait for topics that are not there.
            warn!(topic, %error, "the topic was not made");
            continue;
        }
        let routed = async {
            while admin.message_queues(&topic).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(ROUTE_WAIT, routed).await.is_err() {
            debug!(topic, "the topic is not in the routes yet");
        }
    }
}

/// A group that is consuming.
pub(crate) struct Consuming {
    consumer: PushConsumer,
    group: String,
}

#[async_trait]
impl Handler for Dispatch {
    async fn handle(&self, messages: Vec<MessageView>) -> Vec<Verdict> {
        self.dispatch(messages).await
    }
}

impl Consuming {
    /// Starts the consumer of a group. The offsets of a broadcasting one are kept in `offsets`, or else where the
    /// client keeps them.
    pub(crate) async fn start(
        group: &Group,
        cx: &Context,
        cluster: &Cluster,
        offsets: Option<&Path>,
    ) -> Result<Self, StartError> {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let mut builder = cluster
            .client()
            .push_consumer(&group.name)
            .model(match group.model {
                Model::Clustering => client::Model::Clustering,
                Model::Broadcasting => client::Model::Broadcasting,
            })
            .from(match group.start {
                Start::Last => client::StartFrom::Last,
                Start::First => client::StartFrom::First,
            })
            .concurrency(size(group.concurrency()))
            .batch(size(group.batch()))
            .max_attempts(group.max_attempts());
        if let Some(pull_batch) = group.pull_batch {
            builder = builder.pull_batch(u16::try_from(pull_batch).unwrap_or(u16::MAX));
        }
        for (topic, tags) in group.subscriptions() {
            builder = builder.subscribe(topic, tags.expression());
        }
        if let Some(folder) = offsets {
            builder = builder.offsets_dir(folder);
        }
        let started = builder.start(Dispatch::new(group, cx.clone())).await;
        let consumer = started.map_err(|error| {
            let places: Vec<_> = group.listeners.iter().map(|listener| listener.place.clone()).collect();
            StartError::one(places.join(" and "), format!("group `{}` did not start: {error}", group.name))
        })?;
        Ok(Self { consumer, group: group.name.clone() })
    }

    /// Stops pulling, lets the calls under way end, commits.
    pub(crate) async fn stop(self, within: Duration) {
        if let Err(error) = self.consumer.stop(within).await {
            warn!(group = self.group, %error, "the consumer did not stop cleanly");
        }
    }
}
