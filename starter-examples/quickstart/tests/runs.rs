//! The program as a user runs it: it thanks for ten orders, and stops on Ctrl-C with exit code 0.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

struct Kill(Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ten_orders_are_thanked_for_and_ctrl_c_ends_it_well() {
    let data = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--rocketmq.server.name-server-port=0")
        .arg("--rocketmq.server.broker-port=0")
        .arg(format!("--rocketmq.server.data={}", data.path().display()))
        .arg("--profile=dev")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Kill(child);
    let (lines, told) = mpsc::channel();
    let stdout = child.0.stdout.take().unwrap();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let next = || told.recv_timeout(Duration::from_secs(60)).expect("the program says more");

    let headline = next();
    assert!(headline.starts_with("rocketmq-boot 0.1.0  profile dev  bundled server 127.0.0.1:"), "{headline}");
    assert_eq!(
        [next(), next(), next()],
        [
            "  listener  topic   tag     group    model       order       concurrency  set by",
            "  bill      orders  placed  billing  clustering  concurrent  20           src/main.rs:6",
            "  thank     orders  billed  billing  clustering  concurrent  8            application.yaml:8",
        ]
    );
    let started = next();
    assert!(started.starts_with("started in ") && started.ends_with(" ms; stop with Ctrl-C"), "{started}");

    let mut thanked: Vec<u64> = (0..10).map(|_| thanked_for(&next())).collect();
    thanked.sort_unstable();
    assert_eq!(thanked, (1..=10).collect::<Vec<_>>());

    let id = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn mistakes_are_told_all_at_once_with_exit_code_1() {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--rocketmq.listeners.thank.concurency=8", "--rocketmq.server.broker-port=many", "--profile=dev"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: 2 problems, nothing was started\n\
         \x20 argument --rocketmq.listeners.thank.concurency  rocketmq.listeners.thank.concurency: unknown key, did \
         you mean `concurrency`?\n\
         \x20 argument --rocketmq.server.broker-port  rocketmq.server.broker-port: invalid value: found string \
         \"many\", expected a number from 0 to 65535\n"
    );
}

#[test]
fn without_a_profile_it_asks_for_a_name_server() {
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("--profile=prod")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("there is no name server: set `rocketmq.name-server`"), "{told}");
}

fn thanked_for(line: &str) -> u64 {
    let (_, rest) = line.split_once("thank you order.id=").unwrap_or_else(|| panic!("{line}"));
    rest.split(' ').next().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}
