//! Replies (324, 325): pushed to the client that waits for them (326), and stored.
//!
//! Who waits is found by the client id that the request carried and the replier copied. It must be connected to this
//! broker as a producer; whether the reply reached it is what the replier is told.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::{reply::PushReply, send::SendMessageReply},
    hot::SendView,
    message::{id::OffsetMessageId, property as keys, record::Draft, sys_flag::Transaction},
};
use rocketmq_boot_remoting::Connection;
use rocketmq_boot_store::{Append, Appended};

use crate::{
    properties::{Marks, replace},
    reject::Reject,
    send::{Recent, Target},
    state::State,
};

/// How long a client may take to take its reply.
const PATIENCE: Duration = Duration::from_secs(10);

impl State {
    /// Passes a reply on.
    pub(crate) async fn send_reply(
        self: &Arc<Self>,
        connection: &Connection,
        request: &Command,
    ) -> Result<Command, Reject> {
        let view = SendView::from_command(request)?;
        let target = self.destination(&view, &mut Recent::default())?;
        let pushed = self.push_reply(connection.remote(), &view, request).await;
        let mut answer = match &pushed {
            Ok(()) => Command::success(request),
            Err(reject) => reject.clone().answer(request),
        };
        answer.fields.insert(keys::MSG_REGION, self.settings.region.clone());
        answer.fields.insert(keys::TRACE_ON, self.settings.trace_on.to_string());
        let mut header = pushed.is_ok().then(|| SendMessageReply {
            // Clients cannot do without an id, and there is none.
            message_id: "0".to_owned(),
            queue_id: target.queue_id,
            ..SendMessageReply::default()
        });
        if self.settings.store_replies {
            match self.store_reply(connection.remote(), &view, &target) {
                Ok(appended) => {
                    let id = OffsetMessageId {
                        host: self.store_host(),
                        physical_offset: appended.physical_offset,
                    };
                    header = Some(SendMessageReply {
                        message_id: id.to_string(),
                        queue_id: target.queue_id,
                        queue_offset: appended.queue_offset,
                        transaction_id: None,
                        recall_handle: None,
                    });
                }
                Err(reject) => {
                    tracing::warn!(topic = view.topic, why = %reject.remark, "a reply could not be stored");
                }
            }
        }
        Ok(match header {
            Some(header) => answer.with_header(&header),
            None => answer,
        })
    }

    async fn push_reply(
        &self,
        from: SocketAddr,
        view: &SendView<'_>,
        request: &Command,
    ) -> Result<(), Reject> {
        let client = keys::get(view.properties, keys::REPLY_TO_CLIENT).ok_or_else(Reject::reply_to_nobody)?;
        let requester = self.clients.producer(client).ok_or_else(|| Reject::requester_not_found(client))?;
        let now = self.clock.now_ms();
        let properties = replace(
            view.properties,
            &[
                (keys::MSG_REGION, Some(&self.settings.region)),
                (keys::TRACE_ON, Some(&self.settings.trace_on.to_string())),
                (keys::PUSH_REPLY_TIME, Some(&now.to_string())),
            ],
        );
        let header = PushReply {
            producer_group: view.producer_group.to_owned(),
            topic: view.topic.to_owned(),
            default_topic: Some(view.default_topic.to_owned()),
            default_topic_queue_nums: view.default_topic_queue_nums,
            queue_id: view.queue_id,
            sys_flag: view.sys_flag,
            born_timestamp: view.born_timestamp,
            flag: view.message_flag,
            properties: Some(properties),
            reconsume_times: view.reconsume_times,
            unit_mode: false,
            born_host: Some(address(from)),
            store_host: Some(address(self.store_host())),
            store_timestamp: now,
        };
        let push = Command::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, &header)
            .with_body(request.body.clone());
        match requester.call(push, PATIENCE).await {
            Ok(taken) if taken.response_code() == ResponseCode::SUCCESS => Ok(()),
            Ok(refused) => {
                tracing::warn!(client, code = refused.code, remark = refused.remark, "a reply was not taken");
                Err(Reject::reply_not_taken(client))
            }
            Err(error) => {
                tracing::warn!(client, %error, "a reply could not be pushed");
                Err(Reject::reply_not_taken(client))
            }
        }
    }

    fn store_reply(
        self: &Arc<Self>,
        from: SocketAddr,
        view: &SendView<'_>,
        target: &Target,
    ) -> Result<Appended, Reject> {
        let queue = self.topics.queue(&target.topic, target.queue_id);
        let append = Append {
            queue: &queue.stored,
            draft: Draft {
                queue_id: target.queue_id,
                flag: view.message_flag,
                sys_flag: Transaction::None.set(view.sys_flag),
                born_timestamp: view.born_timestamp,
                born_host: from,
                store_host: self.store_host(),
                reconsume_times: view.reconsume_times,
                prepared_transaction_offset: 0,
                body: view.body,
                topic: target.topic.name().as_bytes(),
                properties: view.properties.as_bytes(),
                more_properties: self.stamp.as_bytes(),
            },
            tags_code: Marks::of(view.properties).tags_code(),
            joined: false,
            outcome: None,
        };
        self.append_and_wake(&queue, &mut [append])
    }
}

/// As Java writes addresses: without brackets.
fn address(socket: SocketAddr) -> String {
    format!("{}:{}", socket.ip(), socket.port())
}
