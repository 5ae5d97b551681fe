//! Half messages: hidden, committed, rolled back, asked about, parked, and all of it across a killed process.

use std::{fs::File, path::Path, time::Duration};

use flate2::read::GzDecoder;
use rocketmq_boot_broker::config::FlushDisk;
use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::{
        send::SendMessageReply,
        transaction::{CheckTransactionState, EndTransaction},
    },
    message::{
        MessageView,
        id::OffsetMessageId,
        record::Record,
        sys_flag::Transaction,
    },
};

use super::wire::{START_MS, TestBroker, Wire, message, pull};

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const PARKED: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
const ROUND: Duration = Duration::from_secs(30);

fn half(properties: &str, body: &str) -> Command {
    message("orders", 1, &format!("TRAN_MSG=true;PGROUP=buyers;{properties}"), body)
}

/// Ends the transaction of a half message, as a producer does of its own accord.
fn end(sent: &SendMessageReply, how: Transaction) -> EndTransaction {
    let id: OffsetMessageId = sent.message_id.parse().unwrap();
    EndTransaction {
        producer_group: "buyers".into(),
        tran_state_table_offset: sent.queue_offset,
        commit_log_offset: i64::try_from(id.physical_offset).unwrap(),
        commit_or_rollback: how.set(0),
        message_id: sent.transaction_id.clone().unwrap_or_default(),
        ..EndTransaction::default()
    }
}

/// Ends the transaction of a half message, as a producer does when it is asked.
fn answer(question: &CheckTransactionState, how: Transaction) -> EndTransaction {
    EndTransaction {
        producer_group: "buyers".into(),
        tran_state_table_offset: question.tran_state_table_offset,
        commit_log_offset: question.commit_log_offset,
        commit_or_rollback: how.set(0),
        from_transaction_check: true,
        message_id: question.message_id.clone().unwrap(),
        ..EndTransaction::default()
    }
}

fn ending(end: &EndTransaction) -> Command {
    Command::request(RequestCode::END_TRANSACTION, end)
}

fn all(wire: &mut Wire, topic: &str, queue_id: i32) -> Vec<MessageView> {
    wire.pull(pull("g", topic, queue_id, 0, None)).2
}

fn bodies(messages: &[MessageView]) -> Vec<&str> {
    messages.iter().map(|view| std::str::from_utf8(&view.body).unwrap()).collect()
}

/// The next question, and the message that it is about.
fn asked(producer: &mut Wire) -> (CheckTransactionState, MessageView) {
    loop {
        let command = producer.receive().expect("the broker closed the connection");
        if command.is_response() {
            continue;
        }
        assert_eq!(command.request_code(), RequestCode::CHECK_TRANSACTION_STATE);
        assert!(command.is_one_way());
        let view = MessageView::decode(&Record::decode(&command.body).unwrap(), 1 << 20).unwrap();
        return (command.header().unwrap(), view);
    }
}

/// Lets a round pass in which a message of its own is asked about last; answers what was asked about before it.
fn round(broker: &TestBroker, producer: &mut Wire, name: &str) -> Vec<(CheckTransactionState, MessageView)> {
    let mut wire = broker.connect();
    let mut last = half(&format!("UNIQ_KEY={name}"), name);
    last.fields.insert("g", broker.clock.now_ms().to_string());
    wire.send(last);
    broker.clock.advance(ROUND);
    let mut before = Vec::new();
    loop {
        let (question, view) = asked(producer);
        if view.body == name.as_bytes() {
            wire.expect(ending(&answer(&question, Transaction::Rollback)), ResponseCode::SUCCESS);
            return before;
        }
        before.push((question, view));
    }
}

/// [`round`], told by the bodies asked about.
fn round_of(broker: &TestBroker, producer: &mut Wire, name: &str) -> Vec<String> {
    let asked = round(broker, producer, name);
    asked.iter().map(|(_, view)| String::from_utf8(view.body.to_vec()).unwrap()).collect()
}

#[test]
fn a_half_message_comes_to_light_when_it_is_committed() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let sent = wire.send(half("UNIQ_KEY=U;TAGS=placed;KEYS=k1;mine=1", "order"));
    assert_eq!((sent.queue_id, sent.queue_offset, sent.transaction_id.as_deref()), (1, 0, Some("U")));
    assert_eq!(wire.pull(pull("g", "orders", 1, 0, None)).1.max_offset, 0);
    let hidden = all(&mut wire, HALF, 0).remove(0);
    for (key, value) in [("REAL_TOPIC", "orders"), ("REAL_QID", "1"), ("__transactionId__", "U")] {
        assert_eq!(hidden.property(key), Some(value), "{key}");
    }
    assert_eq!(Transaction::of(hidden.sys_flag), Transaction::None);

    broker.clock.advance(Duration::from_secs(2));
    wire.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::SUCCESS);
    let view = all(&mut wire, "orders", 1).remove(0);
    assert_eq!((view.body.as_ref(), view.tag(), view.message_id.as_str()), (&b"order"[..], Some("placed"), "U"));
    assert_eq!(Transaction::of(view.sys_flag), Transaction::Commit);
    assert_eq!((view.born_timestamp, view.store_timestamp), (START_MS, START_MS + 2_000));
    for (key, value) in [
        ("KEYS", Some("k1")),
        ("mine", Some("1")),
        ("TRAN_MSG", Some("true")),
        ("PGROUP", Some("buyers")),
        ("__transactionId__", Some("U")),
        ("CLUSTER", Some("DefaultCluster")),
        ("REAL_TOPIC", None),
        ("REAL_QID", None),
    ] {
        assert_eq!(view.property(key), value, "{key}");
    }
    let note = all(&mut wire, OP, 0).remove(0);
    assert_eq!((note.body.as_ref(), note.tag()), (&b"0"[..], Some("d")));
}

#[test]
fn what_is_rolled_back_is_never_seen_nor_asked_about() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    let sent = wire.send(half("UNIQ_KEY=U", "order"));
    wire.expect(ending(&end(&sent, Transaction::Rollback)), ResponseCode::SUCCESS);
    assert_eq!(round_of(&broker, &mut producer, "first"), [] as [&str; 0]);
    assert_eq!(round_of(&broker, &mut producer, "second"), [] as [&str; 0]);
    assert_eq!(wire.pull(pull("g", "orders", 1, 0, None)).1.max_offset, 0);
}

#[test]
fn ends_that_do_not_fit_are_refused_in_apaches_words() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let sent = wire.send(half("UNIQ_KEY=U", "order"));
    wire.send(message("orders", 1, "UNIQ_KEY=V;PGROUP=buyers", "no half"));
    let good = end(&sent, Transaction::Commit);
    let visible = all(&mut wire, "orders", 1)[0].physical_offset;
    for (wrong, remark) in [
        (EndTransaction { producer_group: "thieves".into(), ..good.clone() }, "The producer group wrong"),
        (
            EndTransaction { tran_state_table_offset: 1, ..good.clone() },
            "The transaction state table offset wrong",
        ),
        (
            EndTransaction { commit_log_offset: visible, ..good.clone() },
            "Find prepared transaction message failed",
        ),
        (
            EndTransaction { commit_log_offset: good.commit_log_offset + 1, ..good.clone() },
            "Find prepared transaction message failed",
        ),
        (
            EndTransaction { commit_log_offset: 1 << 40, ..good.clone() },
            "Find prepared transaction message failed",
        ),
        (EndTransaction { commit_log_offset: -1, ..good.clone() }, "Find prepared transaction message failed"),
        (EndTransaction { commit_or_rollback: 4, ..good.clone() }, "commitOrRollback field wrong"),
        (EndTransaction { commit_or_rollback: 9, ..good.clone() }, "commitOrRollback field wrong"),
    ] {
        let refused = wire.expect(ending(&wrong), ResponseCode::SYSTEM_ERROR);
        assert_eq!(refused.remark.as_deref(), Some(remark), "{wrong:?}");
    }
    // Not known yet: nothing happens and nothing is answered, so the next answer is the next request's.
    wire.post(ending(&EndTransaction { commit_or_rollback: 0, ..good.clone() }));
    let opaque = wire.post(ending(&good));
    assert_eq!(wire.receive().map(|answer| answer.opaque), Some(opaque));
    assert_eq!(bodies(&all(&mut wire, "orders", 1)), ["no half", "order"]);
}

#[test]
fn a_transaction_ends_once() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let sent = wire.send(half("UNIQ_KEY=U", "order"));
    for _ in 0..3 {
        wire.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::SUCCESS);
    }
    wire.expect(ending(&end(&sent, Transaction::Rollback)), ResponseCode::SYSTEM_ERROR);
    assert_eq!(bodies(&all(&mut wire, "orders", 1)), ["order"]);
    assert_eq!(all(&mut wire, OP, 0).len(), 1);
}

#[test]
fn a_producer_is_asked_and_its_answer_counts() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    wire.send(half("UNIQ_KEY=U;TAGS=t", "order"));
    broker.clock.advance(ROUND);
    let (question, view) = asked(&mut producer);
    assert_eq!((view.topic.as_str(), view.queue_id, view.body.as_ref()), ("orders", 1, &b"order"[..]));
    assert_eq!((view.tag(), view.property("TRANSACTION_CHECK_TIMES")), (Some("t"), Some("1")));
    assert_eq!(view.queue_offset, question.tran_state_table_offset);
    assert_eq!((question.message_id.as_deref(), question.transaction_id.as_deref()), (Some("U"), Some("U")));
    assert_eq!((question.topic.as_deref(), question.broker_name.as_deref()), (Some(HALF), Some("broker-a")));
    assert_eq!(question.offset_message_id.as_deref(), Some(view.offset_message_id.as_str()));
    wire.expect(ending(&answer(&question, Transaction::Commit)), ResponseCode::SUCCESS);
    let view = all(&mut wire, "orders", 1).remove(0);
    assert_eq!((view.body.as_ref(), view.tag()), (&b"order"[..], Some("t")));
    assert_eq!(view.property("TRAN_PREPARED_QUEUE_OFFSET"), None);
    assert_eq!(round_of(&broker, &mut producer, "after"), [] as [&str; 0]);
}

#[test]
fn a_producer_that_is_asked_fifteen_times_in_vain_is_left_alone() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    let sent = wire.send(half("UNIQ_KEY=U", "order"));
    for count in 1..=15 {
        broker.clock.advance(ROUND);
        let (question, view) = asked(&mut producer);
        assert_eq!(view.property("TRANSACTION_CHECK_TIMES"), Some(count.to_string().as_str()));
        wire.post(ending(&answer(&question, Transaction::None)).one_way());
    }
    assert_eq!(round_of(&broker, &mut producer, "sixteenth"), [] as [&str; 0]);
    let parked = all(&mut wire, PARKED, 0);
    assert_eq!(bodies(&parked), ["order"]);
    assert_eq!(parked[0].property("TRANSACTION_CHECK_TIMES"), Some("15"));
    assert_eq!(parked[0].property("REAL_TOPIC"), Some("orders"));
    assert_eq!(round_of(&broker, &mut producer, "seventeenth"), [] as [&str; 0]);
    // It is not too late for the producer.
    wire.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(bodies(&all(&mut wire, "orders", 1)), ["order"]);
}

#[test]
fn the_young_are_not_asked_about() {
    let broker = TestBroker::with(|settings| {
        settings.transaction_timeout = Duration::from_secs(45);
        settings.transaction_check_max = 2;
    });
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    wire.send(half("UNIQ_KEY=U", "order"));
    broker.clock.advance(ROUND);
    broker.clock.advance(ROUND);
    // Were it asked at 30 s, this would be the second question at the latest.
    assert_eq!(asked(&mut producer).1.property("TRANSACTION_CHECK_TIMES"), Some("1"));
}

#[test]
fn another_member_of_the_group_is_asked_when_one_is_gone() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let (mut first, mut second, mut other) = (broker.connect(), broker.connect(), broker.connect());
    first.produces_for("p1", "buyers");
    second.produces_for("p2", "buyers");
    other.produces_for("p3", "sellers");
    wire.send(half("UNIQ_KEY=a", "a"));
    wire.send(half("UNIQ_KEY=b", "b"));
    broker.clock.advance(ROUND);
    // They take turns.
    let mut seen = vec![asked(&mut first).1.body, asked(&mut second).1.body];
    seen.sort();
    assert_eq!(seen, ["a", "b"]);
    drop(first);
    // Whether the goodbye is known by then or not: nothing is sent into a closed connection twice.
    second.produces_for("p2", "buyers");
    let mut counts: Vec<_> = Vec::new();
    while counts.len() < 2 {
        broker.clock.advance(ROUND);
        let (_, view) = asked(&mut second);
        counts.push(view.body);
    }
    // The sellers were never bothered.
    other.produces_for("p3", "sellers");
}

#[test]
fn an_immunity_postpones_the_first_question_and_ends_the_right_to_speak_up() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    let sent = wire.send(half("UNIQ_KEY=U;CHECK_IMMUNITY_TIME_IN_SECONDS=600", "order"));
    let early = wire.send(half("UNIQ_KEY=V;CHECK_IMMUNITY_TIME_IN_SECONDS=600", "early"));
    for _ in 0..19 {
        assert_eq!(round_of(&broker, &mut producer, "sentinel"), [] as [&str; 0]);
    }
    wire.expect(ending(&end(&early, Transaction::Commit)), ResponseCode::SUCCESS);
    // 600 s are not over 600 s yet; the twenty-first round is the first to ask, and asks about the first only.
    assert_eq!(round_of(&broker, &mut producer, "sentinel"), [] as [&str; 0]);
    broker.clock.advance(ROUND);
    let (question, view) = asked(&mut producer);
    assert_eq!((view.body.as_ref(), view.property("TRANSACTION_CHECK_TIMES")), (&b"order"[..], Some("1")));
    wire.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::ILLEGAL_OPERATION);
    wire.expect(ending(&answer(&question, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(bodies(&all(&mut wire, "orders", 1)), ["early", "order"]);
}

#[test]
fn a_late_answer_ends_the_copy_too() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    let sent = wire.send(half("UNIQ_KEY=U", "order"));
    broker.clock.advance(ROUND);
    let (question, _) = asked(&mut producer);
    // The producer comes to its end while it is being asked, and names the message that it knows.
    wire.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(all(&mut wire, OP, 0)[0].body, format!("0,{},", question.tran_state_table_offset));
    wire.expect(ending(&answer(&question, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(round_of(&broker, &mut producer, "after"), [] as [&str; 0]);
    let broker = broker.killed();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    assert_eq!(round_of(&broker, &mut producer, "after the kill"), [] as [&str; 0]);
    assert_eq!(bodies(&all(&mut wire, "orders", 1)), ["order"]);
}

#[test]
fn transactions_survive_a_killed_process() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let sent: Vec<_> = ["committed", "rolled back", "committed later", "asked about"]
        .iter()
        .map(|body| wire.send(half(&format!("UNIQ_KEY={}", body.replace(' ', "-")), body)))
        .collect();
    wire.expect(ending(&end(&sent[0], Transaction::Commit)), ResponseCode::SUCCESS);
    wire.expect(ending(&end(&sent[1], Transaction::Rollback)), ResponseCode::SUCCESS);
    let broker = broker.killed();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    wire.expect(ending(&end(&sent[2], Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(round_of(&broker, &mut producer, "first"), ["asked about"]);
    // Killed in the middle of the round or behind it: asked about once a round all the same.
    let broker = broker.killed();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    assert_eq!(round_of(&broker, &mut producer, "second"), ["asked about"]);
    let third = round(&broker, &mut producer, "third");
    let [(question, view)] = third.as_slice() else { panic!("asked about {} at once", third.len()) };
    assert_eq!(view.body, "asked about");
    wire.expect(ending(&answer(question, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(bodies(&all(&mut wire, "orders", 1)), ["committed", "committed later", "asked about"]);
}

#[test]
fn a_half_message_that_nobody_can_be_asked_about_blocks_no_other() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    wire.send(message("orders", 0, "TRAN_MSG=true;UNIQ_KEY=nobody", "nobody's"));
    // The longest properties that are taken leave no room for the count.
    let (mut fits, mut refused) = (32_000, 33_000);
    while refused - fits > 1 {
        let middle = usize::midpoint(fits, refused);
        let sent = wire.call(half(&format!("UNIQ_KEY=full;filler={}", "x".repeat(middle)), "full"));
        match sent.response_code() {
            ResponseCode::SUCCESS => fits = middle,
            code => {
                assert_eq!(code, ResponseCode::MESSAGE_ILLEGAL);
                refused = middle;
            }
        }
    }
    assert_eq!(all(&mut wire, HALF, 0)[0].body.as_ref(), b"nobody's");
    wire.send(half("UNIQ_KEY=good", "good"));
    broker.clock.advance(ROUND);
    loop {
        if asked(&mut producer).1.body == "good" {
            break;
        }
    }
    let parked = all(&mut wire, PARKED, 0);
    // The fullest of all at the least.
    let (first, others) = parked.split_first().unwrap();
    assert_eq!(first.body, "nobody's");
    assert!(!others.is_empty() && others.iter().all(|view| view.body == "full"), "{:?}", bodies(&parked));
}

#[test]
fn a_delay_begins_with_the_commit() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let sent = wire.send(half("UNIQ_KEY=U;DELAY=2", "order"));
    broker.clock.advance(Duration::from_secs(5));
    wire.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(wire.pull(pull("g", "orders", 1, 0, None)).1.max_offset, 0);
    let opaque = wire.post(pull("g", "orders", 1, 0, Some(Duration::from_secs(15))));
    broker.clock.advance(Duration::from_secs(5));
    let (_, _, messages) = super::wire::pulled(&wire.answer_to(opaque));
    assert_eq!((bodies(&messages), messages[0].store_timestamp), (vec!["order"], START_MS + 10_000));
}

#[test]
fn so_does_an_instant_that_is_counted_from_now() {
    let broker = TestBroker::start();
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    let sent = wire.send(half("UNIQ_KEY=U;TIMER_DELAY_SEC=10", "order"));
    broker.clock.advance(ROUND);
    // What is put back for a question does not wait in the timers instead.
    let (question, _) = asked(&mut producer);
    assert_eq!(question.tran_state_table_offset, sent.queue_offset + 1);
    wire.expect(ending(&answer(&question, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(wire.pull(pull("g", "orders", 1, 0, None)).1.max_offset, 0);
    let opaque = wire.post(pull("g", "orders", 1, 0, Some(Duration::from_secs(15))));
    broker.clock.advance(Duration::from_secs(10));
    let (_, _, messages) = super::wire::pulled(&wire.answer_to(opaque));
    assert_eq!(bodies(&messages), ["order"]);
    assert_eq!(Transaction::of(messages[0].sys_flag), Transaction::Commit);
}

#[test]
fn a_broker_may_take_no_half_messages_at_all() {
    let broker = TestBroker::with(|settings| settings.reject_transactions = true);
    let mut wire = broker.connect();
    wire.expect(half("UNIQ_KEY=U", "order"), ResponseCode::NO_PERMISSION);
    wire.send(message("orders", 0, "UNIQ_KEY=V", "plain"));
}

#[test]
fn what_only_pretends_to_be_a_half_message_is_refused() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for flag in [4, 12] {
        let mut hidden = message("orders", 0, "UNIQ_KEY=U", "x");
        hidden.fields.insert("f", flag.to_string());
        wire.expect(hidden, ResponseCode::MESSAGE_ILLEGAL);
    }
    // And nobody says for another how often it was asked, or which message it stands for.
    wire.send(half("UNIQ_KEY=U;TRANSACTION_CHECK_TIMES=15;TRAN_PREPARED_QUEUE_OFFSET=7", "x"));
    let view = all(&mut wire, HALF, 0).remove(0);
    assert_eq!(view.property("TRANSACTION_CHECK_TIMES"), None);
    assert_eq!(view.property("TRAN_PREPARED_QUEUE_OFFSET"), None);
}

#[test]
fn commits_are_seen_once_they_are_on_disk_under_sync_flush() {
    let broker = TestBroker::with(|settings| settings.flush = FlushDisk::Sync);
    let (mut wire, mut producer) = (broker.connect(), broker.connect());
    producer.produces_for("p1", "buyers");
    let sent = wire.send(half("UNIQ_KEY=U", "order"));
    let opaque = wire.post(pull("g", "orders", 1, 0, Some(Duration::from_secs(15))));
    producer.expect(ending(&end(&sent, Transaction::Commit)), ResponseCode::SUCCESS);
    assert_eq!(bodies(&super::wire::pulled(&wire.answer_to(opaque)).2), ["order"]);
    assert_eq!(round_of(&broker, &mut producer, "after"), [] as [&str; 0]);
}

/// A minute after Apache's brokers left their folders behind.
const LATER_MS: i64 = 1_795_259_200_000;

/// A folder that Apache's broker left behind, with what was in it of transactions.
fn left_by_apache(version: &str) -> TestBroker {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("store/tests/vectors").join(version);
    let folder = tempfile::tempdir().unwrap();
    let packed = File::open(vectors.join("clean/store.tar.gz")).unwrap();
    for entry in tar::Archive::new(GzDecoder::new(packed)).entries().unwrap() {
        let mut entry = entry.unwrap();
        // Nearly nothing in 37 MiB.
        if !entry.path().unwrap().ends_with("timerwheel") {
            entry.unpack_in(folder.path()).unwrap();
        }
    }
    TestBroker::in_folder(folder, LATER_MS, |settings| {
        settings.commit_log_file_bytes = 65_536;
        settings.consume_queue_file_entries = 50;
    })
}

#[test]
fn transactions_that_apache_left_open_are_asked_about_and_no_others() {
    for version in ["4.9.7", "5.5.0"] {
        let broker = left_by_apache(version);
        let (mut wire, mut producer) = (broker.connect(), broker.connect());
        producer.produces_for("p1", "PID_golden_tx");
        broker.clock.advance(ROUND);
        let (question, view) = asked(&mut producer);
        assert_eq!((view.topic.as_str(), view.body.as_ref()), ("GoldenTx", &b"tx open"[..]), "{version}");
        let before = wire.pull(pull("g", "GoldenTx", 0, 0, None)).1.max_offset;
        let commit = EndTransaction {
            producer_group: "PID_golden_tx".into(),
            ..answer(&question, Transaction::Commit)
        };
        wire.expect(ending(&commit), ResponseCode::SUCCESS);
        let (_, header, messages) = wire.pull(pull("g", "GoldenTx", 0, before, None));
        assert_eq!((header.max_offset, bodies(&messages)), (before + 1, vec!["tx open"]), "{version}");
        // The committed and the rolled back one have their notes, in the words of their version.
        producer.produces_for("p1", "buyers");
        assert_eq!(round_of(&broker, &mut producer, "after"), [] as [&str; 0], "{version}");
    }
}
