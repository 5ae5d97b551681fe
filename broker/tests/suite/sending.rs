//! Sending: what is stored, what is answered, what is refused.

use rocketmq_boot_broker::config::{FlushDisk, Role};
use rocketmq_boot_protocol::{
    Command, Encoding, RequestCode, ResponseCode,
    fields::Header,
    header::send::{SendMessage, SendMessageReply, SendMessageShort},
    message::{batch, id::OffsetMessageId},
};

use super::wire::{TestBroker, message, pull};

#[test]
fn a_message_comes_back_as_it_was_sent() {
    for encoding in [Encoding::Json, Encoding::Binary] {
        let broker = TestBroker::start();
        let mut wire = broker.connect();
        wire.encoding = encoding;
        let answer = wire.call(message("orders", 2, "UNIQ_KEY=U1;TAGS=placed;KEYS=k1 k2;x=\u{e9}", "body"));
        assert_eq!(answer.encoding, encoding);
        assert_eq!(
            (answer.fields.get("MSG_REGION"), answer.fields.get("TRACE_ON")),
            (Some("DefaultRegion"), Some("true"))
        );
        let reply: SendMessageReply = answer.header().unwrap();
        assert_eq!((reply.queue_id, reply.queue_offset), (2, 0));
        assert_eq!(reply.transaction_id.as_deref(), Some("U1"));
        let id: OffsetMessageId = reply.message_id.parse().unwrap();
        assert_eq!(id.host, broker.broker.as_ref().unwrap().address());

        let (code, header, messages) = wire.pull(pull("g", "orders", 2, 0, None));
        assert_eq!((code, header.next_begin_offset, header.max_offset), (ResponseCode::SUCCESS, 1, 1));
        let view = &messages[0];
        assert_eq!(
            (view.body.as_ref(), view.tag(), view.property("x")),
            (&b"body"[..], Some("placed"), Some("\u{e9}"))
        );
        assert_eq!(view.property("CLUSTER"), Some("DefaultCluster"));
        assert_eq!(view.offset_message_id, reply.message_id);
    }
}

#[test]
fn a_missing_unique_key_is_made() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let id = wire.send(message("orders", 0, "", "x")).transaction_id.unwrap();
    assert_eq!(id.len(), 32);
    let (_, _, messages) = wire.pull(pull("g", "orders", 0, 0, None));
    assert_eq!(messages[0].property("UNIQ_KEY"), Some(id.as_str()));
}

#[test]
fn many_sends_in_one_write_are_answered_in_order() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let opaques: Vec<i32> =
        (0..500).map(|n| wire.post(message("orders", 0, "UNIQ_KEY=U", &n.to_string()))).collect();
    for (offset, opaque) in (0..).zip(opaques) {
        let answer = wire.receive().unwrap();
        assert_eq!(answer.opaque, opaque);
        assert_eq!(answer.header::<SendMessageReply>().unwrap().queue_offset, offset);
    }
}

#[test]
fn a_batch_is_stored_as_single_messages() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let mut body = Vec::new();
    for n in 0..3 {
        let properties = format!("UNIQ_KEY\u{1}U{n}\u{2}TAGS\u{1}t\u{2}");
        let text = format!("m{n}");
        let item = batch::Item { flag: 0, body: text.as_bytes(), properties: properties.as_bytes() };
        batch::encode(&item, &mut body).unwrap();
    }
    let mut header: SendMessageShort = message("orders", 1, "WAIT=true;UNIQ_KEY=B", "").header().unwrap();
    header.batch = true;
    let answer = wire.expect(
        Command::request(RequestCode::SEND_BATCH_MESSAGE, &header).with_body(body),
        ResponseCode::SUCCESS,
    );
    let reply: SendMessageReply = answer.header().unwrap();
    assert_eq!(reply.message_id.split(',').count(), 3);
    // The batch's own key, as Apache answers it; the messages' keys the producer knows.
    assert_eq!(reply.transaction_id.as_deref(), Some("B"));
    let (_, _, messages) = wire.pull(pull("g", "orders", 1, 0, None));
    let bodies: Vec<_> = messages.iter().map(|view| String::from_utf8(view.body.to_vec()).unwrap()).collect();
    assert_eq!(bodies, ["m0", "m1", "m2"]);
    assert_eq!(messages[2].property("UNIQ_KEY"), Some("U2"));
    let stamps = ["CLUSTER", "MSG_REGION", "TRACE_ON"].map(|key| messages[2].property(key));
    assert_eq!(stamps, [Some("DefaultCluster"), None, None]);
}

#[test]
fn the_header_says_what_is_a_batch_and_not_the_code() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let mut body = Vec::new();
    for text in ["a", "b"] {
        let item = batch::Item { flag: 0, body: text.as_bytes(), properties: b"" };
        batch::encode(&item, &mut body).unwrap();
    }
    let long = |batch| SendMessage {
        batch,
        ..message("orders", 0, "", "").header::<SendMessageShort>().unwrap().into()
    };
    let short = |batch| SendMessageShort { batch, ..message("orders", 0, "", "").header().unwrap() };
    for (request, stored) in [
        (Command::request(RequestCode::SEND_MESSAGE, &long(true)), 2),
        (Command::request(RequestCode::SEND_MESSAGE_V2, &short(true)), 2),
        (Command::request(RequestCode::SEND_BATCH_MESSAGE, &short(true)), 2),
        (Command::request(RequestCode::SEND_BATCH_MESSAGE, &short(false)), 1),
    ] {
        let before = wire.pull(pull("g", "orders", 0, 0, None)).1.max_offset;
        let reply = wire.send(request.with_body(body.clone()));
        assert_eq!(reply.queue_offset, before);
        assert_eq!(reply.message_id.split(',').count(), usize::try_from(stored).unwrap());
        assert_eq!(wire.pull(pull("g", "orders", 0, 0, None)).1.max_offset, before + stored);
    }
}

#[test]
fn one_way_sends_are_stored_and_not_answered() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.post(message("orders", 0, "UNIQ_KEY=U", "quiet").one_way());
    let opaque = wire.post(message("orders", 0, "UNIQ_KEY=U", "loud"));
    let first = wire.receive().unwrap();
    assert_eq!((first.opaque, first.header::<SendMessageReply>().unwrap().queue_offset), (opaque, 1));
}

#[test]
fn what_may_not_be_sent_is_refused_with_apaches_codes() {
    let broker = TestBroker::with(|settings| {
        settings.max_message_bytes = 100;
        settings.auto_create_subscription_group = false;
    });
    let mut wire = broker.connect();
    for (topic, queue, properties, body, code) in [
        ("SCHEDULE_TOPIC_XXXX", 0, "", "x", ResponseCode::NO_PERMISSION),
        ("RMQ_SYS_TRANS_HALF_TOPIC", 0, "", "x", ResponseCode::NO_PERMISSION),
        ("../etc", 0, "", "x", ResponseCode::INVALID_PARAMETER),
        ("a\0b", 0, "", "x", ResponseCode::INVALID_PARAMETER),
        (&"t".repeat(128), 0, "", "x", ResponseCode::INVALID_PARAMETER),
        ("orders", 99, "", "x", ResponseCode::INVALID_PARAMETER),
        ("orders", 0, "", &"x".repeat(101), ResponseCode::MESSAGE_ILLEGAL),
        ("orders", 0, &format!("x={}", "y".repeat(32_700)), "x", ResponseCode::MESSAGE_ILLEGAL),
        ("%RETRY%nobody", 0, "", "x", ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST),
    ] {
        let answer = wire.call(message(topic, queue, properties, body));
        assert_eq!(answer.response_code(), code, "{topic}: {answer:?}");
        assert!(answer.remark.is_some_and(|remark| !remark.is_empty()), "{topic}");
    }
}

#[test]
fn topics_are_not_made_when_that_is_off() {
    let broker = TestBroker::with(|settings| settings.auto_create_topic = false);
    let mut wire = broker.connect();
    let answer = wire.expect(message("orders", 0, "", "x"), ResponseCode::TOPIC_NOT_EXIST);
    assert!(answer.remark.unwrap().contains("orders"));
}

#[test]
fn a_synchronous_flush_is_answered_after_the_disk() {
    let broker = TestBroker::with(|settings| settings.flush = FlushDisk::Sync);
    let mut wire = broker.connect();
    let opaques: Vec<i32> = (0..100).map(|_| wire.post(message("orders", 0, "UNIQ_KEY=U", "x"))).collect();
    for opaque in opaques {
        assert_eq!(wire.answer_to(opaque).response_code(), ResponseCode::SUCCESS);
    }
    let (code, header, _) = wire.pull(pull("g", "orders", 0, 0, None));
    assert_eq!((code, header.max_offset), (ResponseCode::SUCCESS, 100));
}

#[test]
fn a_sync_master_without_a_slave_says_so_and_stores_all_the_same() {
    let broker = TestBroker::with(|settings| settings.role = Role::SyncMaster);
    let mut wire = broker.connect();
    let answer = wire.expect(message("orders", 0, "UNIQ_KEY=U", "x"), ResponseCode::SLAVE_NOT_AVAILABLE);
    assert_eq!(SendMessageReply::read(&answer.fields).unwrap().queue_offset, 0);
    wire.expect(message("orders", 0, "UNIQ_KEY=U;WAIT=false", "x"), ResponseCode::SUCCESS);
    let (code, header, _) = wire.pull(pull("g", "orders", 0, 0, None));
    assert_eq!((code, header.max_offset), (ResponseCode::SUCCESS, 2));
}

#[test]
fn messages_survive_a_restart() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    for n in 0..10 {
        wire.send(message("orders", n % 2, "UNIQ_KEY=U", &n.to_string()));
    }
    broker.restart();
    let mut wire = broker.connect();
    for queue in 0..2 {
        let (code, header, messages) = wire.pull(pull("g", "orders", queue, 0, None));
        assert_eq!((code, header.max_offset, messages.len()), (ResponseCode::SUCCESS, 5, 5));
    }
    assert_eq!(wire.send(message("orders", 0, "UNIQ_KEY=U", "x")).queue_offset, 5);
}
