//! Configuration files in the syntax of `java.util.Properties`: `broker.conf`, `namesrv.conf`.
//!
//! Text goes in, keys and values with their line numbers come out. What a key means is up to the reader.

use std::borrow::Cow;

/// A key, its value, and the line that it begins on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; blanks at its end belong to it.
    pub value: String,
    /// The first line of the entry.
    pub line: usize,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Entry>,
    shadowed: Vec<Entry>,
}

/// A file that is not in the syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `\\u` needs four hexadecimal digits")]
pub struct SyntaxError {
    /// The first line of the entry, counted from 1.
    pub line: usize,
}

impl Properties {
    /// Reads a file's bytes: UTF-8, or Latin-1 when they are not.
    ///
    /// # Errors
    /// A `\u` without four hexadecimal digits, the one thing that Java refuses too.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyntaxError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text.strip_prefix('\u{FEFF}').unwrap_or(text)),
            Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
        };
        let mut properties = Self::default();
        let mut lines = natural_lines(&text).zip(1..);
        while let Some((first, line)) = lines.next() {
            let first = first.trim_start_matches(blank);
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let mut logical = Cow::Borrowed(first);
            while continues(&logical) {
                let joined = logical.to_mut();
                joined.pop();
                let Some((next, _)) = lines.next() else { break };
                joined.push_str(next.trim_start_matches(blank));
            }
            properties.insert(entry(&logical, line)?);
        }
        Ok(properties)
    }

    /// Keys and values in the order of the file, each key once: the last of several wins.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entries that a later one with the same key replaced.
    pub fn shadowed(&self) -> &[Entry] {
        &self.shadowed
    }

    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn insert(&mut self, entry: Entry) {
        if let Some(at) = self.entries.iter().position(|earlier| earlier.key == entry.key) {
            self.shadowed.push(self.entries.remove(at));
        }
        self.entries.push(entry);
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{C}')
}

/// Lines ended by `\n`, `\r` or both.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let behind = &text[end..];
        rest = Some(behind.strip_prefix("\r\n").unwrap_or(&behind[1..]));
        Some(&text[..end])
    })
}

/// Whether a line goes on in the next one: it ends with a backslash that is not itself escaped.
fn continues(line: &str) -> bool {
    let before = line.trim_end_matches('\\');
    (line.len() - before.len()) % 2 == 1
}

fn entry(line: &str, number: usize) -> Result<Entry, SyntaxError> {
    let mut escaped = false;
    let key_end = line
        .find(|c: char| {
            let ends = !escaped && (blank(c) || matches!(c, '=' | ':'));
            escaped = !escaped && c == '\\';
            ends
        })
        .unwrap_or(line.len());
    let value = line[key_end..].trim_start_matches(blank);
    let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start_matches(blank);
    let unescaped = |text: &str| unescape(text).ok_or(SyntaxError { line: number });
    Ok(Entry { key: unescaped(&line[..key_end])?, value: unescaped(value)?, line: number })
}

/// Resolves backslashes; `None` for a malformed `\u`.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    // Escapes are UTF-16 units, of which two may make one character.
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{C}',
                Some('u') => {
                    let digits =
                        rest.as_str().get(..4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
                    units.push(u16::from_str_radix(digits, 16).ok()?);
                    rest = rest.as_str()[4..].chars();
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        let properties = Properties::parse(text.as_bytes()).unwrap();
        properties.entries().iter().map(|e| (e.key.clone(), e.value.clone(), e.line)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut pairs = pairs(text);
        assert_eq!(pairs.len(), 1, "{text:?}");
        let (key, value, _) = pairs.remove(0);
        (key, value)
    }

    #[test]
    fn keys_end_at_an_equals_sign_a_colon_or_a_blank() {
        for text in
            ["a=b", "a:b", "a b", " \t a \u{C}=\tb", "a = b", "a : b", "a\tb", "a=b\r\n\r\n", "a=b\r# c"]
        {
            assert_eq!(one(text), ("a".into(), "b".into()), "{text:?}");
        }
        assert_eq!(one("a = = b"), ("a".into(), "= b".into()));
        assert_eq!(one("a"), ("a".into(), String::new()));
        assert_eq!(one("=b"), (String::new(), "b".into()));
        assert_eq!(one("a=b \t"), ("a".into(), "b \t".into()));
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines_only() {
        let text = "# head\n\n  ! note = 1\nlistenPort=9876\n   \nkey = v # no comment here\n#x\\\ny=2";
        assert_eq!(
            pairs(text),
            [
                ("listenPort".into(), "9876".into(), 4),
                ("key".into(), "v # no comment here".into(), 6),
                ("y".into(), "2".into(), 8),
            ]
        );
    }

    #[test]
    fn a_backslash_at_the_end_joins_lines() {
        assert_eq!(one("addrs = a:1;\\\n    b:2;\\\r\n\t# c:3"), ("addrs".into(), "a:1;b:2;# c:3".into()));
        assert_eq!(pairs("a=1\\\\\nb=2"), [("a".into(), "1\\".into(), 1), ("b".into(), "2".into(), 2)]);
        assert_eq!(one("a=1\\"), ("a".into(), "1".into()));
        assert_eq!(pairs("a=\\\n\nb=1").len(), 2);
    }

    #[test]
    fn escapes_are_resolved_in_keys_and_values() {
        assert_eq!(one(r"a\=b\:c\ d = \t\n\r\f\q\\"), ("a=b:c d".into(), "\t\n\r\u{C}q\\".into()));
        assert_eq!(
            one(r"\u0061=\u4f60\ud83d\ude00\ud83d!"),
            ("a".into(), "\u{4F60}\u{1F600}\u{FFFD}!".into())
        );
    }

    #[test]
    fn bytes_are_utf_8_or_else_latin_1() {
        assert_eq!(one("a=\u{FC}").1, "\u{FC}");
        assert_eq!(one("\u{FEFF}a=b").0, "a");
        assert_eq!(Properties::parse(b"a=\xFC").unwrap().get("a").unwrap().value, "\u{FC}");
    }

    #[test]
    fn the_last_of_several_wins_and_the_others_are_told() {
        let properties = Properties::parse(b"a=1\nb=2\na=3").unwrap();
        assert_eq!(properties.get("a").map(|entry| (entry.value.as_str(), entry.line)), Some(("3", 3)));
        assert_eq!(properties.entries().len(), 2);
        assert_eq!(properties.shadowed().iter().map(|entry| entry.line).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_malformed_unicode_escape_names_its_line() {
        for text in ["\n\na=\\u12", "\n\na=\\u12g4", "\n\n\\u=1", "\n\na=\\u+123", "\n\na=\\u1\u{4F60}"] {
            assert_eq!(Properties::parse(text.as_bytes()), Err(SyntaxError { line: 3 }), "{text:?}");
        }
    }
}
