//! Requests and replies against a broker that the test plays.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{future::IntoFuture, sync::Arc, time::Duration};

use rocketmq_boot_client::{
    Error, Message, MessageView, RequestError, ResponseCode, SendError, StartFrom, Verdict,
};
use rocketmq_boot_protocol::{RequestCode, header::send::SendMessageShort, message::property};
use tokio::{sync::mpsc, time::timeout};

use self::support::{Cluster, Instead, PATIENCE};

const REPLY: RequestCode = RequestCode::SEND_REPLY_MESSAGE_V2;

async fn cluster(brokers: usize) -> Cluster {
    let cluster = Cluster::start(brokers).await;
    cluster.topic("quotes", 1);
    cluster
}

#[tokio::test]
async fn a_handler_replies_to_a_request() {
    let cluster = cluster(2).await;
    let server = cluster.client();
    let replier = server.clone();
    let handler = move |request: MessageView| {
        let replier = replier.clone();
        async move {
            let body = [b"re: ", &request.body[..]].concat();
            replier.reply(&request, body).await.unwrap();
            Verdict::done()
        }
    };
    let consumer = server
        .push_consumer("quoting")
        .subscribe("quotes", "*")
        .from(StartFrom::First)
        .start(handler)
        .await
        .unwrap();
    let client = cluster.client();
    let producer = client.producer("asking").await.unwrap();
    for n in 0..4 {
        let request = Message::new("quotes", n.to_string());
        let reply = producer.request(request).timeout(PATIENCE).await.unwrap();
        assert_eq!(&reply.body[..], format!("re: {n}").as_bytes());
    }
    let replies: Vec<SendMessageShort> = cluster
        .brokers
        .iter()
        .flat_map(|broker| broker.requests(REPLY))
        .map(|request| request.header().unwrap())
        .collect();
    assert_eq!(replies.len(), 4);
    let properties = replies[0].properties.clone().unwrap();
    let of = |key| property::get(&properties, key);
    assert_eq!((of("MSG_TYPE"), of("REPLY_TO_CLIENT")), (Some("reply"), Some(client.id())));
    assert_eq!(replies[0].topic, "C_REPLY_TOPIC");
    consumer.stop(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn brokers_hear_of_the_requester_before_its_request() {
    let cluster = cluster(2).await;
    let client = cluster.client();
    let producer = client.producer("asking").await.unwrap();
    // The topic is known, so nothing else would have told the brokers.
    producer.queues("quotes").await.unwrap();
    let request = producer.request(Message::new("quotes", "?")).timeout(Duration::from_millis(50));
    let error = request.await.unwrap_err();
    assert!(matches!(error, RequestError::Timeout { ref topic, .. } if topic == "quotes"), "{error:?}");
    for broker in &cluster.brokers {
        assert!(broker.state.lock().clients.contains_key(client.id()), "{}", broker.name);
    }
}

#[tokio::test]
async fn a_request_that_is_not_sent_or_cut_off_says_so() {
    let cluster = cluster(1).await;
    let client = cluster.client();
    let producer = client.producer("asking").await.unwrap();
    cluster.broker().once(RequestCode::SEND_MESSAGE_V2, Instead::Refuse(ResponseCode::MESSAGE_ILLEGAL));
    let error = producer.request(Message::new("quotes", "?")).await.unwrap_err();
    assert!(matches!(error, RequestError::Send(SendError::Refused { .. })), "{error:?}");
    let waiting = tokio::spawn(producer.request(Message::new("quotes", "?")).timeout(PATIENCE).into_future());
    cluster.broker().until("the request", |broker| broker.stored("quotes") == 1).await;
    client.close().await;
    assert!(matches!(waiting.await.unwrap(), Err(RequestError::Closed)));
}

#[tokio::test]
async fn a_reply_needs_a_request_and_somebody_who_waits() {
    let cluster = cluster(1).await;
    let client = cluster.client();
    let (seen, mut requests) = mpsc::unbounded_channel();
    let seen = Arc::new(seen);
    let handler = move |message: MessageView| {
        let seen = Arc::clone(&seen);
        async move {
            seen.send(message).unwrap();
            Verdict::done()
        }
    };
    let consumer = client
        .push_consumer("quoting")
        .subscribe("quotes", "*")
        .from(StartFrom::First)
        .start(handler)
        .await
        .unwrap();
    let producer = client.producer("telling").await.unwrap();
    producer.send(Message::new("quotes", "no question")).await.unwrap();
    let message = timeout(PATIENCE, requests.recv()).await.unwrap().unwrap();
    let error = producer.reply(&message, "what?").await.unwrap_err();
    assert!(matches!(error, Error::NotARequest { message_id } if message_id == message.message_id));
    let gone =
        Message::new("quotes", "?").property("CORRELATION_ID", "1").property("REPLY_TO_CLIENT", "nobody");
    producer.send(gone).await.unwrap();
    let message = timeout(PATIENCE, requests.recv()).await.unwrap().unwrap();
    let error = producer.reply(&message, "hello?").await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: ResponseCode::SYSTEM_ERROR, .. }), "{error:?}");
    consumer.stop(PATIENCE).await.unwrap();
}
