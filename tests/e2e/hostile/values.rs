//! Well-formed requests with values that make no sense.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rocketmq_boot_tests::record::records;
use rocketmq_boot_tests::wire::{self, Request, Wire, code, frame};
use serde_json::json;

use super::{TOPIC, Target};

const MIB: u64 = 1 << 20;

#[test]
fn a_field_of_the_wrong_kind_costs_only_its_request() {
    let mut target = Target::start();
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    let nonsense = ["", "abc", "1.5", "-1", "99999999999999999999", "0x10", "true", "\u{0}"];
    for (request, keys) in [
        (wire::send(TOPIC, 0, b"x"), &["d", "e", "f", "g", "h", "j"][..]),
        (
            wire::pull("group", TOPIC, 0, 0),
            &["queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset"],
        ),
        (wire::create_topic("plain", 4), &["readQueueNums", "writeQueueNums", "perm"]),
    ] {
        for key in keys {
            for value in nonsense {
                // Whether it is taken or refused depends on the field; that there is an answer does not.
                wire.call(&request.clone().field(key, value))
                    .unwrap_or_else(|error| panic!("{key}={value:?} has no answer: {error}"));
            }
        }
    }
    let refused = wire.call(&wire::send(TOPIC, 0, b"x").field("e", "abc")).expect("the broker answers");
    assert_ne!(refused.code, 0, "a queue called abc was taken");
    assert!(refused.remark.contains('e'), "the reason does not name the field: {}", refused.remark);
    let refused = wire.call(&wire::send(TOPIC, 99, b"x")).expect("the broker answers");
    assert_ne!(refused.code, 0, "a queue that the topic does not have was taken");
    target.is_unharmed("fields of the wrong kind");
}

#[test]
fn fields_that_are_no_object_cost_only_their_request() {
    let mut target = Target::start();
    for address in target.addresses() {
        for fields in
            ["7", "\"text\"", "[1,2]", "null", "{\"topic\":{\"a\":1}}", "{\"topic\":[]}", "{\"topic\":null}"]
        {
            let header = format!(r#"{{"code":105,"extFields":{fields},"flag":0,"opaque":1}}"#);
            let mut wire = Wire::connect(&address).expect("the server listens");
            wire.send_bytes(&frame(header.as_bytes(), b"")).expect("the server reads");
            wire.finish().expect("the server reads");
            wire.closed().unwrap_or_else(|error| panic!("{fields} leaves a connection behind: {error}"));
        }
    }
    target.is_unharmed("fields that are no object");
}

#[test]
fn a_body_that_is_not_what_its_code_says_costs_only_its_request() {
    let mut target = Target::start();
    let bodies: [&[u8]; 8] = [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"{\"clientID\":7}",
        b"{\"consumerDataSet\":[{\"groupName\":null}]}",
        b"\xFF\xFE\x00",
        br#"{"clientID":"c","consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"t","codeSet":["2598919"]}]}]}"#,
    ];
    const LOCK: i32 = 41;
    const UNLOCK: i32 = 42;
    for address in target.addresses() {
        let mut wire = Wire::connect(&address).expect("the server listens");
        for body in bodies {
            for code in
                [code::HEARTBEAT, LOCK, UNLOCK, code::SEND_BATCH, code::REGISTER_BROKER, code::CREATE_TOPIC]
            {
                let answer = wire.call(&Request::new(code).body(body));
                answer.unwrap_or_else(|error| panic!("code {code} with {body:?} has no answer: {error}"));
            }
        }
    }
    target.is_unharmed("bodies of the wrong kind");
}

#[test]
fn a_batch_with_lying_lengths_is_refused_whole() {
    let mut target = Target::start();
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    let message = |total: u32, body_len: u32, body: &[u8], properties_len: u16| {
        let mut bytes = total.to_be_bytes().to_vec();
        bytes.extend([0; 12]);
        bytes.extend(body_len.to_be_bytes());
        bytes.extend(body);
        bytes.extend(properties_len.to_be_bytes());
        bytes
    };
    let end = |wire: &mut Wire| {
        let request = Request::new(code::MAX_OFFSET).field("topic", TOPIC).field("queueId", 0);
        wire.call(&request).expect("the broker answers").success().number("offset")
    };
    let whole = message(24, 2, b"ok", 0);
    let before = end(&mut wire);
    for (what, bytes) in [
        ("a message longer than the batch", [whole.clone(), message(1_000, 2, b"ok", 0)].concat()),
        ("a negative length", [whole.clone(), message(u32::MAX, 2, b"ok", 0)].concat()),
        ("a body longer than its message", [whole.clone(), message(24, 1_000, b"ok", 0)].concat()),
        ("a negative body", [whole.clone(), message(24, u32::MAX, b"ok", 0)].concat()),
        ("properties longer than their message", [whole.clone(), message(24, 2, b"ok", 0x7FFF)].concat()),
        ("a length of nothing", [whole.clone(), message(0, 2, b"ok", 0)].concat()),
        ("bytes behind the last message", [whole.clone(), vec![1, 2, 3]].concat()),
    ] {
        let batch = wire::send(TOPIC, 0, &bytes).field("m", true);
        let answer = wire.call(&batch.with_code(code::SEND_BATCH)).expect("the broker answers");
        assert_ne!(answer.code, 0, "{what} was taken");
        assert_eq!(end(&mut wire), before, "{what} was refused and stored");
    }
    wire.call(&wire::send(TOPIC, 0, &whole).field("m", true).with_code(code::SEND_BATCH))
        .expect("it answers")
        .success();
    assert_eq!(end(&mut wire), before + 1, "an honest batch is stored");
    target.is_unharmed("a lying batch");
}

#[test]
fn hostile_properties_are_refused_or_read_back_as_they_were() {
    let mut target = Target::start();
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    let long = format!("key\u{1}{}\u{2}", "x".repeat(40_000));
    for properties in [
        "\u{1}",
        "\u{2}",
        "\u{1}\u{2}",
        "\u{2}\u{2}\u{2}",
        "key",
        "key\u{1}value",
        "key\u{1}a\u{1}b\u{2}",
        "\u{1}no key\u{2}",
        "key\u{1}one\u{2}key\u{1}two\u{2}",
        "DELAY\u{1}-1\u{2}",
        "DELAY\u{1}99999999999\u{2}",
        "DELAY\u{1}soon\u{2}",
        "TAGS\u{1}\u{2}",
        "UNIQ_KEY\u{1}../escaped\u{2}",
        "REAL_TOPIC\u{1}../escaped\u{2}REAL_QID\u{1}-7\u{2}",
        "RETRY_TOPIC\u{1}../escaped\u{2}",
        "TRAN_MSG\u{1}maybe\u{2}",
        "CLUSTER\u{1}another\u{2}",
        "nul\0\u{1}nul\0\u{2}",
        &long,
    ] {
        let request = wire::send(TOPIC, 0, b"properties").field("i", properties);
        let answer = wire.call(&request).expect("the broker answers");
        if answer.code != 0 || !answer.fields.contains_key("queueOffset") {
            continue;
        }
        let offset = answer.number("queueOffset");
        let pulled = wire.call(&wire::pull("group", TOPIC, 0, offset)).expect("the broker answers");
        if let Some(record) = records(&pulled.body).first() {
            assert_eq!(record.queue_offset, offset, "{properties:?}");
        }
    }
    let refused = wire.call(&wire::send(TOPIC, 0, b"x").field("i", &long)).expect("the broker answers");
    assert_ne!(refused.code, 0, "properties of 40,000 bytes do not fit a record");
    target.is_unharmed("hostile properties");
}

#[test]
fn a_message_over_the_limit_is_refused_with_its_reason() {
    let mut target = Target::start();
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    const MESSAGE_ILLEGAL: i32 = 13;
    let answer = wire.call(&wire::send(TOPIC, 0, &vec![7; 5 * 1024 * 1024])).expect("the broker answers");
    assert_eq!(answer.code, MESSAGE_ILLEGAL, "{}", answer.remark);
    assert!(!answer.remark.is_empty(), "the refusal has no reason");
    target.is_unharmed("a message over the limit");
}

/// 1 MiB that is 1 GiB of zeros: one compressed piece, again and again behind one header.
fn bomb() -> Vec<u8> {
    const HEADER: usize = 2;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 8 << 20]).and_then(|()| encoder.flush()).expect("memory takes it");
    let stream = encoder.get_ref();
    [&stream[..HEADER], &stream[HEADER..].repeat(128)].concat()
}

#[test]
fn a_compressed_body_is_not_inflated_without_bounds() {
    let mut target = Target::start();
    let bomb = bomb();
    target.is_unharmed("a warm-up");
    let before = target.resident_bytes();

    let mut wire = Wire::connect(target.cluster.name_server()).expect("the name server listens");
    let register = Request::new(code::REGISTER_BROKER)
        .field("brokerName", "bomber")
        .field("brokerAddr", "10.0.0.1:10911")
        .field("clusterName", "DefaultCluster")
        .field("haServerAddr", "10.0.0.1:10912")
        .field("brokerId", 0)
        .field("compressed", true)
        .field("bodyCrc32", 0);
    let answer = wire.call(&register.body(bomb.clone())).expect("the name server answers");
    assert_ne!(answer.code, 0, "a registration of 1 GiB was taken");

    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    const COMPRESSED: i32 = 1;
    wire.call(&wire::send(TOPIC, 0, &bomb).field("f", COMPRESSED)).expect("the broker answers");
    target.is_unharmed("zip bombs");
    let grown = target.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "a bomb of {} bytes costs {grown} bytes", bomb.len());
}

#[test]
fn a_header_of_a_million_fields_is_answered_or_refused() {
    let mut target = Target::start();
    for address in target.addresses() {
        let fields: Vec<String> = (0..500_000).map(|field| format!("\"{field}\":\"\"")).collect();
        let header = format!(r#"{{"code":105,"extFields":{{{}}},"flag":0,"opaque":1}}"#, fields.join(","));
        let mut wire = Wire::connect(&address).expect("the server listens");
        let _ = wire.send_bytes(&frame(header.as_bytes(), b""));
        let _ = wire.finish();
        wire.closed().expect("the server does not hang");
    }
    let many = json!({ "clientID": "c", "producerDataSet": (0..10_000).map(|group| json!({ "groupName": group.to_string() })).collect::<Vec<_>>() });
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    wire.call(&Request::new(code::HEARTBEAT).body(many.to_string())).expect("the broker answers");
    target.is_unharmed("a million fields");
}
