//! One message, at most a few attempts, one time limit.

use std::{sync::Arc, time::Duration};

use rocketmq_boot_protocol::{Command, ResponseCode};
use rocketmq_boot_remoting as remoting;
use tokio::time::{Instant, timeout_at};

use super::{
    SendError,
    faults::Faults,
    hook::{Attempt, Hooks},
    outgoing::Outgoing,
    receipt::{self, SendReceipt, Shortfall},
    select::{Choice, Turn},
};
use crate::{
    Error, Feature,
    core::Core,
    route::{Route, Target},
    routes::Missing,
};

/// Refusals after which another broker may well take the message.
pub(super) const TRY_ANOTHER: [ResponseCode; 8] = [
    ResponseCode::TOPIC_NOT_EXIST,
    ResponseCode::SERVICE_NOT_AVAILABLE,
    ResponseCode::SYSTEM_ERROR,
    ResponseCode::SYSTEM_BUSY,
    ResponseCode::NO_PERMISSION,
    ResponseCode::NO_BUYER_ID,
    ResponseCode::NOT_IN_CURRENT_UNIT,
    ResponseCode::GO_AWAY,
];

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort<'a> {
    /// Attempts when any queue will do.
    pub(super) attempts: u32,
    /// For all of them together.
    pub(super) limit: Duration,
    /// For one of them, unless it is the last.
    pub(super) attempt_limit: Option<Duration>,
    /// Refusals after which another broker is tried.
    pub(super) retry_on: &'a [ResponseCode],
    /// Whether a message that was stored but not flushed or replicated counts as a failed attempt.
    pub(super) insist_on_durability: bool,
    /// Brokers to leave alone.
    pub(super) faults: Option<&'a Faults>,
    /// Who wants to see every attempt.
    pub(super) hooks: Option<&'a Hooks>,
}

impl Effort<'_> {
    /// The effort of a send without wishes of its own.
    pub(crate) const fn new(attempts: u32, limit: Duration) -> Self {
        Self {
            attempts,
            limit,
            attempt_limit: None,
            retry_on: &TRY_ANOTHER,
            insist_on_durability: false,
            faults: None,
            hooks: None,
        }
    }
}

/// Sends until a broker has stored the message, the attempts are used up, or time is.
pub(crate) async fn deliver(
    core: &Core,
    outgoing: &Outgoing,
    message_ids: Vec<String>,
    choice: &Choice,
    turn: &Turn,
    effort: Effort<'_>,
) -> Result<Vec<SendReceipt>, SendError> {
    let begun = Instant::now();
    let deadline = begun + effort.limit;
    let timed_out =
        |attempts| SendError::Timeout { topic: outgoing.topic.clone(), after: effort.limit, attempts };
    let route = timeout_at(deadline, route(core, &outgoing.topic)).await.map_err(|_| timed_out(0))??;
    let attempts = if choice.is_free() { effort.attempts } else { 1 };
    let mut failed = None;
    let mut attempt = 1;
    loop {
        let target = choice
            .pick(&route.targets, turn, failed, effort.faults)
            .ok_or_else(|| no_queue(&outgoing.topic, choice))?;
        if let Some(feature) = outgoing.needs {
            timeout_at(deadline, supported(core, outgoing, target, feature))
                .await
                .map_err(|_| timed_out(attempt))??;
        }
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        let limit = effort.attempt_limit.filter(|_| attempt < attempts).map_or(left, |limit| limit.min(left));
        let answer = call(core, outgoing, target, limit).await;
        note(outgoing, &message_ids, target, &answer, started, effort);
        let last = attempt >= attempts || Instant::now() >= deadline;
        if !last && is_worth_another(&answer, effort) {
            tracing::debug!(topic = outgoing.topic, broker = target.peer.address(), "send is tried again");
            failed = Some(target.queue.broker_name.as_str());
            attempt += 1;
            continue;
        }
        let outcome = match answer {
            Ok(answer) => {
                if route.from_template {
                    // The broker has made the topic; consumers of this client need not wait to hear of it.
                    core.groups.rebalance_subscribers(&outgoing.topic);
                }
                settle(core, &answer, message_ids, target, &outgoing.topic, attempt)
            }
            Err(remoting::Error::Timeout { .. }) => Err(timed_out(attempt)),
            Err(source) => {
                Err(SendError::Transport { topic: outgoing.topic.clone(), attempts: attempt, source })
            }
        };
        route.meter.sent(begun, outcome.is_ok());
        return outcome;
    }
}

/// One attempt. The frame is written straight into the connection's buffer, unless the request has to be completed
/// with a signature or a namespace first.
async fn call(
    core: &Core,
    outgoing: &Outgoing,
    target: &Target,
    limit: Duration,
) -> Result<Command, remoting::Error> {
    let queue = &target.queue;
    let request = outgoing.request(queue.queue_id, &queue.broker_name, core.options.unit_mode);
    if target.peer.completes() {
        return target.peer.call(request.to_command(), limit).await;
    }
    target.peer.call_with(|opaque, out| request.encode(opaque, out), limit).await
}

/// Tells who wants to know how an attempt went.
fn note(
    outgoing: &Outgoing,
    message_ids: &[String],
    target: &Target,
    answer: &Result<Command, remoting::Error>,
    started: Instant,
    effort: Effort<'_>,
) {
    if effort.faults.is_none() && effort.hooks.is_none() {
        return;
    }
    let took = started.elapsed();
    if let Some(faults) = effort.faults {
        let failed = match answer {
            Ok(answer) => effort.retry_on.contains(&answer.response_code()),
            Err(error) => !matches!(error, remoting::Error::TooLarge { .. }),
        };
        faults.note(&target.queue.broker_name, took, failed);
    }
    if let Some(hooks) = effort.hooks {
        let broker = target.peer.address();
        hooks.after(&Attempt::new(outgoing, message_ids, &target.queue, broker, took, answer));
    }
}

/// Makes sure that a broker is new enough for a message that an older one would treat wrongly.
async fn supported(
    core: &Core,
    outgoing: &Outgoing,
    target: &Target,
    feature: Feature,
) -> Result<(), SendError> {
    let topic = || outgoing.topic.clone();
    match core.require(&target.peer, feature).await {
        Ok(()) => Ok(()),
        Err(Error::Unsupported { feature, broker, version }) => {
            Err(SendError::Unsupported { topic: topic(), feature, broker, version })
        }
        Err(source) => Err(SendError::NoRoute { topic: topic(), source }),
    }
}

/// Hands a message to a connection without waiting for what the broker says.
pub(super) async fn deliver_one_way(
    core: &Core,
    outgoing: &Outgoing,
    choice: &Choice,
    turn: &Turn,
    limit: Duration,
) -> Result<(), SendError> {
    let topic = &outgoing.topic;
    let send = async {
        let route = route(core, topic).await?;
        let target = choice.pick(&route.targets, turn, None, None).ok_or_else(|| no_queue(topic, choice))?;
        if let Some(feature) = outgoing.needs {
            supported(core, outgoing, target, feature).await?;
        }
        let queue = &target.queue;
        let request =
            outgoing.request(queue.queue_id, &queue.broker_name, core.options.unit_mode).to_command();
        let failed = |source| SendError::Transport { topic: topic.clone(), attempts: 1, source };
        target.peer.one_way(request).await.map_err(failed)
    };
    let timed_out = || SendError::Timeout { topic: topic.clone(), after: limit, attempts: 1 };
    tokio::time::timeout(limit, send).await.map_err(|_| timed_out())?
}

pub(super) async fn route(core: &Core, topic: &str) -> Result<Arc<Route>, SendError> {
    if core.stop.is_cancelled() {
        return Err(SendError::Closed);
    }
    match core.route(topic, Missing::UseTemplate).await {
        Ok(route) => Ok(route),
        Err(Error::Closed) => Err(SendError::Closed),
        Err(source) => Err(SendError::NoRoute { topic: topic.to_owned(), source }),
    }
}

fn no_queue(topic: &str, choice: &Choice) -> SendError {
    let queue = match choice {
        Choice::Queue(queue) => Some(queue.clone()),
        Choice::Turn | Choice::Key(_) | Choice::Select(_) => None,
    };
    SendError::NoQueue { topic: topic.to_owned(), queue }
}

fn is_worth_another(answer: &Result<Command, remoting::Error>, effort: Effort<'_>) -> bool {
    match answer {
        Ok(answer) => {
            let code = answer.response_code();
            effort.retry_on.contains(&code) || (effort.insist_on_durability && Shortfall::of(code).is_some())
        }
        // Too large for one connection is too large for all.
        Err(error) => !matches!(error, remoting::Error::TooLarge { .. }),
    }
}

fn settle(
    core: &Core,
    answer: &Command,
    message_ids: Vec<String>,
    target: &Target,
    topic: &str,
    attempts: u32,
) -> Result<Vec<SendReceipt>, SendError> {
    let broker = || target.peer.address().to_owned();
    let code = answer.response_code();
    let shortfall = Shortfall::of(code);
    if code != ResponseCode::SUCCESS && shortfall.is_none() {
        return Err(SendError::Refused {
            topic: topic.to_owned(),
            broker: broker(),
            code,
            remark: answer.remark.clone().unwrap_or_default(),
            attempts,
        });
    }
    let mut receipts = receipt::read(answer, message_ids, &target.queue)
        .map_err(|source| SendError::Answer { broker: broker(), source })?;
    for receipt in &mut receipts {
        core.namespace.unwrap_in_place(&mut receipt.queue.topic);
    }
    match shortfall {
        Some(status) if !receipts.is_empty() => {
            let receipt = Box::new(receipts.remove(0));
            Err(SendError::NotDurable { receipt, more: receipts, status })
        }
        _ => Ok(receipts),
    }
}
