//! What the broker reads from a message's properties, in one pass over their stored form.

use rocketmq_boot_protocol::message::{hash::java_hash, property as keys};

/// The properties that decide what happens to a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks<'a> {
    pub(crate) unique_key: Option<&'a str>,
    pub(crate) tags: Option<&'a str>,
    /// A delay level; what is no number is level 0, none.
    pub(crate) delay_level: usize,
    /// Whether the sender waits for the disk and for slaves.
    pub(crate) waits: bool,
    /// Whether this is a half message.
    pub(crate) half: bool,
    /// Whether delivery at a time is asked for.
    pub(crate) timer: bool,
    /// Whether it brings properties that only the broker sets, and which would be there twice.
    pub(crate) has_broker_keys: bool,
}

impl<'a> Marks<'a> {
    pub(crate) fn of(properties: &'a str) -> Self {
        let mut marks = Self { waits: true, ..Self::default() };
        for (key, value) in keys::iterate(properties) {
            match key {
                keys::UNIQ_KEY => marks.unique_key = Some(value),
                keys::TAGS => marks.tags = Some(value),
                keys::DELAY => marks.delay_level = value.trim().parse().unwrap_or(0),
                keys::WAIT => marks.waits = !value.eq_ignore_ascii_case("false"),
                keys::TRAN_MSG => marks.half = value.eq_ignore_ascii_case("true"),
                keys::TIMER_DELAY_SEC | keys::TIMER_DELAY_MS | keys::TIMER_DELIVER_MS => marks.timer = true,
                keys::CLUSTER | keys::MSG_REGION | keys::TRACE_ON => marks.has_broker_keys = true,
                _ => {}
            }
        }
        marks
    }

    /// What stands for the tag in the consume queue.
    pub(crate) fn tags_code(&self) -> i64 {
        self.tags.map_or(0, |tags| i64::from(java_hash(tags)))
    }
}

/// Writes properties anew: without the keys that `replaced` names, and with what it brings.
pub(crate) fn replace(properties: &str, replaced: &[(&str, Option<&str>)]) -> String {
    let mut out = String::with_capacity(properties.len() + 64);
    let mut push = |key: &str, value: &str| {
        out.push_str(key);
        out.push('\u{1}');
        out.push_str(value);
        out.push('\u{2}');
    };
    for (key, value) in keys::iterate(properties) {
        if !replaced.iter().any(|(gone, _)| *gone == key) {
            push(key, value);
        }
    }
    for (key, value) in replaced {
        if let Some(value) = value {
            push(key, value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_in_one_pass() {
        let marks =
            Marks::of("UNIQ_KEY\u{1}u\u{2}WAIT\u{1}FALSE\u{2}TAGS\u{1}placed\u{2}DELAY\u{1}3\u{2}x\u{1}y");
        assert_eq!((marks.unique_key, marks.tags, marks.delay_level), (Some("u"), Some("placed"), 3));
        assert!(!marks.waits && !marks.half && !marks.timer && !marks.has_broker_keys);
        assert_eq!(marks.tags_code(), i64::from(java_hash("placed")));
    }

    #[test]
    fn a_level_that_is_no_number_is_none() {
        assert_eq!(Marks::of("DELAY\u{1}soon\u{2}").delay_level, 0);
        assert_eq!(Marks::of("DELAY\u{1}-3\u{2}").delay_level, 0);
    }

    #[test]
    fn replacing_leaves_the_rest_in_order() {
        let text =
            replace("a\u{1}1\u{2}b\u{1}2\u{2}c\u{1}3", &[("b", Some("new")), ("c", None), ("d", Some("4"))]);
        assert_eq!(text, "a\u{1}1\u{2}b\u{1}new\u{2}d\u{1}4\u{2}");
    }
}
