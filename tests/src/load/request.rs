//! Frames of sends and pulls, encoded once; what differs from one request to the next is patched into a copy.

use rocketmq_boot_protocol::{
    Command, Encoding, Language, RequestCode,
    frame::{self, PREFIX_BYTES},
    header::{
        pull::{PullMessage, sys_flag},
        send::SendMessageShort,
        topic::CreateTopic,
    },
};

/// The first number of a request. All of them have ten digits, so that they can be patched into JSON.
pub const FIRST_OPAQUE: i32 = 1_000_000_000;

/// How many numbers there are from [`FIRST_OPAQUE`] on.
pub const OPAQUES: i32 = 1_000_000_000;

/// Where the number stands in a binary frame: behind code, language and version.
const BINARY_OPAQUE_AT: usize = PREFIX_BYTES + 2 + 1 + 2;

/// The group that the generator sends and pulls as.
const GROUP: &str = "load";

/// The first half of each message's unique key, as a client on 127.0.0.1 would make it. The id is the other half.
const KEY_BEGIN: &str = "7F00000100014B85";

/// The shortest body: it begins with the id.
pub const MIN_BODY_BYTES: usize = 16;

/// Where requests go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The queue.
    pub queue: i32,
}

/// A send (310) to one queue.
#[derive(Debug, Clone)]
pub struct Send {
    frame: Vec<u8>,
    number: Number,
    key_at: usize,
    body_at: usize,
}

impl Send {
    /// A send of `body_bytes` with headers in `encoding`.
    ///
    /// # Panics
    /// When the body is shorter than [`MIN_BODY_BYTES`].
    pub fn new(target: Target<'_>, encoding: Encoding, body_bytes: usize) -> Self {
        assert!(body_bytes >= MIN_BODY_BYTES, "a body holds at least the id and a time");
        let header = SendMessageShort {
            producer_group: GROUP.into(),
            topic: target.topic.into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id: target.queue,
            born_timestamp: 1_700_000_000_000,
            properties: Some(format!("UNIQ_KEY\u{1}{KEY_BEGIN}{}\u{2}WAIT\u{1}true\u{2}", "#".repeat(16))),
            ..SendMessageShort::default()
        };
        let body: Vec<u8> = (0..body_bytes).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)).collect();
        let frame = encode(Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(body), encoding);
        let key_at = find(&frame, "#".repeat(16).as_bytes()).expect("the key is in the header");
        Self { number: Number::find(&frame, encoding), key_at, body_at: frame.len() - body_bytes, frame }
    }

    /// Appends the frame with its number and its message's id.
    pub fn write(&self, opaque: i32, id: u64, out: &mut Vec<u8>) {
        self.copy(opaque, id, out);
    }

    /// The same with a time behind the id.
    pub fn write_stamped(&self, opaque: i32, id: u64, stamp: u64, out: &mut Vec<u8>) {
        let body_at = self.body_at;
        self.copy(opaque, id, out)[body_at + 8..body_at + 16].copy_from_slice(&stamp.to_be_bytes());
    }

    fn copy<'o>(&self, opaque: i32, id: u64, out: &'o mut Vec<u8>) -> &'o mut [u8] {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        self.number.patch(frame, opaque);
        let id = id.to_be_bytes();
        for (digits, byte) in frame[self.key_at..self.key_at + 16].chunks_exact_mut(2).zip(id) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 15)];
        }
        frame[self.body_at..self.body_at + 8].copy_from_slice(&id);
        frame
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A pull (11) from one queue.
#[derive(Debug, Clone)]
pub struct Pull {
    /// The header in front of the offset's digits, and behind them.
    before: Vec<u8>,
    after: Vec<u8>,
    encoding: Encoding,
    number: Number,
}

impl Pull {
    /// A pull of at most `messages`; it is held for `hold_ms` when there are none, unless that is 0.
    ///
    /// # Panics
    /// Never: the header that is looked through was made here.
    pub fn new(target: Target<'_>, encoding: Encoding, messages: i32, hold_ms: i64) -> Self {
        const OFFSET: i64 = 8_888_888_888_888_888;
        let header = PullMessage {
            consumer_group: GROUP.into(),
            topic: target.topic.into(),
            queue_id: target.queue,
            queue_offset: OFFSET,
            max_message_nums: messages,
            sys_flag: sys_flag::SUBSCRIPTION | if hold_ms > 0 { sys_flag::SUSPEND } else { 0 },
            suspend_timeout_millis: hold_ms,
            subscription: Some("*".into()),
            expression_type: Some("TAG".into()),
            ..PullMessage::default()
        };
        let frame = encode(Command::request(RequestCode::PULL_MESSAGE, &header), encoding);
        let number = Number::find(&frame, encoding);
        let digits = OFFSET.to_string();
        let at = find(&frame, digits.as_bytes()).expect("the offset is in the header");
        let after = frame[at + digits.len()..].to_vec();
        // In the binary header the digits have their length in front of them.
        let keep = if encoding == Encoding::Binary { at - 4 } else { at };
        Self { before: frame[..keep].to_vec(), after, encoding, number }
    }

    /// Appends the frame with its number and the offset to pull from.
    pub fn write(&self, opaque: i32, offset: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.before);
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = offset;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if self.encoding == Encoding::Binary {
            let length = u32::try_from(digits.len() - at).unwrap_or(0);
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(&digits[at..]);
        out.extend_from_slice(&self.after);
        let frame = &mut out[start..];
        if self.encoding == Encoding::Binary {
            // The length of all fields, in front of them.
            let fields_at = BINARY_OPAQUE_AT + 4 + 4 + 4;
            let fields = u32::try_from(frame.len() - fields_at - 4).unwrap_or(0);
            frame[fields_at..fields_at + 4].copy_from_slice(&fields.to_be_bytes());
        }
        self.number.patch(frame, opaque);
        let header = frame.len() - PREFIX_BYTES;
        frame::seal(out, start, header, self.encoding);
    }
}

/// Creates a topic (17) with so many queues.
pub fn create_topic(topic: &str, queues: i32) -> Command {
    let header = CreateTopic {
        topic: topic.into(),
        default_topic: Some("TBW102".into()),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: Some("SINGLE_TAG".into()),
        topic_sys_flag: Some(0),
        ..CreateTopic::default()
    };
    Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header)
}

/// Where a frame's number stands, and how it is written.
#[derive(Debug, Clone, Copy)]
enum Number {
    Binary,
    /// Counted from the frame's end: a pull's offset, whose length varies, stands in front of it.
    Json {
        from_end: usize,
    },
}

impl Number {
    fn find(frame: &[u8], encoding: Encoding) -> Self {
        match encoding {
            Encoding::Binary => Self::Binary,
            Encoding::Json => {
                let key = format!("\"opaque\":{FIRST_OPAQUE}");
                let at = find(frame, key.as_bytes()).expect("the number is in the header");
                Self::Json { from_end: frame.len() - at - "\"opaque\":".len() }
            }
        }
    }

    fn patch(self, frame: &mut [u8], opaque: i32) {
        match self {
            Self::Binary => {
                frame[BINARY_OPAQUE_AT..BINARY_OPAQUE_AT + 4].copy_from_slice(&opaque.to_be_bytes());
            }
            Self::Json { from_end } => {
                let at = frame.len() - from_end;
                let mut rest = opaque.unsigned_abs();
                for digit in frame[at..at + 10].iter_mut().rev() {
                    *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                    rest /= 10;
                }
            }
        }
    }
}

/// As a 5.x Java client writes it.
fn encode(mut command: Command, encoding: Encoding) -> Vec<u8> {
    command.language = Language::Java;
    command.opaque = FIRST_OPAQUE;
    command.encoding = encoding;
    command.to_bytes().to_vec()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use rocketmq_boot_protocol::Frame;

    use super::*;

    const TARGET: Target<'static> = Target { topic: "orders", queue: 3 };

    fn decoded(bytes: &[u8]) -> Command {
        let (frame, taken) = Frame::split(bytes).unwrap().unwrap();
        assert_eq!(taken, bytes.len());
        Command::decode(frame).unwrap()
    }

    #[test]
    fn a_patched_send_says_its_number_and_id() {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let mut out = Vec::new();
            Send::new(TARGET, encoding, 128).write_stamped(
                1_987_654_321,
                0x0123_4567_89AB_CDEF,
                77,
                &mut out,
            );
            let command = decoded(&out);
            let header: SendMessageShort = command.header().unwrap();
            assert_eq!((command.opaque, command.body.len()), (1_987_654_321, 128));
            assert_eq!((header.topic.as_str(), header.queue_id), ("orders", 3));
            assert!(header.properties.unwrap().contains("0123456789ABCDEF\u{2}"));
            assert_eq!(command.body[..8], 0x0123_4567_89AB_CDEF_u64.to_be_bytes());
            assert_eq!(command.body[8..16], 77_u64.to_be_bytes());
        }
    }

    #[test]
    fn a_patched_pull_says_its_number_and_offset() {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let pull = Pull::new(TARGET, encoding, 32, 15_000);
            for offset in [0, 9, 10, 12_345_678_901] {
                let mut out = Vec::new();
                pull.write(1_000_000_007, offset, &mut out);
                let command = decoded(&out);
                let header: PullMessage = command.header().unwrap();
                assert_eq!(command.opaque, 1_000_000_007);
                assert_eq!(u64::try_from(header.queue_offset), Ok(offset));
                assert_eq!((header.max_message_nums, header.suspend_timeout_millis), (32, 15_000));
            }
        }
    }
}
