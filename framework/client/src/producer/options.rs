//! How a producer sends, and the builder that says so.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    ResponseCode,
    message::compress::Compression,
    topic::{TRACE_TOPIC, validate_group},
};

use super::{
    Awaited, Producer, SendHook, Shared, Turn,
    accumulate::{Accumulator, AutoBatch},
    deliver::TRY_ANOTHER,
    faults::Faults,
    hook::Hooks,
    room::Room,
};
use crate::{Client, Error, route::DEFAULT_TOPIC_QUEUES, trace::Tracer};

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) send_timeout: Duration,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) retry_on: Vec<ResponseCode>,
    pub(super) insist_on_durability: bool,
    pub(super) max_message_bytes: usize,
    pub(super) compress_over: usize,
    pub(super) compression: Compression,
    pub(super) compression_level: u32,
    pub(super) topic_queues: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_timeout: Duration::from_secs(3),
            attempt_timeout: None,
            retries: 2,
            retry_on: TRY_ANOTHER.to_vec(),
            insist_on_durability: false,
            max_message_bytes: 4 * 1024 * 1024,
            compress_over: 4096,
            compression: Compression::Zlib,
            compression_level: 5,
            topic_queues: DEFAULT_TOPIC_QUEUES,
        }
    }
}

/// Starts a [`Producer`]; await it.
#[derive(Debug, Clone)]
#[must_use = "a producer starts when its builder is awaited"]
pub struct ProducerBuilder {
    client: Client,
    group: String,
    options: Options,
    avoid_slow_brokers: bool,
    max_messages: Option<u32>,
    max_bytes: Option<u32>,
    auto_batch: Option<AutoBatch>,
    trace_topic: Option<String>,
    hooks: Hooks,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, group: String) -> Self {
        Self {
            client,
            group,
            options: Options::default(),
            avoid_slow_brokers: false,
            max_messages: None,
            max_bytes: None,
            auto_batch: None,
            trace_topic: None,
            hooks: Hooks::default(),
        }
    }

    /// Sets how long a send may take, all its attempts together **(default: 3 s)**.
    #[doc(alias = "sendMsgTimeout")]
    pub fn send_timeout(mut self, limit: Duration) -> Self {
        self.options.send_timeout = limit;
        self
    }

    /// Sets how long one attempt may take while others are left **(default: as long as the whole send)**. With a
    /// third of the send's limit, a broker that says nothing costs a third of the time and not all of it.
    #[doc(alias = "sendMsgMaxTimeoutPerRequest")]
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.options.attempt_timeout = Some(limit);
        self
    }

    /// Sets how often a failed send is tried again on another broker **(default: 2)**.
    ///
    /// A message may be stored twice when its first broker stored it and did not say so in time. Sends to a certain
    /// queue, by key, by name or by choice, and one-way sends are tried once.
    #[doc(alias = "retryTimesWhenSendFailed")]
    #[doc(alias = "retryTimesWhenSendAsyncFailed")]
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// Sets the refusals after which another broker is tried **(default: the codes 1, 2, 14, 16, 17, 204, 205 and
    /// 1500, as in Java)**. A connection that fails is always a reason to.
    #[doc(alias = "addRetryResponseCode")]
    pub fn retry_on(mut self, codes: impl IntoIterator<Item = ResponseCode>) -> Self {
        self.options.retry_on = codes.into_iter().collect();
        self
    }

    /// Sets whether a message that was stored, but not flushed or replicated as the broker is configured to, is sent
    /// to another broker **(default: false; the send fails with
    /// [`SendError::NotDurable`](crate::SendError::NotDurable))**.
    #[doc(alias = "retryAnotherBrokerWhenNotStoreOK")]
    pub fn retry_another_broker(mut self, retry: bool) -> Self {
        self.options.insist_on_durability = retry;
        self
    }

    /// Sets whether a broker that answered slowly, or not at all, is left alone for a while when another has a queue
    /// of the topic **(default: false)**: 2 s after an answer that took 0.55 s, up to 30 s after one of 15 s, and
    /// 10 s after a failure.
    #[doc(alias = "sendLatencyFaultEnable")]
    pub fn avoid_slow_brokers(mut self, avoid: bool) -> Self {
        self.avoid_slow_brokers = avoid;
        self
    }

    /// Sets how many sends may be under way; others wait for their turn, as part of their own time limit
    /// **(default: no limit but the connections' own)**.
    #[doc(alias = "backPressureForAsyncSendNum")]
    pub fn max_in_flight(mut self, sends: u32) -> Self {
        self.max_messages = Some(sends);
        self
    }

    /// Sets how many bytes of bodies may be under way; others wait for their turn **(default: no limit but the
    /// connections' own)**.
    #[doc(alias = "backPressureForAsyncSendSize")]
    pub fn max_in_flight_bytes(mut self, bytes: u32) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Gathers small messages that are sent at about the same time into batches **(default: each is sent alone)**.
    #[doc(alias = "autoBatch")]
    pub fn auto_batch(mut self, rules: AutoBatch) -> Self {
        self.auto_batch = Some(rules);
        self
    }

    /// Sets the largest body that is sent, before compression **(default: 4 MiB, which is the broker's)**.
    #[doc(alias = "maxMessageSize")]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.options.max_message_bytes = bytes;
        self
    }

    /// Sets from how many bytes on a body is compressed **(default: 4096)**.
    #[doc(alias = "compressMsgBodyOverHowmuch")]
    pub fn compress_over(mut self, bytes: usize) -> Self {
        self.options.compress_over = bytes;
        self
    }

    /// Sets how bodies are compressed **(default: zlib, the only kind that clients before 4.9.4 can read)**.
    #[doc(alias = "compressType")]
    pub fn compression(mut self, kind: Compression) -> Self {
        self.options.compression = kind;
        self
    }

    /// Sets how hard to compress, from 0 to 9 **(default: 5)**. LZ4 has no levels.
    #[doc(alias = "compressLevel")]
    pub fn compression_level(mut self, level: u32) -> Self {
        self.options.compression_level = level;
        self
    }

    /// Sets how many queues a topic gets on each broker that makes it for this producer's first message
    /// **(default: 4)**. The broker's template may allow fewer.
    #[doc(alias = "defaultTopicQueueNums")]
    pub fn topic_queues(mut self, queues: u16) -> Self {
        self.options.topic_queues = queues.max(1).into();
        self
    }

    /// Records every send in the topic `RMQ_SYS_TRACE_TOPIC`, where `mqadmin queryMsgTraceById` and the dashboard
    /// find it **(default: off)**. Records go out in batches, off the path of the sends; when they come faster than
    /// they can be sent, some are left out.
    #[doc(alias = "enableMsgTrace")]
    pub fn trace(self) -> Self {
        self.trace_to(TRACE_TOPIC)
    }

    /// [`ProducerBuilder::trace`] into another topic.
    #[doc(alias = "customizedTraceTopic")]
    pub fn trace_to(mut self, topic: impl Into<String>) -> Self {
        self.trace_topic = Some(topic.into());
        self
    }

    /// Adds a hook behind those that are there.
    #[doc(alias = "registerSendMessageHook")]
    pub fn hook(mut self, hook: impl SendHook) -> Self {
        self.hooks.0.push(Arc::new(hook));
        self
    }

    pub(super) async fn start(mut self) -> Result<Producer, Error> {
        let core = &self.client.core;
        let group = core.namespace.wrap(&self.group).into_owned();
        validate_group(&group)?;
        core.start().await?;
        let tracer = self.trace_topic.map(|topic| Tracer::start(core, &self.group, topic));
        if let Some(tracer) = &tracer {
            self.hooks.0.push(Arc::new(tracer.clone()));
        }
        core.groups.add_producer(&group);
        core.pulse.notify_one();
        let shared = Shared {
            group,
            options: self.options,
            turn: Turn::new(),
            faults: self.avoid_slow_brokers.then(Faults::default),
            room: Room::new(self.max_messages, self.max_bytes),
            accumulator: self.auto_batch.map(Accumulator::new),
            hooks: self.hooks,
            tracer,
            client: self.client,
        };
        Ok(Producer { shared: Arc::new(shared) })
    }
}

impl IntoFuture for ProducerBuilder {
    type Output = Result<Producer, Error>;
    type IntoFuture = Awaited<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}
