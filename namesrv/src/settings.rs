//! The keys of `namesrv.conf`: those of Apache's name server, and what becomes of each here.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use rocketmq_boot_protocol::properties_file::Entry;

use crate::Options;

/// Applies a value to the options.
type Apply = fn(&mut Options, &str) -> Result<(), String>;
/// Prints what the options hold.
type Show = fn(&Options) -> String;

/// Keys that mean something here.
const APPLIED: [(&str, Apply, Show); 13] = [
    (
        "listenPort",
        |options, value| parse(value, "a port").map(|port| options.listen.set_port(port)),
        |options| options.listen.port().to_string(),
    ),
    (
        "bindAddress",
        |options, value| {
            parse::<IpAddr>(value, "an IP address").map(|address| options.listen.set_ip(address))
        },
        |options| options.listen.ip().to_string(),
    ),
    (
        "kvConfigPath",
        |options, value| {
            options.kv_config_path = Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
        |options| options.kv_config_path.as_ref().map_or_else(String::new, |path| path.display().to_string()),
    ),
    (
        "scanNotActiveBrokerInterval",
        |options, value| millis(value).map(|interval| options.scan_interval = interval),
        |options| options.scan_interval.as_millis().to_string(),
    ),
    (
        "serverChannelMaxIdleTimeSeconds",
        |options, value| {
            positive(value, "a number of seconds").map(|s| options.idle = Duration::from_secs(s))
        },
        |options| options.idle.as_secs().to_string(),
    ),
    (
        "orderMessageEnable",
        |options, value| boolean(value).map(|on| options.order_topics_in_routes = on),
        |options| options.order_topics_in_routes.to_string(),
    ),
    (
        "returnOrderTopicConfigToBroker",
        |options, value| boolean(value).map(|on| options.order_topics_to_brokers = on),
        |options| options.order_topics_to_brokers.to_string(),
    ),
    (
        "enableAllTopicList",
        |options, value| boolean(value).map(|on| options.list_all_topics = on),
        |options| options.list_all_topics.to_string(),
    ),
    (
        "enableTopicList",
        |options, value| boolean(value).map(|on| options.list_topics_of_cluster = on),
        |options| options.list_topics_of_cluster.to_string(),
    ),
    (
        "deleteTopicWithBrokerRegistration",
        |options, value| boolean(value).map(|on| options.delete_missing_topics = on),
        |options| options.delete_missing_topics.to_string(),
    ),
    (
        "configUpdateEnable",
        |options, value| boolean(value).map(|on| options.config_update = on),
        |options| options.config_update.to_string(),
    ),
    (
        "configBlackList",
        |options, value| {
            let keys = value.split(';').map(str::trim).filter(|key| !key.is_empty());
            options.config_black_list = keys.map(str::to_owned).collect();
            Ok(())
        },
        |options| options.config_black_list.join(";"),
    ),
    (
        "productEnvName",
        |options, value| {
            value.clone_into(&mut options.product_env_name);
            Ok(())
        },
        |options| options.product_env_name.clone(),
    ),
];

/// Keys of Apache's name server that change nothing here.
const WITHOUT_EFFECT: [&str; 43] = [
    "clientAsyncSemaphoreValue",
    "clientCallbackExecutorThreads",
    "clientChannelMaxIdleTimeSeconds",
    "clientCloseSocketIfTimeout",
    "clientOnewaySemaphoreValue",
    "clientPooledByteBufAllocatorEnable",
    "clientRequestThreadPoolNums",
    "clientRequestThreadPoolQueueCapacity",
    "clientSocketRcvBufSize",
    "clientSocketSndBufSize",
    "clientWorkerThreads",
    "clusterTest",
    "configStorePath",
    "connectTimeoutMillis",
    "defaultThreadPoolNums",
    "defaultThreadPoolQueueCapacity",
    "enableControllerInNamesrv",
    "enableShutdownGracefully",
    "namesrvAddr",
    "needWaitForService",
    "notifyMinBrokerIdChanged",
    "rocketmqHome",
    "serverAsyncSemaphoreValue",
    "serverCallbackExecutorThreads",
    "serverNettyWorkerGroupEnable",
    "serverOnewaySemaphoreValue",
    "serverPooledByteBufAllocatorEnable",
    "serverSelectorThreads",
    "serverSocketBacklog",
    "serverSocketRcvBufSize",
    "serverSocketSndBufSize",
    "serverWorkerThreads",
    "shutdownWaitTimeSeconds",
    "socksProxyConfig",
    "supportActingMaster",
    "unRegisterBrokerQueueCapacity",
    "useEpollNativeSelector",
    "useRouteInfoManagerV2",
    "useTLS",
    "waitSecondsForService",
    "writeBufferHighWaterMark",
    "writeBufferLowWaterMark",
    "channelNotActiveInterval",
];

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is in force.
    Applied,
    /// Apache knows it; here it changes nothing.
    WithoutEffect,
    /// Nobody knows it; perhaps this one was meant.
    Unknown(Option<&'static str>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => f.write_str("applied"),
            Self::WithoutEffect => f.write_str("known to Apache's name server, without effect here"),
            Self::Unknown(None) => f.write_str("unknown, ignored"),
            Self::Unknown(Some(similar)) => write!(f, "unknown, ignored; was `{similar}` meant?"),
        }
    }
}

/// Applies one entry; an error says what is wrong with its value.
pub(crate) fn apply(options: &mut Options, entry: &Entry) -> Result<Outcome, String> {
    if let Some((_, apply, _)) = APPLIED.iter().find(|(key, ..)| *key == entry.key) {
        return apply(options, entry.value.trim()).map(|()| Outcome::Applied);
    }
    if WITHOUT_EFFECT.contains(&entry.key.as_str()) {
        return Ok(Outcome::WithoutEffect);
    }
    let known = APPLIED.iter().map(|(key, ..)| *key).chain(WITHOUT_EFFECT);
    let similar = known
        .map(|key| (strsim::damerau_levenshtein(&key.to_lowercase(), &entry.key.to_lowercase()), key))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    Ok(Outcome::Unknown(similar.map(|(_, key)| key)))
}

/// Keys that may be changed while the name server runs, when it is allowed at all.
const CHANGEABLE: [&str; 6] = [
    "deleteTopicWithBrokerRegistration",
    "enableAllTopicList",
    "enableTopicList",
    "orderMessageEnable",
    "productEnvName",
    "returnOrderTopicConfigToBroker",
];

/// Keys that may never be changed over the wire, as with Apache: they name files, or this list.
const BLACK_LIST: [&str; 4] = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

/// Whether a key may not even be asked to change over the wire.
pub(crate) fn is_black_listed(options: &Options, key: &str) -> bool {
    BLACK_LIST.contains(&key) || options.config_black_list.iter().any(|listed| listed == key)
}

/// Applies an entry that came over the wire; an error says why not.
pub(crate) fn change(options: &mut Options, entry: &Entry) -> Result<(), String> {
    if CHANGEABLE.contains(&entry.key.as_str()) {
        return apply(options, entry).map(drop).map_err(|reason| format!("{}: {reason}", entry.key));
    }
    Err(format!("{}: it cannot be changed while the name server runs", entry.key))
}

/// What the number of a setting counts.
pub(crate) fn unit(key: &str) -> Option<&'static str> {
    match key {
        "scanNotActiveBrokerInterval" => Some("ms"),
        "serverChannelMaxIdleTimeSeconds" => Some("s"),
        _ => None,
    }
}

/// All keys that mean something, with what they are set to.
pub(crate) fn items(options: &Options) -> impl Iterator<Item = (&'static str, String)> {
    APPLIED.iter().map(|(key, _, show)| (*key, show(options)))
}

fn parse<T: FromStr>(value: &str, what: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{value}` is not {what}"))
}

fn positive(value: &str, what: &str) -> Result<u64, String> {
    parse(value, what).and_then(|number| match number {
        0 => Err(format!("`{value}` is not {what} above 0")),
        number => Ok(number),
    })
}

fn millis(value: &str) -> Result<Duration, String> {
    positive(value, "a number of milliseconds").map(Duration::from_millis)
}

/// Java takes anything but `true` for false; a typing error should not pass for a choice.
fn boolean(value: &str) -> Result<bool, String> {
    match value {
        _ if value.eq_ignore_ascii_case("true") => Ok(true),
        _ if value.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!("`{value}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(options: &mut Options, key: &str, value: &str) -> Result<Outcome, String> {
        apply(options, &Entry { key: key.to_owned(), value: value.to_owned(), line: 1 })
    }

    #[test]
    fn what_is_shown_can_be_applied_and_shows_the_same() {
        let mut options = Options { kv_config_path: Some("/x/kvConfig.json".into()), ..Options::default() };
        let shown: Vec<_> = items(&options).collect();
        for (key, value) in &shown {
            assert_eq!(outcome(&mut options, key, value), Ok(Outcome::Applied), "{key}={value}");
        }
        assert_eq!(items(&options).collect::<Vec<_>>(), shown);
    }

    #[test]
    fn keys_are_told_apart() {
        let mut options = Options::default();
        assert_eq!(outcome(&mut options, "listenPort", " 1234 "), Ok(Outcome::Applied));
        assert_eq!(options.listen.port(), 1234);
        assert_eq!(outcome(&mut options, "serverWorkerThreads", "8"), Ok(Outcome::WithoutEffect));
        assert_eq!(outcome(&mut options, "listenport", "1"), Ok(Outcome::Unknown(Some("listenPort"))));
        assert_eq!(outcome(&mut options, "colourOfTheSky", "1"), Ok(Outcome::Unknown(None)));
    }

    #[test]
    fn wrong_values_are_errors() {
        for (key, value) in [
            ("listenPort", "65536"),
            ("listenPort", ""),
            ("bindAddress", "localhost:1"),
            ("orderMessageEnable", "yes"),
            ("scanNotActiveBrokerInterval", "0"),
            ("serverChannelMaxIdleTimeSeconds", "-1"),
        ] {
            assert!(outcome(&mut Options::default(), key, value).is_err(), "{key}={value}");
        }
    }
}
