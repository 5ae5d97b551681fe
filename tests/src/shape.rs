//! What a body looks like without its values: the paths of its members, as far as they have names of their own.
//!
//! It reads what fastjson writes, which is not quite JSON: keys may be numbers or whole objects.

use std::collections::BTreeSet;

/// Members whose keys are data (topics, groups, queues) and not names.
const TABLES: [&str; 11] = [
    "brokerAddrTable",
    "clusterAddrTable",
    "consumeStatsList",
    "correctionOffsets",
    "data",
    "forbiddenTable",
    "offsetTable",
    "subscriptionGroupTable",
    "subscriptionTable",
    "topicConfigTable",
    "messageRequestModeMap",
];

/// The paths of all members, such as `offsetTable.*.maxOffset`; lists look like what is in them.
///
/// # Errors
/// Where the text stops being almost JSON.
pub fn paths(body: &[u8]) -> Result<BTreeSet<String>, String> {
    let mut scan = Scan { text: body, at: 0, paths: BTreeSet::new() };
    scan.value("", false)?;
    scan.space();
    match scan.at == body.len() {
        true => Ok(scan.paths),
        false => Err(format!("something stands behind the end, at {}", scan.at)),
    }
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    paths: BTreeSet<String>,
}

impl Scan<'_> {
    fn value(&mut self, path: &str, table: bool) -> Result<(), String> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(path, table),
            Some(b'[') => self.list(path, table),
            Some(b'"') => self.string().map(drop),
            Some(_) => self.word().map(drop),
            None => Err("the text ends where a value should be".to_owned()),
        }
    }

    fn object(&mut self, path: &str, table: bool) -> Result<(), String> {
        self.at += 1;
        loop {
            self.space();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    let key = self.key()?;
                    let name = match &key {
                        Some(key) if !table => key.as_str(),
                        _ => "*",
                    };
                    let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    self.paths.insert(below.clone());
                    self.space();
                    if self.peek() != Some(b':') {
                        return Err(format!("no colon at {}", self.at));
                    }
                    self.at += 1;
                    self.value(&below, TABLES.contains(&name))?;
                }
                None => return Err("the text ends within an object".to_owned()),
            }
        }
    }

    /// A name; `None` for a key that is an object or a number.
    fn key(&mut self) -> Result<Option<String>, String> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            Some(b'{') => {
                let mut inner = Scan { text: self.text, at: self.at, paths: BTreeSet::new() };
                inner.object("", false)?;
                self.at = inner.at;
                Ok(None)
            }
            _ => self.word().map(|_| None),
        }
    }

    fn list(&mut self, path: &str, table: bool) -> Result<(), String> {
        self.at += 1;
        loop {
            self.space();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => self.at += 1,
                Some(_) => self.value(path, table)?,
                None => return Err("the text ends within a list".to_owned()),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let begin = self.at + 1;
        self.at = begin;
        loop {
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(b'"') => {
                    let text = String::from_utf8_lossy(&self.text[begin..self.at]).into_owned();
                    self.at += 1;
                    return Ok(text);
                }
                Some(_) => self.at += 1,
                None => return Err("the text ends within a string".to_owned()),
            }
        }
    }

    fn word(&mut self) -> Result<(), String> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| !b",:{}[]\" \n\t\r".contains(&byte)) {
            self.at += 1;
        }
        if self.at == begin { Err(format!("no value at {begin}")) } else { Ok(()) }
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn tables_of_queues_and_numbers_have_no_names() {
        let body = concat!(
            r#"{"consumeTps":0.5,"offsetTable":{{"brokerName":"b","queueId":3}:{"brokerOffset":7}},"#,
            r#""brokerAddrs":{0:"a:1"},"list":[{"a":1},{"b":[null,"x\"}"]}]}"#
        );
        let expected = [
            "brokerAddrs",
            "brokerAddrs.*",
            "consumeTps",
            "list",
            "list.a",
            "list.b",
            "offsetTable",
            "offsetTable.*",
            "offsetTable.*.brokerOffset",
        ];
        assert_eq!(paths(body.as_bytes()).unwrap().into_iter().collect::<Vec<_>>(), expected);
        for broken in [r#"{"a":1"#, "", "{}}", r#"{"a" 1}"#, r#"{"a":}"#] {
            assert!(paths(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
