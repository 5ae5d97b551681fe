//! Clients and groups: heartbeats, goodbyes, members, queue locks (34, 35, 38, 41, 42).

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    body::{
        Heartbeat,
        dialect::{Dialect, write},
        group::{ConsumerIds, LockBatch},
        lenient,
    },
    header::group::{ConsumerGroup, HeartBeatReply, UnregisterClient},
    topic,
};
use rocketmq_boot_remoting::Connection;

use crate::{clients::Beat, reject::Reject, state::State};

/// What one client may say that it is: clients with thousands of subscriptions stay well below.
const MAX_HEARTBEAT_BYTES: usize = 4 << 20;
const MAX_HEARTBEAT_GROUPS: usize = 1_024;

impl State {
    /// A client says that it lives and what it wants (34). Groups that may not be made are passed over.
    pub(crate) fn heart_beat(
        &self,
        connection: &Arc<Connection>,
        request: &Command,
    ) -> Result<Command, Reject> {
        if request.body.len() > MAX_HEARTBEAT_BYTES {
            let bytes = request.body.len();
            return Err(Reject::invalid(format!(
                "a heartbeat of {bytes} bytes is over {MAX_HEARTBEAT_BYTES}"
            )));
        }
        let heartbeat: Heartbeat = lenient::read("heartbeat", &request.body)?;
        let groups = heartbeat.consumer_data_set.len().max(heartbeat.producer_data_set.len());
        if groups > MAX_HEARTBEAT_GROUPS {
            return Err(Reject::invalid(format!(
                "{groups} groups in a heartbeat are over {MAX_HEARTBEAT_GROUPS}"
            )));
        }
        // Clients that know heartbeats without subscriptions send the hash of what they left out.
        let hashed = heartbeat.heartbeat_fingerprint != 0;
        let beat = Beat {
            connection,
            client_id: &heartbeat.client_id,
            language: request.language.name(),
            version: request.version,
            fingerprint: heartbeat.heartbeat_fingerprint,
            without_subscriptions: hashed && heartbeat.without_sub,
        };
        let mut differs = !hashed;
        for data in &heartbeat.consumer_data_set {
            match self.groups.find_or_create(&data.group_name) {
                Ok(group) => {
                    let retry = topic::retry_topic(&data.group_name);
                    self.topics.find_or_create_derived(&retry, group.retry_queue_nums)?;
                    differs |=
                        self.clients.consumer_beat(&beat, data, group.notify_consumer_ids_changed_enable);
                }
                Err(reject) => {
                    tracing::warn!(group = data.group_name.escape_debug().to_string(), why = %reject.remark, "passed over");
                }
            }
        }
        // Producer groups are not configured anywhere, but their names are kept: no longer than names may be.
        let names = heartbeat.producer_data_set.iter().map(|data| &data.group_name);
        for group in names.filter(|group| group.len() <= topic::MAX_DERIVED_TOPIC_CHARS) {
            self.clients.producer_beat(&beat, group);
        }
        Ok(Command::success(request)
            .with_header(&HeartBeatReply { is_support_heart_beat_v2: true, is_sub_change: differs }))
    }

    /// A client leaves (35).
    pub(crate) fn unregister(
        &self,
        connection: &Arc<Connection>,
        request: &Command,
    ) -> Result<Command, Reject> {
        let header: UnregisterClient = request.header()?;
        if let Some(group) = header.producer_group.filter(|group| !group.is_empty()) {
            self.clients.producer_leaves(connection.id(), &group);
        }
        if let Some(group) = header.consumer_group.filter(|group| !group.is_empty()) {
            self.clients.consumer_leaves(connection.id(), &group);
        }
        Ok(Command::success(request))
    }

    /// The members of a group (38).
    pub(crate) fn consumer_ids(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumerGroup = request.header()?;
        let group = &header.consumer_group;
        let consumer_id_list = self
            .clients
            .consumer_ids(group)
            .ok_or_else(|| Reject::failed(format!("no consumer for this group, {group}")))?;
        Ok(Command::success(request).with_body(write(&ConsumerIds { consumer_id_list }, Dialect::Fastjson)))
    }

    /// Locks queues for an orderly consumer (41).
    pub(crate) fn lock_queues(&self, request: &Command) -> Result<Command, Reject> {
        let wanted: LockBatch = lenient::read("lock request", &request.body)?;
        let locked = self.locks.lock(wanted);
        Ok(Command::success(request).with_body(write(&locked, Dialect::Fastjson)))
    }

    /// Frees queues of an orderly consumer (42).
    pub(crate) fn unlock_queues(&self, request: &Command) -> Result<Command, Reject> {
        let freed: LockBatch = lenient::read("unlock request", &request.body)?;
        self.locks.unlock(freed);
        Ok(Command::success(request))
    }
}
