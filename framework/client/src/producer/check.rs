//! Answering brokers that ask how a transaction ended: a 39, to which a 37 is the answer.

use std::{collections::HashMap, fmt, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use rocketmq_boot_protocol::{
    Command, RequestCode,
    header::transaction::{CheckTransactionState, EndTransaction},
    message::{MessageView, property, record::Record},
};
use rocketmq_boot_remoting::Peer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::transaction::{KIND, Resolution};
use crate::{
    core::Core,
    inbound::MAX_PUSHED_BODY_BYTES,
    trace::{EndTransactionRecord, Record as TraceRecord, Tracer},
};

/// Checks of one group that run at a time.
const CHECKS_AT_A_TIME: usize = 64;

/// Checks of one group that may wait; the broker repeats those that are left out.
const CHECKS_WAITING: usize = 2_000;

/// Answers how a local transaction ended, when the broker has not been told.
///
/// Implemented for every function from a [`MessageView`] to a future of a [`Resolution`].
#[doc(alias = "TransactionListener")]
pub trait Checker: Send + Sync + 'static {
    /// Looks up how the transaction of this message ended. The message has the id that
    /// [`SendReceipt::message_id`](crate::SendReceipt::message_id) told. A panic counts as [`Resolution::Unknown`].
    #[doc(alias = "checkLocalTransaction")]
    fn check(&self, message: MessageView) -> BoxFuture<'static, Resolution>;
}

impl<F, R> Checker for F
where
    F: Fn(MessageView) -> R + Send + Sync + 'static,
    R: Future<Output = Resolution> + Send + 'static,
{
    fn check(&self, message: MessageView) -> BoxFuture<'static, Resolution> {
        Box::pin(self(message))
    }
}

/// What answers the checks of one group.
pub(crate) struct Checks {
    /// By kind; the empty one answers for all that have none of their own.
    by_kind: HashMap<String, Arc<dyn Checker>>,
    running: Semaphore,
    waiting: Arc<Semaphore>,
    tracer: Option<Tracer>,
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("kinds", &self.by_kind.keys()).finish_non_exhaustive()
    }
}

/// Has the checker of the message's group asked.
///
/// The checker runs in a task of its own: it may take long, and a connection waits for those that handle its
/// requests.
pub(crate) fn check(core: &Arc<Core>, peer: &Peer, request: &Command) -> Option<Command> {
    match begin(core, request) {
        Ok(check) => core.spawn(check.run(Arc::clone(core), peer.clone())),
        Err(reason) => tracing::warn!(broker = peer.address(), reason, "a transaction is not checked here"),
    }
    None
}

/// A check that is about to run.
struct Check {
    checks: Arc<Checks>,
    group: String,
    message: MessageView,
    header: CheckTransactionState,
    /// Its place among those that wait.
    _waiting: OwnedSemaphorePermit,
}

fn begin(core: &Core, request: &Command) -> Result<Check, String> {
    let header = request.header::<CheckTransactionState>().map_err(|error| error.to_string())?;
    let message = decode(core, request, &header)?;
    let group = message.property(property::PGROUP).ok_or("the message names no producer group")?.to_owned();
    let checks = core.groups.checks(&group).ok_or_else(|| format!("group {group} has no checker"))?;
    let waiting = Arc::clone(&checks.waiting).try_acquire_owned();
    let _waiting = waiting.map_err(|_| format!("too many checks of group {group} wait"))?;
    Ok(Check { checks, group, message, header, _waiting })
}

impl Check {
    async fn run(self, core: Arc<Core>, peer: Peer) {
        let Self { checks, group, message, header, _waiting } = self;
        let _running = checks.running.acquire().await;
        let resolution = checks.ask(&message).await;
        checks.trace(&core, &peer, &message, resolution);
        let answer = EndTransaction {
            topic: header.topic,
            producer_group: group,
            tran_state_table_offset: header.tran_state_table_offset,
            commit_log_offset: header.commit_log_offset,
            commit_or_rollback: resolution.to_flag(),
            from_transaction_check: true,
            message_id: message.message_id,
            transaction_id: header.transaction_id,
            broker_name: header.broker_name,
        };
        if let Err(error) = peer.one_way(Command::request(RequestCode::END_TRANSACTION, &answer)).await {
            tracing::warn!(%error, "transaction check could not be answered; the broker will repeat it");
        }
    }
}

fn decode(core: &Core, request: &Command, header: &CheckTransactionState) -> Result<MessageView, String> {
    let record = Record::decode(&request.body).map_err(|error| error.to_string())?;
    let mut message =
        MessageView::decode(&record, MAX_PUSHED_BODY_BYTES).map_err(|error| error.to_string())?;
    core.namespace.unwrap_in_place(&mut message.topic);
    message.broker_name = header.broker_name.as_deref().unwrap_or_default().into();
    Ok(message)
}

impl Checks {
    pub(super) fn new(by_kind: HashMap<String, Arc<dyn Checker>>, tracer: Option<Tracer>) -> Self {
        Self {
            by_kind,
            running: Semaphore::new(CHECKS_AT_A_TIME),
            waiting: Arc::new(Semaphore::new(CHECKS_WAITING)),
            tracer,
        }
    }

    async fn ask(&self, message: &MessageView) -> Resolution {
        let kind = message.property(KIND).unwrap_or_default();
        let Some(checker) = self.by_kind.get(kind).or_else(|| self.by_kind.get("")) else {
            return Resolution::Unknown;
        };
        let check = AssertUnwindSafe(async { checker.check(message.clone()).await });
        check.catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(topic = message.topic, message_id = message.message_id, "checker panicked");
            Resolution::Unknown
        })
    }

    fn trace(&self, core: &Core, peer: &Peer, message: &MessageView, resolution: Resolution) {
        let Some(tracer) = &self.tracer else { return };
        tracer.record(TraceRecord::EndTransaction(EndTransactionRecord {
            timestamp: core.options.clock.now_ms(),
            region: message.property(property::MSG_REGION).map(ToOwned::to_owned),
            topic: message.topic.clone(),
            message_id: message.message_id.clone(),
            tags: message.tag().map(ToOwned::to_owned),
            keys: message.property(property::KEYS).map(ToOwned::to_owned),
            store_host: peer.address().to_owned(),
            transaction_id: message.message_id.clone(),
            state: resolution.name(),
            from_check: true,
        }));
    }
}
