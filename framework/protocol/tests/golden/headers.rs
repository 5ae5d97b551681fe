//! Typed headers against the captured ones, and our answers against Apache's.

use std::net::{Ipv4Addr, SocketAddr};

use rocketmq_boot_protocol::{
    Command, Encoding, Frame, Header,
    header::{
        broker::{BrokerIdentity, RegisterBroker, RegisterBrokerReply},
        group::{ConsumerGroup, HeartBeatReply, UnregisterClient},
        offset::{OffsetReply, QueryConsumerOffset, QueueOffset, SearchOffset, UpdateConsumerOffset},
        pull::{PullMessage, PullMessageReply},
        send::{SendBack, SendMessage, SendMessageReply, SendMessageShort},
        topic::{CreateTopic, TopicName},
    },
    hot::{Offsets, PullReply, SendReply},
};

use crate::captured::{self, Captured};

/// Fields that every request may bring and no typed header needs.
const COMMON: [&str; 9] =
    ["bname", "ns", "nsd", "oway", "lo", "AccessKey", "OnsChannel", "Signature", "ReqT"];

/// Reads a header, and asks that what it writes has each field of the captured one with the same value.
fn covers<H: Header>(frame: &Captured, but: &[&str]) {
    let command = frame.command();
    let header: H = command.header().unwrap_or_else(|error| panic!("{}: {error}", frame.name));
    let written = Command::bare(command.request_code()).with_header(&header);
    for (key, value) in command.fields.iter() {
        if COMMON.contains(&key) || but.contains(&key) {
            continue;
        }
        let found = written.fields.get(key);
        let is_bool = matches!(found, Some("true" | "false"));
        // C++ writes booleans as digits, which are false to Java and so to us.
        assert!(
            found == Some(value) || is_bool && matches!(value, "0" | "1"),
            "{}: {key} is {value}, but reads as {found:?}",
            frame.name
        );
    }
}

#[test]
fn typed_headers_read_every_field_of_captured_requests() {
    let mut read = 0;
    for frame in captured::all().iter().filter(|frame| !frame.is_response) {
        read += 1;
        match frame.request.unwrap() {
            10 | 324 => covers::<SendMessage>(frame, &[]),
            310 | 320 | 325 => covers::<SendMessageShort>(frame, &[]),
            36 => covers::<SendBack>(frame, &[]),
            11 | 361 => covers::<PullMessage>(frame, &[]),
            14 => covers::<QueryConsumerOffset>(frame, &[]),
            15 => covers::<UpdateConsumerOffset>(frame, &[]),
            // Whether the asker means the offset that replicas have confirmed makes no difference without replicas.
            30..=32 => covers::<QueueOffset>(frame, &["committed"]),
            29 => covers::<SearchOffset>(frame, &[]),
            34 | 41 => covers::<()>(frame, &[]),
            35 => covers::<UnregisterClient>(frame, &[]),
            38 | 40 => covers::<ConsumerGroup>(frame, &[]),
            17 => covers::<CreateTopic>(frame, &[]),
            105 | 202 | 215 | 216 | 351 => covers::<TopicName>(frame, &[]),
            103 => covers::<RegisterBroker>(frame, &[]),
            104 | 322 | 904 => covers::<BrokerIdentity>(frame, &[]),
            _ => read -= 1,
        }
    }
    assert!(read > 120, "only {read} requests have typed headers");
}

#[test]
fn typed_headers_read_every_field_of_captured_answers() {
    let mut read = 0;
    for frame in captured::all().iter().filter(|frame| frame.is_response) {
        let Some(request) = frame.request else { continue };
        read += 1;
        match request {
            _ if frame.command().fields.is_empty() => {}
            10 | 310 | 320 | 324 | 325 => {
                covers::<SendMessageReply>(frame, &["MSG_REGION", "TRACE_ON"]);
            }
            11 | 361 => covers::<PullMessageReply>(frame, &["topicSysFlag", "groupSysFlag"]),
            14 | 29 | 30 | 31 => covers::<OffsetReply>(frame, &[]),
            34 => covers::<HeartBeatReply>(frame, &[]),
            103 => covers::<RegisterBrokerReply>(frame, &[]),
            _ => read -= 1,
        }
    }
    assert!(read > 100, "only {read} answers were read");
}

fn decoded(bytes: &[u8]) -> Command {
    Command::decode(Frame::split(bytes).unwrap().unwrap().0).unwrap()
}

/// Everything but what a server says about itself.
fn same_meaning(ours: &Command, theirs: &Command, but: &[&str], name: &str) {
    let fields = |command: &Command| {
        let mut pairs: Vec<_> = command
            .fields
            .iter()
            .filter(|(key, _)| !but.contains(key))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        pairs.sort();
        pairs
    };
    assert_eq!(fields(ours), fields(theirs), "{name}");
    assert_eq!(
        (ours.code, ours.opaque, ours.flag, &ours.remark, ours.encoding, ours.language),
        (theirs.code, theirs.opaque, theirs.flag, &theirs.remark, theirs.encoding, theirs.language),
        "{name}"
    );
}

#[test]
fn send_replies_say_what_apache_says() {
    let frames = captured::all();
    let answers: Vec<_> = frames.iter().filter(|frame| frame.grants(&[10, 310, 320, 324, 325])).collect();
    assert!(answers.len() >= 10);
    for frame in answers {
        let theirs = frame.command();
        let header: SendMessageReply = theirs.header().unwrap();
        let places: Vec<u64> =
            header.message_id.split(',').map(|id| u64::from_str_radix(&id[16..], 16).unwrap()).collect();
        let address = u32::from_str_radix(&header.message_id[..8], 16).unwrap();
        let port = u16::from_str_radix(&header.message_id[12..16], 16).unwrap();
        let mut out = Vec::new();
        SendReply {
            encoding: frame.encoding,
            opaque: theirs.opaque,
            code: theirs.response_code(),
            remark: theirs.remark.as_deref(),
            store_host: SocketAddr::from((Ipv4Addr::from_bits(address), port)),
            physical_offsets: match places[..] {
                [one] => Offsets::One(one),
                _ => Offsets::Batch(&places),
            },
            queue_id: header.queue_id,
            queue_offset: header.queue_offset,
            transaction_id: header.transaction_id.as_deref().unwrap_or_default(),
            recall_handle: None,
            region: theirs.fields.get("MSG_REGION").unwrap(),
            trace_on: theirs.fields.get("TRACE_ON") == Some("true"),
        }
        .encode(&mut out);
        same_meaning(&decoded(&out), &theirs, &[], &frame.name);
    }
}

#[test]
fn pull_replies_say_what_apache_says() {
    let frames = captured::all();
    let answers: Vec<_> = frames
        .iter()
        .filter(|frame| frame.is_response && matches!(frame.request, Some(11 | 361)))
        .filter(|frame| frame.command().fields.get("nextBeginOffset").is_some())
        .collect();
    assert!(answers.len() >= 10);
    for frame in answers {
        let theirs = frame.command();
        let header: PullMessageReply = theirs.header().unwrap();
        let mut out = Vec::new();
        PullReply {
            encoding: frame.encoding,
            opaque: theirs.opaque,
            code: theirs.response_code(),
            remark: theirs.remark.as_deref().unwrap_or_default(),
            suggest_which_broker_id: header.suggest_which_broker_id,
            next_begin_offset: header.next_begin_offset,
            min_offset: header.min_offset,
            max_offset: header.max_offset,
            body: &theirs.body,
        }
        .encode(&mut out);
        let ours = decoded(&out);
        same_meaning(&ours, &theirs, &["topicSysFlag", "groupSysFlag"], &frame.name);
        assert_eq!(ours.body, theirs.body);
    }
    assert!(frames.iter().any(|frame| frame.encoding == Encoding::Binary));
}
