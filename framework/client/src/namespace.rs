//! Namespaces: several tenants' topics and groups on one cluster.
//!
//! The first kind stands in the names themselves: topic `orders` of namespace `shop` is `shop%orders`. The second
//! kind, since 5.2, is said beside every request and left to the server; see `identity`.

use std::borrow::Cow;

use rocketmq_boot_protocol::topic::{DLQ_PREFIX, RETRY_PREFIX, is_system};

/// Stands behind a namespace.
const SEPARATOR: char = '%';

/// Groups that belong to RocketMQ and to no namespace.
const SYSTEM_GROUPS: [&str; 9] = [
    "DEFAULT_CONSUMER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
    "SCHEDULE_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "CLIENT_INNER_PRODUCER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
];

/// The namespace that a client's topics and groups live in; empty for none.
#[derive(Debug, Default)]
#[doc(alias = "NamespaceUtil")]
pub(crate) struct Namespace(Option<String>);

impl Namespace {
    pub(crate) fn new(name: Option<&str>) -> Self {
        Self(name.filter(|name| !name.is_empty()).map(|name| format!("{name}{SEPARATOR}")))
    }

    /// The name that brokers know a topic or group by. A name that is in the namespace already stays what it is.
    pub(crate) fn wrap<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Some(prefix) = &self.0 else { return Cow::Borrowed(name) };
        let (kind, bare) = split(name);
        if is_system_name(name) || bare.starts_with(prefix.as_str()) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(format!("{kind}{prefix}{bare}"))
    }

    /// [`Namespace::wrap`] for a name that is at hand.
    pub(crate) fn wrap_owned(&self, name: String) -> String {
        match self.wrap(&name) {
            Cow::Owned(wrapped) => wrapped,
            Cow::Borrowed(_) => name,
        }
    }

    /// The name that the application knows a topic or group by. A name of another namespace stays what it is.
    pub(crate) fn unwrap<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Some(prefix) = &self.0 else { return Cow::Borrowed(name) };
        let (kind, bare) = split(name);
        match bare.strip_prefix(prefix.as_str()) {
            Some(bare) if kind.is_empty() => Cow::Borrowed(bare),
            Some(bare) => Cow::Owned(format!("{kind}{bare}")),
            None => Cow::Borrowed(name),
        }
    }

    /// Has a topic lose its namespace in place.
    pub(crate) fn unwrap_in_place(&self, name: &mut String) {
        if self.0.is_some() {
            *name = self.unwrap(name).into_owned();
        }
    }
}

/// Splits the mark of a retry or dead-letter topic off a name.
fn split(name: &str) -> (&str, &str) {
    let marks = [RETRY_PREFIX, DLQ_PREFIX];
    let mark = marks.into_iter().find(|mark| name.starts_with(mark)).unwrap_or_default();
    name.split_at(mark.len())
}

fn is_system_name(name: &str) -> bool {
    is_system(name) || SYSTEM_GROUPS.contains(&name) || name.starts_with("CID_RMQ_SYS_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_wrapped_as_java_wraps_them() {
        let namespace = Namespace::new(Some("MQ_INST_1"));
        for (bare, wrapped) in [
            ("orders", "MQ_INST_1%orders"),
            ("%RETRY%billing", "%RETRY%MQ_INST_1%billing"),
            ("%DLQ%billing", "%DLQ%MQ_INST_1%billing"),
        ] {
            assert_eq!(namespace.wrap(bare), wrapped);
            assert_eq!(namespace.wrap(wrapped), wrapped, "once is enough");
            assert_eq!(namespace.unwrap(wrapped), bare);
            assert_eq!(namespace.unwrap(bare), bare);
        }
        for system in
            ["RMQ_SYS_TRACE_TOPIC", "TBW102", "rmq_sys_x", "CLIENT_INNER_PRODUCER", "CID_RMQ_SYS_TRANS"]
        {
            assert_eq!(namespace.wrap(system), system);
        }
        assert_eq!(namespace.unwrap("other%orders"), "other%orders");
    }

    #[test]
    fn without_a_namespace_nothing_changes() {
        for namespace in [Namespace::new(None), Namespace::new(Some(""))] {
            assert!(matches!(namespace.wrap("orders"), Cow::Borrowed("orders")));
            assert!(matches!(namespace.unwrap("a%orders"), Cow::Borrowed("a%orders")));
        }
    }
}
