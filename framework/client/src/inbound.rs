//! What brokers ask of a client: the table of their requests.

use std::{collections::BTreeMap, sync::Weak};

use async_trait::async_trait;
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        dialect::{self, Dialect},
        lenient,
        offset::{ListedOffset, QueueOffsets},
        relay::ConsumerPositions,
    },
    header::{
        group::ConsumerGroup,
        progress::{ConsumerStatus, ResetOffset},
        relay,
    },
    message::{MessageQueue, MessageView, record::Record},
};
use rocketmq_boot_remoting::{Inbound, Peer};

use crate::{
    core::Core,
    producer::{check, request},
};

/// The largest body of a message that a broker pushes, unpacked.
pub(crate) const MAX_PUSHED_BODY_BYTES: usize = 64 << 20;

/// Answers brokers for a client, as long as there is one.
pub(crate) struct Answers {
    core: Weak<Core>,
}

impl Answers {
    pub(crate) fn new(core: Weak<Core>) -> Self {
        Self { core }
    }
}

/// What there is to answer; a text says why there is nothing.
type Answer = Result<Option<Command>, String>;

#[async_trait]
impl Inbound for Answers {
    /// Those that take long go on in tasks of their own: only so many requests of a connection are handled at a time.
    async fn request(&self, peer: &Peer, request: Command) -> Option<Command> {
        let core = self.core.upgrade()?;
        let answer = match request.request_code() {
            RequestCode::CHECK_TRANSACTION_STATE => return check::check(&core, peer, &request),
            RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT => return Some(request::take_in(&core, &request)),
            RequestCode::NOTIFY_CONSUMER_IDS_CHANGED => members_changed(&core, &request),
            RequestCode::RESET_CONSUMER_CLIENT_OFFSET => reset(&core, &request),
            RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT => positions(&core, &request),
            RequestCode::GET_CONSUMER_RUNNING_INFO => running(&core, &request),
            RequestCode::CONSUME_MESSAGE_DIRECTLY => consume_directly(&core, &request).await,
            code => {
                tracing::debug!(broker = peer.address(), %code, "request is not supported");
                let remark = format!("this client does not support {code}");
                return Some(Command::failure(&request, ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark));
            }
        };
        answer.unwrap_or_else(|remark| {
            tracing::debug!(broker = peer.address(), code = %request.request_code(), remark, "request is refused");
            Some(Command::failure(&request, ResponseCode::SYSTEM_ERROR, remark))
        })
    }

    /// A broker drops a client from its groups with the connection; the next heartbeat brings it back.
    fn disconnected(&self, peer: &Peer) {
        if let Some(core) = self.core.upgrade() {
            core.introduced.forget(peer.address());
            core.pulse.notify_one();
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn no_consumer(group: &str) -> String {
    format!("this client has no consumer of group `{group}`")
}

/// 40: the members of a group changed.
fn members_changed(core: &Core, request: &Command) -> Answer {
    let header = request.header::<ConsumerGroup>().map_err(unreadable)?;
    core.groups.rebalance(&header.consumer_group);
    Ok(None)
}

/// 220: a group goes on elsewhere.
fn reset(core: &Core, request: &Command) -> Answer {
    let header = request.header::<ResetOffset>().map_err(unreadable)?;
    let consumer = core.groups.consumer(&header.group).ok_or_else(|| no_consumer(&header.group))?;
    let mut offsets = BTreeMap::new();
    // Some brokers send every client the list that C++ needs.
    if request.body.first() == Some(&b'[') {
        let listed: Vec<ListedOffset> = lenient::read("offsets", &request.body).map_err(unreadable)?;
        let place = |at: ListedOffset| (MessageQueue::new(at.topic, at.broker_name, at.queue_id), at.offset);
        offsets.extend(listed.into_iter().map(place));
    } else {
        let table: QueueOffsets = lenient::read("offsets", &request.body).map_err(unreadable)?;
        offsets.extend(table.offset_table.0.into_iter().map(|(queue, offset)| (queue.into(), offset)));
    }
    consumer.reset(&header.topic, &offsets);
    Ok(None)
}

/// 221: how far a group is.
fn positions(core: &Core, request: &Command) -> Answer {
    let header = request.header::<ConsumerStatus>().map_err(unreadable)?;
    let consumer = core.groups.consumer(&header.group).ok_or_else(|| no_consumer(&header.group))?;
    let body = ConsumerPositions {
        message_queue_table: consumer.consumed(&header.topic),
        ..ConsumerPositions::default()
    };
    Ok(Some(Command::success(request).with_body(dialect::write(&body, Dialect::Fastjson))))
}

/// 307: how a consumer is.
fn running(core: &Core, request: &Command) -> Answer {
    let header = request.header::<relay::ConsumerRunning>().map_err(unreadable)?;
    let group = header.consumer_group;
    let consumer = core.groups.consumer(&group).ok_or_else(|| no_consumer(&group))?;
    let body = dialect::write(&consumer.running(), Dialect::Fastjson);
    Ok(Some(Command::success(request).with_body(body)))
}

/// 309: a message to be handled now.
async fn consume_directly(core: &Core, request: &Command) -> Answer {
    let header = request.header::<relay::ConsumeDirectly>().map_err(unreadable)?;
    let group = header.consumer_group;
    let consumer = core.groups.consumer(&group).ok_or_else(|| no_consumer(&group))?;
    let record = Record::decode(&request.body).map_err(unreadable)?;
    let message = MessageView::decode(&record, MAX_PUSHED_BODY_BYTES).map_err(unreadable)?;
    let broker = header.broker_name.unwrap_or_default();
    let result = consumer.consume_directly(message, &broker).await;
    let result =
        result.ok_or_else(|| format!("the consumer of group `{group}` is polled and has no handler"))?;
    Ok(Some(Command::success(request).with_body(dialect::write(&result, Dialect::Fastjson))))
}
