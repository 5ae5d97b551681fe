//! The quickstart, unchanged but for one key, on Apache's servers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rocketmq_boot_tests::cluster::{Cluster, Servers};
use rocketmq_boot_tests::process::Process;
use rustix::process::Signal;

/// Apache makes the topic and the group only now, and a consumer learns of a new topic with its next look at the route.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn the_quickstart_runs_on_5_5_0() {
    run("5.5.0");
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn the_quickstart_runs_on_4_9_7() {
    run("4.9.7");
}

fn run(version: &'static str) {
    let cluster = Cluster::start(Servers::Apache(version), "");
    let mut command = Command::new(program());
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../starter-examples/quickstart"));
    command.arg(format!("--rocketmq.name-server={}", cluster.name_server()));
    let mut quickstart = Process::spawn("the quickstart", command);

    let thanked = RefCell::new(BTreeSet::new());
    let heard = quickstart.line(PATIENCE, |line| {
        let order = line.split_once("thank you order.id=")?.1.split(' ').next()?;
        thanked.borrow_mut().insert(order.parse::<u32>().ok()?);
        (*thanked.borrow() == (1..=10).collect()).then_some(())
    });
    assert!(heard.is_some(), "the quickstart ended:\n{}", quickstart.output());

    quickstart.signal(Signal::INT);
    let status = quickstart.wait(PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", quickstart.output());
}

/// The example is not a dependency of this crate; a test of the workspace has built it beside the servers.
fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_broker")).with_file_name("quickstart");
    if !built.exists() {
        let build = Command::new(env!("CARGO")).args(["build", "-p", "quickstart", "--locked"]).status();
        assert!(build.is_ok_and(|status| status.success()), "the quickstart cannot be built");
    }
    built
}
