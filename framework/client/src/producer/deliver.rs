//! One message, at most a few attempts, one time limit.

use std::{sync::Arc, time::Duration};

use rocketmq_boot_protocol::{Command, ResponseCode};
use rocketmq_boot_remoting as remoting;
use tokio::time::{Instant, timeout_at};

use super::{
    SendError,
    outgoing::Outgoing,
    receipt::{self, SendReceipt, Shortfall},
    select::{Choice, Turn},
};
use crate::{
    Error,
    core::Core,
    route::{Route, Target},
    routes::Missing,
};

/// Refusals after which another broker may well take the message.
const TRY_ANOTHER: [ResponseCode; 8] = [
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
pub(crate) struct Effort {
    /// Attempts when any queue will do.
    pub(crate) attempts: u32,
    /// For all of them together.
    pub(crate) limit: Duration,
    /// Whether a message that was stored but not flushed or replicated counts as a failed attempt.
    pub(crate) insist_on_durability: bool,
}

/// Sends until a broker has stored the message, the attempts are used up, or time is.
pub(crate) async fn deliver(
    core: &Core,
    outgoing: &Outgoing,
    message_ids: Vec<String>,
    choice: &Choice,
    turn: &Turn,
    effort: Effort,
) -> Result<Vec<SendReceipt>, SendError> {
    let deadline = Instant::now() + effort.limit;
    let timed_out =
        |attempts| SendError::Timeout { topic: outgoing.topic.clone(), after: effort.limit, attempts };
    let route = timeout_at(deadline, route(core, &outgoing.topic)).await.map_err(|_| timed_out(0))??;
    let attempts = if choice.is_free() { effort.attempts } else { 1 };
    let mut failed = None;
    let mut attempt = 1;
    loop {
        let target =
            choice.pick(&route.targets, turn, failed).ok_or_else(|| no_queue(&outgoing.topic, choice))?;
        let request = outgoing.command(target.queue.queue_id, &target.queue.broker_name);
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = target.peer.call(request, left).await;
        let last = attempt >= attempts || Instant::now() >= deadline;
        if !last && is_worth_another(&answer, effort) {
            tracing::debug!(topic = outgoing.topic, broker = target.peer.address(), "send is tried again");
            failed = Some(target.queue.broker_name.as_str());
            attempt += 1;
            continue;
        }
        return match answer {
            Ok(answer) => {
                if route.from_template {
                    // The broker has made the topic; consumers of this client need not wait to hear of it.
                    core.groups.rebalance_subscribers(&outgoing.topic);
                }
                settle(&answer, message_ids, target, &outgoing.topic, attempt)
            }
            Err(remoting::Error::Timeout { .. }) => Err(timed_out(attempt)),
            Err(source) => {
                Err(SendError::Transport { topic: outgoing.topic.clone(), attempts: attempt, source })
            }
        };
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
        let target = choice.pick(&route.targets, turn, None).ok_or_else(|| no_queue(topic, choice))?;
        let request = outgoing.command(target.queue.queue_id, &target.queue.broker_name);
        let failed = |source| SendError::Transport { topic: topic.clone(), attempts: 1, source };
        target.peer.one_way(request).await.map_err(failed)
    };
    let timed_out = || SendError::Timeout { topic: topic.clone(), after: limit, attempts: 1 };
    tokio::time::timeout(limit, send).await.map_err(|_| timed_out())?
}

async fn route(core: &Core, topic: &str) -> Result<Arc<Route>, SendError> {
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
        Choice::Turn | Choice::Key(_) => None,
    };
    SendError::NoQueue { topic: topic.to_owned(), queue }
}

fn is_worth_another(answer: &Result<Command, remoting::Error>, effort: Effort) -> bool {
    match answer {
        Ok(answer) => {
            let code = answer.response_code();
            TRY_ANOTHER.contains(&code) || (effort.insist_on_durability && Shortfall::of(code).is_some())
        }
        // Too large for one connection is too large for all.
        Err(error) => !matches!(error, remoting::Error::TooLarge { .. }),
    }
}

fn settle(
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
    match shortfall {
        Some(status) if !receipts.is_empty() => {
            let receipt = Box::new(receipts.remove(0));
            Err(SendError::NotDurable { receipt, more: receipts, status })
        }
        _ => Ok(receipts),
    }
}
