//! Every request that the broker answers, and the one function that does.
//!
//! Hot codes are answered where they were read, a whole read at a time: no task, no channel and no timer stands
//! between the socket and the log. Everything else goes to the control runtime and has its line in [`answer`].

use std::{cell::RefCell, sync::Arc};

use async_trait::async_trait;
use rocketmq_boot_protocol::{
    Command, Encoding, Frame, RequestCode, ResponseCode,
    hot::{self, OffsetView, PullView, SendView, encode_failure, encode_status},
};
use rocketmq_boot_remoting::{Batch, Connection, Service};
use rocketmq_boot_store::Heat;

use crate::{
    admin,
    pull::{Pulled, is_pull},
    query::is_query,
    reject::Reject,
    send::{Accepted, Recent},
    state::State,
};

/// The broker as a server sees it.
#[derive(Debug)]
pub(crate) struct Requests(pub(crate) Arc<State>);

/// Buffers that a shard's thread uses again for each batch.
#[derive(Default)]
struct Scratch {
    unescaped: Vec<Vec<u8>>,
    records: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A buffer that grew beyond this is given back after the batch.
const MAX_SCRATCH_BYTES: usize = 1 << 20;

#[async_trait]
impl Service for Requests {
    fn batch(&self, connection: &Arc<Connection>, batch: &mut Batch<'_>) {
        // Taken out for the time of the batch, so that nothing stays borrowed should a handler panic.
        let mut scratch = SCRATCH.take();
        let mut frames = Vec::new();
        while let Some(frame) = batch.next() {
            frames.push(frame);
        }
        if scratch.unescaped.len() < frames.len() {
            scratch.unescaped.resize_with(frames.len(), Vec::new);
        }
        self.run(connection, &frames, &mut scratch, batch);
        scratch.unescaped.retain(|buffer| buffer.capacity() <= MAX_SCRATCH_BYTES);
        if scratch.records.capacity() > MAX_SCRATCH_BYTES {
            scratch.records = Vec::new();
        }
        SCRATCH.set(scratch);
    }

    async fn request(&self, connection: &Arc<Connection>, request: Command) -> Option<Command> {
        let one_way = request.is_one_way();
        let broker = Arc::clone(&self.0);
        let answer = match RequestCode(request.code) {
            code if is_pull(code) || is_send(code) => self.slow(connection, &request),
            RequestCode::END_TRANSACTION => {
                broker.end_transaction(&request).unwrap_or_else(|reject| Some(reject.answer(&request)))
            }
            RequestCode::INVOKE_BROKER_TO_RESET_OFFSET if !broker.settings.server_side_reset => {
                let answer = broker.reset_by_consumers(&request);
                Some(answer.unwrap_or_else(|reject| reject.answer(&request)))
            }
            code if is_relayed(code) => {
                let answer = relayed(&broker, connection, &request).await;
                Some(answer.unwrap_or_else(|reject| reject.answer(&request)))
            }
            code if is_query(code) => broker.query(connection, request).await,
            _ => Some(answer(&broker, connection, &request).unwrap_or_else(|reject| reject.answer(&request))),
        };
        answer.filter(|_| !one_way)
    }

    fn closed(&self, connection: &Arc<Connection>) {
        self.0.clients.connection_closed(connection.id());
        self.0.held.leave(connection.id());
    }
}

impl Requests {
    fn run<'a: 's, 's>(
        &self,
        connection: &Arc<Connection>,
        frames: &[Frame<'a>],
        scratch: &'s mut Scratch,
        batch: &mut Batch<'a>,
    ) {
        let mut recent = Recent::default();
        let mut accepted: Vec<Accepted<'_>> = Vec::with_capacity(frames.len());
        let Scratch { unescaped, records } = scratch;
        for (frame, buffer) in frames.iter().zip(unescaped.iter_mut()) {
            match hot::code(frame) {
                Some(code) if is_send(code) => match SendView::decode(*frame, buffer) {
                    Some(view) => self.accept(&view, &mut recent, &mut accepted, batch.out()),
                    None => batch.defer(*frame),
                },
                Some(code) if is_pull(code) => match PullView::decode(*frame, buffer) {
                    Some(view) => {
                        // What was sent before the pull must be there for it.
                        self.flush(connection, &mut accepted, batch.out());
                        self.pull(connection, &view, records, batch.out());
                        batch.spill();
                        if batch.is_lost() {
                            break;
                        }
                    }
                    None => batch.defer(*frame),
                },
                Some(RequestCode::UPDATE_CONSUMER_OFFSET) => match OffsetView::decode(*frame, buffer) {
                    Some(view) => self.commit(&view, batch.out()),
                    None => batch.defer(*frame),
                },
                _ => batch.defer(*frame),
            }
        }
        self.flush(connection, &mut accepted, batch.out());
    }

    fn accept<'a>(
        &self,
        view: &SendView<'a>,
        recent: &mut Recent,
        accepted: &mut Vec<Accepted<'a>>,
        out: &mut Vec<u8>,
    ) {
        match self.0.accept(view, recent) {
            Ok(send) => accepted.push(send),
            Err(reject) => refuse(&reject, view.encoding, view.opaque, view.flag, out),
        }
    }

    fn flush(&self, connection: &Arc<Connection>, accepted: &mut Vec<Accepted<'_>>, out: &mut Vec<u8>) {
        if !accepted.is_empty() {
            self.0.store_all(connection, accepted, out);
            accepted.clear();
        }
    }

    fn pull(
        &self,
        connection: &Arc<Connection>,
        view: &PullView<'_>,
        records: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let pull = match self.0.check_pull(view) {
            Ok(pull) => pull,
            Err(reject) => return refuse(&reject, view.encoding, view.opaque, view.flag, out),
        };
        self.0.commit_with_pull(view);
        if let Pulled::Cold(pull) = self.0.pull(connection, pull, Heat::HotOnly, records, out) {
            self.0.pull_cold(Arc::clone(connection), pull);
        }
    }

    fn commit(&self, view: &OffsetView<'_>, out: &mut Vec<u8>) {
        let done = self.0.commit_offset(view.consumer_group, view.topic, view.queue_id, view.commit_offset);
        match done {
            Err(reject) => refuse(&reject, view.encoding, view.opaque, view.flag, out),
            Ok(()) if view.flag & rocketmq_boot_protocol::command::FLAG_ONE_WAY == 0 => {
                encode_status(out, view.encoding, view.opaque, ResponseCode::SUCCESS, None);
            }
            Ok(()) => {}
        }
    }

    /// Sends and pulls whose headers the fast decoders leave to the general one: the same path behind it.
    fn slow(&self, connection: &Arc<Connection>, request: &Command) -> Option<Command> {
        let mut out = Vec::new();
        let refused = |reject: Reject| Some(reject.answer(request));
        if is_pull(request.request_code()) {
            match PullView::from_command(request) {
                Err(error) => return refused(error.into()),
                Ok(view) => self.pull(connection, &view, &mut Vec::new(), &mut out),
            }
        } else {
            match SendView::from_command(request) {
                Err(error) => return refused(error.into()),
                Ok(view) => {
                    let mut accepted = Vec::new();
                    self.accept(&view, &mut Recent::default(), &mut accepted, &mut out);
                    self.flush(connection, &mut accepted, &mut out);
                }
            }
        }
        reply(connection, &out);
        None
    }
}

/// Sends an answer that could not be written with its batch. A client that is gone, or that does not read, has lost
/// it; it will ask again.
pub(crate) fn reply(connection: &Connection, answer: &[u8]) {
    if let Err(error) = connection.send(answer) {
        tracing::debug!(remote = %connection.remote(), %error, "an answer was lost");
    }
}

fn refuse(reject: &Reject, encoding: Encoding, opaque: i32, flag: i32, out: &mut Vec<u8>) {
    if flag & rocketmq_boot_protocol::command::FLAG_ONE_WAY == 0 {
        encode_failure(out, encoding, opaque, reject.code, &reject.remark);
    }
}

fn is_send(code: RequestCode) -> bool {
    matches!(code, RequestCode::SEND_MESSAGE | RequestCode::SEND_MESSAGE_V2 | RequestCode::SEND_BATCH_MESSAGE)
}

fn is_relayed(code: RequestCode) -> bool {
    matches!(
        code,
        RequestCode::SEND_REPLY_MESSAGE
            | RequestCode::SEND_REPLY_MESSAGE_V2
            | RequestCode::GET_CONSUMER_RUNNING_INFO
            | RequestCode::CONSUME_MESSAGE_DIRECTLY
            | RequestCode::INVOKE_BROKER_TO_GET_CONSUMER_STATUS
    )
}

/// The requests that another client has to answer first.
async fn relayed(
    broker: &Arc<State>,
    connection: &Arc<Connection>,
    request: &Command,
) -> Result<Command, Reject> {
    match request.request_code() {
        RequestCode::GET_CONSUMER_RUNNING_INFO => broker.consumer_running(request).await,
        RequestCode::CONSUME_MESSAGE_DIRECTLY => broker.consume_directly(request).await,
        RequestCode::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => broker.consumer_status(request).await,
        _ => broker.send_reply(connection, request).await,
    }
}

/// The requests of the control runtime; those of tools have their lines in [`admin::answer`].
pub(crate) fn answer(
    broker: &Arc<State>,
    connection: &Arc<Connection>,
    request: &Command,
) -> Result<Command, Reject> {
    match request.request_code() {
        RequestCode::HEART_BEAT => broker.heart_beat(connection, request),
        RequestCode::UNREGISTER_CLIENT => broker.unregister(connection, request),
        RequestCode::GET_CONSUMER_LIST_BY_GROUP => broker.consumer_ids(request),
        RequestCode::LOCK_BATCH_MQ => broker.lock_queues(request),
        RequestCode::UNLOCK_BATCH_MQ => broker.unlock_queues(request),
        RequestCode::CHECK_CLIENT_CONFIG => broker.check_client(request),
        RequestCode::CONSUMER_SEND_MSG_BACK => broker.send_back(request),
        RequestCode::RECALL_MESSAGE => broker.recall(connection, request),
        RequestCode::GET_TIMER_CHECK_POINT => broker.timer_progress(request),
        RequestCode::GET_TIMER_METRICS => broker.timer_counts(request),
        RequestCode::QUERY_CONSUMER_OFFSET => broker.query_offset(request),
        RequestCode::UPDATE_CONSUMER_OFFSET => broker.update_offset(request),
        RequestCode::GET_MAX_OFFSET => broker.max_offset(request),
        RequestCode::GET_MIN_OFFSET => broker.min_offset(request),
        RequestCode::GET_EARLIEST_MSG_STORETIME => broker.earliest_time(request),
        RequestCode::SEARCH_OFFSET_BY_TIMESTAMP => broker.search_offset(request),
        RequestCode::QUERY_MESSAGE => broker.query_message(request),
        RequestCode::VIEW_MESSAGE_BY_ID => broker.view_message(request),
        RequestCode::QUERY_CONSUME_QUEUE => broker.query_consume_queue(request),
        RequestCode::CLEAN_EXPIRED_CONSUMEQUEUE => broker.clean_queues(request),
        RequestCode::DELETE_EXPIRED_COMMITLOG => Ok(broker.delete_expired(request)),
        _ => admin::answer(broker, request),
    }
}
