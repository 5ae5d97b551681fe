//! Sending: one verb, everything optional on a builder that is awaited.
//!
//! ```no_run
//! # use rocketmq_boot::prelude::*;
//! # async fn f(template: Template, order: u64) -> Result<(), Error> {
//! let receipt = template.send("orders:placed", Json(&order)).keys(order).header("tenant", "acme").await?;
//! template.send("orders", "plain text").sharded_by(7).await?;
//! template.cluster("eu").send("audit", "something happened").one_way().await?;
//! # Ok(()) }
//! ```

mod envelope;
mod payload;
pub(crate) mod send;

use std::{collections::BTreeMap, fmt, sync::Arc};

pub use self::{
    payload::{Body, Payload},
    send::{OneWay, Sending, SendingBatch},
};

use self::{envelope::Envelope, send::Cluster};
use crate::config::settings::MAIN;

/// Sends messages. Cloning is cheap; ask for it as an argument of a listener, a hook or a constructor.
#[derive(Clone)]
#[doc(alias = "RocketMQTemplate")]
pub struct Template {
    clusters: Arc<BTreeMap<String, Arc<Cluster>>>,
    /// The cluster that this one sends to, or the name that no cluster has.
    cluster: Result<Arc<Cluster>, Arc<str>>,
}

impl Template {
    /// A template for the main one of these clusters.
    pub(crate) fn new(clusters: BTreeMap<String, Arc<Cluster>>) -> Self {
        Self { clusters: Arc::new(clusters), cluster: Err(MAIN.into()) }.cluster(MAIN)
    }

    /// Sends a payload to `topic` or `topic:tag`.
    ///
    /// Awaiting the builder gives a receipt once the broker stored the message as it was asked to; "stored, but
    /// not flushed or not replicated" is the error `SendError::NotDurable`, which carries the receipt.
    #[doc(alias = "syncSend")]
    #[doc(alias = "asyncSend")]
    #[doc(alias = "convertAndSend")]
    pub fn send(&self, destination: impl AsRef<str>, payload: impl Payload) -> Sending {
        Sending::new(self.cluster.clone(), Envelope::new(destination.as_ref(), payload))
    }

    /// Sends several payloads to one destination, in as few requests as possible.
    pub fn send_batch<I>(&self, destination: impl AsRef<str>, payloads: I) -> SendingBatch
    where
        I: IntoIterator<Item: Payload>,
    {
        let destination = destination.as_ref();
        let envelopes = payloads.into_iter().map(|payload| Envelope::new(destination, payload));
        SendingBatch::new(self.cluster.clone(), envelopes.collect())
    }

    /// The template of another cluster, by its name under `rocketmq.clusters`.
    ///
    /// An unknown name is an error of the sends.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Self {
        let cluster = self.clusters.get(name).cloned().ok_or_else(|| name.into());
        Self { clusters: Arc::clone(&self.clusters), cluster }
    }

    pub(crate) fn clusters(&self) -> &BTreeMap<String, Arc<Cluster>> {
        &self.clusters
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("clusters", &self.clusters.keys()).finish_non_exhaustive()
    }
}
