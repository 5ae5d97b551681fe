//! Surroundings in which a server cannot start, or has to start without something: one clear message that names what and
//! where, and nothing stored is harmed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rocketmq_boot_tests::cluster::{self, Cluster, Servers};
use rocketmq_boot_tests::process::Process;
use rocketmq_boot_tests::record::records;
use rocketmq_boot_tests::route;
use rocketmq_boot_tests::wire::{self, Wire};
use tempfile::TempDir;

use crate::servers::ours;

const PATIENCE: Duration = Duration::from_secs(30);
const NOBODY: &str = "127.0.0.1:1";

/// Runs a broker that is not supposed to start, and returns what it said.
fn refused(home: &Path, name_server: &str, extra: &str) -> String {
    let conf = cluster::write_conf(home, &cluster::broker_conf(home, 0, name_server, extra));
    let Servers::Ours { broker, .. } = ours() else { unreachable!("ours are ours") };
    refused_program("mqbroker", &broker, &conf)
}

fn refused_program(name: &str, program: &PathBuf, conf: &Path) -> String {
    let mut command = Command::new(program);
    command.arg("-c").arg(conf);
    let mut process = Process::spawn(name, command);
    let status = process.wait(PATIENCE);
    let said = process.output();
    assert!(!status.success(), "{name} ends with success:\n{said}");
    assert!(!said.contains("boot success"), "{name} says that it started:\n{said}");
    assert!(!said.contains("panicked"), "{name} panics:\n{said}");
    said
}

fn assert_names(said: &str, what: &[&str]) {
    for word in what {
        assert!(said.contains(word), "the message does not name {word}:\n{said}");
    }
}

#[test]
fn a_port_in_use_is_named_by_both_servers() {
    let home = TempDir::new().expect("a temporary folder can be made");
    let taken = TcpListener::bind("0.0.0.0:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let said = refused(home.path(), NOBODY, &format!("listenPort = {port}"));
    assert_names(&said, &[&port.to_string()]);

    let Servers::Ours { name_server, .. } = ours() else { unreachable!("ours are ours") };
    let conf = cluster::write_conf(home.path(), &format!("listenPort = {port}\n"));
    let said = refused_program("mqnamesrv", &name_server, &conf);
    assert_names(&said, &[&port.to_string()]);
}

#[test]
fn a_second_broker_on_a_folder_is_refused_and_the_first_goes_on() {
    let cluster = Cluster::start(ours(), "");
    cluster.create_topic("first", 1);
    let store = cluster.store();
    let home = store.parent().expect("the store is in the broker's folder");
    // Its own conf file, for the first one's is in use.
    let other = TempDir::new().expect("a temporary folder can be made");
    let conf = cluster::write_conf(other.path(), &cluster::broker_conf(home, 0, cluster.name_server(), ""));
    let Servers::Ours { broker, .. } = ours() else { unreachable!("ours are ours") };
    let said = refused_program("mqbroker", &broker, &conf);
    assert_names(&said, &[&store.display().to_string()]);

    let mut wire = Wire::connect(cluster.broker()).expect("the first broker listens");
    wire.call(&wire::send("first", 0, b"still here")).expect("the first broker answers").success();
}

#[test]
fn a_folder_that_cannot_be_one_is_named() {
    let home = TempDir::new().expect("a temporary folder can be made");
    let file = home.path().join("file");
    fs::write(&file, "not a folder").expect("the folder can be written");
    let root = file.join("store");
    let extra = format!("storePathRootDir = {0}\nstorePathCommitLog = {0}/commitlog", root.display());
    let said = refused(home.path(), NOBODY, &extra);
    assert_names(&said, &[&file.display().to_string()]);
    assert_eq!(fs::read(&file).expect("it is still there"), b"not a folder");
}

#[test]
fn a_damaged_table_is_replaced_by_the_generation_before_or_named() {
    // Small, because the whole of it is compared.
    let small = "mappedFileSizeCommitLog = 65536\nmaxMessageSize = 16384\n";
    let mut cluster = Cluster::start(ours(), small);
    cluster.create_topic("kept", 2);
    cluster.create_topic("kept-too", 2);
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    wire.call(&wire::send("kept", 1, b"stored")).expect("the broker answers").success();
    cluster.stop_broker();

    let topics = cluster.store().join("config/topics.json");
    let backup = cluster.store().join("config/topics.json.bak");
    let whole = fs::read(&topics).expect("topics are saved on stop");
    fs::write(&topics, &whole[..whole.len() / 2]).expect("the folder can be written");
    cluster.start_broker();
    route::wait(cluster.name_server(), "kept", cluster.broker());
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    let pulled = wire.call(&wire::pull("group", "kept", 1, 0)).expect("the broker answers").success();
    assert_eq!(records(&pulled.body)[0].body, b"stored");
    cluster.stop_broker();

    // With both generations gone there is no telling what existed: a start would make it all disappear.
    fs::write(&topics, "{\"topicConfigTable\":").expect("the folder can be written");
    fs::write(&backup, "").expect("the folder can be written");
    let log = fs::read(cluster.store().join("commitlog/00000000000000000000")).expect("the log is there");
    let home = cluster.store().parent().expect("the store is in the broker's folder").to_owned();
    let said = refused(&home, cluster.name_server(), small);
    assert_names(&said, &[&topics.display().to_string()]);
    let after = fs::read(cluster.store().join("commitlog/00000000000000000000")).expect("the log is there");
    assert!(log == after, "a refused start has changed the log");
}

#[test]
fn a_log_with_a_missing_or_shortened_file_is_named_and_left_alone() {
    let small = "mappedFileSizeCommitLog = 65536\nmaxMessageSize = 16384\n";
    let mut cluster = Cluster::start(ours(), small);
    cluster.create_topic("long", 1);
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    for _ in 0..40 {
        wire.call(&wire::send("long", 0, &[7; 8_000])).expect("the broker answers").success();
    }
    cluster.stop_broker();
    let home = cluster.store().parent().expect("the store is in the broker's folder").to_owned();
    let middle = cluster.store().join("commitlog/00000000000000131072");
    let whole = fs::read(&middle).expect("the log has three files and more");

    fs::write(&middle, &whole[..10_000]).expect("the folder can be written");
    let said = refused(&home, cluster.name_server(), small);
    assert_names(&said, &[&middle.display().to_string()]);
    fs::remove_file(&middle).expect("the folder can be written");
    let said = refused(&home, cluster.name_server(), small);
    assert_names(&said, &["00000000000000131072"]);

    // Put back, it is as if nothing had been.
    fs::write(&middle, &whole).expect("the folder can be written");
    cluster.start_broker();
    let mut wire = Wire::connect(cluster.broker()).expect("the broker listens");
    let mut next = 0;
    while next < 40 {
        let pulled = wire.call(&wire::pull("group", "long", 0, next)).expect("the broker answers").success();
        next += i64::try_from(records(&pulled.body).len()).expect("a small number");
    }
}

#[test]
fn a_broker_without_a_name_server_serves_and_registers_when_it_comes() {
    let home = TempDir::new().expect("a temporary folder can be made");
    // The port is kept by nobody: a name server that comes back has the address that it had.
    let mut late = cluster::start_name_server(&ours(), &home.path().join("namesrv"));
    let address = late.address.clone();
    late.process.terminate();

    let broker = cluster::start_broker(
        &ours(),
        &home.path().join("broker"),
        0,
        &address,
        "registerNameServerPeriod = 10000",
    );
    let mut wire = Wire::connect(&broker.address).expect("the broker listens");
    wire.call(&wire::create_topic("alone", 1)).expect("the broker answers").success();
    wire.call(&wire::send("alone", 0, b"alone")).expect("the broker answers").success();
    let warned = broker.process.line(PATIENCE, |line| line.contains(&address).then(|| line.to_owned()));
    assert!(warned.is_some(), "nothing says that {address} is not there:\n{}", broker.process.output());

    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    let conf = cluster::write_conf(&home.path().join("namesrv"), &format!("listenPort = {port}\n"));
    let Servers::Ours { name_server, .. } = ours() else { unreachable!("ours are ours") };
    let mut command = Command::new(name_server);
    command.arg("-c").arg(conf);
    let _late = Process::spawn("mqnamesrv", command);
    await_listener(&address);
    route::wait(&address, "alone", &broker.address);
}

fn await_listener(address: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while Wire::connect(address).is_err() {
        assert!(std::time::Instant::now() < deadline, "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_wrong_value_is_named_with_its_line_and_nothing_is_started() {
    let home = TempDir::new().expect("a temporary folder can be made");
    for (line, key) in [
        ("fileReservedTime = 48\nmappedFileSizeCommitLog = many", "mappedFileSizeCommitLog"),
        ("flushDiskType = SOMETIMES", "flushDiskType"),
        ("brokerIP1 = not an address", "brokerIP1"),
        ("defaultTopicQueueNums = -4", "defaultTopicQueueNums"),
        ("maxMessageSize = 99999999999", "maxMessageSize"),
        ("brokerRole = SLAVE\nbrokerId = 1", "SLAVE"),
    ] {
        let said = refused(home.path(), NOBODY, line);
        assert_names(&said, &[key]);
        assert!(!home.path().join("store").exists(), "{key}: a refused start has made the store");
    }
}

#[test]
fn an_unknown_key_is_reported_with_its_line_and_a_likeness() {
    let home = TempDir::new().expect("a temporary folder can be made");
    let extra = "listenPrt = 10911\nfileReservedTime = 48\n";
    let broker = cluster::start_broker(&ours(), home.path(), 0, NOBODY, extra);
    let said = broker.process.output();
    let line = said.lines().find(|line| line.contains("listenPrt"));
    assert!(line.is_some_and(|line| line.contains("listenPort")), "no suggestion for listenPrt:\n{said}");
    assert_names(&said, &["fileReservedTime"]);
}
