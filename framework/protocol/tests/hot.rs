//! The hot decoders say what the general decoder and the typed headers say, or nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use proptest::prelude::*;
use rocketmq_boot_protocol::{
    Command, Encoding, Fields, Frame, Header, RequestCode, ResponseCode,
    command::{Language, VERSION},
    frame::MAX_HEADER_BYTES,
    header::{
        offset::UpdateConsumerOffset,
        pull::{PullMessage, PullMessageReply},
        send::{SendMessage, SendMessageReply, SendMessageShort},
    },
    hot::{self, OffsetView, Offsets, PullReply, PullView, SendReply, SendView},
};

/// Which of the decoders took a header.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Send,
    Pull,
    Offset,
    Nobody,
}

/// Runs all decoders over a header and compares each that answers with the general way.
fn check(encoding: Encoding, header: &[u8]) -> Taken {
    let frame = Frame { encoding, header, body: b"the body" };
    let general = Command::decode(frame);
    let mut scratch = b"left over".to_vec();
    let mut taken = Taken::Nobody;
    let text = String::from_utf8_lossy(header);
    if let Some(view) = SendView::decode(frame, &mut scratch) {
        let command = general.as_ref().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(view, SendView::from_command(command).unwrap(), "{text}");
        compare_send(&view, command);
        assert_eq!(hot::code(&frame), Some(view.code));
        taken = Taken::Send;
    }
    if let Some(view) = PullView::decode(frame, &mut scratch) {
        let command = general.as_ref().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(view, PullView::from_command(command).unwrap(), "{text}");
        compare_pull(&view, command);
        assert_eq!((hot::code(&frame), &taken), (Some(view.code), &Taken::Nobody));
        taken = Taken::Pull;
    }
    if let Some(view) = OffsetView::decode(frame, &mut scratch) {
        let command = general.as_ref().unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(view, OffsetView::from_command(command).unwrap(), "{text}");
        let header: UpdateConsumerOffset = command.header().unwrap();
        assert_eq!(
            (view.consumer_group, view.topic, view.queue_id, view.commit_offset),
            (header.consumer_group.as_str(), header.topic.as_str(), header.queue_id, header.commit_offset)
        );
        assert_eq!((hot::code(&frame), &taken), (Some(view.code), &Taken::Nobody));
        taken = Taken::Offset;
    }
    taken
}

fn compare_send(view: &SendView<'_>, command: &Command) {
    let header: SendMessage = match view.code {
        RequestCode::SEND_MESSAGE | RequestCode::SEND_REPLY_MESSAGE => command.header().unwrap(),
        _ => command.header::<SendMessageShort>().unwrap().into(),
    };
    let expected = SendMessage {
        producer_group: view.producer_group.into(),
        topic: view.topic.into(),
        default_topic: view.default_topic.into(),
        default_topic_queue_nums: view.default_topic_queue_nums,
        queue_id: view.queue_id,
        sys_flag: view.sys_flag,
        born_timestamp: view.born_timestamp,
        flag: view.message_flag,
        properties: header.properties.as_ref().map(|_| view.properties.into()),
        reconsume_times: view.reconsume_times,
        unit_mode: header.unit_mode,
        batch: view.batch,
        max_reconsume_times: view.max_reconsume_times,
    };
    assert_eq!(header, expected);
    assert_eq!(view.properties, header.properties.as_deref().unwrap_or_default());
    assert_eq!(
        (view.opaque, view.flag, view.version, view.encoding, view.body),
        (command.opaque, command.flag, command.version, command.encoding, &command.body[..])
    );
}

fn compare_pull(view: &PullView<'_>, command: &Command) {
    let header: PullMessage = command.header().unwrap();
    assert_eq!(view.subscription, header.subscription.as_deref().unwrap_or_default());
    let expression_type = header.expression_type.as_deref().filter(|text| !text.is_empty()).unwrap_or("TAG");
    assert_eq!(view.expression_type, expression_type);
    let expected = PullMessage {
        consumer_group: view.consumer_group.into(),
        topic: view.topic.into(),
        queue_id: view.queue_id,
        queue_offset: view.queue_offset,
        max_message_nums: view.max_message_nums,
        sys_flag: view.sys_flag,
        commit_offset: view.commit_offset,
        suspend_timeout_millis: view.suspend_timeout_millis,
        sub_version: view.sub_version,
        max_message_bytes: view.max_message_bytes,
        subscription: header.subscription.clone(),
        expression_type: header.expression_type.clone(),
        broker_name: header.broker_name.clone(),
    };
    assert_eq!(header, expected);
    assert_eq!(
        (view.opaque, view.flag, view.version, view.encoding),
        (command.opaque, command.flag, command.version, command.encoding)
    );
}

/// Headers as the clients write them: Java, Go, Node, C++ (with its newline), and one of each served code.
const JSON: [&str; 8] = [
    r#"{"code":310,"extFields":{"a":"p","b":"t","c":"TBW102","d":"4","e":"3","f":"0","g":"1795252061750","h":"0","i":"UNIQ_KEY\u0001C00002\u0002WAIT\u0001true\u0002","j":"0","k":"false","l":"16","m":"false","n":"broker-a"},"flag":0,"language":"JAVA","opaque":54,"serializeTypeCurrentRPC":"JSON","version":513}"#,
    r#"{"code":10,"language":"GO","version":317,"opaque":-3,"flag":2,"remark":"","extFields":{"defaultTopic":"TBW102","batch":"false","queueId":"1","sysFlag":"0","bornTimestamp":"1795258838372","reconsumeTimes":"0","unitMode":"false","maxReconsumeTimes":"0","defaultTopicQueueNums":"4","properties":"UNIQ_KEY\u0001C0\u0002","producerGroup":"p","flag":"7","topic":"t\u00e9\/\\\"x"}}"#,
    r#"{"code":310,"language":"JAVA","opaque":19,"flag":0,"version":121,"extFields":{"a":"p","b":"t","c":"TBW102","d":4,"e":0,"f":0,"g":1795252061750,"h":0,"i":"","j":0,"k":false}}"#,
    "{\"code\":320,\"extFields\":{\"AccessKey\":\"\",\"OnsChannel\":\"ALIYUN\",\"a\":\"p\",\"b\":\"t\",\"c\":\"TBW102\",\"d\":4,\"e\":0,\"f\":0,\"g\":\"1\",\"h\":0,\"i\":\"K\\u0001v\\u0002\",\"j\":\"0\",\"m\":\"1\"},\"flag\":0,\"language\":\"CPP\",\"opaque\":2,\"version\":63}\n",
    r#"{"code":11,"extFields":{"queueId":"3","maxMsgBytes":"262144","maxMsgNums":"32","sysFlag":"2","suspendTimeoutMillis":"15000","commitOffset":"-1","bname":"broker-a","topic":"t","queueOffset":"9","expressionType":"TAG","subVersion":"1795258677388","consumerGroup":"g"},"flag":0,"language":"JAVA","opaque":54,"serializeTypeCurrentRPC":"JSON","version":513}"#,
    r#"{"code":361,"language":"JAVA","opaque":19,"extFields":{"consumerGroup":"g","topic":"t","queueId":0,"subscription":"a || b","expressionType":null}}"#,
    r#"{"code":15,"extFields":{"commitOffset":"7","topic":"t","consumerGroup":"g","queueId":0},"flag":2,"opaque":1,"remark":null}"#,
    r#"{ "code" : 15, "extFields": { "commitOffset" : "7", "topic":"t","consumerGroup":"g","queueId": 0 } }"#,
];

/// The same meaning in the other encoding.
fn to_binary(json: &str) -> Vec<u8> {
    let mut command =
        Command::decode(Frame { encoding: Encoding::Json, header: json.as_bytes(), body: b"" }).unwrap();
    command.encoding = Encoding::Binary;
    Frame::split(&command.to_bytes()).unwrap().unwrap().0.header.to_vec()
}

fn taken_by(code: i64) -> Taken {
    match code {
        15 => Taken::Offset,
        11 | 361 => Taken::Pull,
        _ => Taken::Send,
    }
}

#[test]
fn ordinary_headers_never_need_the_general_decoder() {
    // The last one is spaced before its code, which no client does.
    for json in &JSON[..7] {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let expected = taken_by(value["code"].as_i64().unwrap());
        assert_eq!(check(Encoding::Json, json.as_bytes()), expected, "{json}");
        assert_eq!(check(Encoding::Binary, &to_binary(json)), expected, "{json}");
    }
    assert_eq!(check(Encoding::Json, JSON[7].as_bytes()), Taken::Nobody);
    let spaced = JSON[7].replacen("{ \"code\" : 15", "{\"code\":15", 1);
    assert_eq!(check(Encoding::Json, spaced.as_bytes()), Taken::Offset);
}

#[test]
fn headers_cut_anywhere_are_left_to_the_general_decoder() {
    for json in JSON {
        for cut in 0..json.trim_end().len() {
            assert_eq!(check(Encoding::Json, &json.as_bytes()[..cut]), Taken::Nobody);
        }
        let binary = to_binary(json);
        for cut in 0..binary.len() {
            assert_eq!(check(Encoding::Binary, &binary[..cut]), Taken::Nobody, "{json} cut at {cut}");
        }
    }
}

#[test]
fn odd_headers_get_no_second_meaning() {
    let around = |fields: &str| {
        format!(
            r#"{{"code":15,"extFields":{{"topic":"t","consumerGroup":"g",{fields}}},"flag":0,"opaque":1}}"#
        )
    };
    for fields in [
        r#""queueId":"1","queueId":"2""#,
        r#""queueId":"1","queueId":null"#,
        r#""topic":"u","topic":"v""#,
        r#""topic":null"#,
        r#""topic":7"#,
        r#""topic":true"#,
        r#""queueId":-0"#,
        r#""queueId":"-0""#,
        r#""queueId":007"#,
        r#""queueId":"007""#,
        r#""queueId":"+7""#,
        r#""queueId":" 7 ""#,
        r#""queueId":"""#,
        r#""queueId":1.0"#,
        r#""queueId":1e3"#,
        r#""queueId":1e999"#,
        r#""queueId":2147483648"#,
        r#""queueId":-2147483648"#,
        r#""commitOffset":"9223372036854775807""#,
        r#""commitOffset":9223372036854775808"#,
        r#""commitOffset":"999999999999999999999999999""#,
        r#""queueId":true"#,
        r#""queueId":{}"#,
        r#""queue\u0049d":4"#,
        r#""x":[1,{"y":2}]"#,
        r#""x":"\ud83d\ude00""#,
        r#""x":"\ud83d""#,
        r#""x":"\q""#,
        r#""x":"\u12"#,
        "\"x\":\"\u{1}\"",
        "\"x\":\n1",
        r#""x":1,"#,
        r#""x" 1"#,
        r#""x":nul"#,
    ] {
        check(Encoding::Json, around(fields).as_bytes());
    }
    for json in [
        r#"{"code":15,"extFields":{},"extFields":{"topic":"t","consumerGroup":"g"}}"#,
        r#"{"code":10,"code":15,"extFields":{"topic":"t","consumerGroup":"g"}}"#,
        r#"{"code":15,"extFields":{"topic":"t","consumerGroup":"g"},"opaque":1,"opaque":2}"#,
        r#"{"code":15,"extFields":{"topic":"t","consumerGroup":"g"},"opaque":"1"}"#,
        r#"{"code":15,"extFields":{"topic":"t","consumerGroup":"g"},"remark":{"a":[]}}"#,
        r#"{"code":15,"extFields":{"topic":"t","consumerGroup":"g"}}}"#,
        r#"{"code":15,"extFields":{"topic":"t","consumerGroup":"g"}}x"#,
        r#"{"code":15,"extFields":{}}"#,
        r#"{"code":15,"extFields":null}"#,
        r#"{"code":15}"#,
        r#"{"code":15.0,"extFields":{"topic":"t","consumerGroup":"g"}}"#,
        r#"{"code":99999999999,"extFields":{"topic":"t","consumerGroup":"g"}}"#,
    ] {
        check(Encoding::Json, json.as_bytes());
    }
    let mut invalid = around(r#""x":"?""#).into_bytes();
    let at = invalid.iter().position(|byte| *byte == b'?').unwrap();
    invalid[at] = 0xFF;
    assert_eq!(check(Encoding::Json, &invalid), Taken::Nobody);
}

#[test]
fn responses_are_no_requests() {
    for json in &JSON[..7] {
        let mut command =
            Command::decode(Frame { encoding: Encoding::Json, header: json.as_bytes(), body: b"" }).unwrap();
        command.flag |= 1;
        for encoding in [Encoding::Json, Encoding::Binary] {
            command.encoding = encoding;
            let bytes = command.to_bytes();
            let (frame, _) = Frame::split(&bytes).unwrap().unwrap();
            assert_eq!(check(encoding, frame.header), Taken::Nobody);
        }
        assert!(SendView::from_command(&command).is_err());
        assert!(PullView::from_command(&command).is_err());
        assert!(OffsetView::from_command(&command).is_err());
    }
}

#[test]
fn many_and_hostile_fields_do_not_hang_or_panic() {
    let fields: Vec<_> = (0..1000).map(|at| format!(r#""f{at}":{at}"#)).collect();
    let json = format!(r#"{{"code":310,"extFields":{{{}}}}}"#, fields.join(","));
    assert_eq!(check(Encoding::Json, json.as_bytes()), Taken::Nobody);
    let open = format!(r#"{{"code":310,"x":{}"#, "[".repeat(MAX_HEADER_BYTES - 64));
    assert_eq!(check(Encoding::Json, open.as_bytes()), Taken::Nobody);
    let header = to_binary(JSON[0]);
    for at in 13..header.len() - 4 {
        for length in [i32::MAX, -1, i32::MIN, 0, 1 << 24] {
            let mut hostile = header.clone();
            hostile[at..at + 4].copy_from_slice(&length.to_be_bytes());
            check(Encoding::Binary, &hostile);
        }
    }
}

#[test]
fn truncated_pop_codes_are_named_in_binary() {
    let mut command = Command::bare(RequestCode::POP_MESSAGE);
    command.encoding = Encoding::Binary;
    let bytes = command.to_bytes();
    let (frame, _) = Frame::split(&bytes).unwrap().unwrap();
    assert_eq!(hot::code(&frame), Some(RequestCode::POP_MESSAGE));
}

/// A scalar as some client could write it, and others that none does.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<i32>().prop_map(|number| format!("\"{number}\"")),
        2 => any::<i64>().prop_map(|number| format!("\"{number}\"")),
        4 => any::<i32>().prop_map(|number| number.to_string()),
        4 => "[a-zA-Z0-9_%|*-]{0,12}".prop_map(|text| format!("\"{text}\"")),
        2 => any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        1 => r#"(\\u000[0-9a-f]|\\[\\"/bfnrtx]|a|é|\\ud83d|\\ude00){0,6}"#.prop_map(|text| format!("\"{text}\"")),
        2 => prop::sample::select(vec![
            "true", "false", "null", "\"true\"", "\"TRUE\"", "\"1\"", "\"\"", "-0", "1.5", "1e2", "[]", "{}",
            "{\"a\":[1]}", "007", "\" 1\"", "\"+1\"",
        ])
        .prop_map(str::to_owned),
    ]
}

fn key() -> impl Strategy<Value = String> {
    let known = vec![
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "g",
        "h",
        "i",
        "j",
        "k",
        "l",
        "m",
        "n",
        "producerGroup",
        "topic",
        "defaultTopic",
        "queueId",
        "sysFlag",
        "flag",
        "properties",
        "batch",
        "maxReconsumeTimes",
        "consumerGroup",
        "queueOffset",
        "maxMsgNums",
        "commitOffset",
        "subscription",
        "subVersion",
        "expressionType",
        "maxMsgBytes",
    ];
    prop_oneof![9 => prop::sample::select(known).prop_map(str::to_owned), 1 => "[a-zA-Zé_\\\\]{0,5}"]
}

/// A header with the fields that its code needs, some random ones before and behind, and random top members.
fn json_header() -> impl Strategy<Value = String> {
    let needed =
        r#""a":"p","b":"t","c":"d","producerGroup":"p","consumerGroup":"g","topic":"t","defaultTopic":"d""#;
    let code = prop::sample::select(vec![10, 11, 15, 310, 320, 324, 325, 361, 34]);
    let fields = || prop::collection::vec((key(), scalar()), 0..3);
    let top = prop::collection::vec(
        (
            prop::sample::select(vec!["opaque", "flag", "version", "language", "remark", "x", "code"]),
            scalar(),
        ),
        0..3,
    );
    (code, fields(), fields(), top, prop::bool::weighted(0.1)).prop_map(
        move |(code, before, after, top, spaced)| {
            let list = |fields: Vec<(String, String)>| {
                fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>()
            };
            let mut fields = list(before);
            fields.push(needed.to_owned());
            fields.extend(list(after));
            let space = if spaced { " " } else { "" };
            let top: String =
                top.into_iter().map(|(key, value)| format!(",{space}\"{key}\":{space}{value}")).collect();
            let separator = format!("{space},{space}");
            format!("{{\"code\":{code},\"extFields\":{{{space}{}{space}}}{top}}}", fields.join(&separator))
        },
    )
}

/// Turns header bytes into something slightly else.
fn mutate(mut bytes: Vec<u8>, edits: &[(u8, usize, u8)]) -> Vec<u8> {
    for (kind, at, byte) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        match kind % 4 {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *byte),
            _ => {
                let end = (at + usize::from(*byte)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn random_json_headers_mean_the_same_to_both(header in json_header()) {
        check(Encoding::Json, header.as_bytes());
    }

    #[test]
    fn random_binary_headers_mean_the_same_to_both(
        code in prop::sample::select(vec![10_i32, 11, 15, 310, 320, 324, 325, 361, 34]),
        numbers in any::<(i32, i32, i16)>(),
        fields in prop::collection::vec((key(), prop_oneof!["-?[0-9]{0,20}", "true|TRUE|false", ".{0,8}"]), 0..20),
        remark in prop::option::of(".{0,8}"),
    ) {
        let mut command = Command::bare(RequestCode(code));
        command.encoding = Encoding::Binary;
        (command.opaque, command.flag, command.version) = (numbers.0, numbers.1 & !1, i32::from(numbers.2));
        command.remark = remark;
        for name in ["a", "b", "c", "producerGroup", "consumerGroup", "topic", "defaultTopic"] {
            command.fields.insert(name, "needed");
        }
        for (key, value) in fields {
            command.fields.insert(key, value);
        }
        let bytes = command.to_bytes();
        check(Encoding::Binary, Frame::split(&bytes).unwrap().unwrap().0.header);
    }

    #[test]
    fn mutated_headers_mean_the_same_to_both(
        base in 0..JSON.len(),
        edits in prop::collection::vec((any::<u8>(), any::<usize>(), prop_oneof![any::<u8>(), 0x20_u8..0x7F]), 1..3),
    ) {
        check(Encoding::Json, &mutate(JSON[base].as_bytes().to_vec(), &edits));
        check(Encoding::Binary, &mutate(to_binary(JSON[base]), &edits));
    }
}

fn decoded(bytes: &[u8]) -> Command {
    let (frame, length) = Frame::split(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    Command::decode(frame).unwrap()
}

fn send_reply(encoding: Encoding) -> SendReply<'static> {
    SendReply {
        encoding,
        opaque: -5,
        code: ResponseCode::SUCCESS,
        remark: None,
        store_host: SocketAddr::from(([127, 0, 0, 1], 40911)),
        physical_offsets: Offsets::One(0x63_FC90),
        queue_id: 1,
        queue_offset: i64::MIN,
        transaction_id: "C00002021F770000000068f527e80001",
        recall_handle: Some("djEgdG9waWM="),
        region: "DefaultRegion",
        trace_on: true,
    }
}

#[test]
fn a_send_reply_reads_as_what_it_says() {
    for encoding in [Encoding::Json, Encoding::Binary] {
        let mut out = Vec::new();
        send_reply(encoding).encode(&mut out);
        let command = decoded(&out);
        let mut expected = Command::bare(RequestCode(0)).with_header(&SendMessageReply {
            message_id: "7F00000100009FCF000000000063FC90".into(),
            queue_id: 1,
            queue_offset: i64::MIN,
            transaction_id: Some("C00002021F770000000068f527e80001".into()),
            recall_handle: Some("djEgdG9waWM=".into()),
        });
        expected.fields.insert("MSG_REGION", "DefaultRegion");
        expected.fields.insert("TRACE_ON", "true");
        assert_eq!(sorted(&command.fields), sorted(&expected.fields));
        assert_eq!(
            (command.code, command.flag, command.opaque, command.version, command.language, command.remark),
            (0, 1, -5, VERSION, Language::Java, None)
        );
        assert_eq!((command.encoding, command.body.len()), (encoding, 0));
    }
}

fn sorted(fields: &Fields) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = fields.iter().collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn a_batch_reply_joins_its_ids_and_an_ipv6_host_makes_long_ones() {
    for encoding in [Encoding::Json, Encoding::Binary] {
        let reply = SendReply {
            code: ResponseCode::FLUSH_DISK_TIMEOUT,
            remark: Some("flush \"timed\" out\n"),
            store_host: "[2001:db8::1]:10911".parse().unwrap(),
            physical_offsets: Offsets::Batch(&[1, u64::MAX]),
            transaction_id: "",
            trace_on: false,
            ..send_reply(encoding)
        };
        let mut out = b"before".to_vec();
        reply.encode(&mut out);
        let command = decoded(&out[6..]);
        assert_eq!(
            command.fields.get("msgId"),
            Some(
                "20010DB800000000000000000000000100002A9F0000000000000001,\
                 20010DB800000000000000000000000100002A9FFFFFFFFFFFFFFFFF"
            )
        );
        assert_eq!(command.response_code(), ResponseCode::FLUSH_DISK_TIMEOUT);
        assert_eq!(command.remark.as_deref(), Some("flush \"timed\" out\n"));
        assert_eq!(
            (command.fields.get("transactionId"), command.fields.get("TRACE_ON")),
            (None, Some("false"))
        );
    }
}

#[test]
fn a_pull_reply_carries_its_records_behind_its_header() {
    for encoding in [Encoding::Json, Encoding::Binary] {
        let mut out = Vec::new();
        PullReply {
            encoding,
            opaque: i32::MIN,
            code: ResponseCode::SUCCESS,
            remark: "FOUND",
            suggest_which_broker_id: 0,
            next_begin_offset: 11,
            min_offset: -1,
            max_offset: i64::MAX,
            body: b"records",
        }
        .encode(&mut out);
        let command = decoded(&out);
        let expected = PullMessageReply {
            suggest_which_broker_id: 0,
            next_begin_offset: 11,
            min_offset: -1,
            max_offset: i64::MAX,
        };
        assert_eq!(command.header::<PullMessageReply>().unwrap(), expected);
        assert_eq!((command.remark.as_deref(), command.opaque), (Some("FOUND"), i32::MIN));
        assert_eq!(&command.body[..], b"records");
    }
}

#[test]
fn every_answer_in_json_has_fields_and_only_text_in_them() {
    let mut replies = vec![Vec::new(), Vec::new()];
    send_reply(Encoding::Json).encode(&mut replies[0]);
    hot::encode_failure(
        &mut replies[1],
        Encoding::Json,
        1,
        ResponseCode::TOPIC_NOT_EXIST,
        "no \u{1}\\topic é",
    );
    for reply in replies {
        let (frame, _) = Frame::split(&reply).unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_slice(frame.header).unwrap();
        assert!(value["extFields"].as_object().unwrap().values().all(serde_json::Value::is_string));
    }
}

proptest! {
    #[test]
    fn a_failure_reads_as_what_it_says(binary: bool, opaque: i32, code in 0..4000_i32, remark: String) {
        let encoding = if binary { Encoding::Binary } else { Encoding::Json };
        let mut out = Vec::new();
        hot::encode_failure(&mut out, encoding, opaque, ResponseCode(code), &remark);
        let command = decoded(&out);
        prop_assert_eq!((command.code, command.opaque, command.flag), (code, opaque, 1));
        prop_assert_eq!(command.remark.unwrap_or_default(), remark);
        prop_assert!(command.fields.is_empty() && command.body.is_empty());
    }

    #[test]
    fn a_general_header_survives_the_general_encoder_and_the_hot_decoder(queue_id: i32, offset in -1_000_000..i64::MAX / 10) {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let header = UpdateConsumerOffset {
                consumer_group: "g".into(), topic: "t".into(), queue_id, commit_offset: offset,
            };
            let mut fields = Fields::new();
            header.write(&mut fields);
            let mut command = Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header);
            command.encoding = encoding;
            let bytes = command.to_bytes();
            let (frame, _) = Frame::split(&bytes).unwrap().unwrap();
            let mut scratch = Vec::new();
            let view = OffsetView::decode(frame, &mut scratch).unwrap();
            prop_assert_eq!((view.queue_id, view.commit_offset), (queue_id, offset));
        }
    }
}
