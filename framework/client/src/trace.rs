//! Message traces, as Java writes them and `mqadmin queryMsgTraceById` and the dashboard read them.
//!
//! Records are text: fields separated by 0x01, each record ended by 0x02, several in one message of the trace topic
//! whose keys are the ids and keys of the traced messages. They are gathered off the path of what they describe; a
//! full queue loses records, never time.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use rocketmq_boot_protocol::{
    message::{Message, property},
    topic::TRACE_TOPIC,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    core::Core,
    producer::{Attempt, Choice, Effort, MessageKind, Outcome, Outgoing, SendHook, Turn, deliver},
};

/// Ends a field, and a record.
const FIELD_END: char = '\u{1}';
const RECORD_END: char = '\u{2}';

/// Records that may wait to be sent.
const QUEUE: usize = 2_048;

/// Records in a message, at most.
const BATCH: usize = 100;

/// Bytes of a message, at most; Java's limit.
const MAX_BYTES: usize = 128_000;

/// How long a record waits for others.
const HOLD: Duration = Duration::from_millis(500);

/// How hard to try to send a trace.
const EFFORT: Effort<'static> = Effort::new(3, Duration::from_secs(5));

/// The number of Java's `MessageType.Trans_msg_Commit`, which stands for every end of a transaction.
const COMMIT_KIND: u8 = 2;

/// The region of records that know of none.
const DEFAULT_REGION: &str = "DefaultRegion";

/// What is recorded of a message.
#[derive(Debug, Clone)]
#[doc(alias = "TraceContext")]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "consumers write their two kinds once they can be told to trace")
)]
pub(crate) enum Record {
    /// It was sent.
    Sent(SentRecord),
    /// A consumer is about to handle it.
    Handling(HandlingRecord),
    /// A consumer has handled it.
    Handled(HandledRecord),
    /// Its transaction ended.
    EndTransaction(EndTransactionRecord),
}

/// `Pub`.
#[derive(Debug, Clone)]
pub(crate) struct SentRecord {
    pub(crate) timestamp: i64,
    pub(crate) region: Option<String>,
    pub(crate) topic: String,
    /// One, or those of a batch joined by commas.
    pub(crate) message_id: String,
    pub(crate) tags: Option<String>,
    pub(crate) keys: Option<String>,
    pub(crate) store_host: String,
    pub(crate) body_bytes: usize,
    pub(crate) cost_ms: u128,
    pub(crate) kind: u8,
    pub(crate) offset_message_id: String,
    pub(crate) success: bool,
}

/// `SubBefore`.
#[derive(Debug, Clone)]
pub(crate) struct HandlingRecord {
    pub(crate) timestamp: i64,
    pub(crate) region: Option<String>,
    /// Ties it to its [`HandledRecord`].
    pub(crate) request_id: String,
    pub(crate) message_id: String,
    pub(crate) retry_times: i32,
    pub(crate) keys: Option<String>,
}

/// `SubAfter`.
#[derive(Debug, Clone)]
pub(crate) struct HandledRecord {
    pub(crate) timestamp: i64,
    pub(crate) request_id: String,
    pub(crate) message_id: String,
    pub(crate) cost_ms: u128,
    pub(crate) success: bool,
    pub(crate) keys: Option<String>,
    /// Java's `ConsumeReturnType`: 0 success, 1 time-out, 2 exception, 3 null, 4 failed.
    pub(crate) context_code: u8,
}

/// `EndTransaction`.
#[derive(Debug, Clone)]
pub(crate) struct EndTransactionRecord {
    pub(crate) timestamp: i64,
    pub(crate) region: Option<String>,
    pub(crate) topic: String,
    pub(crate) message_id: String,
    pub(crate) tags: Option<String>,
    pub(crate) keys: Option<String>,
    pub(crate) store_host: String,
    pub(crate) transaction_id: String,
    pub(crate) state: &'static str,
    pub(crate) from_check: bool,
}

/// A text, or Java's `null`.
struct OrNull<'a>(&'a Option<String>);

impl fmt::Display for OrNull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("null"))
    }
}

impl Record {
    /// Appends the record in the name of a group.
    fn write(&self, group: &str, out: &mut String) {
        let region = |region: &Option<String>| region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let mut fields = Fields { out, first: true };
        match self {
            Self::Sent(sent) => {
                fields.add("Pub").add(sent.timestamp).add(region(&sent.region)).add(group);
                fields.add(&sent.topic).add(&sent.message_id);
                fields.add(OrNull(&sent.tags)).add(OrNull(&sent.keys)).add(&sent.store_host);
                fields.add(sent.body_bytes).add(sent.cost_ms).add(sent.kind);
                fields.add(&sent.offset_message_id).add(sent.success);
            }
            Self::Handling(before) => {
                fields.add("SubBefore").add(before.timestamp).add(region(&before.region)).add(group);
                fields.add(&before.request_id).add(&before.message_id).add(before.retry_times);
                fields.add(OrNull(&before.keys));
            }
            Self::Handled(after) => {
                fields.add("SubAfter").add(&after.request_id).add(&after.message_id).add(after.cost_ms);
                fields.add(after.success).add(OrNull(&after.keys)).add(after.context_code);
                fields.add(after.timestamp).add(group);
            }
            Self::EndTransaction(end) => {
                fields.add("EndTransaction").add(end.timestamp).add(region(&end.region)).add(group);
                fields.add(&end.topic).add(&end.message_id);
                fields.add(OrNull(&end.tags)).add(OrNull(&end.keys)).add(&end.store_host);
                fields.add(COMMIT_KIND).add(&end.transaction_id);
                fields.add(end.state).add(end.from_check);
            }
        }
        fields.out.push(RECORD_END);
    }

    /// What the record is to be found by.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let (id, keys) = match self {
            Self::Sent(sent) => (&sent.message_id, &sent.keys),
            Self::Handling(before) => (&before.message_id, &before.keys),
            Self::Handled(after) => (&after.message_id, &after.keys),
            Self::EndTransaction(end) => (&end.message_id, &end.keys),
        };
        let keys = keys.as_deref().unwrap_or_default().split(' ').filter(|key| !key.is_empty());
        std::iter::once(id.as_str()).chain(keys)
    }
}

struct Fields<'a> {
    out: &'a mut String,
    first: bool,
}

impl Fields<'_> {
    fn add(&mut self, value: impl fmt::Display) -> &mut Self {
        if !std::mem::take(&mut self.first) {
            self.out.push(FIELD_END);
        }
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
        self
    }
}

/// The number that Java's `MessageType` has in a trace.
fn kind_number(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Normal => 0,
        MessageKind::Half => 1,
        MessageKind::Delayed => 3,
    }
}

/// Takes records and has them sent. Clones share one queue; with the last the task behind it ends, after it has sent
/// what waits.
#[derive(Debug, Clone)]
#[doc(alias = "AsyncTraceDispatcher")]
pub(crate) struct Tracer {
    topic: Arc<str>,
    queue: mpsc::Sender<Entry>,
}

/// What goes through a tracer's queue.
#[derive(Debug)]
pub(crate) enum Entry {
    Record(Box<Record>),
    /// Everything before it is to be sent now.
    Flush(oneshot::Sender<()>),
}

impl Tracer {
    /// Starts the task that sends a group's records to a topic.
    pub(crate) fn start(core: &Arc<Core>, group: &str, topic: String) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        let tracer = Self { topic: topic.into(), queue };
        let writer = Writer {
            // The client is what the task belongs to, and must be able to end without it.
            core: Arc::downgrade(core),
            group: group.to_owned(),
            topic: Arc::clone(&tracer.topic),
            turn: Turn::new(),
        };
        core.spawn(writer.run(entries));
        core.tracers.lock().push(tracer.queue.downgrade());
        tracer
    }

    /// Has a record sent some time; drops it when too many wait.
    pub(crate) fn record(&self, record: Record) {
        if self.queue.try_send(Entry::Record(Box::new(record))).is_err() {
            tracing::debug!(topic = &*self.topic, "a trace record was left out");
        }
    }

    /// Whether messages of this topic are traces, which are not traced.
    fn is_own(&self, topic: &str) -> bool {
        topic == &*self.topic || topic == TRACE_TOPIC
    }
}

/// Has a client's traces sent that still wait, as far as they can be within the limit.
pub(crate) async fn flush(core: &Core, limit: Duration) {
    let tracers = std::mem::take(&mut *core.tracers.lock());
    let flushes = tracers.into_iter().filter_map(|queue| queue.upgrade()).map(|queue| async move {
        let (done, flushed) = oneshot::channel();
        if queue.send(Entry::Flush(done)).await.is_ok() {
            // An error says that the task has ended, and with it the wait.
            let _ = flushed.await;
        }
    });
    if timeout(limit, futures_util::future::join_all(flushes)).await.is_err() {
        tracing::debug!("not all traces were sent before the client closed");
    }
}

impl SendHook for Tracer {
    fn after(&self, attempt: &Attempt<'_>) {
        if self.is_own(attempt.topic) {
            return;
        }
        // Java records only what a broker answered that wants traces.
        let (Some(region), Outcome::Stored { offset_message_id, shortfall }) =
            (attempt.trace_region(), attempt.outcome)
        else {
            return;
        };
        let text = |key| attempt.property(key).filter(|_| !attempt.is_batch()).map(ToOwned::to_owned);
        self.record(Record::Sent(SentRecord {
            timestamp: attempt.born_timestamp,
            region: Some(region.to_owned()),
            topic: attempt.topic.to_owned(),
            message_id: attempt.message_ids.join(","),
            tags: text(property::TAGS),
            keys: text(property::KEYS),
            store_host: attempt.broker.to_owned(),
            body_bytes: attempt.body_bytes,
            cost_ms: attempt.took.as_millis(),
            kind: kind_number(attempt.kind()),
            offset_message_id: offset_message_id.to_owned(),
            success: shortfall.is_none(),
        }));
    }
}

/// What the task behind a [`Tracer`] knows.
struct Writer {
    core: std::sync::Weak<Core>,
    group: String,
    topic: Arc<str>,
    turn: Turn,
}

impl Writer {
    async fn run(self, mut entries: mpsc::Receiver<Entry>) {
        while let Some(entry) = entries.recv().await {
            let mut batch = Batch::default();
            let mut flushed = batch.add(&self.group, entry);
            let deadline = tokio::time::Instant::now() + HOLD;
            while flushed.is_none() && !batch.is_full() {
                match tokio::time::timeout_at(deadline, entries.recv()).await {
                    Ok(Some(entry)) => flushed = batch.add(&self.group, entry),
                    Ok(None) | Err(_) => break,
                }
            }
            self.send(batch).await;
            if let Some(flushed) = flushed {
                // Whoever asked may have given up.
                let _ = flushed.send(());
            }
        }
    }

    async fn send(&self, batch: Batch) {
        let Some(core) = self.core.upgrade().filter(|_| !batch.text.is_empty()) else { return };
        let message = Message::new(&*self.topic, batch.text).keys(&batch.keys);
        let body = message.body.clone();
        let born_timestamp = core.options.clock.now_ms();
        let id = core.keys.next(born_timestamp);
        let properties = match message.property(property::UNIQ_KEY, &id).encode_properties() {
            Ok(properties) => properties,
            // The keys are too long together; the records are worth more.
            Err(_) => property::encode([(property::UNIQ_KEY, &id)]).unwrap_or_default(),
        };
        let outgoing = Outgoing {
            group: format!("_INNER_TRACE_PRODUCER-{}-PRODUCE-1", self.group),
            topic: self.topic.to_string(),
            body,
            properties,
            born_timestamp,
            ..Outgoing::default()
        };
        if let Err(error) = deliver(&core, &outgoing, vec![id], &Choice::Turn, &self.turn, EFFORT).await {
            tracing::warn!(topic = &*self.topic, %error, "traces were lost");
        }
    }
}

/// Records on their way into one message.
#[derive(Debug, Default)]
struct Batch {
    text: String,
    keys: BTreeSet<String>,
    records: usize,
}

impl Batch {
    /// Adds a record; gives back who waits for what was added before.
    fn add(&mut self, group: &str, entry: Entry) -> Option<oneshot::Sender<()>> {
        match entry {
            Entry::Flush(done) => Some(done),
            Entry::Record(record) => {
                record.write(group, &mut self.text);
                self.keys.extend(record.keys().map(ToOwned::to_owned));
                self.records += 1;
                None
            }
        }
    }

    fn is_full(&self) -> bool {
        self.records >= BATCH || self.text.len() >= MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(record: &Record) -> String {
        let mut text = String::new();
        record.write("shop", &mut text);
        text.replace(FIELD_END, "|").replace(RECORD_END, "\n")
    }

    #[test]
    fn records_have_the_fields_of_java_in_javas_order() {
        let sent = Record::Sent(SentRecord {
            timestamp: 1,
            region: Some("R".to_owned()),
            topic: "orders".to_owned(),
            message_id: "ID".to_owned(),
            tags: Some("a".to_owned()),
            keys: Some("k1 k2".to_owned()),
            store_host: "127.0.0.1:10911".to_owned(),
            body_bytes: 5,
            cost_ms: 3,
            kind: kind_number(MessageKind::Delayed),
            offset_message_id: "OFFSET".to_owned(),
            success: true,
        });
        assert_eq!(text(&sent), "Pub|1|R|shop|orders|ID|a|k1 k2|127.0.0.1:10911|5|3|3|OFFSET|true\n");
        assert_eq!(sent.keys().collect::<Vec<_>>(), ["ID", "k1", "k2"]);
        let before = Record::Handling(HandlingRecord {
            timestamp: 1,
            region: None,
            request_id: "REQ".to_owned(),
            message_id: "ID".to_owned(),
            retry_times: 2,
            keys: None,
        });
        assert_eq!(text(&before), "SubBefore|1|DefaultRegion|shop|REQ|ID|2|null\n");
        assert_eq!(before.keys().collect::<Vec<_>>(), ["ID"]);
        let after = Record::Handled(HandledRecord {
            timestamp: 9,
            request_id: "REQ".to_owned(),
            message_id: "ID".to_owned(),
            cost_ms: 7,
            success: false,
            keys: Some("k".to_owned()),
            context_code: 2,
        });
        assert_eq!(text(&after), "SubAfter|REQ|ID|7|false|k|2|9|shop\n");
        let end = Record::EndTransaction(EndTransactionRecord {
            timestamp: 1,
            region: None,
            topic: "orders".to_owned(),
            message_id: "ID".to_owned(),
            tags: None,
            keys: None,
            store_host: "127.0.0.1:10911".to_owned(),
            transaction_id: "ID".to_owned(),
            state: "COMMIT_MESSAGE",
            from_check: true,
        });
        let expected = "EndTransaction|1|DefaultRegion|shop|orders|ID|null|null|127.0.0.1:10911|2|ID|COMMIT_MESSAGE|true\n";
        assert_eq!(text(&end), expected);
    }
}
