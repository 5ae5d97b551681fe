//! Answers to senders whose messages did not reach the disk in time.

use rocketmq_boot_protocol::{Command, Frame, ResponseCode};

/// Turns answers that say `SUCCESS` into `FLUSH_DISK_TIMEOUT`; the rest of each, the message's ids above all, stays,
/// because the message is in the log.
///
/// This is rare and may be slow: every answer is decoded and written again.
pub(crate) fn not_flushed(answers: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(answers.len());
    let mut rest = answers;
    while let Ok(Some((frame, length))) = Frame::split(rest) {
        if let Ok(mut answer) = Command::decode(frame) {
            if answer.response_code() == ResponseCode::SUCCESS {
                answer.code = ResponseCode::FLUSH_DISK_TIMEOUT.0;
                answer.remark = Some("the disk took longer than syncFlushTimeout, or failed".to_owned());
            }
            answer.encode(&mut out);
        }
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::{Command, RequestCode};

    use super::*;

    #[test]
    fn only_successes_change_their_code() {
        let request = Command::bare(RequestCode::SEND_MESSAGE_V2);
        let mut success = Command::success(&request);
        success.fields.insert("msgId", "7F");
        let refused = Command::failure(&request, ResponseCode::MESSAGE_ILLEGAL, "no");
        let mut bytes = success.to_bytes().to_vec();
        refused.encode(&mut bytes);

        let changed = not_flushed(&bytes);
        let (first, length) = Frame::split(&changed).unwrap().unwrap();
        let (second, _) = Frame::split(&changed[length..]).unwrap().unwrap();
        let first = Command::decode(first).unwrap();
        assert_eq!(first.response_code(), ResponseCode::FLUSH_DISK_TIMEOUT);
        assert_eq!(first.fields.get("msgId"), Some("7F"));
        assert_eq!(Command::decode(second).unwrap(), refused);
    }
}
