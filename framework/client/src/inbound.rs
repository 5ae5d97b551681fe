//! What brokers ask of a client.

use std::sync::Weak;

use async_trait::async_trait;
use rocketmq_boot_protocol::{Command, RequestCode, ResponseCode, header::group::ConsumerGroup};
use rocketmq_boot_remoting::{Inbound, Peer};

use crate::core::Core;

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
    async fn request(&self, peer: &Peer, request: Command) -> Option<Command> {
        let core = self.core.upgrade()?;
        let code = request.request_code();
        if code == RequestCode::NOTIFY_CONSUMER_IDS_CHANGED {
            match request.header::<ConsumerGroup>() {
                Ok(header) => core.groups.rebalance(&header.consumer_group),
                Err(error) => tracing::debug!(broker = peer.address(), %error, "notice cannot be read"),
            }
            return None;
        }
        tracing::debug!(broker = peer.address(), %code, "request is not supported");
        let remark = format!("this client does not support {code}");
        Some(Command::failure(&request, ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark))
    }

    /// A broker drops a client from its groups with the connection; the next heartbeat brings it back.
    fn disconnected(&self, _: &Peer) {
        if let Some(core) = self.core.upgrade() {
            core.pulse.notify_one();
        }
    }
}
