//! The words of a filter expression.
//!
//! As in RocketMQ the longest match wins, keywords are written in any case, and what cannot begin a word is found out
//! only when the parser comes to it.

use super::CompileError;

/// A word with the byte at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) at: usize,
}

/// What a word is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    Keyword(Keyword),
    /// The name of a property.
    Name(&'a str),
    /// Digits, without the `L` that may follow them.
    Whole(&'a str),
    /// A number with a point or an exponent.
    Fraction(&'a str),
    /// What stands between the quotes; quotes inside are still doubled.
    Text(&'a str),
    Symbol(Symbol),
    /// Behind the last word.
    End,
}

macro_rules! keywords {
    ($($keyword:ident = $word:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Keyword {
            $($keyword,)+
        }

        fn keyword(word: &str) -> Option<Keyword> {
            $(if word.eq_ignore_ascii_case($word) {
                return Some(Keyword::$keyword);
            })+
            None
        }
    };
}

keywords! {
    Not = "NOT",
    And = "AND",
    Or = "OR",
    Between = "BETWEEN",
    In = "IN",
    True = "TRUE",
    False = "FALSE",
    Null = "NULL",
    Is = "IS",
    Contains = "CONTAINS",
    StartsWith = "STARTSWITH",
    EndsWith = "ENDSWITH",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Open,
    Close,
    Comma,
    Plus,
    Minus,
}

/// Longer symbols stand before those that they begin with.
const SYMBOLS: [(&str, Symbol); 11] = [
    ("<>", Symbol::NotEqual),
    ("<=", Symbol::LessOrEqual),
    (">=", Symbol::GreaterOrEqual),
    ("<", Symbol::Less),
    (">", Symbol::Greater),
    ("=", Symbol::Equal),
    ("(", Symbol::Open),
    (")", Symbol::Close),
    (",", Symbol::Comma),
    ("+", Symbol::Plus),
    ("-", Symbol::Minus),
];

/// Cuts an expression into words.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Result<Token<'a>, CompileError> {
        self.skip_blanks();
        let (rest, at) = (self.rest(), self.at);
        let Some(first) = rest.bytes().next() else { return Ok(Token { kind: Kind::End, at }) };
        let (kind, length) = match first {
            b'\'' => text(rest).ok_or_else(|| CompileError::new(self.text, at, "a text without an end"))?,
            b'0'..=b'9' | b'.' => number(rest)
                .ok_or_else(|| CompileError::new(self.text, at, "a point that belongs to no number"))?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => word(rest),
            _ => symbol(rest).ok_or_else(|| {
                let found = rest.chars().next().unwrap_or_default();
                CompileError::new(self.text, at, format!("unexpected {found:?}"))
            })?,
        };
        self.at += length;
        Ok(Token { kind, at })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blanks =
                rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)).count();
            let skipped = if blanks > 0 { blanks } else { comment(rest) };
            if skipped == 0 {
                return;
            }
            self.at += skipped;
        }
    }
}

/// The length of the comment at the start of `rest`. One that has no end is none, and its signs are words.
fn comment(rest: &str) -> usize {
    if let Some(line) = rest.strip_prefix("--") {
        let Some(end) = line.find(['\n', '\r']) else { return 0 };
        return 2 + end + if line[end..].starts_with("\r\n") { 2 } else { 1 };
    }
    rest.strip_prefix("/*").and_then(|block| block.find("*/")).map_or(0, |end| end + 4)
}

fn text(rest: &str) -> Option<(Kind<'_>, usize)> {
    let bytes = rest.as_bytes();
    let mut end = 1;
    loop {
        end += memchr::memchr(b'\'', bytes.get(end..)?)?;
        if bytes.get(end + 1) != Some(&b'\'') {
            return Some((Kind::Text(&rest[1..end]), end + 1));
        }
        end += 2;
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The length of `E`, a sign and digits at the start of `text`; 0 when they are not all there.
fn exponent(text: &str) -> usize {
    let Some(behind) = text.strip_prefix(['e', 'E']) else { return 0 };
    let unsigned = behind.strip_prefix(['+', '-']).unwrap_or(behind);
    match digits(unsigned) {
        0 => 0,
        count => text.len() - unsigned.len() + count,
    }
}

fn number(rest: &str) -> Option<(Kind<'_>, usize)> {
    let whole = digits(rest);
    let behind = &rest[whole..];
    if let Some(fraction) = behind.strip_prefix('.') {
        let places = digits(fraction);
        if whole + places == 0 {
            return None;
        }
        let length = whole + 1 + places + exponent(&fraction[places..]);
        return Some((Kind::Fraction(&rest[..length]), length));
    }
    let exponent = exponent(behind);
    if exponent > 0 {
        return Some((Kind::Fraction(&rest[..whole + exponent]), whole + exponent));
    }
    if rest.starts_with('0') {
        // A whole number does not begin with a zero: what follows it is a word of its own.
        return Some((Kind::Whole(&rest[..1]), 1));
    }
    Some((Kind::Whole(&rest[..whole]), whole + usize::from(behind.starts_with(['l', 'L']))))
}

fn word(rest: &str) -> (Kind<'_>, usize) {
    let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$')).count();
    let word = &rest[..length];
    (keyword(word).map_or(Kind::Name(word), Kind::Keyword), length)
}

fn symbol(rest: &str) -> Option<(Kind<'_>, usize)> {
    let (sign, symbol) = SYMBOLS.iter().find(|(sign, _)| rest.starts_with(sign))?;
    Some((Kind::Symbol(*symbol), sign.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        let mut lexer = Lexer::new(text);
        let next = || Some(lexer.next().unwrap().kind).filter(|kind| *kind != Kind::End);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn numbers_are_cut_where_java_cuts_them() {
        for (text, expected) in [
            ("0", vec![Kind::Whole("0")]),
            ("12L", vec![Kind::Whole("12")]),
            ("0L", vec![Kind::Whole("0"), Kind::Name("L")]),
            ("007", vec![Kind::Whole("0"), Kind::Whole("0"), Kind::Whole("7")]),
            ("007e2", vec![Kind::Fraction("007e2")]),
            ("5.", vec![Kind::Fraction("5.")]),
            (".5E-3", vec![Kind::Fraction(".5E-3")]),
            ("5e", vec![Kind::Whole("5"), Kind::Name("e")]),
            ("1.5.5", vec![Kind::Fraction("1.5"), Kind::Fraction(".5")]),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn comments_need_an_end() {
        let name = |name| Kind::Name(name);
        assert_eq!(kinds("a--x\r\nb/* * / **/c"), [name("a"), name("b"), name("c")]);
        let minus = Kind::Symbol(Symbol::Minus);
        assert_eq!(kinds("a--x"), [name("a"), minus.clone(), minus, name("x")]);
        let mut lexer = Lexer::new("a /* b");
        lexer.next().unwrap();
        assert_eq!(lexer.next().unwrap_err().position(), 3);
    }

    #[test]
    fn quotes_in_texts_are_doubled() {
        assert_eq!(kinds("'it''s' ''"), [Kind::Text("it''s"), Kind::Text("")]);
        assert_eq!(Lexer::new("'it''s").next().unwrap_err().position(), 1);
    }
}
