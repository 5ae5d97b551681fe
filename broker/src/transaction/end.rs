//! Ending a transaction (37): the half message comes to light, or never will.
//!
//! Refusals are Apache's, in its order. Unlike Apache's broker this one remembers for a while what has ended: a second
//! commit is answered like the first and stores nothing, and a decision that contradicts an earlier one is refused.

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    header::transaction::EndTransaction,
    message::{property as keys, record::Record, sys_flag::Transaction},
    topic,
};

use super::{
    Committed, Op,
    fates::{Claim, Fate},
    half::Half,
    in_ms,
};
use crate::{
    properties::{Marks, replace},
    reject::Reject,
    state::{Own, State},
};

/// What Apache's broker says when there is no such half message, whatever the reason.
const NOT_FOUND: &str = "Find prepared transaction message failed";

impl State {
    /// Commits or rolls back a half message. A producer that does not know yet says so too, and is not answered.
    pub(crate) fn end_transaction(self: &Arc<Self>, request: &Command) -> Result<Option<Command>, Reject> {
        let end: EndTransaction = request.header()?;
        let decision = match Transaction::of(end.commit_or_rollback) {
            decision if decision.set(0) != end.commit_or_rollback => return Err(wrong_decision()),
            Transaction::None => {
                tracing::debug!(group = end.producer_group, transaction = end.message_id, "not decided yet");
                return Ok(None);
            }
            Transaction::Prepared => return Err(wrong_decision()),
            decision => decision,
        };
        let position = u64::try_from(end.commit_log_offset).map_err(|_| Reject::failed(NOT_FOUND))?;
        let bytes = self.store.record(position).ok().flatten().ok_or_else(|| Reject::failed(NOT_FOUND))?;
        let record = Record::decode(&bytes).map_err(|_| Reject::failed(NOT_FOUND))?;
        if record.topic != topic::TRANS_HALF_TOPIC {
            return Err(Reject::failed(NOT_FOUND));
        }
        let half = Half::of(&record).ok_or_else(|| Reject::failed(NOT_FOUND))?;
        self.check_end(&end, &half, &record)?;

        let claim = self.transactions.fates.lock().claim(half.id, decision);
        match claim {
            Claim::Granted(copy) => self.end_half(&half, &record, decision, copy)?,
            Claim::Done => tracing::debug!(transaction = end.message_id, "ended already"),
            Claim::Contradicted => return Err(Reject::failed(NOT_FOUND)),
        }
        Ok(Some(Command::success(request)))
    }

    fn check_end(&self, end: &EndTransaction, half: &Half<'_>, record: &Record<'_>) -> Result<(), Reject> {
        let grace = half.grace_ms(in_ms(self.settings.transaction_timeout));
        let age = self.clock.now_ms().saturating_sub(record.born_timestamp);
        if !end.from_transaction_check && grace.is_some_and(|grace| age > grace) {
            return Err(Reject::too_late_to_end());
        }
        if half.group != end.producer_group {
            return Err(Reject::failed("The producer group wrong"));
        }
        if record.queue_offset != end.tran_state_table_offset {
            return Err(Reject::failed("The transaction state table offset wrong"));
        }
        Ok(())
    }

    fn end_half(
        self: &Arc<Self>,
        half: &Half<'_>,
        record: &Record<'_>,
        decision: Transaction,
        copy: Option<i64>,
    ) -> Result<(), Reject> {
        let lies_at = [half.id, record.queue_offset].into_iter().chain(copy);
        let done = self.op(lies_at).and_then(|op| match decision {
            Transaction::Commit => self.commit_half(half, record, &op),
            _ => self.store_op(&op),
        });
        if done.is_err() {
            let mut fates = self.transactions.fates.lock();
            match copy {
                Some(copy) => fates.set(half.id, Fate::Renewed(copy)),
                None => fates.forget(half.id),
            }
        }
        done
    }

    fn commit_half(self: &Arc<Self>, half: &Half<'_>, record: &Record<'_>, op: &Op) -> Result<(), Reject> {
        let target = self.topics.find(half.topic).ok_or_else(|| Reject::topic_not_exist(half.topic))?;
        let queue_id = target.queue_to_write(half.queue_id, || self.counters.random())?;
        let text = record.text();
        let marks = Marks::of(&text);
        let level = marks.delay_level;
        let mut gone =
            vec![(keys::REAL_TOPIC, None), (keys::REAL_QID, None), (keys::TRAN_PREPARED_QUEUE_OFFSET, None)];
        if level > 0 || marks.timer {
            // What waits for its time has lost it on Apache's broker too.
            gone.push((keys::TRAN_MSG, None));
        }
        let properties = replace(&text, &gone);
        let own = Own {
            properties: &properties,
            reconsume_times: record.reconsume_times,
            level,
            record,
            committed: Some(Committed { op }),
        };
        self.append_own(&target, queue_id, &own)?;
        self.counters.sent(1, u64::try_from(record.body.len()).unwrap_or(0));
        Ok(())
    }
}

fn wrong_decision() -> Reject {
    Reject::failed("commitOrRollback field wrong")
}
