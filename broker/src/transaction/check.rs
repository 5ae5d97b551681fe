//! Rounds of asking producers how their transactions ended (39).
//!
//! A round walks the half queue from where the last one stopped to the first message that is too young to be asked
//! about. Messages with a note are passed over without being read. Whatever is undecided is put back at the tail and
//! the producer is asked about the copy; so each round sees each open transaction once, and none holds up
//! another. Memory is the same for any backlog: the notes of one window of the queue are one bitmap.

use std::{
    ops::ControlFlow,
    sync::{Arc, mpsc},
};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::transaction::CheckTransactionState,
    message::{
        id::OffsetMessageId,
        property as keys,
        record::{Draft, Record},
    },
    topic,
};
use rocketmq_boot_store::Appended;

use super::{GROUP, check_interval, fates::Fate, half::Half, in_ms, ops::named};
use crate::{
    config::FlushDisk,
    properties::replace,
    reject::Reject,
    schedule::until,
    state::{Own, State},
    topics::{Topic, TopicQueue},
};

/// Half messages that a round decides about with one look at the notes.
const WINDOW: i64 = 1 << 20;

/// Bytes of questions that are gathered before they are sent.
const MAX_QUESTIONS_BYTES: usize = 1 << 20;

/// The two queues of transactions.
struct Queues {
    half_topic: Arc<Topic>,
    half: Arc<TopicQueue>,
    op: Arc<TopicQueue>,
}

/// One round.
struct Round {
    broker: Arc<State>,
    queues: Queues,
    /// When it began, in ms since 1970.
    start: i64,
    questions: Questions,
}

/// Questions that wait until the copies they are about can be read.
#[derive(Default)]
struct Questions {
    /// With the group to ask.
    waiting: Vec<(String, Command)>,
    bytes: usize,
    /// The end of the last copy in the log.
    end: u64,
}

/// Half messages from `from` on that have a note.
struct Ended {
    from: i64,
    bits: Vec<u64>,
}

impl Ended {
    fn new(from: i64, to: i64) -> Self {
        let words = usize::try_from(to.saturating_sub(from)).unwrap_or(0).div_ceil(64);
        Self { from, bits: vec![0; words] }
    }

    fn place(&self, offset: i64) -> Option<(usize, u64)> {
        let at = usize::try_from(offset.checked_sub(self.from)?).ok()?;
        Some((at / 64, 1 << (at % 64)))
    }

    fn insert(&mut self, offset: i64) {
        if let Some((word, bit)) = self.place(offset)
            && let Some(word) = self.bits.get_mut(word)
        {
            *word |= bit;
        }
    }

    fn contains(&self, offset: i64) -> bool {
        self.place(offset).is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0))
    }
}

impl State {
    /// Holds a round each `transactionCheckInterval`, for as long as the broker runs.
    pub(crate) async fn check_transactions(self: Arc<Self>) {
        let interval = in_ms(check_interval(&self.settings));
        let mut next = self.transactions.first_check_ms;
        loop {
            tokio::select! {
                () = until(&self.clock, Some(next)) => {}
                () = self.stopping.cancelled() => return,
            }
            let start = self.clock.now_ms();
            next = start.saturating_add(interval);
            let broker = Arc::clone(&self);
            // Reading may touch the disk.
            let round = tokio::task::spawn_blocking(move || broker.check_round(start)).await;
            match round {
                Ok(Ok(())) => {}
                Ok(Err(reject)) => {
                    tracing::warn!(why = %reject.remark, "a round of transaction checks broke off");
                }
                Err(error) => tracing::error!(%error, "a round of transaction checks failed"),
            }
        }
    }

    fn check_round(self: &Arc<Self>, start: i64) -> Result<(), Reject> {
        let half_topic = self.system_topic(topic::TRANS_HALF_TOPIC)?;
        let queues = Queues {
            half: self.topics.queue(&half_topic, 0),
            op: self.topics.queue(&*self.system_topic(topic::TRANS_OP_HALF_TOPIC)?, 0),
            half_topic,
        };
        Round { broker: Arc::clone(self), queues, start, questions: Questions::default() }.hold()
    }

    /// Where a queue is gone on with. What was lost behind a damaged log must not leave the progress beyond the end.
    fn progress(&self, topic: &str, queue: &TopicQueue) -> i64 {
        let (min, end) = (queue.stored.min_offset(), self.store.readable_end(&queue.stored));
        self.offsets.of(GROUP, topic, 0).unwrap_or(min).clamp(min, end.max(min))
    }
}

impl Round {
    fn hold(mut self) -> Result<(), Reject> {
        let broker = Arc::clone(&self.broker);
        let ops_from = broker.progress(topic::TRANS_OP_HALF_TOPIC, &self.queues.op);
        let before = broker.progress(topic::TRANS_HALF_TOPIC, &self.queues.half);
        let end = broker.store.readable_end(&self.queues.half.stored);
        let mut at = before;
        let walked = loop {
            let window_end = end.min(at.saturating_add(WINDOW));
            if at >= window_end {
                break Ok(());
            }
            let ended = self.ended(ops_from, at, window_end)?;
            let (next, result) = self.walk(&ended, at, window_end);
            at = next;
            match result {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(reject) => break Err(reject),
            }
        };
        self.ask();
        let ops_to = self.passed_ops(ops_from, at)?;
        if at != before || ops_to != ops_from {
            broker.offsets.reset(GROUP, topic::TRANS_HALF_TOPIC, 0, at);
            broker.offsets.reset(GROUP, topic::TRANS_OP_HALF_TOPIC, 0, ops_to);
            // Written at once: a killed process that had forgotten it would put back every message a second time.
            if let Err(error) = broker.offsets.save(broker.clock.now_ms()) {
                tracing::error!(%error, "the progress of transaction checks could not be saved");
            }
        }
        walked
    }

    /// The half messages of a window that have a note. Notes for older ones tell the fates of their copies.
    fn ended(&self, from: i64, at: i64, window_end: i64) -> Result<Ended, Reject> {
        let (broker, op) = (&self.broker, &self.queues.op);
        let mut ended = Ended::new(at, window_end);
        broker.scan(op, from, broker.store.readable_end(&op.stored), |record| {
            for offset in named(record) {
                if offset < at {
                    broker.transactions.fates.lock().note_ended(offset);
                }
                ended.insert(offset);
            }
            ControlFlow::Continue(())
        })?;
        Ok(ended)
    }

    /// The first note that names a half message which has not been passed yet.
    fn passed_ops(&self, from: i64, at: i64) -> Result<i64, Reject> {
        let (broker, op) = (&self.broker, &self.queues.op);
        let look = |record: &Record<'_>| match named(record).any(|offset| offset >= at) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        Ok(broker.scan(op, from, broker.store.readable_end(&op.stored), look)?)
    }

    /// Decides about the half messages of a window; answers how far it came and whether it may go on behind it.
    fn walk(&mut self, ended: &Ended, from: i64, to: i64) -> (i64, Result<bool, Reject>) {
        let (broker, queue) = (Arc::clone(&self.broker), Arc::clone(&self.queues.half));
        let mut at = from;
        while at < to {
            if ended.contains(at) {
                at += 1;
                continue;
            }
            let open_end = (at..to).find(|offset| ended.contains(*offset)).unwrap_or(to);
            let mut outcome = Ok(());
            let scanned = broker.scan(&queue, at, open_end, |record| match self.decide(record) {
                Ok(step) => step,
                Err(reject) => {
                    outcome = Err(reject);
                    ControlFlow::Break(())
                }
            });
            match (scanned, outcome) {
                (Ok(next), Ok(())) if next == open_end => at = next,
                (Ok(next), outcome) => return (next, outcome.map(|()| false)),
                (Err(error), _) => return (at, Err(error.into())),
            }
        }
        (at, Ok(true))
    }

    /// Decides about one half message without a note; breaks off at one that it is too early for.
    fn decide(&mut self, record: &Record<'_>) -> Result<ControlFlow<()>, Reject> {
        let broker = Arc::clone(&self.broker);
        let Some(half) = Half::of(record) else {
            tracing::error!(
                offset = record.queue_offset,
                "a half message that cannot be asked about; parked"
            );
            return broker.park(record);
        };
        let fate = broker.transactions.fates.lock().of(half.id);
        match fate {
            Some(Fate::Ended(_)) => return Ok(ControlFlow::Continue(())),
            Some(Fate::Renewed(newest)) if newest > record.queue_offset => {
                return Ok(ControlFlow::Continue(()));
            }
            _ => {}
        }
        // The copies of this round lie behind it.
        if record.store_timestamp >= self.start {
            return Ok(ControlFlow::Break(()));
        }
        let settings = &broker.settings;
        let age = broker.clock.now_ms().saturating_sub(record.born_timestamp);
        if half.checks >= settings.transaction_check_max || age > in_ms(settings.file_reserved) {
            tracing::warn!(
                group = half.group,
                topic = half.topic,
                checks = half.checks,
                "nobody says how a transaction ended; parked"
            );
            return broker.park(record);
        }
        let timeout = in_ms(settings.transaction_timeout);
        match half.immunity_ms(timeout) {
            Some(immunity) if age <= immunity => drop(self.renew(&half, record, half.checks)?),
            None if (0..=timeout).contains(&age) => return Ok(ControlFlow::Break(())),
            _ => {
                if let Some((properties, copy)) = self.renew(&half, record, half.checks + 1)? {
                    self.questions.add(&half, broker.question(&half, record, &properties, &copy), &copy);
                    if self.questions.bytes > MAX_QUESTIONS_BYTES {
                        self.ask();
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Puts a half message back at the tail. One that has no room for the count is parked instead.
    fn renew(
        &self,
        half: &Half<'_>,
        record: &Record<'_>,
        checks: u32,
    ) -> Result<Option<(String, Appended)>, Reject> {
        let broker = &self.broker;
        let (checks, id) = (checks.to_string(), half.id.to_string());
        let count = (keys::TRANSACTION_CHECK_TIMES, (checks != "0").then_some(checks.as_str()));
        let properties =
            replace(&record.text(), &[count, (keys::TRAN_PREPARED_QUEUE_OFFSET, Some(id.as_str()))]);
        match broker.append_hidden(&self.queues.half_topic, &copy_of(record, &properties)) {
            Ok(appended) => {
                let mut fates = broker.transactions.fates.lock();
                // Its producer may have ended it meanwhile.
                if !matches!(fates.of(half.id), Some(Fate::Ended(_))) {
                    fates.set(half.id, Fate::Renewed(appended.queue_offset));
                }
                Ok(Some((properties, appended)))
            }
            Err(reject) if reject.code == ResponseCode::MESSAGE_ILLEGAL => {
                tracing::error!(group = half.group, why = %reject.remark, "a half message cannot be put back; parked");
                broker.park(record).map(|_| None)
            }
            Err(reject) => Err(reject),
        }
    }

    /// Sends the questions, each to a member of its group. Their copies must be readable by then: a quick producer
    /// ends a transaction before others have read the question.
    fn ask(&mut self) {
        let Questions { waiting, end, .. } = std::mem::take(&mut self.questions);
        let broker = &self.broker;
        if !waiting.is_empty() && broker.settings.flush == FlushDisk::Sync {
            let (flushed, wait) = mpsc::channel();
            let done = move |_| {
                // Nobody listens any more once the patience below is over.
                let _ = flushed.send(());
            };
            broker.store.when_flushed(end, Box::new(done));
            if wait.recv_timeout(broker.settings.sync_flush_timeout).is_err() {
                tracing::warn!("half messages that were put back are not on disk in time");
            }
        }
        for (group, question) in waiting {
            let producers = broker.clients.members_to_ask(&group);
            if !producers.iter().any(|producer| producer.one_way(question.clone()).is_ok()) {
                tracing::warn!(group, "nobody of the group can be asked about its transaction");
            }
        }
    }
}

impl Questions {
    fn add(&mut self, half: &Half<'_>, question: Option<Command>, copy: &Appended) {
        let Some(question) = question else { return };
        self.bytes += question.body.len();
        self.end = copy.end();
        self.waiting.push((half.group.to_owned(), question));
    }
}

impl State {
    fn park(self: &Arc<Self>, record: &Record<'_>) -> Result<ControlFlow<()>, Reject> {
        let parking = self.topics.find_or_create_derived(topic::TRANS_CHECK_MAX_TIME_TOPIC, 1)?;
        self.append_hidden(&parking, &copy_of(record, &record.text()))?;
        Ok(ControlFlow::Continue(()))
    }

    /// The question about a copy. Whoever is asked sees the message as it was sent, with its real topic.
    fn question(
        &self,
        half: &Half<'_>,
        record: &Record<'_>,
        properties: &str,
        copy: &Appended,
    ) -> Option<Command> {
        let commit_log_offset = i64::try_from(copy.physical_offset).ok()?;
        let draft = Draft {
            queue_id: half.queue_id,
            flag: record.flag,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            prepared_transaction_offset: record.prepared_transaction_offset,
            body: record.body,
            topic: half.topic.as_bytes(),
            properties: properties.as_bytes(),
            more_properties: &[],
        };
        let mut body = Vec::new();
        draft.encode(copy.queue_offset, commit_log_offset, record.store_timestamp, &mut body).ok()?;
        let unique_key = record.property(keys::UNIQ_KEY).map(str::to_owned);
        let id = OffsetMessageId { host: self.store_host(), physical_offset: copy.physical_offset };
        let header = CheckTransactionState {
            topic: Some(topic::TRANS_HALF_TOPIC.to_owned()),
            tran_state_table_offset: copy.queue_offset,
            commit_log_offset,
            message_id: unique_key.clone(),
            transaction_id: unique_key,
            offset_message_id: Some(id.to_string()),
            broker_name: Some(self.settings.broker_name.clone()),
        };
        Some(Command::request(RequestCode::CHECK_TRANSACTION_STATE, &header).with_body(body))
    }
}

fn copy_of<'a>(record: &'a Record<'a>, properties: &'a str) -> Own<'a> {
    Own { properties, reconsume_times: record.reconsume_times, level: 0, record, committed: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_own_offsets_only() {
        let mut ended = Ended::new(100, 230);
        for offset in [-1, 0, 99, 100, 163, 164, 229, 300, i64::MAX, i64::MIN] {
            ended.insert(offset);
        }
        let held: Vec<i64> = (0..400).filter(|offset| ended.contains(*offset)).collect();
        assert_eq!(held, [100, 163, 164, 229]);
    }
}
