//! The call of a listener: extraction, panics, attempts, verdict.
//!
//! Nothing here knows where messages come from; the bridge does.

use std::{any::Any, panic::AssertUnwindSafe};

use futures_util::{FutureExt, future::join_all};
use tokio::sync::Semaphore;
use tracing::{debug, error, warn};

use super::{
    extract::{Attempt, BatchRejection, Call},
    outcome::Outcome,
    plan::{Group, Listener},
    route::{Routes, topic_of},
    spec::Model,
};
use crate::{MessageView, Verdict, context::Context};

/// Calls the listeners of one group.
pub(crate) struct Dispatch {
    group: String,
    model: Model,
    routes: Routes,
    listeners: Vec<Ready>,
    cx: Context,
}

struct Ready {
    listener: Listener,
    /// As many as calls of this listener may run at once.
    permits: Semaphore,
}

impl Dispatch {
    pub(crate) fn new(group: &Group, cx: Context) -> Self {
        let ready = |listener: &Listener| Ready {
            permits: Semaphore::new(
                usize::try_from(listener.concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
            ),
            listener: listener.clone(),
        };
        Self {
            group: group.name.clone(),
            model: group.model,
            routes: Routes::new(&group.listeners),
            listeners: group.listeners.iter().map(ready).collect(),
            cx,
        }
    }

    /// Hands each message to the listener that wants it, and says what becomes of each.
    pub(crate) async fn dispatch(&self, messages: Vec<MessageView>) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::done(); messages.len()];
        let mut by_listener: Vec<Vec<(usize, MessageView)>> =
            self.listeners.iter().map(|_| Vec::new()).collect();
        for (index, message) in messages.into_iter().enumerate() {
            match self.routes.find(&message) {
                Some(listener) => by_listener[listener].push((index, message)),
                // The broker selects by a hash of the tag, so that a stranger can come through.
                None => {
                    debug!(
                        group = self.group,
                        topic = message.topic,
                        tag = message.tag(),
                        "no listener wants it"
                    );
                }
            }
        }
        let calls = self.listeners.iter().zip(by_listener).filter(|(_, messages)| !messages.is_empty());
        let calls = calls.map(|(ready, messages)| self.call(ready, messages));
        for (index, verdict) in join_all(calls).await.into_iter().flatten() {
            verdicts[index] = verdict;
        }
        verdicts
    }

    async fn call(&self, ready: &Ready, messages: Vec<(usize, MessageView)>) -> Vec<(usize, Verdict)> {
        match ready.listener.entry.call {
            Call::One(call) => {
                let calls = messages
                    .into_iter()
                    .map(|(index, message)| async move { (index, self.one(ready, call, message).await) });
                join_all(calls).await
            }
            Call::Batch(call) => {
                let mut verdicts = Vec::with_capacity(messages.len());
                let size = usize::try_from(ready.listener.batch).unwrap_or(usize::MAX).max(1);
                let mut rest = messages;
                while !rest.is_empty() {
                    let behind = rest.split_off(rest.len().min(size));
                    verdicts.extend(self.batch(ready, call, rest).await);
                    rest = behind;
                }
                verdicts
            }
        }
    }

    async fn one(&self, ready: &Ready, call: One, message: MessageView) -> Verdict {
        let _permit = ready.permits.acquire().await;
        let told = message.clone();
        // The arguments are made inside of the call, so that a panic in an extractor is caught as well.
        let called = AssertUnwindSafe(async { call(self.cx.clone(), message).await }).catch_unwind().await;
        let outcome = match called {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(rejection)) => rejected(&rejection.to_string()),
            Err(panic) => panicked(&*panic),
        };
        self.judge(&ready.listener, &told, outcome)
    }

    async fn batch(
        &self,
        ready: &Ready,
        call: Batch,
        messages: Vec<(usize, MessageView)>,
    ) -> Vec<(usize, Verdict)> {
        let _permit = ready.permits.acquire().await;
        let mut verdicts = Vec::with_capacity(messages.len());
        let mut rest = messages;
        while !rest.is_empty() {
            let views: Vec<_> = rest.iter().map(|(_, message)| message.clone()).collect();
            let called = AssertUnwindSafe(async { call(self.cx.clone(), views).await }).catch_unwind().await;
            let outcomes = match called {
                Ok(Ok(outcomes)) => outcomes,
                Ok(Err(BatchRejection { index, rejection })) => {
                    // The call is tried again without the message that cannot be read.
                    let (at, message) = rest.remove(index.min(rest.len() - 1));
                    let outcome = rejected(&rejection.to_string());
                    verdicts.push((at, self.judge(&ready.listener, &message, outcome)));
                    continue;
                }
                Err(panic) => vec![panicked(&*panic); rest.len()],
            };
            for ((at, message), outcome) in rest.into_iter().zip(outcomes) {
                verdicts.push((at, self.judge(&ready.listener, &message, outcome)));
            }
            break;
        }
        verdicts
    }

    /// The verdict of an outcome: a retry beyond the last attempt is a dead letter. Failures are logged here.
    fn judge(&self, listener: &Listener, message: &MessageView, outcome: Outcome) -> Verdict {
        let Attempt(attempt) = Attempt::of(message);
        let reason = outcome.error.as_deref().unwrap_or("the listener asked for another attempt");
        let retries =
            matches!(outcome.verdict, Verdict::Retry | Verdict::RetryAfter(_) | Verdict::RetryLevel(_));
        let verdict = match outcome.verdict {
            _ if retries && self.model == Model::Clustering && attempt >= listener.max_attempts => {
                Verdict::dead_letter(format!("given up after {attempt} attempts: {reason}"))
            }
            verdict => verdict,
        };
        let (id, topic, tag) = (&message.message_id, topic_of(message), message.tag());
        match &verdict {
            Verdict::DeadLetter(reason) => {
                error!(
                    listener = listener.id,
                    group = self.group,
                    topic,
                    tag,
                    id,
                    attempt,
                    reason,
                    "message is buried"
                );
            }
            _ if outcome.error.is_some() || retries => {
                warn!(
                    listener = listener.id,
                    group = self.group,
                    topic,
                    tag,
                    id,
                    attempt,
                    error = reason,
                    "listener failed"
                );
            }
            _ => {}
        }
        verdict
    }
}

type One = fn(Context, MessageView) -> super::extract::Calling<Result<Outcome, super::extract::Rejection>>;
type Batch = fn(Context, Vec<MessageView>) -> super::extract::Calling<Result<Vec<Outcome>, BatchRejection>>;

fn rejected(reason: &str) -> Outcome {
    Outcome { verdict: Verdict::dead_letter(reason), error: Some(reason.to_owned()) }
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Outcome { verdict: Verdict::retry(), error: Some(format!("the listener panicked: {message}")) }
}

#[cfg(test)]
mod tests;
