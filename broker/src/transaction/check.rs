//! Rounds of asking producers how their transactions ended (39).
//!
//! A round walks the half queue from where the last one stopped to the first message that is too young to be asked
//! about. Messages with a note are passed over without being read. Whatever is undecided is put back at the tail and
//! the producer is asked about the copy; so each round sees each open transaction once, and none holds up
//! another. Memory is the same for any backlog: the notes of one window of the queue are one bitmap.

use std::{ops::ControlFlow, sync::Arc};

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
    properties::replace,
    reject::Reject,
    schedule::until,
    state::{Own, State},
    topics::{Topic, TopicQueue},
};

/// Half messages that a round decides about with one look at the notes.
const WINDOW: i64 = 1 << 20;

/// The two queues of transactions.
struct Queues {
    half_topic: Arc<Topic>,
    half: Arc<TopicQueue>,
    op: Arc<TopicQueue>,
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
        let ops_from = self.progress(topic::TRANS_OP_HALF_TOPIC, &queues.op);
        let before = self.progress(topic::TRANS_HALF_TOPIC, &queues.half);
        let end = self.store.readable_end(&queues.half.stored);
        let mut at = before;
        let walked = loop {
            let window_end = end.min(at.saturating_add(WINDOW));
            if at >= window_end {
                break Ok(());
            }
            let ended = self.ended(&queues.op, ops_from, at, window_end)?;
            match self.walk(&queues, &ended, at, window_end, start) {
                (next, Ok(true)) => at = next,
                (next, result) => {
                    at = next;
                    break result.map(drop);
                }
            }
        };
        let ops_to = self.passed_ops(&queues.op, ops_from, at)?;
        if at != before || ops_to != ops_from {
            self.offsets.reset(GROUP, topic::TRANS_HALF_TOPIC, 0, at);
            self.offsets.reset(GROUP, topic::TRANS_OP_HALF_TOPIC, 0, ops_to);
            // Written at once: a killed process that had forgotten it would put back every message a second time.
            if let Err(error) = self.offsets.save(self.clock.now_ms()) {
                tracing::error!(%error, "the progress of transaction checks could not be saved");
            }
        }
        walked
    }

    /// Where a queue is gone on with. What was lost behind a damaged log must not leave the progress beyond the end.
    fn progress(&self, topic: &str, queue: &TopicQueue) -> i64 {
        let (min, end) = (queue.stored.min_offset(), self.store.readable_end(&queue.stored));
        self.offsets.of(GROUP, topic, 0).unwrap_or(min).clamp(min, end.max(min))
    }

    /// The half messages of a window that have a note. Notes for older ones tell the fates of their copies.
    fn ended(&self, op: &TopicQueue, from: i64, at: i64, window_end: i64) -> Result<Ended, Reject> {
        let mut ended = Ended::new(at, window_end);
        self.scan(op, from, self.store.readable_end(&op.stored), |record| {
            for offset in named(record) {
                if offset < at {
                    self.transactions.fates.lock().note_ended(offset);
                }
                ended.insert(offset);
            }
            ControlFlow::Continue(())
        })?;
        Ok(ended)
    }

    /// The first note that names a half message which has not been passed yet.
    fn passed_ops(&self, op: &TopicQueue, from: i64, at: i64) -> Result<i64, Reject> {
        let end = self.store.readable_end(&op.stored);
        let look = |record: &Record<'_>| match named(record).any(|offset| offset >= at) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        Ok(self.scan(op, from, end, look)?)
    }

    /// Decides about the half messages of a window; answers how far it came and whether it may go on behind it.
    fn walk(
        self: &Arc<Self>,
        queues: &Queues,
        ended: &Ended,
        from: i64,
        to: i64,
        start: i64,
    ) -> (i64, Result<bool, Reject>) {
        let mut at = from;
        while at < to {
            if ended.contains(at) {
                at += 1;
                continue;
            }
            let open_end = (at..to).find(|offset| ended.contains(*offset)).unwrap_or(to);
            let mut outcome = Ok(());
            let scanned = self.scan(&queues.half, at, open_end, |record| {
                match self.decide(queues, record, start) {
                    Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
                    Ok(stop) => stop,
                    Err(reject) => {
                        outcome = Err(reject);
                        ControlFlow::Break(())
                    }
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
    fn decide(
        self: &Arc<Self>,
        queues: &Queues,
        record: &Record<'_>,
        start: i64,
    ) -> Result<ControlFlow<()>, Reject> {
        let Some(half) = Half::of(record) else {
            tracing::error!(offset = record.queue_offset, "a half message that cannot be asked about; parked");
            return self.park(record);
        };
        match self.transactions.fates.lock().of(half.id) {
            Some(Fate::Ended(_)) => return Ok(ControlFlow::Continue(())),
            Some(Fate::Renewed(newest)) if newest > record.queue_offset => {
                return Ok(ControlFlow::Continue(()));
            }
            _ => {}
        }
        if record.store_timestamp >= start {
            return Ok(ControlFlow::Break(()));
        }
        let now = self.clock.now_ms();
        let age = now.saturating_sub(record.born_timestamp);
        if half.checks >= self.settings.transaction_check_max || age > in_ms(self.settings.file_reserved) {
            tracing::warn!(
                group = half.group,
                topic = half.topic,
                checks = half.checks,
                "nobody says how a transaction ended; parked"
            );
            return self.park(record);
        }
        let timeout = in_ms(self.settings.transaction_timeout);
        match half.immunity_ms(timeout) {
            Some(immunity) if age <= immunity => {
                self.renew(queues, &half, record, half.checks)?;
            }
            None if (0..=timeout).contains(&age) => return Ok(ControlFlow::Break(())),
            _ => {
                if let Some((properties, appended)) = self.renew(queues, &half, record, half.checks + 1)? {
                    self.ask(&half, record, &properties, &appended);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Puts a half message back at the tail. One that has no room for the count is parked instead.
    fn renew(
        self: &Arc<Self>,
        queues: &Queues,
        half: &Half<'_>,
        record: &Record<'_>,
        checks: u32,
    ) -> Result<Option<(String, Appended)>, Reject> {
        let (checks, id) = (checks.to_string(), half.id.to_string());
        let count = (keys::TRANSACTION_CHECK_TIMES, (checks != "0").then_some(checks.as_str()));
        let properties =
            replace(&record.text(), &[count, (keys::TRAN_PREPARED_QUEUE_OFFSET, Some(id.as_str()))]);
        match self.append_own(&queues.half_topic, 0, &copy_of(record, &properties)) {
            Ok(appended) => {
                let mut fates = self.transactions.fates.lock();
                // Its producer may have ended it meanwhile.
                if !matches!(fates.of(half.id), Some(Fate::Ended(_))) {
                    fates.set(half.id, Fate::Renewed(appended.queue_offset));
                }
                Ok(Some((properties, appended)))
            }
            Err(reject) if reject.code == ResponseCode::MESSAGE_ILLEGAL => {
                tracing::error!(group = half.group, why = %reject.remark, "a half message cannot be put back; parked");
                self.park(record).map(|_| None)
            }
            Err(reject) => Err(reject),
        }
    }

    fn park(self: &Arc<Self>, record: &Record<'_>) -> Result<ControlFlow<()>, Reject> {
        let parking = self.topics.find_or_create_derived(topic::TRANS_CHECK_MAX_TIME_TOPIC, 1)?;
        self.append_own(&parking, 0, &copy_of(record, &record.text()))?;
        Ok(ControlFlow::Continue(()))
    }

    /// Asks a member of the producer's group about the copy that was just put back. Whoever is asked sees the message as
    /// it was sent, with its real topic.
    fn ask(&self, half: &Half<'_>, record: &Record<'_>, properties: &str, copy: &Appended) {
        let Ok(commit_log_offset) = i64::try_from(copy.physical_offset) else { return };
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
        if draft
            .encode(copy.queue_offset, commit_log_offset, record.store_timestamp, &mut body)
            .is_err()
        {
            return;
        }
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
        let question = Command::request(RequestCode::CHECK_TRANSACTION_STATE, &header).with_body(body);
        let producers = self.clients.producers(half.group);
        if !producers.iter().any(|producer| producer.one_way(question.clone()).is_ok()) {
            tracing::warn!(group = half.group, topic = half.topic, "nobody of the group can be asked");
        }
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
