//! What keys exist: the tables against which files, variables and arguments are checked.
//!
//! Names are compared as Spring compares them: case, dashes and underscores do not matter, so that
//! `send-message-timeout`, `sendMessageTimeout` and `SEND_MESSAGE_TIMEOUT` are one key.

/// A key that a table knows.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub(crate) name: &'static str,
    /// Other names of the same key.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) kind: Kind,
}

/// What stands under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A value; lists and maps belong to whoever reads it.
    Value,
    /// Keys of a table.
    Table(&'static [Key]),
    /// Names that the user chooses, each with the keys of a table.
    Named(&'static [Key]),
    /// A value that is read and has no effect here, with what to say about it.
    Idle(&'static str),
    /// A value that would change what happens and cannot be honoured yet, unless it is one of these.
    Later(&'static [&'static str]),
}

impl Key {
    /// A key with a value of any kind.
    pub const fn any(name: &'static str) -> Self {
        Self { name, aliases: &[], kind: Kind::Value }
    }

    /// A key with keys of its own.
    pub const fn table(name: &'static str, keys: &'static [Self]) -> Self {
        Self { name, aliases: &[], kind: Kind::Table(keys) }
    }

    pub(crate) const fn named(name: &'static str, keys: &'static [Self]) -> Self {
        Self { name, aliases: &[], kind: Kind::Named(keys) }
    }

    pub(crate) const fn idle(name: &'static str, why: &'static str) -> Self {
        Self { name, aliases: &[], kind: Kind::Idle(why) }
    }

    pub(crate) const fn later(name: &'static str, harmless: &'static [&'static str]) -> Self {
        Self { name, aliases: &[], kind: Kind::Later(harmless) }
    }

    pub(crate) const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    fn means(&self, plain: &str) -> bool {
        plain_name(self.name) == plain || self.aliases.iter().any(|alias| plain_name(alias) == plain)
    }
}

/// A name without what does not matter in it.
pub(crate) fn plain_name(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Finds a key by any spelling of any of its names.
pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    let plain = plain_name(name);
    keys.iter().find(|key| key.means(&plain))
}

/// What to say about a key that is in no table.
pub(crate) fn unknown(keys: &[Key], name: &str) -> String {
    let plain = plain_name(name);
    let names = keys.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    match closest(&plain, names) {
        Some(name) => format!("unknown key, did you mean `{name}`?"),
        None => {
            let known: Vec<_> = keys.iter().map(|key| key.name).collect();
            format!("unknown key, expected one of {}", known.join(", "))
        }
    }
}

/// The name nearest to what was written, when one is near enough to be meant.
pub(crate) fn closest<'a>(plain: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::damerau_levenshtein(plain, &plain_name(name)), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

const HARMLESS_FLAG: &[&str] = &["false"];
const HARMLESS_NAME: &[&str] = &["", "DEFAULT"];
const HARMLESS_TEXT: &[&str] = &[""];

const PRODUCER: &[Key] = &[
    Key::any("group"),
    Key::any("send-message-timeout"),
    Key::any("compress-message-body-threshold"),
    Key::any("retry-times-when-send-failed"),
    Key::any("retry-times-when-send-async-failed"),
    Key::any("retry-next-server"),
    Key::any("max-message-size"),
    Key::later("namespace", HARMLESS_TEXT),
    Key::later("namespace-v2", HARMLESS_TEXT),
    Key::later("access-key", HARMLESS_TEXT),
    Key::later("secret-key", HARMLESS_TEXT),
    Key::later("enable-msg-trace", HARMLESS_FLAG),
    Key::idle("customized-trace-topic", "there is no message trace yet"),
    Key::later("tls-enable", HARMLESS_FLAG),
    Key::idle("instance-name", "every cluster has a client of its own"),
];

const LISTENER: &[Key] = &[
    Key::any("enabled"),
    Key::any("topic"),
    Key::any("group").or(&["consumer-group"]),
    Key::any("tag").or(&["selector-expression"]),
    Key::later("selector-type", &["tag", "TAG"]),
    Key::any("model").or(&["message-model"]),
    Key::later("order", &["concurrent", "concurrently", "CONCURRENTLY"]).or(&["consume-mode"]),
    Key::any("concurrency").or(&["consume-thread-number"]),
    Key::idle("consume-thread-max", "it never had one in rocketmq-spring either: use `concurrency`"),
    Key::any("max-attempts"),
    Key::any("max-reconsume-times"),
    Key::any("batch").or(&["consume-message-batch-max-size"]),
    Key::any("pull-batch").or(&["pull-batch-size"]),
    Key::any("start").or(&["consume-from-where"]),
    Key::any("cluster"),
];

const SERVER: &[Key] = &[
    Key::any("enabled"),
    Key::any("data"),
    Key::any("host"),
    Key::any("name-server-port"),
    Key::any("broker-port"),
    Key::any("commit-log-file-size"),
];

const CONSUMER: &[Key] = &[
    // `consumer.listeners.<group>.<topic>: false` switches listeners off.
    Key::any("listeners"),
    Key::later("namespace", HARMLESS_TEXT),
    Key::later("namespace-v2", HARMLESS_TEXT),
    Key::later("access-key", HARMLESS_TEXT),
    Key::later("secret-key", HARMLESS_TEXT),
    Key::idle("customized-trace-topic", "there is no message trace yet"),
    Key::idle("group", "a listener names its own group"),
    Key::idle("topic", "a listener names its own topic"),
    Key::idle("message-model", "a listener names its own model"),
    Key::idle("selector-type", "a listener names its own tag"),
    Key::idle("selector-expression", "a listener names its own tag"),
    Key::idle("pull-batch-size", "set it for a listener"),
    Key::later("enable-msg-trace", HARMLESS_FLAG),
    Key::later("tls-enable", HARMLESS_FLAG),
    Key::later("instance-name", HARMLESS_NAME),
];

const CLUSTER: &[Key] = &[Key::any("name-server"), Key::table("producer", PRODUCER)];

/// Every key under `rocketmq`.
pub(crate) const ROCKETMQ: &[Key] = &[
    Key::any("name-server"),
    Key::later("access-channel", &["LOCAL"]),
    Key::any("shutdown-timeout"),
    Key::table("producer", PRODUCER),
    Key::table("consumer", CONSUMER),
    Key::idle("pull-consumer", "there is no `receive` yet"),
    Key::table("server", SERVER),
    Key::named("listeners", LISTENER),
    Key::named("clusters", CLUSTER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_of_a_name_finds_the_key() {
        for name in
            ["send-message-timeout", "sendMessageTimeout", "SEND_MESSAGE_TIMEOUT", "send_message_timeout"]
        {
            assert_eq!(find(PRODUCER, name).map(|key| key.name), Some("send-message-timeout"));
        }
        assert_eq!(find(LISTENER, "consumeThreadNumber").map(|key| key.name), Some("concurrency"));
    }

    #[test]
    fn a_key_that_is_nearly_right_is_suggested() {
        assert_eq!(unknown(LISTENER, "concurency"), "unknown key, did you mean `concurrency`?");
        assert!(unknown(SERVER, "quux").starts_with("unknown key, expected one of enabled"));
    }
}
