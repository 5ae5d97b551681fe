//! Values that ask for something which is not there, and that nobody may believe to have.
//!
//! Most keys without an effect tune Apache's threads and buffers, and a broker that ignores them is as good. These are
//! not like that: they ask for safety, for copies or for another store.

/// Why a key of Apache's may not have this value here; `None` when it makes no difference.
pub(super) fn why(key: &str, value: &str) -> Option<&'static str> {
    let on = value.eq_ignore_ascii_case("true");
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    if on && (is("aclEnable") || is("authenticationEnabled") || is("authorizationEnabled")) {
        return Some("this broker has no users yet, and would serve everybody");
    }
    if on && (is("enableDLegerCommitLog") || is("enableDLedgerCommitLog") || is("enableControllerMode")) {
        return Some("this broker has no replicas");
    }
    if is("storeType") && !value.eq_ignore_ascii_case("default") {
        return Some("only the store in files, `default`, is there");
    }
    if on && is("enableConsumeQueueExt") {
        return Some("consume queues have no extension files here");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_vain_is_told_from_what_makes_no_difference() {
        for (key, value, refused) in [
            ("aclEnable", "true", true),
            ("aclEnable", "false", false),
            ("enableDLegerCommitLog", "TRUE", true),
            ("storeType", "defaultRocksDB", true),
            ("storeType", "default", false),
            ("sendMessageThreadPoolNums", "true", false),
        ] {
            assert_eq!(why(key, value).is_some(), refused, "{key}={value}");
        }
    }
}
