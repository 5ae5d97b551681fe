//! What brokers ask of a client: one line a request code.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use rocketmq_boot_protocol::{Command, RequestCode, ResponseCode, header::group::ConsumerGroup};
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

#[async_trait]
impl Inbound for Answers {
    /// Those that take long go on in tasks of their own: only so many requests of a connection are handled at a time.
    async fn request(&self, peer: &Peer, request: Command) -> Option<Command> {
        let core = self.core.upgrade()?;
        match request.request_code() {
            RequestCode::CHECK_TRANSACTION_STATE => check::check(&core, peer, &request),
            RequestCode::NOTIFY_CONSUMER_IDS_CHANGED => members_changed(&core, peer, &request),
            RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT => Some(request::take_in(&core, &request)),
            code => {
                tracing::debug!(broker = peer.address(), %code, "request is not supported");
                let remark = format!("this client does not support {code}");
                Some(Command::failure(&request, ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark))
            }
        }
    }

    /// A broker drops a client from its groups with the connection; the next heartbeat brings it back.
    fn disconnected(&self, peer: &Peer) {
        if let Some(core) = self.core.upgrade() {
            core.introduced.forget(peer.address());
            core.pulse.notify_one();
        }
    }
}

fn members_changed(core: &Arc<Core>, peer: &Peer, request: &Command) -> Option<Command> {
    match request.header::<ConsumerGroup>() {
        Ok(header) => core.groups.rebalance(&header.consumer_group),
        Err(error) => tracing::debug!(broker = peer.address(), %error, "notice cannot be read"),
    }
    None
}
