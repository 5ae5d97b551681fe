//! Heartbeats, group members and queue locks.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::message::MessageQueue;

/// What a client says every 30 seconds.
#[doc(alias = "HeartbeatData")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    /// `ip@instance`.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// The groups that it consumes for.
    pub consumer_data_set: Vec<ConsumerData>,
    /// A hash of the subscriptions; 5.x only.
    pub heartbeat_fingerprint: i32,
    /// The groups that it produces for.
    pub producer_data_set: Vec<ProducerData>,
    /// Whether the subscriptions were left out; 5.x only.
    pub without_sub: bool,
}

/// A producer group in a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// The group.
    pub group_name: String,
}

/// A consumer group in a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where a new group starts.
    #[serde(deserialize_with = "lenient_enum")]
    pub consume_from_where: ConsumeFromWhere,
    /// Pull, push or pop.
    #[serde(deserialize_with = "lenient_enum")]
    pub consume_type: ConsumeType,
    /// The group.
    pub group_name: String,
    /// Clustering or broadcasting.
    #[serde(deserialize_with = "lenient_enum")]
    pub message_model: MessageModel,
    /// What it subscribes to.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Whether the client belongs to a unit.
    pub unit_mode: bool,
}

/// A topic with the filter that a group puts on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Served by nobody any more.
    pub class_filter_mode: bool,
    /// Hashes of the tags. Go sends them as strings.
    #[serde(deserialize_with = "lenient_codes")]
    pub code_set: BTreeSet<i32>,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// `*`, `a || b`, or SQL92 text.
    pub sub_string: String,
    /// When the subscription was made, in ms since 1970.
    pub sub_version: i64,
    /// The tags; empty means all.
    pub tags_set: BTreeSet<String>,
    /// The topic.
    pub topic: String,
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: "TAG".to_owned(),
            sub_string: "*".to_owned(),
            sub_version: 0,
            tags_set: BTreeSet::new(),
            topic: String::new(),
        }
    }
}

impl SubscriptionData {
    /// A subscription by tags: `*` or nothing for all, else tags separated by `||`.
    ///
    /// `hash` is Java's `String.hashCode`.
    pub fn tags(topic: &str, expression: &str, sub_version: i64, hash: impl Fn(&str) -> i32) -> Self {
        let expression = expression.trim();
        let all = expression.is_empty() || expression == "*";
        let tags: BTreeSet<String> = match all {
            true => BTreeSet::new(),
            false => expression
                .split("||")
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        Self {
            code_set: tags.iter().map(|tag| hash(tag)).collect(),
            sub_string: if all { "*".to_owned() } else { expression.to_owned() },
            sub_version,
            tags_set: tags,
            topic: topic.to_owned(),
            ..Self::default()
        }
    }

    /// Whether the expression is tags and not SQL92.
    pub fn is_tags(&self) -> bool {
        self.expression_type.is_empty() || self.expression_type == "TAG"
    }
}

/// Declares an enum that is written by name and read by name in any case, or by Java's ordinal.
macro_rules! wire_enum {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$item:meta])* $variant:ident($ordinal:pat) = $wire:literal $(| $alias:literal)*,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$item])* #[serde(rename = $wire)] $variant,)+
        }

        impl $name {
            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $wire,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::DecodeError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if [$wire $(, $alias)*].iter().any(|name| text.eq_ignore_ascii_case(name)) {
                    return Ok(Self::$variant);
                })+
                Err(crate::DecodeError::malformed(stringify!($name), format!("unknown name `{text}`")))
            }
        }

        impl Ordinal for $name {
            fn from_ordinal(ordinal: u64) -> Option<Self> {
                match ordinal {
                    $($ordinal => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    )+};
}

trait Ordinal: Sized {
    fn from_ordinal(ordinal: u64) -> Option<Self>;
}

wire_enum! {
    /// Who asks whom.
    ConsumeType {
        /// The application pulls.
        Actively(0) = "CONSUME_ACTIVELY" | "PULL",
        /// The client pulls and pushes to the application.
        #[default]
        Passively(1) = "CONSUME_PASSIVELY" | "PUSH",
        /// The client pops.
        Pop(2) = "CONSUME_POP" | "POP",
    }

    /// Whether members share messages or each gets all.
    MessageModel {
        /// Each gets all.
        Broadcasting(0) = "BROADCASTING",
        /// Members share.
        #[default]
        Clustering(1) = "CLUSTERING",
        /// Lite topics of 5.5.
        LiteSelective(2) = "LITE_SELECTIVE",
    }

    /// Where a group starts that has consumed nothing yet.
    ConsumeFromWhere {
        /// At the end.
        #[default]
        LastOffset(0 | 1) = "CONSUME_FROM_LAST_OFFSET" | "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated spelling of the beginning.
        MinOffset(2) = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated spelling of the end.
        MaxOffset(3) = "CONSUME_FROM_MAX_OFFSET",
        /// At the beginning.
        FirstOffset(4) = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp(5) = "CONSUME_FROM_TIMESTAMP",
    }
}

/// A name, a number, or anything unknown, which reads as the default: a heartbeat must not fail over it.
fn lenient_enum<'de, D, E>(deserializer: D) -> Result<E, D::Error>
where
    D: Deserializer<'de>,
    E: Ordinal + Default + std::str::FromStr,
{
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(name) => name.parse().unwrap_or_default(),
        serde_json::Value::Number(number) => number.as_u64().and_then(E::from_ordinal).unwrap_or_default(),
        _ => E::default(),
    })
}

/// Numbers, or numbers as text; what is neither is left out.
fn lenient_codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<i32>, D::Error> {
    let codes = Option::<Vec<serde_json::Value>>::deserialize(deserializer)?.unwrap_or_default();
    let code = |value: &serde_json::Value| match value {
        serde_json::Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(codes.iter().filter_map(code).collect())
}

/// The members of a group: the answer to 38.
#[doc(alias = "GetConsumerListByGroupResponseBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerIds {
    /// Client ids.
    pub consumer_id_list: Vec<String>,
}

/// A queue as JSON bodies name it: members in fastjson's order, and those that are missing empty.
/// [`MessageQueue`] is the same to programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueRef {
    /// The broker.
    pub broker_name: String,
    /// The queue.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

impl From<QueueRef> for MessageQueue {
    fn from(queue: QueueRef) -> Self {
        Self::new(queue.topic, queue.broker_name, queue.queue_id)
    }
}

impl From<MessageQueue> for QueueRef {
    fn from(queue: MessageQueue) -> Self {
        Self { broker_name: queue.broker_name, queue_id: queue.queue_id, topic: queue.topic }
    }
}

/// Locks (41) or unlocks (42) queues for one client.
#[doc(alias = "LockBatchRequestBody")]
#[doc(alias = "UnlockBatchRequestBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LockBatch {
    /// The client.
    pub client_id: String,
    /// The group.
    pub consumer_group: String,
    /// The queues.
    pub mq_set: Vec<QueueRef>,
    /// Whether the lock is this broker's alone; Go leaves it out.
    pub only_this_broker: bool,
}

/// The answer to 41.
#[doc(alias = "LockBatchResponseBody")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockedQueues {
    /// The queues that the client holds now.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<QueueRef>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::lenient;

    #[test]
    fn enums_come_by_name_in_any_case_or_by_ordinal() {
        let data = |text: &str| -> ConsumerData { lenient::read("consumer", text.as_bytes()).unwrap() };
        for (value, expected) in [
            (r#""CONSUME_FROM_FIRST_OFFSET""#, ConsumeFromWhere::FirstOffset),
            (r#""consume_from_timestamp""#, ConsumeFromWhere::Timestamp),
            (r#""CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST""#, ConsumeFromWhere::LastOffset),
            ("1", ConsumeFromWhere::LastOffset),
            ("4", ConsumeFromWhere::FirstOffset),
            ("5", ConsumeFromWhere::Timestamp),
            ("6", ConsumeFromWhere::LastOffset),
            (r#""SOMEWHERE""#, ConsumeFromWhere::LastOffset),
            ("null", ConsumeFromWhere::LastOffset),
            ("[]", ConsumeFromWhere::LastOffset),
        ] {
            let text = format!(r#"{{"groupName":"g","consumeFromWhere":{value}}}"#);
            assert_eq!(data(&text).consume_from_where, expected, "{value}");
        }
        let data = data(r#"{"messageModel":0,"consumeType":"pull"}"#);
        assert_eq!(
            (data.message_model, data.consume_type),
            (MessageModel::Broadcasting, ConsumeType::Actively)
        );
    }

    #[test]
    fn queues_of_bodies_and_of_programs_are_the_same() {
        let queue = QueueRef { broker_name: "b".into(), queue_id: 3, topic: "t".into() };
        assert_eq!(MessageQueue::from(queue.clone()), MessageQueue::new("t", "b", 3));
        assert_eq!(QueueRef::from(MessageQueue::new("t", "b", 3)), queue);
    }

    #[test]
    fn tags_are_split_trimmed_and_hashed() {
        let data = SubscriptionData::tags("t", " a || bb||", 7, |tag| i32::try_from(tag.len()).unwrap());
        assert_eq!(data.tags_set, BTreeSet::from(["a".into(), "bb".into()]));
        assert_eq!((data.code_set, data.sub_string.as_str()), (BTreeSet::from([1, 2]), "a || bb||"));
        for all in ["", " * ", "*"] {
            let data = SubscriptionData::tags("t", all, 7, |_| 0);
            assert_eq!((data.tags_set.len(), data.code_set.len(), data.sub_string.as_str()), (0, 0, "*"));
        }
    }
}
