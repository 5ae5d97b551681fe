//! Pulling messages (11, 361): checks, filter, reading, and holding what finds nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rocketmq_boot_protocol::{
    Encoding, RequestCode, ResponseCode,
    body::{MessageModel, SubscriptionGroupConfig},
    header::pull::sys_flag,
    hot::{PullReply, PullView, encode_failure},
};
use rocketmq_boot_remoting::Connection;
use rocketmq_boot_store::{Heat, ReadError, ReadLimit, ReadOutcome, ReadStatus, Wanted};

use crate::{
    dispatch::reply,
    filter::{FILTER_BUDGET, Filter},
    hold::{Attempt, Parked},
    reject::Reject,
    state::State,
    statistics::Reader,
    topics::{Topic, TopicQueue},
};

/// The longest that a pull is held, whatever it asks for.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// Entries of a consume queue looked at for one pull; Apache's `maxFilterMessageSize` of 16 000 bytes.
const MIN_SCAN: usize = 800;

/// A pull that passed its checks.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) group: Arc<SubscriptionGroupConfig>,
    pub(crate) topic: Arc<Topic>,
    pub(crate) queue: Arc<TopicQueue>,
    pub(crate) offset: i64,
    limit: ReadLimit,
    filter: Filter,
    opaque: i32,
    encoding: Encoding,
    hold: Option<Duration>,
    reader: Option<Arc<Reader>>,
}

impl Pull {
    /// What its filter costs beside the pull itself.
    pub(crate) fn filter_bytes(&self) -> usize {
        self.filter.heap_bytes()
    }
}

/// What became of a pull on the hot path.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// The answer is in the buffer, or will be sent when a message comes.
    Done,
    /// The messages are not in memory: to be read where blocking is allowed.
    Cold(Pull),
}

impl State {
    /// Checks a pull, in Apache's order.
    pub(crate) fn check_pull(&self, view: &PullView<'_>) -> Result<Pull, Reject> {
        self.check_readable()?;
        let group = self.groups.find_or_create(view.consumer_group)?;
        if !group.consume_enable {
            return Err(Reject::group_forbids(view.consumer_group));
        }
        let topic = self.topics.find(view.topic).ok_or_else(|| Reject::topic_not_exist(view.topic))?;
        if !topic.readable() {
            return Err(Reject::topic_forbids(view.topic, "pulling"));
        }
        if !(0..topic.config.read_queue_nums).contains(&view.queue_id) {
            return Err(Reject::queue_out_of_range(view.topic, view.queue_id, topic.config.read_queue_nums));
        }
        let filter = self.filter_of(view, group.consume_broadcast_enable)?;
        let queue = self.topics.queue(&topic, view.queue_id);
        let max_bytes =
            view.max_message_bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
        let max_messages =
            usize::try_from(view.max_message_nums).unwrap_or(0).clamp(1, self.settings.max_transfer_count);
        let hold =
            (view.sys_flag & sys_flag::SUSPEND != 0).then(|| self.hold_time(view.suspend_timeout_millis));
        Ok(Pull {
            reader: topic.traffic.reader(view.consumer_group),
            group,
            topic,
            queue,
            offset: view.queue_offset,
            limit: ReadLimit {
                max_messages,
                max_bytes: max_bytes.unwrap_or(usize::MAX).min(self.settings.max_transfer_bytes),
                max_scan: MIN_SCAN.max(max_messages),
            },
            filter,
            opaque: view.opaque,
            encoding: view.encoding,
            hold,
        })
    }

    fn filter_of(&self, view: &PullView<'_>, may_broadcast: bool) -> Result<Filter, Reject> {
        if view.sys_flag & sys_flag::SUBSCRIPTION != 0 {
            return match view.expression_type {
                "" | "TAG" => Ok(Filter::of_tags(view.subscription)),
                kind => self.brought_filter(view.topic, kind, view.subscription),
            };
        }
        let unknown = || Reject::subscription_not_exist(view.consumer_group, view.topic);
        let model = self.clients.model(view.consumer_group).ok_or_else(unknown)?;
        if model == MessageModel::Broadcasting && !may_broadcast {
            return Err(Reject::group_forbids(view.consumer_group));
        }
        let subscription = self.clients.subscription(view.consumer_group, view.topic).ok_or_else(unknown)?;
        if subscription.sub_version < view.sub_version {
            return Err(Reject::subscription_not_latest(view.consumer_group));
        }
        if subscription.is_tags() {
            return Ok(Filter::of_tags(&subscription.sub_string));
        }
        self.subscribed_filter(view.topic, &subscription)
    }

    fn hold_time(&self, asked_ms: i64) -> Duration {
        if !self.settings.long_polling {
            return self.settings.short_polling;
        }
        Duration::from_millis(u64::try_from(asked_ms).unwrap_or(0)).min(MAX_HOLD)
    }

    /// Answers a pull that passed its checks into `out`, or holds it.
    pub(crate) fn pull(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        pull: Pull,
        heat: Heat,
        records: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Pulled {
        records.clear();
        if self.answer_reset(&pull, out) {
            return Pulled::Done;
        }
        let outcome = match self.read(&pull, heat, records) {
            Ok(outcome) => outcome,
            Err(error) => {
                fail(&pull, &error, out);
                return Pulled::Done;
            }
        };
        if outcome.status == ReadStatus::Cold {
            return Pulled::Cold(pull);
        }
        let (code, _) = code_of(&outcome, pull.offset);
        match pull.hold {
            Some(hold) if code == ResponseCode::PULL_NOT_FOUND => {
                let attempt = |parked| self.try_held(parked);
                if let Err(pull) = self.held.hold(pull, connection, Instant::now() + hold, attempt) {
                    answer(&pull, &outcome, &[], out);
                }
            }
            _ => answer(&pull, &outcome, records, out),
        }
        Pulled::Done
    }

    fn read(&self, pull: &Pull, heat: Heat, records: &mut Vec<u8>) -> Result<ReadOutcome, ReadError> {
        let measured = pull.reader.as_ref().filter(|reader| reader.gets.is_sixteenth());
        let began = measured.map(|_| Instant::now());
        let mut codes = |tags_code: i64| pull.filter.passes(tags_code);
        let mut left = FILTER_BUDGET;
        let mut by_record = |record: &[u8]| self.judge(&pull.filter, record, &mut left);
        let wanted = Wanted {
            codes: &mut codes,
            records: if pull.filter.looks_at_records() { Some(&mut by_record) } else { None },
        };
        let outcome =
            self.store.read_wanted(&pull.queue.stored, pull.offset, pull.limit, wanted, records, heat)?;
        if outcome.status != ReadStatus::Cold {
            self.counters.pulled(outcome.count, pull.topic.traffic.system);
        }
        if let Some(reader) = pull.reader.as_ref().filter(|_| outcome.count > 0) {
            let took = began.map(|began| began.elapsed());
            took.inspect(|took| self.counters.looked(*took));
            reader.got(outcome.count, records.len(), took);
            reader.moved(pull.queue.stored.id(), outcome.next_offset);
        }
        Ok(outcome)
    }

    /// Tells a pull whose offset was reset where to go on.
    fn answer_reset(&self, pull: &Pull, out: &mut Vec<u8>) -> bool {
        let (group, topic) = (&pull.group.group_name, pull.topic.name());
        let queue = &pull.queue.stored;
        let queue_id = i32::try_from(queue.id()).unwrap_or(i32::MAX);
        let Some(offset) = self.offsets.take_reset(group, topic, queue_id, self.clock.monotonic()) else {
            return false;
        };
        tracing::info!(group, topic, queue_id, offset, "a consumer goes on where it was set");
        let reply = PullReply {
            encoding: pull.encoding,
            opaque: pull.opaque,
            code: ResponseCode::PULL_OFFSET_MOVED,
            remark: "OFFSET_RESET",
            suggest_which_broker_id: 0,
            next_begin_offset: offset,
            min_offset: queue.min_offset(),
            max_offset: self.store.readable_end(queue),
            body: &[],
        };
        reply.encode(out);
        true
    }

    /// Answers everybody who waits on a queue to which something was appended.
    pub(crate) fn wake(self: &Arc<Self>, queue: &TopicQueue) {
        if queue.waiting.any() {
            self.held.wake(queue, |parked| self.try_held(parked));
        }
    }

    /// A held pull's next look at its queue. Messages that its filter does not want move it on without an answer.
    fn try_held(self: &Arc<Self>, mut parked: Parked) -> Attempt {
        let mut told = Vec::new();
        if self.answer_reset(&parked.pull, &mut told) {
            reply(&parked.connection, &told);
            return Attempt::Answered;
        }
        let mut records = Vec::new();
        let outcome = match self.read(&parked.pull, Heat::HotOnly, &mut records) {
            Ok(outcome) => outcome,
            Err(error) => {
                let mut out = Vec::new();
                fail(&parked.pull, &error, &mut out);
                reply(&parked.connection, &out);
                return Attempt::Answered;
            }
        };
        if outcome.status == ReadStatus::Cold {
            self.pull_cold(parked.connection, parked.pull);
            return Attempt::Answered;
        }
        let (code, _) = code_of(&outcome, parked.pull.offset);
        let passed_over = matches!(outcome.status, ReadStatus::NoMatch | ReadStatus::FoundNull);
        if passed_over && outcome.next_offset > parked.pull.offset {
            parked.pull.offset = outcome.next_offset;
            return Attempt::Nothing(parked);
        }
        if code == ResponseCode::PULL_NOT_FOUND
            && self.store.readable_end(&parked.pull.queue.stored) <= parked.pull.offset
        {
            return Attempt::Nothing(parked);
        }
        let mut out = Vec::with_capacity(records.len() + 512);
        answer(&parked.pull, &outcome, &records, &mut out);
        reply(&parked.connection, &out);
        Attempt::Answered
    }

    /// Reads from disk, away from the shards, and sends the answer.
    pub(crate) fn pull_cold(self: &Arc<Self>, connection: Arc<Connection>, pull: Pull) {
        let state = Arc::clone(self);
        self.spawn_blocking(move || {
            let (mut records, mut out) = (Vec::new(), Vec::new());
            if let Pulled::Cold(pull) = state.pull(&connection, pull, Heat::Any, &mut records, &mut out) {
                answer_failure(&pull, "the messages cannot be read", &mut out);
            }
            reply(&connection, &out);
        });
    }

    /// Answers a pull that was held as long as it asked for.
    pub(crate) fn answer_expired(self: &Arc<Self>, parked: Parked) {
        let Parked { pull, connection, .. } = parked;
        let pull = Pull { hold: None, ..pull };
        let (mut records, mut out) = (Vec::new(), Vec::new());
        match self.pull(&connection, pull, Heat::HotOnly, &mut records, &mut out) {
            Pulled::Done => {
                reply(&connection, &out);
            }
            Pulled::Cold(pull) => self.pull_cold(connection, pull),
        }
    }

    /// Stores the offset that a pull brings along.
    pub(crate) fn commit_with_pull(&self, view: &PullView<'_>) {
        let commits = view.sys_flag & sys_flag::COMMIT_OFFSET != 0 && view.commit_offset >= 0;
        if commits && !self.offsets.awaits_pull(view.consumer_group, view.topic, view.queue_id) {
            self.offsets.commit(view.consumer_group, view.topic, view.queue_id, view.commit_offset);
        }
    }
}

/// The disk failed: said to the consumer, which tries again, and to whoever reads the log.
fn fail(pull: &Pull, error: &ReadError, out: &mut Vec<u8>) {
    tracing::error!(topic = pull.topic.name(), offset = pull.offset, %error, "cannot read messages");
    answer_failure(pull, &error.to_string(), out);
}

fn answer_failure(pull: &Pull, remark: &str, out: &mut Vec<u8>) {
    encode_failure(out, pull.encoding, pull.opaque, ResponseCode::SYSTEM_ERROR, remark);
}

fn answer(pull: &Pull, outcome: &ReadOutcome, records: &[u8], out: &mut Vec<u8>) {
    let (code, remark) = code_of(outcome, pull.offset);
    let reply = PullReply {
        encoding: pull.encoding,
        opaque: pull.opaque,
        code,
        remark,
        suggest_which_broker_id: 0,
        next_begin_offset: outcome.next_offset,
        min_offset: outcome.min_offset,
        max_offset: outcome.max_offset,
        body: if code == ResponseCode::SUCCESS { records } else { &[] },
    };
    reply.encode(out);
}

/// Apache's code and name for what the store found.
fn code_of(outcome: &ReadOutcome, asked: i64) -> (ResponseCode, &'static str) {
    let nothing = if asked == 0 { ResponseCode::PULL_NOT_FOUND } else { ResponseCode::PULL_OFFSET_MOVED };
    match outcome.status {
        ReadStatus::Found => (ResponseCode::SUCCESS, "FOUND"),
        ReadStatus::NoMatch => (ResponseCode::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE"),
        ReadStatus::Removing => (ResponseCode::PULL_RETRY_IMMEDIATELY, "MESSAGE_WAS_REMOVING"),
        ReadStatus::NoQueue => (nothing, "NO_MATCHED_LOGIC_QUEUE"),
        ReadStatus::Empty => (nothing, "NO_MESSAGE_IN_QUEUE"),
        ReadStatus::OverflowOne => (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE"),
        ReadStatus::FoundNull => (ResponseCode::PULL_NOT_FOUND, "OFFSET_FOUND_NULL"),
        ReadStatus::OverflowBadly => (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY"),
        ReadStatus::TooSmall => (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL"),
        ReadStatus::Cold => (ResponseCode::SYSTEM_ERROR, "NOT_IN_MEMORY"),
    }
}

/// Whether a code asks for messages.
pub(crate) fn is_pull(code: RequestCode) -> bool {
    matches!(code, RequestCode::PULL_MESSAGE | RequestCode::LITE_PULL_MESSAGE)
}
