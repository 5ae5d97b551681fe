//! What became of accepted sends: appended together, answered one by one, waiters woken.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use rocketmq_boot_protocol::{
    ResponseCode,
    hot::{Offsets, SendReply, Stored, encode_failure},
    message::{record::Draft, sys_flag},
};
use rocketmq_boot_remoting::Connection;
use rocketmq_boot_store::{Append, AppendError, Appended};

use super::{Accepted, Delayed, Messages, Single};
use crate::{
    config::{FlushDisk, Role},
    dispatch::reply,
    reject::Reject,
    state::State,
    topics::{Topic, TopicQueue},
};

impl State {
    /// Appends everything that was accepted from one read of a connection, and answers it.
    pub(crate) fn store_all(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        accepted: &[Accepted<'_>],
        out: &mut Vec<u8>,
    ) {
        let born_host = connection.remote();
        let mut appends = Vec::with_capacity(accepted.len());
        for send in accepted {
            self.draft(send, born_host, &mut appends);
        }
        let began = Instant::now();
        self.store.append(&mut appends);
        self.statistics.put_times.add(to_u64(appends.len()), began.elapsed());
        for send in accepted {
            match send.delayed {
                Delayed::No => {}
                Delayed::Level => self.schedule.added.notify_one(),
                Delayed::Timer(_) => self.timers.added.notify_one(),
            }
        }
        let mut outcomes = appends.iter_mut().map(|append| outcome_of(append.outcome.take()));
        let mut waiting = Waiting::default();
        let mut put = Put::default();
        for (at, send) in accepted.iter().enumerate() {
            let answer = if self.answers_later(send) { &mut waiting.answers } else { &mut *out };
            if let Some(end) = self.answer_send(send, &mut outcomes, &mut put, answer) {
                waiting.end = waiting.end.max(end);
            }
            // Sends in a row are mostly for one topic: they are counted together.
            if accepted.get(at + 1).is_none_or(|next| !Arc::ptr_eq(&next.topic, &send.topic)) {
                self.count(&send.topic, &std::mem::take(&mut put));
            }
        }
        if waiting.answers.is_empty() && self.settings.flush == FlushDisk::Async {
            wake_all(self, accepted.iter().map(|send| &send.queue));
        } else {
            let queues: Vec<_> = accepted.iter().map(|send| Arc::clone(&send.queue)).collect();
            self.answer_when_flushed(Arc::clone(connection), waiting, queues);
        }
    }

    fn count(&self, topic: &Topic, put: &Put) {
        if put.messages > 0 {
            self.counters.sent(put.messages, put.body_bytes);
            self.counters.put(put.messages, put.record_bytes, topic.traffic.system);
            topic.traffic.puts.add(put.sends, put.messages, put.record_bytes);
        }
    }

    fn answers_later(&self, send: &Accepted<'_>) -> bool {
        self.settings.flush == FlushDisk::Sync && send.waits
    }

    fn draft<'b>(&'b self, send: &'b Accepted<'_>, born_host: SocketAddr, appends: &mut Vec<Append<'b>>) {
        let (singles, stamp) = match &send.messages {
            Messages::One(single) => (std::slice::from_ref(single), &self.stamp),
            Messages::Batch { singles, .. } => (singles.as_slice(), &self.batch_stamp),
        };
        for (at, single) in singles.iter().enumerate() {
            appends.push(Append {
                queue: &send.queue.stored,
                draft: Draft {
                    queue_id: send.queue_id,
                    flag: single.flag,
                    sys_flag: send.sys_flag & !sys_flag::MULTI_TAGS,
                    born_timestamp: send.born_timestamp,
                    born_host,
                    store_host: self.store_host(),
                    reconsume_times: send.reconsume_times,
                    prepared_transaction_offset: 0,
                    body: single.body,
                    topic: send.topic.name().as_bytes(),
                    properties: single.properties.as_bytes(),
                    more_properties: stamp.as_bytes(),
                },
                tags_code: single.tags_code,
                joined: at > 0,
                outcome: None,
            });
        }
    }

    /// Writes the answer to one send; tells how far the log has to be flushed for it.
    fn answer_send(
        &self,
        send: &Accepted<'_>,
        outcomes: &mut impl Iterator<Item = Result<Appended, Reject>>,
        put: &mut Put,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        put.sends += 1;
        let mut stored = |single: &Single<'_>| {
            let outcome = outcomes.next().unwrap_or_else(|| outcome_of(None));
            match &outcome {
                Ok(appended) => put.add(single.body.len(), appended.size),
                Err(_) => self.counters.put_failed(),
            }
            outcome
        };
        let (first, offsets, id) = match &send.messages {
            Messages::One(single) => (stored(single), Vec::new(), &*single.unique_key),
            Messages::Batch { singles, key } => {
                let all: Vec<_> = singles.iter().map(&mut stored).collect();
                let offsets = all.iter().flatten().map(|appended| appended.physical_offset).collect();
                let failed = all.iter().find(|outcome| outcome.is_err()).or(all.first());
                (failed.cloned().unwrap_or_else(|| outcome_of(None)), offsets, *key)
            }
        };
        let appended = match first {
            Ok(appended) => appended,
            Err(reject) => {
                if !send.one_way {
                    encode_failure(out, send.encoding, send.opaque, reject.code, &reject.remark);
                }
                return None;
            }
        };
        let (code, remark) = self.durability(send);
        if send.one_way {
            return Some(appended.end());
        }
        let recall_handle = match &send.delayed {
            Delayed::Timer(handle) => handle.as_deref(),
            _ => None,
        };
        if code == ResponseCode::SUCCESS && offsets.is_empty() && recall_handle.is_none() {
            let stored = Stored {
                encoding: send.encoding,
                opaque: send.opaque,
                physical_offset: appended.physical_offset,
                queue_id: send.answered_queue_id,
                queue_offset: appended.queue_offset,
                transaction_id: id,
            };
            self.stored_replies().encode(&stored, out);
        } else {
            SendReply {
                encoding: send.encoding,
                opaque: send.opaque,
                code,
                remark,
                store_host: self.store_host(),
                physical_offsets: match offsets.as_slice() {
                    [] => Offsets::One(appended.physical_offset),
                    many => Offsets::Batch(many),
                },
                queue_id: send.answered_queue_id,
                queue_offset: appended.queue_offset,
                transaction_id: id,
                recall_handle,
                region: &self.settings.region,
                trace_on: self.settings.trace_on,
            }
            .encode(out);
        }
        Some(appended.end())
    }

    /// A `SYNC_MASTER` has no slave here, and says so to whoever waits for one.
    fn durability(&self, send: &Accepted<'_>) -> (ResponseCode, Option<&'static str>) {
        if self.settings.role == Role::SyncMaster && send.waits {
            return (ResponseCode::SLAVE_NOT_AVAILABLE, Some("slave not available"));
        }
        (ResponseCode::SUCCESS, None)
    }

    /// Sends answers once the log is on disk up to their end, and wakes who waits on the queues.
    fn answer_when_flushed(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        waiting: Waiting,
        queues: Vec<Arc<TopicQueue>>,
    ) {
        let broker = Arc::clone(self);
        let done = move |flushed: Result<(), rocketmq_boot_store::FlushFailure>| {
            if !waiting.answers.is_empty() {
                match flushed {
                    Ok(()) => reply(&connection, &waiting.answers),
                    Err(_) => reply(&connection, &crate::durability::not_flushed(&waiting.answers)),
                };
            }
            wake_all(&broker, queues.iter());
        };
        self.store.when_flushed(waiting.end, Box::new(done));
    }
}

/// Answers that wait for the disk.
#[derive(Default)]
struct Waiting {
    answers: Vec<u8>,
    end: u64,
}

/// What was stored of sends in a row that are for one topic.
#[derive(Debug, Default)]
struct Put {
    sends: u64,
    messages: u64,
    body_bytes: u64,
    record_bytes: u64,
}

impl Put {
    fn add(&mut self, body_bytes: usize, record_bytes: u32) {
        self.messages += 1;
        self.body_bytes += to_u64(body_bytes);
        self.record_bytes += u64::from(record_bytes);
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Wakes the waiters of queues, once each when neighbours are the same.
fn wake_all<'a>(broker: &Arc<State>, queues: impl Iterator<Item = &'a Arc<TopicQueue>>) {
    let mut last: Option<&Arc<TopicQueue>> = None;
    for queue in queues {
        if last.is_some_and(|last| Arc::ptr_eq(last, queue)) {
            continue;
        }
        broker.wake(queue);
        last = Some(queue);
    }
}

/// What became of an append, with a refusal in the words of the wire.
pub(crate) fn outcome_of(outcome: Option<Result<Appended, AppendError>>) -> Result<Appended, Reject> {
    outcome.unwrap_or(Err(AppendError::Closed)).map_err(|error| match error {
        AppendError::TooLarge { .. } | AppendError::Record(_) => Reject::illegal_message(error.to_string()),
        AppendError::Full { used_percent } => Reject::disk_full(used_percent),
        _ => Reject::store_unavailable(error),
    })
}
