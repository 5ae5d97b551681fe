//! Bytes that no client should send.

use rocketmq_boot_protocol::{Command, RequestCode, ResponseCode};

use super::wire::{TestBroker, message};

#[test]
fn an_unknown_code_costs_its_request() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for (code, named) in [(RequestCode(4_711), "4711"), (RequestCode::POP_MESSAGE, "POP_MESSAGE")] {
        let answer = wire.expect(Command::bare(code), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
        assert!(answer.remark.unwrap().contains(named));
    }
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
}

#[test]
fn a_bad_field_costs_its_request() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for (key, value) in [("e", "three"), ("g", "99999999999999999999"), ("f", "{}")] {
        let mut request = message("orders", 0, "UNIQ_KEY=U", "x");
        request.fields.insert(key, value);
        let answer = wire.expect(request, ResponseCode::SYSTEM_ERROR);
        assert!(answer.remark.unwrap().contains(value));
    }
    let mut request = message("orders", 0, "UNIQ_KEY=U", "x");
    request.fields.remove("b");
    wire.expect(request, ResponseCode::SYSTEM_ERROR);
    wire.send(message("orders", 0, "UNIQ_KEY=U", "x"));
}

#[test]
fn a_malformed_frame_costs_its_connection_and_no_other() {
    let broker = TestBroker::start();
    let mut good = broker.connect();
    for bytes in [
        &[0xFF; 8][..],
        &[0, 0, 0, 3],
        &[0x7F, 0xFF, 0xFF, 0xFF],
        &[0, 0, 0, 8, 9, 0, 0, 0],
        &[0, 0, 0, 4, 0, 0xFF, 0, 0],
    ] {
        let mut bad = broker.connect();
        bad.write(bytes);
        assert!(bad.receive().is_none(), "{bytes:?}");
    }
    good.send(message("orders", 0, "UNIQ_KEY=U", "x"));
}

#[test]
fn hostile_properties_and_batches_are_refused_or_stored_whole() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for properties in
        ["\u{1}\u{2}\u{1}\u{2}", "DELAY\u{1}x\u{2}", "\u{2}\u{2}\u{2}", "UNIQ_KEY\u{1}", "=;=;="]
    {
        let mut request = message("orders", 0, "", "x");
        request.fields.insert("i", properties);
        wire.expect(request, ResponseCode::SUCCESS);
    }
    for body in [&[0xFF; 40][..], &[0, 0, 0, 1], &[0x7F, 0xFF, 0xFF, 0xFF, 0], &[]] {
        let mut request = message("orders", 0, "", "").with_body(body.to_vec());
        request.code = RequestCode::SEND_BATCH_MESSAGE.into();
        request.fields.insert("m", "true");
        wire.expect(request, ResponseCode::MESSAGE_ILLEGAL);
    }
}
