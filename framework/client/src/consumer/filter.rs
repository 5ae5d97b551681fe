//! Which of a topic's messages are wanted.

use rocketmq_boot_protocol::{body::SubscriptionData, message::hash::java_hash};

/// SQL92 as brokers name it.
const SQL92: &str = "SQL92";

/// Chooses among a topic's messages: all of them, those with certain tags, or those whose properties fulfil a
/// condition. Text is taken as tags.
///
/// ```
/// use rocketmq_boot_client::Filter;
///
/// assert_eq!(Filter::from("placed || billed"), Filter::tags("placed || billed"));
/// let vip = Filter::sql("cents > 100000 AND region IN ('eu')");
/// # let _ = (vip, Filter::all());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[doc(alias = "MessageSelector")]
pub struct Filter(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Tags(String),
    Sql(String),
}

impl Filter {
    /// All messages.
    pub fn all() -> Self {
        Self::tags("*")
    }

    /// Messages with one of these tags: `placed || billed`; `*` is all of them.
    #[doc(alias = "byTag")]
    pub fn tags(expression: impl Into<String>) -> Self {
        Self(Kind::Tags(expression.into()))
    }

    /// Messages whose properties fulfil a condition in RocketMQ's SQL92, on brokers that have
    /// `enablePropertyFilter` set.
    #[doc(alias = "bySql")]
    pub fn sql(expression: impl Into<String>) -> Self {
        Self(Kind::Sql(expression.into()))
    }

    /// The subscription to `topic` that says so; `version` is the time at which it was made.
    pub(crate) fn subscription(&self, topic: &str, version: i64) -> SubscriptionData {
        match &self.0 {
            Kind::Tags(tags) => SubscriptionData::tags(topic, tags, version, java_hash),
            Kind::Sql(expression) => SubscriptionData {
                expression_type: SQL92.to_owned(),
                sub_string: expression.clone(),
                sub_version: version,
                topic: topic.to_owned(),
                ..SubscriptionData::default()
            },
        }
    }
}

impl From<&str> for Filter {
    fn from(tags: &str) -> Self {
        Self::tags(tags)
    }
}

impl From<String> for Filter {
    fn from(tags: String) -> Self {
        Self::tags(tags)
    }
}

impl From<&String> for Filter {
    fn from(tags: &String) -> Self {
        Self::tags(tags.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_say_what_kind_they_are() {
        let tags = Filter::from("a || b").subscription("t", 7);
        assert!(tags.is_tags());
        assert_eq!((tags.tags_set.len(), tags.sub_version), (2, 7));
        let sql = Filter::sql("a > 1").subscription("t", 7);
        assert!(!sql.is_tags());
        assert_eq!((sql.sub_string.as_str(), sql.tags_set.len(), sql.topic.as_str()), ("a > 1", 0, "t"));
    }
}
