//! What stands in the way of a start is named, and nothing is lost by it.

use std::fs;

use rocketmq_boot_broker::{Broker, Settings, StartError};
use rocketmq_boot_protocol::{Clock, ResponseCode};

use super::wire::{TestBroker, message, pull};

fn settings(broker: &TestBroker) -> Settings {
    Settings {
        broker_name: "broker-b".into(),
        listen_port: 0,
        store_root: broker.folder.path().join("store"),
        ..broker.settings.clone()
    }
}

#[test]
fn a_second_broker_on_the_same_folder_is_refused() {
    let broker = TestBroker::start();
    let error = Broker::start(settings(&broker), Clock::system()).unwrap_err();
    assert!(matches!(error, StartError::Store { .. }), "{error}");
    assert!(error.to_string().contains("store"), "{error}");
    broker.connect().send(message("orders", 0, "UNIQ_KEY=U", "x"));
}

#[test]
fn a_port_in_use_is_named() {
    let broker = TestBroker::start();
    let address = broker.broker.as_ref().unwrap().address();
    let folder = tempfile::tempdir().unwrap();
    let taken = Settings {
        listen_port: address.port(),
        fast_port: false,
        store_root: folder.path().into(),
        ..settings(&broker)
    };
    let error = Broker::start(taken, Clock::system()).unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_damaged_table_falls_back_to_its_previous_generation_or_stops_the_start() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "UNIQ_KEY=U", "kept"));
    wire.send(message("more", 0, "UNIQ_KEY=U", "kept"));
    let topics = broker.folder.path().join("store/config/topics.json");
    broker.broker.take();
    fs::write(&topics, "{\"dataVersion\":").unwrap();
    let again = Broker::start(settings(&broker), Clock::system()).unwrap();
    drop(again);
    fs::write(&topics, "").unwrap();
    for entry in fs::read_dir(topics.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("topics.json.") {
            fs::write(path, "garbage").unwrap();
        }
    }
    let error = Broker::start(settings(&broker), Clock::system()).unwrap_err();
    assert!(matches!(error, StartError::StateFile { .. }), "{error}");
    assert!(error.to_string().contains("topics.json"), "{error}");
}

#[test]
fn a_slave_and_a_master_with_a_wrong_id_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let slave = Settings {
        role: rocketmq_boot_broker::config::Role::Slave,
        broker_id: 1,
        listen_port: 0,
        store_root: folder.path().into(),
        ..Settings::default()
    };
    let error = Broker::start(slave, Clock::system()).unwrap_err();
    assert!(error.to_string().contains("cannot replicate yet"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_killed_brokers_folder_is_recovered() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for n in 0..100 {
        wire.send(message("orders", 0, "UNIQ_KEY=U", &n.to_string()));
    }
    // A copy of the folder while the broker runs is what a kill leaves behind.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&broker.folder.path().join("store"), copy.path());
    let recovered = Settings {
        store_root: copy.path().into(),
        commit_log_file_bytes: 1 << 20,
        consume_queue_file_entries: 1_000,
        ..settings(&broker)
    };
    let again = Broker::start(recovered, Clock::system()).unwrap();
    let other = TestBroker { broker: Some(again), ..TestBroker::start() };
    let (code, header, messages) = other.connect().pull(pull("g", "orders", 0, 0, None));
    assert_eq!((code, header.max_offset), (ResponseCode::SUCCESS, 100));
    assert_eq!(messages[0].body.as_ref(), b"0");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_masters_of_users_guides_start_with_other_paths_and_addresses() {
    for (name, text) in [
        ("2m-2s-sync-broker-a.conf", include_str!("../vectors/conf/2m-2s-sync-broker-a.conf")),
        ("broker02.conf", include_str!("../vectors/conf/broker02.conf")),
        ("broker-a.conf", include_str!("../vectors/conf/broker-a.conf")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        let report = settings.apply(name, text).unwrap();
        let strange: Vec<_> = report.unknown.iter().map(|(_, key, _)| key.as_str()).collect();
        assert!(strange.is_empty() || strange == ["disk"], "{name}: {strange:?}");
        let ours = format!(
            "brokerIP1=127.0.0.1\nlistenPort=0\nnamesrvAddr=\nstorePathRootDir={0}\nstorePathCommitLog={0}/commitlog",
            folder.path().display()
        );
        settings.apply("the test", &ours).unwrap();
        // The guide's files of 1 GiB are made, but nothing is written to them.
        let broker = Broker::start(settings, Clock::system()).unwrap();
        assert!(["broker-a", "broker02"].contains(&broker.name()), "{name}");
    }
}
