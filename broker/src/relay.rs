//! Questions about one consumer that only it can answer: what it is doing (307), how it takes one message (309), where
//! it is (223). The broker passes them on over the consumer's connection and hands its answer back.

mod reset;

use std::{collections::BTreeMap, time::Duration};

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        dialect::{Dialect, QueueMap, write},
        lenient,
        relay::ConsumerPositions,
    },
    header::{
        progress::ConsumerStatus,
        relay::{ConsumeDirectly, ConsumerRunning},
    },
    message::id::OffsetMessageId,
};
use rocketmq_boot_remoting::Error;
use tokio::task::JoinSet;

use crate::{clients::Member, reject::Reject, state::State};

/// How long a consumer may take for 307 and 309; the second runs the application's code.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long each may take to say where it is.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// The first clients that understand 307 and 309: 3.1.8.
const FIRST_WITH_RUNNING: i32 = 62;

/// The first clients that understand 220 and 221: 3.0.7.
const FIRST_WITH_STATUS: i32 = 28;

impl State {
    /// What a consumer is doing (307).
    pub(crate) async fn consumer_running(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumerRunning = request.header()?;
        self.relay(request, &header.consumer_group, &header.client_id).await
    }

    /// Has a consumer take one message again (309); it is read here, the tool knows its id only.
    pub(crate) async fn consume_directly(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumeDirectly = request.header()?;
        let id = header.message_id.as_deref().unwrap_or_default();
        let OffsetMessageId { physical_offset, .. } =
            id.parse().map_err(|error| Reject::failed(format!("message id `{id}`: {error}")))?;
        let message = self
            .store
            .record(physical_offset)?
            .ok_or_else(|| Reject::failed(format!("no message lies at {physical_offset}")))?;
        let completed = ConsumeDirectly {
            broker_name: Some(self.settings.broker_name.clone()),
            topic_sys_flag: header
                .topic
                .as_deref()
                .and_then(|topic| self.topics.find(topic))
                .map(|topic| topic.config.topic_sys_flag),
            group_sys_flag: self.groups.find(&header.consumer_group).map(|group| group.group_sys_flag),
            ..header.clone()
        };
        let relayed = request.clone().with_header(&completed).with_body(message);
        self.relay(&relayed, &header.consumer_group, &header.client_id).await
    }

    /// Passes a request on as it is, and the answer back as it comes.
    async fn relay(&self, request: &Command, group: &str, client: &str) -> Result<Command, Reject> {
        let consumer =
            self.clients.consumer(group, client).ok_or_else(|| Reject::consumer_not_online(group, client))?;
        if consumer.version < FIRST_WITH_RUNNING {
            return Err(Reject::consumer_too_old(client, consumer.version));
        }
        let mut question = Command::bare(request.request_code()).with_body(request.body.clone());
        question.fields = request.fields.clone();
        match consumer.connection.call(question, PATIENCE).await {
            Ok(answer) => Ok(Command { opaque: request.opaque, encoding: request.encoding, ..answer }),
            Err(error @ Error::Timeout { .. }) => Err(Reject::consumer_too_slow(group, client, &error)),
            Err(error) => Err(Reject::consumer_unreachable(group, client, &error)),
        }
    }

    /// Where the consumers of a group are in a topic, by their own account (223). Those that do not answer are left out.
    pub(crate) async fn consumer_status(&self, request: &Command) -> Result<Command, Reject> {
        let header: ConsumerStatus = request.header()?;
        let wanted = header.client_addr.as_deref().map(str::trim).filter(|client| !client.is_empty());
        let members = self.clients.consumers_of(&header.group);
        if members.is_empty() {
            return Err(Reject::nobody_online(&header.group));
        }
        if let Some(old) = members.iter().find(|member| member.version < FIRST_WITH_STATUS) {
            return Err(Reject::client_too_old(old.version));
        }
        let question = Command::request(
            RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT,
            &ConsumerStatus { client_addr: None, ..header.clone() },
        );
        let mut answers = JoinSet::new();
        for member in members.into_iter().filter(|member| wanted.is_none_or(|id| id == member.client_id)) {
            answers.spawn(status_of(member, question.clone()));
        }
        let mut consumer_table = BTreeMap::new();
        while let Some(answer) = answers.join_next().await {
            consumer_table.extend(answer.ok().flatten());
        }
        let body = ConsumerPositions { consumer_table, ..ConsumerPositions::default() };
        Ok(Command::success(request).with_body(write(&body, Dialect::Fastjson)))
    }
}

/// Asks one member; `None` when it does not answer, or not with a success.
async fn status_of(member: Member, question: Command) -> Option<(String, QueueMap<i64>)> {
    match member.connection.call(question, STATUS_PATIENCE).await {
        Ok(answer) if answer.response_code() == ResponseCode::SUCCESS => {
            let body: ConsumerPositions = lenient::read("consumer status", &answer.body).ok()?;
            Some((member.client_id, body.message_queue_table))
        }
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(client = member.client_id, %error, "a consumer does not say where it is");
            None
        }
    }
}
