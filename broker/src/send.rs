//! Sending: what may be stored, where, and what the sender is told (10, 310, 320).
//!
//! A read batch goes through in three steps: every send is checked and rewritten on its own, here; all that passed are
//! appended under one lock, then each is answered and whoever waits on the queues is woken, in [`stored`].

mod half;
mod stored;

use std::{borrow::Cow, sync::Arc};

use rocketmq_boot_protocol::{
    Encoding,
    hot::SendView,
    message::{batch, property as keys, record::MAX_PROPERTIES_BYTES, sys_flag::Transaction},
    topic,
};

pub(crate) use self::stored::outcome_of;
use crate::{
    properties::{Marks, replace},
    recall,
    reject::Reject,
    state::State,
    topics::{Topic, TopicQueue},
};

/// Messages of a batch at most.
const MAX_BATCH: usize = 4_096;

/// A send that passed its checks, with what it became.
#[derive(Debug)]
pub(crate) struct Accepted<'a> {
    topic: Arc<Topic>,
    pub(crate) queue: Arc<TopicQueue>,
    queue_id: i32,
    /// The queue that the sender is told: where the message is meant to be in the end.
    answered_queue_id: i32,
    sys_flag: i32,
    born_timestamp: i64,
    reconsume_times: i32,
    messages: Messages<'a>,
    /// What the message waits for.
    delayed: Delayed,
    waits: bool,
    opaque: i32,
    encoding: Encoding,
    one_way: bool,
}

/// What a message waits for before it can be pulled.
#[derive(Debug)]
enum Delayed {
    No,
    Level,
    /// For an instant; the handle takes it back.
    Timer(Option<String>),
}

#[derive(Debug)]
enum Messages<'a> {
    One(Single<'a>),
    Batch {
        singles: Vec<Single<'a>>,
        /// The batch's own unique key; only its sender hears of it again.
        key: &'a str,
    },
}

/// One message: what is stored of it.
#[derive(Debug)]
struct Single<'a> {
    body: &'a [u8],
    flag: i32,
    properties: Cow<'a, str>,
    unique_key: Cow<'a, str>,
    tags_code: i64,
}

/// Where a message really goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) topic: Arc<Topic>,
    pub(crate) queue_id: i32,
}

impl State {
    /// Checks a send and decides where it goes.
    pub(crate) fn accept<'a>(
        &self,
        view: &SendView<'a>,
        recent: &mut Recent,
    ) -> Result<Accepted<'a>, Reject> {
        let target = self.destination(view, recent)?;
        if self.settings.topic_message_type_check {
            self.check_message_type(view, &target.topic)?;
        }
        if view.body.len() > self.settings.max_message_bytes {
            let limit = self.settings.max_message_bytes;
            return Err(Reject::illegal_message(format!(
                "a body of {} bytes is over {limit}",
                view.body.len()
            )));
        }
        if view.batch { self.accept_batch(view, target) } else { self.accept_one(view, target) }
    }

    /// Where a send asks to go, if it may.
    pub(crate) fn destination(&self, view: &SendView<'_>, recent: &mut Recent) -> Result<Target, Reject> {
        self.check_running()?;
        let topic = self.topic_of_send(view, recent)?;
        if topic.config.order && !self.may_write() {
            return Err(Reject::broker_forbids(&self.settings.broker_name, "sending"));
        }
        let queue_id = topic.queue_to_write(view.queue_id, || self.counters.random())?;
        Ok(Target { topic, queue_id })
    }

    fn topic_of_send(&self, view: &SendView<'_>, recent: &mut Recent) -> Result<Arc<Topic>, Reject> {
        if let Some(topic) = recent.0.as_ref().filter(|topic| topic.name() == view.topic) {
            return Ok(Arc::clone(topic));
        }
        if !topic::is_sendable(view.topic) {
            return Err(Reject::reserved_topic(view.topic));
        }
        let topic = match topic::group_of_retry(view.topic) {
            None => {
                self.topics.find_or_create(view.topic, view.default_topic, view.default_topic_queue_nums)?
            }
            Some(group) => {
                let group = self.groups.find_or_create(group)?;
                self.topics.find_or_create_derived(view.topic, group.retry_queue_nums)?
            }
        };
        recent.0 = Some(Arc::clone(&topic));
        Ok(topic)
    }

    fn accept_one<'a>(&self, view: &SendView<'a>, target: Target) -> Result<Accepted<'a>, Reject> {
        let marks = Marks::of(view.properties);
        let dead = self.is_dead(view)?;
        let target = match dead {
            Some(group) => self.dead_letters(group)?,
            None => target,
        };
        // What clients before 4.6.1 send back to a retry topic still says that it was a half message.
        if marks.half && !(view.reconsume_times > 0 && marks.delay_level > 0) {
            return self.accept_half(view, &target, &marks);
        }
        if !marks.half {
            check_visible(view)?;
        }
        let answered_queue_id = target.queue_id;
        let level = if dead.is_some() { 0 } else { marks.delay_level.min(self.settings.delay_levels.len()) };
        let unique_key = self.unique_key(&marks);
        let single = Single {
            body: view.body,
            flag: view.message_flag,
            properties: self.rewrite(view.properties, &marks, &unique_key, dead.is_some()),
            unique_key,
            tags_code: marks.tags_code(),
        };
        let (target, single, delayed) = match level {
            0 if marks.timer => self.time(target, single)?,
            0 => (target, single, Delayed::No),
            level => self.delay(level, target, single)?,
        };
        self.check_properties(&single)?;
        let accepted = self.accepted(view, target, Messages::One(single), marks.waits);
        let sys_flag = if marks.half { Transaction::None.set(view.sys_flag) } else { view.sys_flag };
        Ok(Accepted { answered_queue_id, sys_flag, delayed, ..accepted })
    }

    /// Messages of one batch share topic and queue; each has properties of its own.
    fn accept_batch<'a>(&self, view: &SendView<'a>, target: Target) -> Result<Accepted<'a>, Reject> {
        check_visible(view)?;
        let name = target.topic.name();
        if name.len() > topic::MAX_TOPIC_CHARS || topic::group_of_retry(name).is_some() {
            return Err(Reject::illegal_message(format!("a batch cannot be sent to {name}")));
        }
        // What its messages say is not looked at: they are delivered at once, as Apache's broker does.
        let whole = Marks::of(view.properties);
        if whole.delay_level > 0 || whole.timer {
            return Err(Reject::illegal_message("a batch cannot wait"));
        }
        let mut waits = true;
        let mut singles = Vec::new();
        for item in batch::items(view.body) {
            let item = item.map_err(|error| Reject::illegal_message(error.to_string()))?;
            if singles.len() == MAX_BATCH {
                return Err(Reject::illegal_message(format!("a batch holds more than {MAX_BATCH} messages")));
            }
            let properties = std::str::from_utf8(item.properties).map_err(|error| {
                Reject::illegal_message(format!("properties of a batch's message: {error}"))
            })?;
            let marks = Marks::of(properties);
            if marks.half {
                return Err(Reject::illegal_message("a half message cannot be part of a batch"));
            }
            waits &= marks.waits;
            let unique_key = self.unique_key(&marks);
            let single = Single {
                body: item.body,
                flag: item.flag,
                properties: self.rewrite(properties, &marks, &unique_key, false),
                unique_key,
                tags_code: marks.tags_code(),
            };
            self.check_properties(&single)?;
            singles.push(single);
        }
        if singles.is_empty() {
            return Err(Reject::illegal_message("a batch without messages"));
        }
        let key = keys::get(view.properties, keys::UNIQ_KEY).unwrap_or_default();
        Ok(self.accepted(view, target, Messages::Batch { singles, key }, waits))
    }

    fn accepted<'a>(
        &self,
        view: &SendView<'a>,
        target: Target,
        messages: Messages<'a>,
        waits: bool,
    ) -> Accepted<'a> {
        Accepted {
            queue: self.topics.queue(&target.topic, target.queue_id),
            topic: target.topic,
            queue_id: target.queue_id,
            answered_queue_id: target.queue_id,
            sys_flag: view.sys_flag,
            born_timestamp: view.born_timestamp,
            reconsume_times: view.reconsume_times,
            messages,
            delayed: Delayed::No,
            waits,
            opaque: view.opaque,
            encoding: view.encoding,
            one_way: view.flag & rocketmq_boot_protocol::command::FLAG_ONE_WAY != 0,
        }
    }

    fn check_properties(&self, single: &Single<'_>) -> Result<(), Reject> {
        self.check_properties_length(single.properties.len())
    }

    fn check_properties_length(&self, length: usize) -> Result<(), Reject> {
        let bytes = length + self.stamp.len() + 1;
        if bytes > MAX_PROPERTIES_BYTES {
            return Err(Reject::illegal_message(format!(
                "properties of {bytes} bytes are over {MAX_PROPERTIES_BYTES}"
            )));
        }
        Ok(())
    }

    /// Whether a send to a retry topic has had all its attempts: then its group (code 36 counts
    /// differently).
    fn is_dead<'a>(&self, view: &SendView<'a>) -> Result<Option<&'a str>, Reject> {
        const FIRST_WITH_LIMIT: i32 = 121;
        let Some(name) = topic::group_of_retry(view.topic) else { return Ok(None) };
        let group = self.groups.find_or_create(name)?;
        let limit = match view.max_reconsume_times {
            Some(limit) if view.version >= FIRST_WITH_LIMIT => limit,
            _ => group.retry_max_times,
        };
        Ok((view.reconsume_times > limit || self.locks.is_orderly(name)).then_some(name))
    }

    fn dead_letters(&self, group: &str) -> Result<Target, Reject> {
        let topic = self.topics.find_or_create_derived(&topic::dlq_topic(group), 1)?;
        Ok(Target { topic, queue_id: 0 })
    }

    /// Sends a message to wait at its level, with its real destination among its properties.
    fn delay<'a>(
        &self,
        level: usize,
        target: Target,
        single: Single<'a>,
    ) -> Result<(Target, Single<'a>, Delayed), Reject> {
        let schedule = self
            .topics
            .find(topic::SCHEDULE_TOPIC)
            .ok_or_else(|| Reject::topic_not_exist(topic::SCHEDULE_TOPIC))?;
        let level_text = level.to_string();
        let real_queue = target.queue_id.to_string();
        let properties = replace(
            &single.properties,
            &[
                (keys::DELAY, Some(&level_text)),
                (keys::REAL_TOPIC, Some(target.topic.name())),
                (keys::REAL_QID, Some(&real_queue)),
                // A level comes before an instant.
                (keys::TIMER_DELAY_SEC, None),
                (keys::TIMER_DELAY_MS, None),
                (keys::TIMER_DELIVER_MS, None),
            ],
        );
        let tags_code = self.schedule.due(level, self.clock.now_ms());
        let queue_id = i32::try_from(level - 1).unwrap_or(0);
        let single = Single { properties: Cow::Owned(properties), tags_code, ..single };
        Ok((Target { topic: schedule, queue_id }, single, Delayed::Level))
    }

    /// Sends a message to wait for the instant that it asks for.
    fn time<'a>(&self, target: Target, single: Single<'a>) -> Result<(Target, Single<'a>, Delayed), Reject> {
        let name = target.topic.name();
        let Some(timed) = self.timed(&single.properties, name, target.queue_id)? else {
            return Ok((target, single, Delayed::No));
        };
        let recallable = topic::group_of_retry(name).is_none();
        let handle = recallable
            .then(|| recall::handle(name, &self.settings.broker_name, timed.out_ms, &single.unique_key));
        self.check_properties_length(timed.properties.len() + timed.reserved)?;
        let single = Single { properties: Cow::Owned(timed.properties), ..single };
        Ok((Target { topic: self.timer_topic()?, queue_id: 0 }, single, Delayed::Timer(handle)))
    }

    fn unique_key<'a>(&self, marks: &Marks<'a>) -> Cow<'a, str> {
        match marks.unique_key {
            Some(key) => Cow::Borrowed(key),
            None => Cow::Owned(self.unique_keys.next(self.clock.now_ms())),
        }
    }

    /// The client's properties, rewritten only when something has to go or is missing.
    fn rewrite<'a>(
        &self,
        properties: &'a str,
        marks: &Marks<'a>,
        unique_key: &str,
        dead: bool,
    ) -> Cow<'a, str> {
        if marks.unique_key.is_some() && !marks.has_broker_keys && !dead {
            return Cow::Borrowed(properties);
        }
        let mut replaced = vec![
            (keys::UNIQ_KEY, Some(unique_key)),
            (keys::CLUSTER, None),
            (keys::MSG_REGION, None),
            (keys::TRACE_ON, None),
        ];
        if dead {
            // Dead letters that were sent say so, as Apache's do; a level would make them wait.
            replaced.push((keys::DELAY, Some("-1")));
        }
        Cow::Owned(replace(properties, &replaced))
    }

    /// Whether the broker's own permission lets it take messages.
    pub(crate) fn may_write(&self) -> bool {
        self.settings.permission & topic::PERM_WRITE != 0
    }
}

/// Refuses what says in its system flag that it is no message to be seen, but not in its properties.
fn check_visible(view: &SendView<'_>) -> Result<(), Reject> {
    match Transaction::of(view.sys_flag) {
        Transaction::None | Transaction::Commit => Ok(()),
        Transaction::Prepared | Transaction::Rollback => {
            Err(Reject::illegal_message("a half message must say TRAN_MSG=true"))
        }
    }
}

/// The topic of the send before: most batches are for one topic.
#[derive(Debug, Default)]
pub(crate) struct Recent(Option<Arc<Topic>>);
