use proptest::prelude::*;

use super::*;

fn draft<'a>() -> Draft<'a> {
    Draft {
        queue_id: 3,
        flag: 7,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_123,
        born_host: "10.1.2.3:4567".parse().unwrap(),
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 2,
        prepared_transaction_offset: 5,
        body: b"hello",
        topic: b"orders",
        properties: b"KEYS\x01k1",
        more_properties: b"CLUSTER\x01c\x02",
    }
}

fn encode(draft: &Draft<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let size = draft.encode(11, 22, 33, &mut out).unwrap();
    assert_eq!((size, draft.encoded_len().unwrap()), (out.len(), out.len()));
    out
}

#[test]
fn the_bytes_are_the_documented_layout() {
    #[rustfmt::skip]
    let expected: Vec<u8> = [
        &[0, 0, 0, 120, 0xDA, 0xA3, 0x20, 0xA7, 0x36, 0x10, 0xA6, 0x86][..],
        &[0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0],
        &1_700_000_000_123_i64.to_be_bytes(), &[10, 1, 2, 3, 0, 0, 0x11, 0xD7],
        &33_i64.to_be_bytes(), &[127, 0, 0, 1, 0, 0, 0x2A, 0x9F],
        &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 5], b"hello", &[6], b"orders",
        &[0, 18], b"KEYS\x01k1\x02CLUSTER\x01c\x02",
    ].concat();
    assert_eq!(encode(&draft()), expected);
}

#[test]
fn a_record_reads_back_as_drafted() {
    let bytes = encode(&draft());
    let record = Record::decode(&bytes).unwrap();
    assert_eq!((record.queue_offset, record.physical_offset, record.store_timestamp), (11, 22, 33));
    assert_eq!((record.topic, record.body, record.magic), ("orders", &b"hello"[..], Magic::V1));
    assert_eq!((record.property("KEYS"), record.property("CLUSTER")), (Some("k1"), Some("c")));
    assert!(record.check_crc());
}

#[test]
fn long_topics_are_written_as_v2() {
    let topic = [b't'; 128];
    let bytes = encode(&Draft { topic: &topic, ..draft() });
    let record = Record::decode(&bytes).unwrap();
    assert_eq!((record.magic, record.topic.len()), (Magic::V2, 128));
}

#[test]
fn parts_that_do_not_fit_their_length_field_are_refused() {
    let long = vec![b'x'; 32_768];
    for bad in [
        Draft { topic: &long, ..draft() },
        Draft { properties: &long, ..draft() },
        Draft { properties: &long[..32_760], more_properties: b"abcdefgh", ..draft() },
    ] {
        let mut out = vec![1];
        assert!(matches!(bad.encode(0, 0, 0, &mut out), Err(RecordError::TooLong { .. })));
        assert_eq!(out, [1]);
    }
}

#[test]
fn a_record_cut_at_any_length_is_an_error() {
    let bytes = encode(&draft());
    for length in 0..bytes.len() {
        assert!(Record::decode(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&bytes);
    assert!(Record::decode(&longer).is_ok(), "a whole record may be followed by others");
}

#[test]
fn a_size_that_disagrees_with_the_fields_is_an_error() {
    let mut bytes = encode(&draft());
    bytes.extend_from_slice(&[0; 4]);
    bytes[3] += 4;
    assert_eq!(Record::decode(&bytes), Err(RecordError::Length { field: "total size", value: 124 }));
}

#[test]
fn a_flipped_body_bit_fails_the_checksum_and_a_checksum_of_zero_is_legal() {
    let mut bytes = encode(&draft());
    let at = bytes.windows(5).position(|window| window == b"hello").unwrap();
    bytes[at] ^= 1;
    assert!(!Record::decode(&bytes).unwrap().check_crc());
    let empty = encode(&Draft { body: b"", ..draft() });
    let record = Record::decode(&empty).unwrap();
    assert_eq!((record.body_crc, record.check_crc()), (0, true));
}

#[test]
fn records_of_a_pull_body_end_at_the_first_error() {
    let mut body = encode(&draft());
    body.extend_from_slice(&encode(&draft()));
    assert_eq!(records(&body).filter(Result::is_ok).count(), 2);
    body.extend_from_slice(&[0, 0, 0]);
    let results: Vec<_> = records(&body).map(|record| record.is_ok()).collect();
    assert_eq!(results, [true, true, false]);
}

prop_compose! {
    fn any_host()(v6 in any::<bool>(), v6_bytes in any::<[u8; 16]>(), v4 in any::<[u8; 4]>(), port in any::<u16>()) -> SocketAddr {
        let ip = if v6 { IpAddr::from(v6_bytes) } else { IpAddr::from(v4) };
        SocketAddr::new(ip, port)
    }
}

proptest! {
    #[test]
    fn drafts_round_trip(
        numbers in any::<(i32, i32, i32, i64, i32, i64)>(),
        hosts in (any_host(), any_host()),
        body in prop::collection::vec(any::<u8>(), 0..300),
        topic in "[a-z%]{0,200}",
        properties in prop::collection::vec(any::<u8>(), 0..100),
        place in any::<(i64, i64, i64)>(),
    ) {
        let (queue_id, flag, sys_flag, born_timestamp, reconsume_times, prepared_transaction_offset) = numbers;
        let draft = Draft {
            queue_id, flag, sys_flag, born_timestamp, reconsume_times, prepared_transaction_offset,
            born_host: hosts.0, store_host: hosts.1,
            body: &body, topic: topic.as_bytes(), properties: &properties, more_properties: b"",
        };
        let mut placed = Vec::new();
        draft.encode(place.0, place.1, place.2, &mut placed).unwrap();
        let record = Record::decode(&placed).unwrap();
        prop_assert_eq!((record.queue_offset, record.physical_offset, record.store_timestamp), place);
        prop_assert_eq!((record.born_host, record.store_host), hosts);
        prop_assert_eq!((record.queue_id, record.flag, record.born_timestamp), (queue_id, flag, born_timestamp));
        prop_assert_eq!((record.reconsume_times, record.prepared_transaction_offset),
            (reconsume_times, prepared_transaction_offset));
        let v6 = BORN_HOST_V6 | STORE_HOST_V6;
        prop_assert_eq!(record.sys_flag & !v6, sys_flag & !v6);
        prop_assert_eq!((record.body, record.topic), (&body[..], &topic[..]));
        let mut closed = properties.clone();
        if closed.last().is_some_and(|last| *last != SEPARATOR) {
            closed.push(SEPARATOR);
        }
        prop_assert_eq!(record.properties, closed);
        prop_assert!(record.check_crc());

        let mut patched = Vec::new();
        draft.encode(0, 0, 0, &mut patched).unwrap();
        prop_assert!(patch_offsets(&mut patched, place.0, place.1, place.2));
        prop_assert_eq!(patched, placed);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), flips in prop::collection::vec((0_usize..120, any::<u8>()), 0..6)) {
        let _ = Record::decode(&bytes);
        let mut record = encode(&draft());
        for (at, byte) in flips {
            record[at] = byte;
        }
        prop_assert!(records(&record).count() <= 2);
        let mut bytes = bytes;
        patch_offsets(&mut bytes, 1, 2, 3);
    }
}
