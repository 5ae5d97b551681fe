//! Walking over a JSON header without building it.

use memchr::memchr2;

use super::{MAX_FIELDS, Top, Value, Visit};
use crate::code::RequestCode;

pub(super) fn code(header: &[u8]) -> Option<RequestCode> {
    let rest = header.strip_prefix(b"{\"code\":")?;
    let digits = rest.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    if !matches!(rest, [b',' | b'}', ..]) {
        return None;
    }
    i32::try_from(super::decimal(number)?).ok().map(RequestCode)
}

pub(super) fn scan<'a>(header: &'a [u8], scratch: &mut Vec<u8>, fields: &mut impl Visit<'a>) -> Option<Top> {
    // C++ ends its headers with a newline.
    let mut header = header;
    while let [rest @ .., b' ' | b'\n' | b'\r' | b'\t'] = header {
        header = rest;
    }
    // JSON strings hold no control characters, and between strings only pretty printers put some. Looking at every
    // byte first, without a branch each, is cheaper than looking inside each string.
    if header.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
        return None;
    }
    super::is_text(header)?;
    let mut scan = Scan { header, at: 0 };
    let mut top = Top { code: RequestCode(0), version: 0, opaque: 0, flag: 0 };
    let (mut has_code, mut has_fields) = (false, false);
    scan.take(b'{')?;
    loop {
        match scan.key()? {
            b"code" if !has_code => {
                has_code = true;
                top.code = RequestCode(scan.i32()?);
            }
            b"extFields" if !has_fields => {
                has_fields = true;
                scan.fields(scratch, fields)?;
            }
            b"code" | b"extFields" => return None,
            b"opaque" => top.opaque = scan.i32()?,
            b"flag" => top.flag = scan.i32()?,
            b"version" => top.version = scan.i32()?,
            _ => {
                let kept = scratch.len();
                scan.value(scratch)?;
                scratch.truncate(kept);
            }
        }
        scan.space();
        match scan.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (scan.at == header.len()).then_some(top)
}

struct Scan<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.header.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn space(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.header.get(self.at..).unwrap_or_default()
    }

    /// A key, its colon and the space around it. Escapes could spell a known key in another way, so they end here.
    fn key(&mut self) -> Option<&'a [u8]> {
        self.space();
        self.take(b'"')?;
        let rest = self.rest();
        let length = special(rest)?;
        let (key, rest) = rest.split_at(length);
        if rest.first() != Some(&b'"') {
            return None;
        }
        self.at += length + 1;
        self.space();
        self.take(b':')?;
        self.space();
        Some(key)
    }

    fn i32(&mut self) -> Option<i32> {
        Value::Raw(self.number()?).i32()
    }

    /// An integer as JSON has it. `-0` is a float to JSON readers, and so are fractions and exponents.
    fn number(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest.get(sign..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, after) = rest.split_at(sign + digits);
        let plain = match number {
            b"0" => true,
            [b'-', b'1'..=b'9', ..] | [b'1'..=b'9', ..] => digits <= 18,
            _ => false,
        };
        if !plain || matches!(after, [b'.' | b'e' | b'E', ..]) {
            return None;
        }
        self.at += number.len();
        Some(number)
    }

    fn value(&mut self, scratch: &mut Vec<u8>) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.string(scratch),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null").map(|_| Value::Null),
            _ => self.number().map(Value::Raw),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<Value<'a>> {
        let found = self.rest().get(..word.len()).filter(|found| *found == word)?;
        self.at += word.len();
        Some(Value::Raw(found))
    }

    fn fields(&mut self, scratch: &mut Vec<u8>, fields: &mut impl Visit<'a>) -> Option<()> {
        self.take(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Some(());
        }
        for _ in 0..MAX_FIELDS {
            let key = self.key()?;
            let value = self.value(scratch)?;
            fields.field(key, value)?;
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
        None
    }

    fn string(&mut self, scratch: &mut Vec<u8>) -> Option<Value<'a>> {
        self.at += 1;
        let rest = self.rest();
        let length = special(rest)?;
        let (text, after) = rest.split_at(length);
        if after.first() == Some(&b'"') {
            self.at += length + 1;
            return Some(Value::Raw(text));
        }
        let start = scratch.len();
        self.unescape(scratch)?;
        Some(Value::Unescaped(start, scratch.len()))
    }

    /// Appends the rest of a string to `scratch`. Surrogates are left to the general decoder.
    fn unescape(&mut self, scratch: &mut Vec<u8>) -> Option<()> {
        loop {
            let rest = self.rest();
            let length = special(rest)?;
            let (text, after) = rest.split_at(length);
            scratch.extend_from_slice(text);
            self.at += length + 1;
            if after.first() == Some(&b'"') {
                return Some(());
            }
            match self.next()? {
                same @ (b'"' | b'\\' | b'/') => scratch.push(same),
                b'b' => scratch.push(0x08),
                b'f' => scratch.push(0x0C),
                b'n' => scratch.push(b'\n'),
                b'r' => scratch.push(b'\r'),
                b't' => scratch.push(b'\t'),
                b'u' => self.unicode(scratch)?,
                _ => return None,
            }
        }
    }

    fn unicode(&mut self, scratch: &mut Vec<u8>) -> Option<()> {
        let digits = self.rest().first_chunk::<4>()?;
        self.at += 4;
        // The separators of properties, which nearly every escape is.
        if let [b'0', b'0', b'0', separator @ (b'1' | b'2')] = digits {
            scratch.push(separator - b'0');
            return Some(());
        }
        let mut unit = 0;
        for digit in digits {
            unit = unit * 16 + char::from(*digit).to_digit(16)?;
        }
        let mut buffer = [0; 4];
        scratch.extend_from_slice(char::from_u32(unit)?.encode_utf8(&mut buffer).as_bytes());
        Some(())
    }
}

/// Where the next quote or backslash is. Most are near, and calling a vector search costs more than looking.
fn special(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 16;
    let near = bytes.get(..NEAR).unwrap_or(bytes);
    match near.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        Some(at) => Some(at),
        None => memchr2(b'"', b'\\', bytes.get(NEAR..)?).map(|at| at + NEAR),
    }
}
