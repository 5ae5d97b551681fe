//! What brokers, and tools through them, ask of a consumer: go on elsewhere, say how it is, handle one message now.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    body::{
        QueueMap,
        group::QueueRef,
        running::{ConsumerRunning, DirectResult, QueueState, TopicRates},
    },
    message::{MessageQueue, MessageView},
};
use tokio::time::Instant;

use super::{
    Order, Verdict, handling, pull,
    queue::{Assigned, Sought},
    shared::Shared,
};

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

impl Shared {
    /// Goes on at these offsets, and has the group go on there too.
    pub(crate) fn reset(&self, topic: &str, offsets: &BTreeMap<MessageQueue, i64>) {
        let queues = self.queues.lock();
        for (queue, offset) in offsets.iter().filter(|(queue, _)| queue.topic == topic) {
            if let Some(assigned) = queues.get(queue) {
                tracing::info!(%queue, offset, group = self.options.group, "offset is reset");
                assigned.seek(Sought { offset: *offset, commit: true });
            }
        }
    }

    /// How far each queue of a topic is consumed.
    pub(crate) fn consumed(&self, topic: &str) -> QueueMap<i64> {
        let positions = self.positions().into_iter();
        positions.filter(|(queue, _)| queue.topic == topic).map(|(queue, at)| (queue.into(), at)).collect()
    }

    /// How the consumer is, as the dashboard shows it.
    pub(crate) fn running(&self) -> ConsumerRunning {
        let (core, options) = (self.core(), &self.options);
        let threads = self.handling().map_or(1, |handling| handling.calls.limit());
        let facts = [
            (ConsumerRunning::NAME_SERVERS, core.name_servers.addresses()),
            (ConsumerRunning::THREADS, threads.to_string()),
            (ConsumerRunning::ORDERLY, (options.order == Order::Orderly).to_string()),
            (ConsumerRunning::CONSUME_TYPE, options.consume_type.name().to_owned()),
            (ConsumerRunning::VERSION, format!("rocketmq-boot {}", env!("CARGO_PKG_VERSION"))),
            (ConsumerRunning::STARTED_AT, self.started_at.to_string()),
        ];
        let now_ms = core.options.clock.now_ms();
        let queues = self.queues.lock();
        let state = |assigned: &Assigned| (QueueRef::from(assigned.queue.clone()), state(assigned, now_ms));
        let now = Instant::now();
        ConsumerRunning {
            mq_table: queues.values().map(|assigned| state(assigned)).collect(),
            properties: facts.map(|(name, value)| (name.to_owned(), value)).into(),
            status_table: self
                .lanes
                .all()
                .into_iter()
                .map(|(topic, lane)| (topic, lane.rates(now).into()))
                .collect(),
            subscription_set: self.enrolled.data.read().subscription_data_set.clone(),
            ..ConsumerRunning::default()
        }
    }

    /// Has the handler handle a message now, beside everything else; `None` for a consumer without a handler.
    pub(crate) async fn consume_directly(
        &self,
        mut message: MessageView,
        broker: &str,
    ) -> Option<DirectResult> {
        let handling = self.handling()?;
        pull::dress(&mut message, &broker.into(), &self.retry_topic);
        let began = Instant::now();
        let judged = handling::judge(handling, vec![message], Some(self.options.consume_timeout)).await;
        let (result, remark) = match judged {
            Err(panic) => ("CR_THROW_EXCEPTION", Some(panic)),
            Ok(verdicts) => match verdicts.first() {
                None => ("CR_RETURN_NULL", None),
                Some(Verdict::Done | Verdict::Drop) => ("CR_SUCCESS", None),
                Some(Verdict::DeadLetter(reason)) => ("CR_LATER", Some(reason.clone())),
                Some(_) => ("CR_LATER", None),
            },
        };
        Some(DirectResult {
            auto_commit: true,
            consume_result: result.into(),
            order: self.options.order == Order::Orderly,
            remark,
            spent_time_mills: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
        })
    }
}

fn state(assigned: &Assigned, now_ms: i64) -> QueueState {
    let condition = assigned.condition(now_ms);
    let (first, last) = condition.held.span.unwrap_or_default();
    QueueState {
        cached_msg_count: i64::try_from(condition.held.count).unwrap_or(i64::MAX),
        cached_msg_min_offset: first,
        cached_msg_max_offset: last,
        cached_msg_size_in_mib: i64::try_from(condition.held.bytes / MIB).unwrap_or(i64::MAX),
        commit_offset: condition.committed,
        locked: condition.locked,
        last_lock_timestamp: condition.locked_at,
        last_pull_timestamp: condition.pulled_at,
        last_consume_timestamp: condition.handled_at,
        ..QueueState::default()
    }
}

impl From<super::lane::Rates> for TopicRates {
    fn from(rates: super::lane::Rates) -> Self {
        Self {
            consume_failed_msgs: i64::try_from(rates.failed).unwrap_or(i64::MAX),
            consume_failed_tps: rates.failed_per_second,
            consume_ok_tps: rates.done_per_second,
            consume_rt: rates.handle_ms,
            pull_rt: rates.pull_ms,
            pull_tps: rates.pulled_per_second,
        }
    }
}
