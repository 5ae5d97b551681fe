//! Nanoseconds an operation of the hot decoders and writers: `cargo bench -p rocketmq-boot-protocol --bench hot`.
//!
//! Each line is the best of many short rounds, which is what the code costs when nothing else runs. Words behind `--`
//! choose the lines that hold one of them: `-- "Json send view"`.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use std::{
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rocketmq_boot_protocol::{
    Command, Encoding, Frame, RequestCode, ResponseCode,
    header::{pull::PullMessage, send::SendMessageShort},
    hot::{Offsets, PullReply, PullView, SendReply, SendView},
};

fn main() {
    println!("{:<44}{:>10}{:>12}", "operation", "bytes", "ns");
    for encoding in [Encoding::Binary, Encoding::Json] {
        decoders(encoding);
        writers(encoding);
    }
}

fn decoders(encoding: Encoding) {
    let send = whole(encoding, send());
    let pull = whole(encoding, pull());
    let (send, pull) = (frame(&send), frame(&pull));
    let mut scratch = Vec::with_capacity(4096);
    measure("send view", encoding, send.header.len(), || {
        black_box(SendView::decode(black_box(send), &mut scratch)).is_some()
    });
    let mut scratch = Vec::with_capacity(4096);
    measure("pull view", encoding, pull.header.len(), || {
        black_box(PullView::decode(black_box(pull), &mut scratch)).is_some()
    });
    measure("send, general decoder and typed header", encoding, send.header.len(), || {
        let command = Command::decode(black_box(send));
        black_box(command.and_then(|command| command.header::<SendMessageShort>())).is_ok()
    });
}

fn writers(encoding: Encoding) {
    let mut out = Vec::with_capacity(4096);
    let reply = SendReply {
        encoding,
        opaque: 123_456,
        code: ResponseCode::SUCCESS,
        remark: None,
        store_host: SocketAddr::from(([10, 0, 0, 7], 10911)),
        physical_offsets: Offsets::One(123_456_789_012),
        queue_id: 3,
        queue_offset: 987_654_321,
        transaction_id: "C00002021F770000000068F527E80001",
        recall_handle: None,
        region: "DefaultRegion",
        trace_on: true,
    };
    reply.encode(&mut out);
    let bytes = out.len();
    measure("send reply", encoding, bytes, || {
        out.clear();
        black_box(&reply).encode(&mut out);
        !black_box(&out).is_empty()
    });
    let reply = PullReply {
        encoding,
        opaque: 123_456,
        code: ResponseCode::PULL_NOT_FOUND,
        remark: "OFFSET_OVERFLOW_ONE",
        suggest_which_broker_id: 0,
        next_begin_offset: 987_654_321,
        min_offset: 0,
        max_offset: 987_654_321,
        body: &[],
    };
    out.clear();
    reply.encode(&mut out);
    let bytes = out.len();
    measure("pull reply", encoding, bytes, || {
        out.clear();
        black_box(&reply).encode(&mut out);
        !black_box(&out).is_empty()
    });
}

fn measure(name: &str, encoding: Encoding, bytes: usize, mut operation: impl FnMut() -> bool) {
    const ROUNDS: u32 = 500;
    const OPERATIONS: u32 = 2_000;
    let name = format!("{encoding:?} {name}");
    let mut wanted = std::env::args().skip(1).filter(|word| !word.starts_with("--")).peekable();
    if wanted.peek().is_some() && !wanted.any(|word| name.contains(&word)) {
        return;
    }
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..OPERATIONS {
            assert!(operation());
        }
        best = best.min(begin.elapsed());
    }
    let nanoseconds = best.as_secs_f64() * 1e9 / f64::from(OPERATIONS);
    println!("{name:<44}{bytes:>10}{nanoseconds:>12.1}");
}

fn send() -> Command {
    let header = SendMessageShort {
        producer_group: "please_rename_unique_group_name".into(),
        topic: "BenchmarkTopic".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 3,
        born_timestamp: 1_795_252_061_750,
        properties: Some(
            "KEYS\u{1}order-17\u{2}UNIQ_KEY\u{1}C00002021F770000000068F527E80001\u{2}WAIT\u{1}true\u{2}TAGS\u{1}a\u{2}"
                .into(),
        ),
        max_reconsume_times: Some(16),
        broker_name: Some("broker-a".into()),
        ..SendMessageShort::default()
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &header).with_body(vec![7; 128])
}

fn pull() -> Command {
    let header = PullMessage {
        consumer_group: "please_rename_unique_group_name".into(),
        topic: "BenchmarkTopic".into(),
        queue_id: 3,
        queue_offset: 987_654_321,
        max_message_nums: 32,
        sys_flag: 3,
        commit_offset: 987_654_300,
        suspend_timeout_millis: 15_000,
        sub_version: 1_795_252_061_750,
        expression_type: Some("TAG".into()),
        max_message_bytes: Some(262_144),
        broker_name: Some("broker-a".into()),
        ..PullMessage::default()
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

fn whole(encoding: Encoding, mut command: Command) -> Vec<u8> {
    command.encoding = encoding;
    command.to_bytes().to_vec()
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    match Frame::split(bytes) {
        Ok(Some((frame, _))) => frame,
        other => panic!("{other:?}"),
    }
}
