//! Why a request is refused, and the code that says so. No other file of the broker chooses a response code.

use std::fmt;

use rocketmq_boot_protocol::{Command, DecodeError, RequestCode, ResponseCode, topic::NameError};
use rocketmq_boot_store::ReadError;

/// A refusal, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) code: ResponseCode,
    pub(crate) remark: String,
}

/// Where RocketMQ explains its answers; tools print it, so it is kept.
const FAQ: &str = "See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

impl Reject {
    fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    /// The broker does not know this code.
    pub(crate) fn not_supported(code: RequestCode) -> Self {
        let remark = match code.name() {
            Some(name) => format!(" request type {} not supported: {name}", code.0),
            None => format!(" request type {} not supported", code.0),
        };
        Self::new(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark)
    }

    /// The broker is starting or stopping.
    pub(crate) fn stopping() -> Self {
        Self::new(ResponseCode::SERVICE_NOT_AVAILABLE, "the broker is stopping")
    }

    /// A topic that is not there and may not be made.
    pub(crate) fn topic_not_exist(topic: &str) -> Self {
        Self::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("topic[{topic}] not exist, apply first please! {FAQ}"),
        )
    }

    /// A topic that is not there, in the words of 351.
    pub(crate) fn no_topic_here(topic: &str) -> Self {
        Self::new(ResponseCode::TOPIC_NOT_EXIST, format!("No topic in this broker. topic: {topic}"))
    }

    /// A topic that is not there, in the words of 202 and 303.
    pub(crate) fn topic_unknown(topic: &str) -> Self {
        Self::new(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"))
    }

    /// A topic that is not there, in the words of 222.
    pub(crate) fn topic_does_not_exist(topic: &str) -> Self {
        Self::new(ResponseCode::TOPIC_NOT_EXIST, format!("Topic {topic} does not exist"))
    }

    /// A group that is not there, in the words of 222.
    pub(crate) fn group_does_not_exist(group: &str) -> Self {
        Self::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, format!("Group {group} does not exist"))
    }

    /// A group that is not there, in the words of 352.
    pub(crate) fn no_group_here() -> Self {
        Self::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker")
    }

    /// Nobody consumes for the group.
    pub(crate) fn not_online(group: &str) -> Self {
        Self::new(ResponseCode::CONSUMER_NOT_ONLINE, format!("the consumer group[{group}] not online"))
    }

    /// There is no controller, here or anywhere.
    pub(crate) fn no_controller() -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, "this request only for controllerMode ")
    }

    /// A change of the configuration that is not allowed.
    pub(crate) fn config_forbidden(why: impl Into<String>) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, why)
    }

    /// A topic that clients may not send to.
    pub(crate) fn reserved_topic(topic: &str) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, format!("the topic[{topic}] is conflict with system topic."))
    }

    /// The topic's permission forbids it.
    pub(crate) fn topic_forbids(topic: &str, what: &str) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, format!("the topic[{topic}] {what} message is forbidden"))
    }

    /// The broker's permission forbids it.
    pub(crate) fn broker_forbids(broker: &str, what: &str) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, format!("the broker[{broker}] {what} message is forbidden"))
    }

    /// The group's configuration forbids it.
    pub(crate) fn group_forbids(group: &str) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, format!("subscription group no permission, {group}"))
    }

    /// A queue that the topic does not have.
    pub(crate) fn queue_out_of_range(topic: &str, queue_id: i32, queues: i32) -> Self {
        Self::new(
            ResponseCode::INVALID_PARAMETER,
            format!("queueId[{queue_id}] is illegal, topic:[{topic}] topicConfig.queues:[{queues}]"),
        )
    }

    /// A group that is not there and may not be made.
    pub(crate) fn group_not_exist(group: &str) -> Self {
        Self::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!("subscription group [{group}] does not exist, {FAQ}"),
        )
    }

    /// The consumer's heartbeat has not arrived, so its subscription is unknown.
    pub(crate) fn subscription_not_exist(group: &str, topic: &str) -> Self {
        Self::new(
            ResponseCode::SUBSCRIPTION_NOT_EXIST,
            format!("the consumer's group info not exist: {group} has no subscription to {topic}"),
        )
    }

    /// The consumer has a newer subscription than its heartbeat said.
    pub(crate) fn subscription_not_latest(group: &str) -> Self {
        Self::new(
            ResponseCode::SUBSCRIPTION_NOT_LATEST,
            format!("the consumer's subscription not latest: {group}"),
        )
    }

    /// `enablePropertyFilter` is off.
    pub(crate) fn filter_not_supported(kind: &str) -> Self {
        Self::new(
            ResponseCode::SYSTEM_ERROR,
            format!("The broker does not support consumer to filter message by {kind}"),
        )
    }

    /// A filter expression that cannot be compiled.
    pub(crate) fn bad_filter(why: impl std::fmt::Display) -> Self {
        Self::new(
            ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            format!("parse the consumer's subscription failed: {why}"),
        )
    }

    /// The expression of the consumer's heartbeat cannot be compiled.
    pub(crate) fn no_filter(why: impl std::fmt::Display) -> Self {
        Self::new(
            ResponseCode::FILTER_DATA_NOT_EXIST,
            format!(
                "The broker's consumer filter data is not exist!Your expression may be wrong! It says: {why}"
            ),
        )
    }

    /// A message that breaks a limit.
    pub(crate) fn illegal_message(why: impl Into<String>) -> Self {
        Self::new(ResponseCode::MESSAGE_ILLEGAL, why)
    }

    /// A parameter that makes no sense.
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::new(ResponseCode::INVALID_PARAMETER, why)
    }

    /// A producer that asked not to be asked for a while has let that while pass.
    pub(crate) fn too_late_to_end() -> Self {
        Self::new(
            ResponseCode::ILLEGAL_OPERATION,
            "the transaction is over its CHECK_IMMUNITY_TIME_IN_SECONDS, wait to be asked",
        )
    }

    /// Timer messages are switched off.
    pub(crate) fn timers_disabled() -> Self {
        Self::new(
            ResponseCode::SYSTEM_ERROR,
            "accurate timer message is not enabled, timerWheelEnable is false",
        )
    }

    /// An instant that is no number or too far ahead, or a recall whose instant has passed.
    pub(crate) fn timer_out_of_range(max_delay_ms: i64) -> Self {
        Self::illegal_message(format!(
            "timer message illegal, the delay time should not be bigger than the max delay {max_delay_ms}ms; or if set \
             del msg, the delay time should be bigger than the current time"
        ))
    }

    /// Too many messages wait for one instant.
    pub(crate) fn timers_congested(limit: i32) -> Self {
        let most = i64::from(limit) * 2;
        Self::new(
            ResponseCode::SYSTEM_ERROR,
            format!(
                "timer message is under flow control, max num limit is {most} or the current value is greater than \
                 {limit} and less than {most}, trigger random flow control"
            ),
        )
    }

    /// A recall that cannot be.
    pub(crate) fn recall(code: ResponseCode, why: impl std::fmt::Display) -> Self {
        Self::new(code, format!("recall failed, {why}"))
    }

    /// A recall handle that is none.
    pub(crate) fn recall_handle() -> Self {
        Self::new(ResponseCode::ILLEGAL_OPERATION, "recall handle is invalid")
    }

    /// Nothing is known.
    pub(crate) fn not_found(why: impl Into<String>) -> Self {
        Self::new(ResponseCode::QUERY_NOT_FOUND, why)
    }

    /// No message has the key.
    pub(crate) fn nothing_by_key() -> Self {
        Self::not_found("can not find message, maybe time range not correct")
    }

    /// No message begins at this place of the commit log.
    pub(crate) fn nothing_at(offset: i64) -> Self {
        Self::failed(format!("can not find message by the offset, {offset}"))
    }

    /// Something failed that is not the asker's fault.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, why)
    }

    /// A reply that does not say whose request it answers.
    pub(crate) fn reply_to_nobody() -> Self {
        Self::failed("reply message properties[REPLY_TO_CLIENT] is null")
    }

    /// Nobody with this client id is connected as a producer.
    pub(crate) fn requester_not_found(client: &str) -> Self {
        Self::failed(format!("push reply message fail, channel of <{client}> not found."))
    }

    /// The client that waits for a reply did not take it.
    pub(crate) fn reply_not_taken(client: &str) -> Self {
        Self::failed(format!("push reply message to {client}fail."))
    }

    /// A consumer that nobody is connected as.
    pub(crate) fn consumer_not_online(group: &str, client: &str) -> Self {
        Self::failed(format!("The Consumer <{group}> <{client}> not online"))
    }

    /// A consumer from before the request was invented.
    pub(crate) fn consumer_too_old(client: &str, version: i32) -> Self {
        Self::failed(format!(
            "The Consumer <{client}> Version <{version}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT"
        ))
    }

    /// The same for questions to a whole group.
    pub(crate) fn client_too_old(version: i32) -> Self {
        Self::failed(format!("the client does not support this feature. version={version}"))
    }

    /// A consumer that did not answer in time.
    pub(crate) fn consumer_too_slow(group: &str, client: &str, why: impl fmt::Display) -> Self {
        Self::new(ResponseCode::CONSUME_MSG_TIMEOUT, format!("consumer <{group}> <{client}> Timeout: {why}"))
    }

    /// A consumer whose connection broke.
    pub(crate) fn consumer_unreachable(group: &str, client: &str, why: impl fmt::Display) -> Self {
        Self::failed(format!("invoke consumer <{group}> <{client}> Exception: {why}"))
    }

    /// Offsets cannot be moved in a topic that is not there.
    pub(crate) fn no_topic_to_reset(topic: &str) -> Self {
        Self::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("[reset-offset] reset offset failed, no topic in this broker. topic={topic}"),
        )
    }

    /// Nobody is there who could move the group's offsets.
    pub(crate) fn no_consumer_to_reset(group: &str, topic: &str, timestamp: i64) -> Self {
        Self::new(
            ResponseCode::CONSUMER_NOT_ONLINE,
            format!(
                "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {timestamp}"
            ),
        )
    }

    /// A group that nobody is in.
    pub(crate) fn nobody_online(group: &str) -> Self {
        Self::failed(format!("No Any Consumer online in the consumer group: [{group}]"))
    }

    /// The store takes nothing any more.
    pub(crate) fn store_unavailable(why: impl ToString) -> Self {
        Self::new(
            ResponseCode::SERVICE_NOT_AVAILABLE,
            format!("service not available now: {}", why.to_string()),
        )
    }

    /// The disk is full.
    pub(crate) fn disk_full(used_percent: u64) -> Self {
        let ratio = format!("{:2}.{:02}", used_percent / 100, used_percent % 100);
        Self::new(
            ResponseCode::SERVICE_NOT_AVAILABLE,
            format!(
                "service not available now. It may be caused by one of the following reasons: the broker's disk is \
                 full [CL: {ratio} CQ: {ratio} INDEX: {ratio}], messages are put to the slave, message store has been \
                 shut down, etc."
            ),
        )
    }

    /// The refusal as an answer.
    pub(crate) fn answer(self, request: &Command) -> Command {
        Command::failure(request, self.code, self.remark)
    }
}

impl From<DecodeError> for Reject {
    fn from(error: DecodeError) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, error.to_string())
    }
}

impl From<ReadError> for Reject {
    fn from(error: ReadError) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, error.to_string())
    }
}

impl From<NameError> for Reject {
    fn from(error: NameError) -> Self {
        Self::new(ResponseCode::INVALID_PARAMETER, error.to_string())
    }
}
