//! Looking at every handler call without being the handler.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use rocketmq_boot_protocol::message::{MessageQueue, MessageView};

use super::Verdict;

/// Sees the messages of a consumer before its handler does, and what became of them.
///
/// Hooks are called in the order in which they were [added](crate::PushConsumerBuilder::hook) before a call, and in the
/// opposite order behind it. They cannot change anything; one that panics is passed over.
///
/// # Examples
///
/// ```
/// use std::{sync::atomic::{AtomicUsize, Ordering}, time::Duration};
/// use rocketmq_boot_client::{ConsumeHook, Consumption, Verdict};
///
/// #[derive(Default)]
/// struct Failures(AtomicUsize);
///
/// impl ConsumeHook for Failures {
///     fn after(&self, _: &Consumption<'_>, verdicts: &[Verdict], _: Duration) {
///         let failed = verdicts.iter().filter(|verdict| **verdict != Verdict::Done).count();
///         self.0.fetch_add(failed, Ordering::Relaxed);
///     }
/// }
/// ```
#[doc(alias = "ConsumeMessageHook")]
pub trait ConsumeHook: Send + Sync + 'static {
    /// A call begins.
    fn before(&self, call: &Consumption<'_>) {
        let _ = call;
    }

    /// A call ended after `took`, with one verdict a message. A handler that panicked or took too long has given
    /// the verdict that its messages got for it.
    fn after(&self, call: &Consumption<'_>, verdicts: &[Verdict], took: Duration) {
        let _ = (call, verdicts, took);
    }
}

/// One handler call.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
#[doc(alias = "ConsumeMessageContext")]
pub struct Consumption<'a> {
    /// The consumer's group.
    pub group: &'a str,
    /// The queue that the messages were read from; of a retry topic, for those that failed before.
    pub queue: &'a MessageQueue,
    /// The messages, all of this queue.
    pub messages: &'a [MessageView],
}

/// The hooks of one consumer.
#[derive(Clone, Default)]
pub(super) struct Hooks(Vec<Arc<dyn ConsumeHook>>);

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}

impl Hooks {
    pub(super) fn add(&mut self, hook: Arc<dyn ConsumeHook>) {
        self.0.push(hook);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn before(&self, call: &Consumption<'_>) {
        self.0.iter().for_each(|hook| guarded(call, || hook.before(call)));
    }

    pub(super) fn after(&self, call: &Consumption<'_>, verdicts: &[Verdict], took: Duration) {
        self.0.iter().rev().for_each(|hook| guarded(call, || hook.after(call, verdicts, took)));
    }
}

fn guarded(call: &Consumption<'_>, hook: impl FnOnce()) {
    if std::panic::catch_unwind(AssertUnwindSafe(hook)).is_err() {
        tracing::error!(group = call.group, queue = %call.queue, "a consume hook panicked");
    }
}
