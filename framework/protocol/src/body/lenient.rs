//! Reading bodies that are almost JSON: keys without quotes, objects as keys, and numbers that come as text.
//!
//! fastjson writes `{0:"a"}` and `{{"brokerName":"b","queueId":0,"topic":"t"}:{..}}`. Both become
//! JSON here, by one pass that quotes every key that is not a string, and serde does the rest: a numeric key arrives
//! as its digits, an object key as its text. fastjson also takes `"1"` for 1 and the other way round, and clients
//! have come to rely on it: `coerce` does the same.

mod coerce;

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::DecodeError;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 32;

/// Reads a body.
///
/// # Errors
/// The text is not even almost JSON, is nested deeper than 32 levels, or does not have the members of `T`.
pub fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|error| DecodeError::malformed(what, error))?;
    let json = to_json(text).map_err(|why| DecodeError::malformed(what, why))?;
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    T::deserialize(coerce::Coerced(&mut deserializer)).map_err(|error| DecodeError::malformed(what, error))
}

/// A value of which a type is read as leniently as from text.
pub(super) fn coerced(value: &serde_json::Value) -> impl serde::Deserializer<'_, Error = serde_json::Error> {
    coerce::Coerced(value)
}

/// Quotes the keys that need it; text that is JSON already is handed back as it is.
fn to_json(text: &str) -> Result<Cow<'_, str>, String> {
    let mut scan = Scan { text, at: 0, out: String::new(), copied: 0 };
    scan.value(0)?;
    scan.space();
    if scan.at < text.len() {
        return Err(format!("bytes behind the end at {}", scan.at));
    }
    if scan.copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    let rest = scan.copied;
    scan.out.push_str(&text[rest..]);
    Ok(Cow::Owned(scan.out))
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    out: String,
    copied: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        self.space();
        if self.peek() != Some(byte) {
            return Err(format!("expected `{}` at {}", char::from(byte), self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.items(b'[', b']', |scan| scan.value(depth + 1)),
            Some(b'"') => self.string(),
            Some(_) => self.word(),
            None => Err("ends early".to_owned()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), String> {
        self.items(b'{', b'}', |scan| {
            scan.key(depth)?;
            scan.expect(b':')?;
            scan.value(depth + 1)
        })
    }

    fn items(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.expect(open)?;
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(format!("expected `,` or `{}` at {}", char::from(close), self.at)),
            }
        }
    }

    fn key(&mut self, depth: usize) -> Result<(), String> {
        self.space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'{') => {
                // The key is quoted as it stands, so what was rewritten inside it does not matter.
                let (out, copied) = (self.out.len(), self.copied);
                self.value(depth + 1)?;
                self.out.truncate(out);
                self.copied = copied;
            }
            _ => self.word()?,
        }
        let key = serde_json::Value::from(&self.text[start..self.at]).to_string();
        self.out.push_str(&self.text[self.copied..start]);
        self.out.push_str(&key);
        self.copied = self.at;
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err("a string ends early".to_owned()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
    }

    fn word(&mut self) -> Result<(), String> {
        let start = self.at;
        while matches!(self.peek(), Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'_'))
        {
            self.at += 1;
        }
        if self.at == start {
            return Err(format!("unexpected byte at {start}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Result<Value, DecodeError> {
        read("body", text.as_bytes())
    }

    #[test]
    fn keys_without_quotes_and_object_keys_are_read() {
        assert_eq!(value(r#"{0:"a",-1:{2:[{3:4}]}}"#).unwrap(), json!({"0":"a","-1":{"2":[{"3":4}]}}));
        let table =
            value(r#"{"offsetTable":{{"queueId":0,"topic":"t\"x"}:{"o":1},{"queueId":1}:2}}"#).unwrap();
        let keys: Vec<_> = table["offsetTable"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, [r#"{"queueId":0,"topic":"t\"x"}"#, r#"{"queueId":1}"#]);
    }

    #[test]
    fn json_is_left_as_it_is() {
        for text in ["{}", " [1, 2.5e-3, \"\\\"{0:\", true, null]\n", r#"{"a":{"b":[]}}"#] {
            assert!(matches!(to_json(text), Ok(Cow::Borrowed(_))), "{text}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        for text in
            ["", "{", "{0", "{0:", "{0:1", "{:1}", "[1 2]", "\"\\", "{}x", "{{}", "\u{1F600}", "{\"a\":1,}"]
        {
            assert!(value(text).is_err(), "{text}");
        }
        assert!(value(&"[".repeat(100_000)).is_err());
        assert!(value(&"{{".repeat(100_000)).is_err());
        assert!(read::<Value>("body", &[0xFF, 0xFE]).is_err());
    }
}
