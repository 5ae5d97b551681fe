//! Frames that are none.

use rocketmq_boot_tests::wire::{self, Request, Wire, code, frame};

use super::Target;

const MIB: u64 = 1 << 20;

/// What a server may close the connection for. Whoever sends it gets an answer or the end, and does not wait.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let raw = |total: u32, mark: u32, rest: &[u8]| {
        let mut bytes = total.to_be_bytes().to_vec();
        bytes.extend(mark.to_be_bytes());
        bytes.extend(rest);
        bytes
    };
    let binary = |rest: &[u8]| {
        let length = u32::try_from(rest.len()).expect("a short header");
        raw(4 + length, 1 << 24 | length, rest)
    };
    // code, language, version, opaque, flag, then the remark's length.
    let fixed = |remark: u32| {
        let mut header = vec![0, 105, 0, 1, 151, 0, 0, 0, 1, 0, 0, 0, 0];
        header.extend(remark.to_be_bytes());
        header
    };
    let with_fields = |length: u32, fields: &[u8]| {
        let mut header = fixed(0);
        header.extend(length.to_be_bytes());
        header.extend(fields);
        binary(&header)
    };
    let whole = Request::new(code::ROUTE).field("topic", "T").encode(1);
    let nested = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    vec![
        ("a negative length", raw(u32::MAX, 0, b"{}")),
        ("the smallest negative length", raw(1 << 31, 0, b"{}")),
        ("a length of nothing", raw(0, 0, b"{}")),
        ("a length below that of the mark", raw(3, 0, b"{}")),
        ("a length just over the limit", raw(16 * 1024 * 1024 + 1, 2, b"{}")),
        ("a length of 2 GiB", raw(i32::MAX.unsigned_abs(), 2, b"{}")),
        ("a header longer than its frame", raw(6, 3, b"{}")),
        ("a header of 16 MiB in a short frame", raw(6, 0x00FF_FFFF, b"{}")),
        ("an encoding that does not exist", raw(6, 7 << 24 | 2, b"{}")),
        ("a negative encoding", raw(6, 0xFF00_0002, b"{}")),
        ("a binary remark longer than the header", binary(&fixed(1_000))),
        ("a negative binary remark", binary(&fixed(u32::MAX))),
        ("binary fields longer than the header", with_fields(1_000, &[0, 1, b'k', 0, 0, 0, 1, b'v'])),
        ("a binary key longer than the fields", with_fields(8, &[0x7F, 0xFF, b'k', 0, 0, 0, 1, b'v'])),
        ("a negative binary key", with_fields(8, &[0xFF, 0xFF, b'k', 0, 0, 0, 1, b'v'])),
        (
            "a binary value longer than the fields",
            with_fields(8, &[0, 1, b'k', 0x7F, 0xFF, 0xFF, 0xFF, b'v']),
        ),
        ("a negative binary value", with_fields(8, &[0, 1, b'k', 0xFF, 0xFF, 0xFF, 0xFF, b'v'])),
        ("a binary header cut short", binary(&[0, 105, 0])),
        ("no header at all", frame(b"", b"")),
        ("a header that is not JSON", frame(b"GET / HTTP/1.1", b"")),
        ("a header that is no object", frame(b"[1,2,3]", b"")),
        ("an object without a code", frame(b"{}", b"")),
        ("JSON cut in the middle", frame(br#"{"code":105,"extFi"#, b"")),
        ("JSON that is not UTF-8", frame(b"{\"code\":105,\"remark\":\"\xFF\xFE\"}", b"")),
        ("JSON nested 100,000 deep", frame(&nested, b"")),
        ("a code that is no number", frame(br#"{"code":{"a":1},"opaque":1,"flag":0}"#, b"")),
        ("a code beyond 32 bits", frame(br#"{"code":99999999999,"opaque":1,"flag":0}"#, b"")),
        ("a request in clear HTTP", b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n".to_vec()),
        ("a TLS greeting", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03".as_slice(), &[7; 512]].concat()),
        ("half a length", vec![0, 0]),
        ("half a frame", whole[..whole.len() / 2].to_vec()),
    ]
}

#[test]
fn a_broken_frame_costs_at_most_its_own_connection() {
    let mut target = Target::start();
    for address in target.addresses() {
        for (what, bytes) in broken() {
            let mut wire = Wire::connect(&address).expect("the server listens");
            // It may be gone before all is said.
            let _ = wire.send_bytes(&bytes);
            let _ = wire.finish();
            wire.closed().unwrap_or_else(|error| panic!("{what} leaves a connection behind: {error}"));
            target.is_unharmed(what);
        }
    }
}

#[test]
fn a_frame_cut_anywhere_is_the_end_of_its_connection_only() {
    let mut target = Target::start();
    let [_, broker] = target.addresses();
    let whole = wire::send(super::TOPIC, 0, b"cut").encode(1);
    for end in 0..whole.len() {
        let mut wire = Wire::connect(&broker).expect("the broker listens");
        wire.send_bytes(&whole[..end]).expect("the broker reads");
        wire.finish().expect("the broker reads");
        wire.closed().unwrap_or_else(|error| panic!("{end} bytes leave a connection behind: {error}"));
    }
    target.is_unharmed("a cut frame");
}

#[test]
fn what_came_before_a_broken_frame_is_answered() {
    let target = Target::start();
    let mut wire = Wire::connect(target.cluster.broker()).expect("the broker listens");
    let mut bytes = wire::send(super::TOPIC, 0, b"honest").encode(1);
    bytes.extend([0xFF; 8]);
    wire.send_bytes(&bytes).expect("the broker reads");
    assert_eq!(wire.receive().expect("the broker answers").success().opaque, 1);
    wire.closed().expect("the broker gives up on the connection");
}

#[test]
fn promised_bytes_are_not_paid_for_in_advance() {
    let mut target = Target::start();
    target.is_unharmed("a warm-up");
    let before = target.resident_bytes();
    let mut held = Vec::new();
    for address in target.addresses() {
        for _ in 0..50 {
            let mut wire = Wire::connect(&address).expect("the server listens");
            // The largest frame that is allowed, of which nothing more comes.
            wire.send_bytes(&(16 * 1024 * 1024_u32).to_be_bytes()).expect("the server reads");
            wire.send_bytes(&[0, 0, 0, 2, b'{', b'}']).expect("the server reads");
            held.push(wire);
        }
    }
    target.is_unharmed("a hundred promises");
    let grown = target.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "a hundred idle promises cost {grown} bytes");
}

#[test]
fn an_unknown_code_costs_only_its_request() {
    let mut target = Target::start();
    const NOT_SUPPORTED: i32 = 3;
    for address in target.addresses() {
        let mut wire = Wire::connect(&address).expect("the server listens");
        for unknown in [-1, 0, 7_777, i32::MAX, i32::MIN] {
            let answer = wire.call(&Request::new(unknown)).expect("the server answers");
            assert_eq!(answer.code, NOT_SUPPORTED, "code {unknown}: {}", answer.remark);
            assert!(
                answer.remark.contains(&unknown.to_string()),
                "the answer does not name the code: {}",
                answer.remark
            );
            wire.send(&Request::new(unknown).one_way()).expect("the server reads");
        }
        // The one-way requests have no answer, so the next answer is this one's.
        let mark = wire.send(&Request::new(7_778)).expect("the server reads");
        assert_eq!(wire.receive().expect("the server answers").opaque, mark);
    }
    target.is_unharmed("an unknown code");
}

#[test]
fn an_answer_that_nobody_asked_for_is_passed_over() {
    let mut target = Target::start();
    for address in target.addresses() {
        let mut wire = Wire::connect(&address).expect("the server listens");
        let answer = br#"{"code":0,"flag":1,"language":"JAVA","opaque":1,"serializeTypeCurrentRPC":"JSON","version":407}"#;
        wire.send_bytes(&frame(answer, b"")).expect("the server reads");
        let answer = wire.call(&Request::new(7_777)).expect("the connection goes on");
        assert_ne!(answer.code, 0);
    }
    target.is_unharmed("a stray answer");
}
