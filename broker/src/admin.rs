//! What tools and consoles ask of a broker: its topics and groups, how far groups are, who is connected, what it
//! measures, how it is set up.
//!
//! Nothing here is hot. Codes, members and remarks are those of RocketMQ 5.5, because tools print them.

mod clients;
mod configuration;
mod groups;
mod offsets;
mod progress;
mod runtime;
mod topics;
mod upkeep;

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{
        dialect::{Dialect, write},
        group::QueueRef,
    },
};
use serde::Serialize;

use crate::{reject::Reject, state::State};

/// Answers what [`dispatch`](crate::dispatch) does not know.
pub(crate) fn answer(broker: &Arc<State>, request: &Command) -> Result<Command, Reject> {
    match request.request_code() {
        RequestCode::UPDATE_AND_CREATE_TOPIC => broker.create_topic(request),
        RequestCode::UPDATE_AND_CREATE_TOPIC_LIST => broker.create_topics(request),
        RequestCode::DELETE_TOPIC_IN_BROKER => broker.delete_topic(request),
        RequestCode::GET_ALL_TOPIC_CONFIG => broker.all_topics(request),
        RequestCode::GET_TOPIC_CONFIG => broker.topic_config(request),
        RequestCode::GET_TOPIC_STATS_INFO => broker.topic_stats(request),
        RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => broker.system_topics(request),

        RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => broker.create_group(request),
        RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => broker.create_groups(request),
        RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => broker.all_groups(request),
        RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG => broker.group_config(request),
        RequestCode::DELETE_SUBSCRIPTIONGROUP => broker.delete_group(request),

        RequestCode::GET_CONSUME_STATS => broker.consume_stats(request),
        RequestCode::GET_BROKER_CONSUME_STATS => broker.all_consume_stats(request),
        RequestCode::QUERY_CONSUME_TIME_SPAN => broker.time_spans(request),
        RequestCode::QUERY_TOPIC_CONSUME_BY_WHO => broker.groups_of_topic(request),
        RequestCode::QUERY_TOPICS_BY_CONSUMER => broker.topics_of_group(request),

        RequestCode::INVOKE_BROKER_TO_RESET_OFFSET => broker.reset_offsets(request),
        RequestCode::CLONE_GROUP_OFFSET => broker.clone_offsets(request),
        RequestCode::QUERY_CORRECTION_OFFSET => broker.correction_offsets(request),
        RequestCode::GET_ALL_CONSUMER_OFFSET => Ok(broker.all_offsets(request)),
        RequestCode::GET_ALL_DELAY_OFFSET => Ok(broker.all_delay_offsets(request)),

        RequestCode::GET_CONSUMER_CONNECTION_LIST => broker.consumer_connections(request),
        RequestCode::GET_PRODUCER_CONNECTION_LIST => broker.producer_connections(request),
        RequestCode::GET_ALL_PRODUCER_INFO => Ok(broker.all_producers(request)),
        RequestCode::QUERY_SUBSCRIPTION_BY_CONSUMER => broker.subscription_of_group(request),

        RequestCode::GET_BROKER_RUNTIME_INFO => Ok(broker.runtime(request)),
        RequestCode::VIEW_BROKER_STATS_DATA => broker.view_stats(request),
        RequestCode::GET_BROKER_HA_STATUS => Ok(broker.ha_status(request)),
        RequestCode::GET_BROKER_LITE_INFO => Ok(broker.lite_status(request)),

        RequestCode::UPDATE_BROKER_CONFIG => broker.update_config(request),
        RequestCode::GET_BROKER_CONFIG => Ok(broker.config(request)),

        RequestCode::CLEAN_UNUSED_TOPIC => broker.clean_unused_topics(request),
        RequestCode::RESET_MASTER_FLUSH_OFFSET => Ok(Command::success(request)),
        RequestCode::GET_BROKER_EPOCH_CACHE => Err(Reject::no_controller()),
        RequestCode::CHECK_ROCKSDB_CQ_WRITE_PROGRESS => Ok(broker.rocksdb_progress(request)),
        RequestCode::SWITCH_TIMER_ENGINE => broker.switch_timer_engine(request),
        code => Err(Reject::not_supported(code)),
    }
}

/// A success with a body.
fn with_body(request: &Command, body: &impl Serialize) -> Command {
    Command::success(request).with_body(write(body, Dialect::Fastjson))
}

impl State {
    /// A queue of this broker's as tools name it.
    fn queue_ref(&self, topic: &str, queue_id: i32) -> QueueRef {
        QueueRef { broker_name: self.settings.broker_name.clone(), queue_id, topic: topic.to_owned() }
    }
}
