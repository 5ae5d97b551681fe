//! Bytes that nobody should send: an error, and never a panic, a hang or a heap of memory.

use proptest::prelude::*;
use rocketmq_boot_protocol::{
    Command, DecodeError, Encoding, Frame, Header,
    body::{
        ClusterInfo, ConsumerOffsets, Heartbeat, KvTable, QueueOffsets, TopicList, TopicRoute,
        config::{RegisterBrokerBody, SubscriptionGroups, TopicConfigs},
        group::{ConsumerIds, LockBatch, LockedQueues},
        lenient, registration,
    },
    frame::{self, MAX_FRAME_BYTES, MAX_HEADER_BYTES},
    header::{
        broker::RegisterBroker,
        group::UnregisterClient,
        offset::{QueryConsumerOffset, SearchOffset, UpdateConsumerOffset},
        pull::PullMessage,
        send::{SendBack, SendMessage, SendMessageShort},
        topic::{CreateTopic, TopicName},
    },
};

/// Reads a body as everything that a body can be.
fn read_all(body: &[u8]) -> usize {
    let read = [
        lenient::read::<Heartbeat>("body", body).is_ok(),
        lenient::read::<TopicRoute>("body", body).is_ok(),
        lenient::read::<ClusterInfo>("body", body).is_ok(),
        lenient::read::<TopicList>("body", body).is_ok(),
        lenient::read::<KvTable>("body", body).is_ok(),
        lenient::read::<ConsumerIds>("body", body).is_ok(),
        lenient::read::<LockBatch>("body", body).is_ok(),
        lenient::read::<LockedQueues>("body", body).is_ok(),
        lenient::read::<ConsumerOffsets>("body", body).is_ok(),
        lenient::read::<QueueOffsets>("body", body).is_ok(),
        lenient::read::<TopicConfigs>("body", body).is_ok(),
        lenient::read::<SubscriptionGroups>("body", body).is_ok(),
        lenient::read::<RegisterBrokerBody>("body", body).is_ok(),
        registration::decode(body).is_ok(),
    ];
    read.into_iter().filter(|read| *read).count()
}

#[test]
fn garbage_is_no_body() {
    for body in
        [&b""[..], b"\0\0\0\0", b"garbage", b"{", b"}", b"{]", b"[{}", b"\"", b"\xFF\xFE", b"{}{}", b"<xml/>"]
    {
        assert_eq!(read_all(body), 0, "{}", body.escape_ascii());
    }
    // An empty object is nothing, and that is allowed: a heartbeat of one is answered by real brokers.
    assert!(lenient::read::<Heartbeat>("body", b"{}").is_ok());
}

#[test]
fn deep_nesting_is_refused_whatever_it_is_made_of() {
    for open in ["[", "{", "{{", "{\"a\":", "{0:", "[{\"a\":[", "{\"offsetTable\":"] {
        let text = open.repeat(1_000_000 / open.len());
        assert_eq!(read_all(text.as_bytes()), 0, "{open}");
        let header = format!("{{\"code\":34,\"extFields\":{}", open.repeat(200_000 / open.len()));
        let frame = Frame { encoding: Encoding::Json, header: header.as_bytes(), body: b"" };
        assert!(Command::decode(frame).is_err(), "{open}");
    }
    let nested_keys = format!("{}1{}", "{".repeat(33), ":1}".repeat(33));
    assert_eq!(read_all(nested_keys.as_bytes()), 0);
}

#[test]
fn prefixes_are_judged_before_anything_is_waited_for() {
    let prefix = |total: usize, encoding: u8, header: usize| {
        let total = u32::try_from(total).unwrap().to_be_bytes();
        let header = u32::try_from(header).unwrap().to_be_bytes();
        [total[0], total[1], total[2], total[3], encoding, header[1], header[2], header[3]]
    };
    assert_eq!(frame::frame_len(&prefix(MAX_FRAME_BYTES, 0, 100)), Ok(Some(MAX_FRAME_BYTES + 4)));
    assert_eq!(frame::frame_len(&prefix(4, 1, 0)), Ok(Some(8)));
    assert!(frame::frame_len(&prefix(MAX_FRAME_BYTES + 1, 0, 100)).is_err());
    assert!(frame::frame_len(&prefix(MAX_FRAME_BYTES, 0, MAX_HEADER_BYTES + 1)).is_err());
    assert!(frame::frame_len(&prefix(100, 0, 97)).is_err());
    assert!(frame::frame_len(&prefix(100, 2, 10)).is_err());
    // What greets a web server: a length of half a gigabyte.
    assert!(Frame::split(b"GET / HTTP/1.1\r\n").is_err());
    assert!(Frame::split(&[0x16, 3, 1, 2, 0, 1, 0, 1]).is_err());
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let text = br#"{"code":11,"extFields":{"consumerGroup":"g","topic":"t","queueId":"three"}}"#;
    let command = Command::decode(Frame { encoding: Encoding::Json, header: text, body: b"" }).unwrap();
    assert!(
        matches!(command.header::<PullMessage>(), Err(DecodeError::WrongType { field: "queueId", .. })),
        "the field is named"
    );
    assert_eq!(command.header::<SendMessage>(), Err(DecodeError::MissingField("producerGroup")));
}

/// Reads a command's fields as every header.
fn headers(command: &Command) {
    fn read<H: Header>(command: &Command) {
        drop(command.header::<H>());
    }
    read::<SendMessage>(command);
    read::<SendMessageShort>(command);
    read::<SendBack>(command);
    read::<PullMessage>(command);
    read::<QueryConsumerOffset>(command);
    read::<UpdateConsumerOffset>(command);
    read::<SearchOffset>(command);
    read::<UnregisterClient>(command);
    read::<CreateTopic>(command);
    read::<TopicName>(command);
    read::<RegisterBroker>(command);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_split_and_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), binary: bool) {
        if let Ok(Some((frame, length))) = Frame::split(&bytes) {
            prop_assert!(length <= bytes.len());
            prop_assert_eq!(frame.header.len() + frame.body.len() + 8, length);
        }
        let encoding = if binary { Encoding::Binary } else { Encoding::Json };
        if let Ok(command) = Command::decode(Frame { encoding, header: &bytes, body: &bytes }) {
            headers(&command);
        }
        read_all(&bytes);
    }

    #[test]
    fn almost_json_is_read_or_refused(text in r#"[{}\[\]:,"\\0-9a-c \n-]{0,60}"#) {
        read_all(text.as_bytes());
        let frame = Frame { encoding: Encoding::Json, header: text.as_bytes(), body: b"" };
        if let Ok(command) = Command::decode(frame) {
            headers(&command);
        }
    }

    #[test]
    fn real_json_means_the_same_to_the_lenient_reader(value in json()) {
        let text = serde_json::to_string(&value).unwrap();
        let read = lenient::read::<serde_json::Value>("value", text.as_bytes());
        prop_assert_eq!(read.unwrap(), value);
    }

    #[test]
    fn random_fields_survive_both_encodings(
        fields in prop::collection::hash_map("[a-zA-Z]{1,8}", ".{1,40}", 0..20),
        numbers in any::<(i16, i32, i16)>(),
        remark in prop::option::of(".{1,40}"),
    ) {
        let mut command = Command::bare(i32::from(numbers.0).into());
        (command.opaque, command.version) = (numbers.1, i32::from(numbers.2));
        command.remark = remark;
        for (key, value) in fields {
            command.fields.insert(key, value);
        }
        // A binary code that stands for a truncated one becomes that one.
        prop_assume!(!(3442..=3543).contains(&numbers.0));
        for encoding in [Encoding::Json, Encoding::Binary] {
            command.encoding = encoding;
            let bytes = command.to_bytes();
            let (frame, _) = Frame::split(&bytes).unwrap().unwrap();
            prop_assert_eq!(&Command::decode(frame).unwrap(), &command);
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}
