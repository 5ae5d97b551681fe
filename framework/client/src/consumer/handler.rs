//! What a consumer calls with its messages.

use async_trait::async_trait;
use rocketmq_boot_protocol::message::MessageView;

use super::Verdict;

/// Handles the messages of a [`PushConsumer`](crate::PushConsumer).
///
/// Any `Fn(MessageView) -> impl Future` is one, when what the future gives can become a [`Verdict`]: `()`, a verdict,
/// or a `Result` of these whose error can be shown. Implement the trait to get several messages at a time.
///
/// A panic counts as [`Verdict::Retry`] for all the messages of its call.
///
/// # Examples
///
/// ```
/// use rocketmq_boot_client::{Handler, MessageView, Verdict};
///
/// struct Count(std::sync::atomic::AtomicUsize);
///
/// #[async_trait::async_trait]
/// impl Handler for Count {
///     async fn handle(&self, messages: Vec<MessageView>) -> Vec<Verdict> {
///         self.0.fetch_add(messages.len(), std::sync::atomic::Ordering::Relaxed);
///         vec![Verdict::done(); messages.len()]
///     }
/// }
///
/// fn is_handler(_: impl Handler) {}
/// is_handler(Count(Default::default()));
/// is_handler(|message: MessageView| async move { std::str::from_utf8(&message.body).map(drop).map_err(|e| e.to_string()) });
/// ```
#[async_trait]
#[doc(alias = "MessageListenerConcurrently")]
pub trait Handler: Send + Sync + 'static {
    /// Handles up to [`batch`](crate::PushConsumerBuilder::batch) messages of one queue and says, in their order,
    /// what is to become of each. A message without a verdict is retried.
    async fn handle(&self, messages: Vec<MessageView>) -> Vec<Verdict>;
}

#[async_trait]
impl<F, Fut, V> Handler for F
where
    F: Fn(MessageView) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = V> + Send,
    V: Into<Verdict>,
{
    async fn handle(&self, messages: Vec<MessageView>) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(messages.len());
        for message in messages {
            let verdict = self(message).await.into();
            verdicts.push(verdict);
        }
        verdicts
    }
}
