//! Requests and replies: a reply finds the client that asked.

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::{
        reply::PushReply,
        send::{SendMessage, SendMessageReply, SendMessageShort},
    },
    message::property,
};

use super::wire::{START_MS, TestBroker, Wire, message, pull};

const REPLIES: &str = "DefaultCluster_REPLY_TOPIC";

/// A reply to `client`, as Java sends it.
fn reply(client: &str, body: &str) -> Command {
    let request = message(REPLIES, 0, &format!("MSG_TYPE=reply;CORRELATION_ID=c1;REPLY_TO_CLIENT={client}"), body);
    Command { code: RequestCode::SEND_REPLY_MESSAGE_V2.into(), ..request }
}

/// The push that a requester gets, answered with `code`.
fn pushed(requester: &mut Wire, code: ResponseCode) -> Command {
    let push = requester.receive().unwrap();
    assert!(!push.is_response() && !push.is_one_way());
    assert_eq!(push.request_code(), RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT);
    requester.write(&Command::answer(&push, code).to_bytes());
    push
}

fn stored(wire: &mut Wire) -> i64 {
    wire.pull(pull("g", REPLIES, 0, 0, None)).1.max_offset
}

#[test]
fn a_reply_reaches_the_client_that_asked() {
    let broker = TestBroker::start();
    let (mut requester, mut replier) = (broker.connect(), broker.connect());
    requester.produces_for("asker@1", "askers");
    // The topic of replies is there from the start.
    let opaque = replier.post(reply("asker@1", "forty-two"));
    let push = pushed(&mut requester, ResponseCode::SUCCESS);
    let header: PushReply = push.header().unwrap();
    assert_eq!((header.topic.as_str(), header.producer_group.as_str()), (REPLIES, "producers"));
    assert_eq!((header.queue_id, header.born_timestamp, header.store_timestamp), (0, START_MS, START_MS));
    let address = broker.broker.as_ref().unwrap().address().to_string();
    assert_eq!(header.store_host.as_deref(), Some(address.as_str()));
    assert!(header.born_host.is_some_and(|host| host.starts_with("127.0.0.1:")));
    let properties = header.properties.unwrap();
    let now = START_MS.to_string();
    for (key, value) in [
        ("CORRELATION_ID", "c1"),
        ("REPLY_TO_CLIENT", "asker@1"),
        ("PUSH_REPLY_TIME", now.as_str()),
        ("MSG_REGION", "DefaultRegion"),
        ("TRACE_ON", "true"),
    ] {
        assert_eq!(property::get(&properties, key), Some(value), "{key}");
    }
    assert_eq!(push.body, "forty-two");

    let answer = replier.answer_to(opaque);
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS);
    assert_eq!(answer.fields.get("MSG_REGION"), Some("DefaultRegion"));
    let header: SendMessageReply = answer.header().unwrap();
    assert_eq!((header.queue_id, header.queue_offset), (0, 0));
    let (_, _, messages) = replier.pull(pull("g", REPLIES, 0, 0, None));
    assert_eq!((messages[0].body.as_ref(), messages[0].property("CLUSTER")), (&b"forty-two"[..], Some("DefaultCluster")));
    assert_eq!(messages[0].offset_message_id, header.message_id);
}

#[test]
fn replies_with_long_names_are_replies_too_and_need_not_be_stored() {
    let broker = TestBroker::with(|settings| settings.store_replies = false);
    let (mut requester, mut replier) = (broker.connect(), broker.connect());
    requester.produces_for("asker@1", "askers");
    let header: SendMessage = reply("asker@1", "").header::<SendMessageShort>().unwrap().into();
    let opaque = replier.post(Command::request(RequestCode::SEND_REPLY_MESSAGE, &header).with_body("x"));
    pushed(&mut requester, ResponseCode::SUCCESS);
    let header: SendMessageReply = replier.answer_to(opaque).header().unwrap();
    assert_eq!((header.message_id.as_str(), header.queue_offset), ("0", 0));
    assert_eq!(stored(&mut replier), 0);
}

#[test]
fn a_replier_learns_that_its_reply_reached_nobody() {
    let broker = TestBroker::start();
    let (mut requester, mut replier) = (broker.connect(), broker.connect());
    requester.produces_for("asker@1", "askers");
    for (client, remark) in [
        ("asker@2", "push reply message fail, channel of <asker@2> not found."),
        ("", "reply message properties[REPLY_TO_CLIENT] is null"),
    ] {
        let answer = replier.expect(reply(client, "x"), ResponseCode::SYSTEM_ERROR);
        assert_eq!(answer.remark.as_deref(), Some(remark));
        assert!(answer.header::<SendMessageReply>().is_ok(), "it is stored all the same");
    }
    let opaque = replier.post(reply("asker@1", "x"));
    pushed(&mut requester, ResponseCode::SYSTEM_ERROR);
    let answer = replier.answer_to(opaque);
    assert_eq!(answer.remark.as_deref(), Some("push reply message to asker@1fail."));
    assert_eq!(stored(&mut replier), 3);
}

#[test]
fn a_client_is_known_by_its_last_connection_until_its_last_group_is_gone() {
    let broker = TestBroker::start();
    let (mut first, mut second, mut replier) = (broker.connect(), broker.connect(), broker.connect());
    first.produces_for("asker@1", "askers");
    first.produces_for("asker@1", "others");
    let leave = |wire: &mut Wire, group: &str| {
        let header = rocketmq_boot_protocol::header::group::UnregisterClient {
            client_id: "asker@1".into(),
            producer_group: Some(group.into()),
            consumer_group: None,
        };
        wire.expect(Command::request(RequestCode::UNREGISTER_CLIENT, &header), ResponseCode::SUCCESS);
    };
    leave(&mut first, "askers");
    let opaque = replier.post(reply("asker@1", "x"));
    pushed(&mut first, ResponseCode::SUCCESS);
    replier.answer_to(opaque);
    // It came back on another connection before the old one was gone.
    second.produces_for("asker@1", "others");
    leave(&mut first, "others");
    let opaque = replier.post(reply("asker@1", "x"));
    pushed(&mut second, ResponseCode::SUCCESS);
    replier.answer_to(opaque);
    leave(&mut second, "others");
    replier.expect(reply("asker@1", "x"), ResponseCode::SYSTEM_ERROR);
}
