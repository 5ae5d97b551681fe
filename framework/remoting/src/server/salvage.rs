//! Answering a request whose header cannot be decoded.
//!
//! The frame's bounds are known, so the connection is fine; what it takes is the opaque, which is looked for without
//! understanding the rest.

use rocketmq_boot_protocol::{
    Command, DecodeError, Encoding, Frame, RequestCode, ResponseCode,
    command::{FLAG_ONE_WAY, FLAG_RESPONSE},
};

/// What to do about such a request.
pub(super) enum Answer {
    /// Say why.
    Send(Box<Command>),
    /// It was a response, or one-way.
    Nothing,
    /// Nobody can be told anything.
    Close,
}

/// The answer to a request whose header failed with `error`.
pub(super) fn answer(frame: Frame<'_>, error: &DecodeError) -> Answer {
    let found = match frame.encoding {
        Encoding::Json => json(frame.header),
        Encoding::Binary => binary(frame.header),
    };
    let Some((opaque, flag)) = found else { return Answer::Close };
    if flag & (FLAG_RESPONSE | FLAG_ONE_WAY) != 0 {
        return Answer::Nothing;
    }
    let mut request = Command::bare(RequestCode(0));
    request.opaque = opaque;
    request.encoding = frame.encoding;
    let reason = format!("the header cannot be decoded: {error}");
    Answer::Send(Box::new(Command::failure(&request, ResponseCode::SYSTEM_ERROR, reason)))
}

/// Opaque and flag stand at fixed places: code 2, language 1, version 2, opaque 4, flag 4.
fn binary(header: &[u8]) -> Option<(i32, i32)> {
    let word = |at: usize| header.get(at..)?.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes));
    Some((word(5)?, word(9)?))
}

fn json(header: &[u8]) -> Option<(i32, i32)> {
    let text = String::from_utf8_lossy(header);
    Some((member(&text, "\"opaque\"")?, member(&text, "\"flag\"").unwrap_or(0)))
}

/// The integer behind a key.
fn member(text: &str, key: &str) -> Option<i32> {
    let behind = text[text.find(key)? + key.len()..].trim_start().strip_prefix(':')?.trim_start();
    let digits = behind.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(behind.len());
    behind[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(encoding: Encoding, header: &[u8]) -> Option<i32> {
        let error = DecodeError::malformed("header", "test");
        match answer(Frame { encoding, header, body: b"" }, &error) {
            Answer::Send(command) => {
                assert_eq!(
                    (command.encoding, command.response_code()),
                    (encoding, ResponseCode::SYSTEM_ERROR)
                );
                Some(command.opaque)
            }
            Answer::Nothing => Some(i32::MIN),
            Answer::Close => None,
        }
    }

    #[test]
    fn the_opaque_is_found_in_broken_json() {
        assert_eq!(outcome(Encoding::Json, br#"{"code":{},"opaque":-17,"#), Some(-17));
        assert_eq!(outcome(Encoding::Json, b"{\"opaque\" : 5\xFF"), Some(5));
        assert_eq!(outcome(Encoding::Json, br#"{"opaque":5,"flag":2,}"#), Some(i32::MIN));
        assert_eq!(outcome(Encoding::Json, br#"{"flag":1,"opaque":5,}"#), Some(i32::MIN));
        for text in ["", "{", "{\"opaque\"", "{\"opaque\":", "{\"opaque\":99999999999}", "{\"opaque\":x"] {
            assert_eq!(outcome(Encoding::Json, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_opaque_is_found_in_a_broken_binary_header() {
        let mut header = vec![0, 34, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0xFF];
        assert_eq!(outcome(Encoding::Binary, &header), Some(9));
        header[12] = 1;
        assert_eq!(outcome(Encoding::Binary, &header), Some(i32::MIN));
        assert_eq!(outcome(Encoding::Binary, &header[..12]), None);
    }
}
