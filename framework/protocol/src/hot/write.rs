//! Writing a response header into the output buffer, in either encoding.

use memchr::memchr2;

use crate::{
    code::ResponseCode,
    command::{FLAG_RESPONSE, Language, VERSION},
    frame::{self, Encoding, PREFIX_BYTES},
};

/// Where the opaque stands in a binary frame: behind code, language and version.
pub(super) const OPAQUE_AT: usize = PREFIX_BYTES + 2 + 1 + 2;

/// Where the fields begin in a binary frame without a remark: behind the opaque, the flag and two lengths.
pub(super) const FIELDS_AT: usize = OPAQUE_AT + 4 + 4 + 4 + 4;

/// A response that is being written. Texts longer than their length words can say do not occur: the longest is a
/// remark.
pub(super) struct Response<'o, 'r> {
    out: &'o mut Vec<u8>,
    encoding: Encoding,
    opaque: i32,
    remark: Option<&'r str>,
    /// Where the frame begins.
    start: usize,
    /// Where the fields begin; in binary, behind their length word.
    fields: usize,
}

impl<'o, 'r> Response<'o, 'r> {
    pub(super) fn begin(
        out: &'o mut Vec<u8>,
        encoding: Encoding,
        opaque: i32,
        code: ResponseCode,
        remark: Option<&'r str>,
    ) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        match encoding {
            Encoding::Json => {
                out.extend_from_slice(b"{\"code\":");
                number(out, i64::from(code.0));
                out.extend_from_slice(b",\"extFields\":{");
            }
            Encoding::Binary => {
                let [_, _, c0, c1] = code.0.to_be_bytes();
                let [_, _, v0, v1] = VERSION.to_be_bytes();
                let [o0, o1, o2, o3] = opaque.to_be_bytes();
                let [f0, f1, f2, f3] = FLAG_RESPONSE.to_be_bytes();
                let language = Language::Java.to_byte();
                out.extend_from_slice(&[c0, c1, language, v0, v1, o0, o1, o2, o3, f0, f1, f2, f3]);
                long(out, remark.unwrap_or_default().as_bytes());
                out.extend_from_slice(&[0; 4]);
            }
        }
        let fields = out.len();
        Self { out, encoding, opaque, remark, start, fields }
    }

    pub(super) fn number(&mut self, key: &str, value: i64) {
        self.field(key, |out| number(out, value));
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        match self.encoding {
            Encoding::Json => self.field(key, |out| escaped(out, value)),
            Encoding::Binary => self.field(key, |out| out.extend_from_slice(value.as_bytes())),
        }
    }

    /// A field whose value `write` appends as text that needs no escapes.
    #[inline]
    pub(super) fn field(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        match self.encoding {
            Encoding::Json => {
                let comma: &[u8] = if self.out.len() == self.fields { b"\"" } else { b",\"" };
                self.out.extend_from_slice(comma);
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":\"");
                write(self.out);
                self.out.push(b'"');
            }
            Encoding::Binary => {
                let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
                self.out.extend_from_slice(&length.to_be_bytes());
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(&[0; 4]);
                let start = self.out.len();
                write(self.out);
                set_length(self.out, start);
            }
        }
    }

    pub(super) fn finish(self, body: &[u8]) {
        let out = self.out;
        match self.encoding {
            Encoding::Json => finish_json(out, self.opaque, self.remark),
            Encoding::Binary => set_length(out, self.fields),
        }
        frame::finish(out, self.start, self.encoding, body);
    }
}

/// Closes the fields and writes what stands behind them.
pub(super) fn finish_json(out: &mut Vec<u8>, opaque: i32, remark: Option<&str>) {
    out.extend_from_slice(b"},\"flag\":1,\"language\":\"JAVA\",\"opaque\":");
    number(out, i64::from(opaque));
    if let Some(remark) = remark {
        out.extend_from_slice(b",\"remark\":\"");
        escaped(out, remark);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    number(out, i64::from(VERSION));
    out.push(b'}');
}

/// Appends bytes behind their length.
pub(super) fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    out.extend_from_slice(bytes);
    set_length(out, start);
}

/// Fills in the length word in front of `start` with what has been written behind it.
pub(super) fn set_length(out: &mut [u8], start: usize) {
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start - 4..start].copy_from_slice(&length.to_be_bytes());
}

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let at = decimal(value, &mut digits);
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number in decimal behind its length.
pub(super) fn counted_number(out: &mut Vec<u8>, value: i64) {
    let mut text = [0; 24];
    let (length, digits) = text.split_at_mut(4);
    let Some(digits) = digits.first_chunk_mut() else { return };
    let at = decimal(value, digits);
    length[3] = u8::try_from(digits.len() - at).unwrap_or_default();
    // The length moves to where the digits begin.
    text.copy_within(..4, at);
    out.extend_from_slice(&text[at..]);
}

/// Writes digits to the end of the array, and tells where they begin.
fn decimal(value: i64, digits: &mut [u8; 20]) -> usize {
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        // A remainder by ten fits a byte.
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    at
}

/// Appends text as the inside of a JSON string.
pub(super) fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let control = bytes.iter().fold(false, |found, byte| found | (*byte < 0x20));
    if !control && memchr2(b'"', b'\\', bytes).is_none() {
        out.extend_from_slice(bytes);
        return;
    }
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                hex(out, &[*byte]);
            }
            byte => out.push(*byte),
        }
    }
}

/// Appends upper-case hexadecimal digits of up to 28 bytes, which is as long as a message id gets.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = [0; 56];
    let (pairs, _) = text.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    out.extend_from_slice(&text[..bytes.len() * 2]);
}
