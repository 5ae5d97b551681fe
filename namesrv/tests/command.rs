//! The `mqnamesrv` binary, started as a process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

const BOOT: &str = "The Name Server boot success. serializeType=JSON, address ";

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqnamesrv"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn output(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn it_says_where_it_listens_and_ends_cleanly_on_both_signals() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!("kvConfigPath={}", folder.path().join("kvConfig.json").display());
        let mut server = Running(command().args(["listenPort=0", &settings]).spawn().unwrap());
        let mut stdout = BufReader::new(server.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address: SocketAddr = line.strip_prefix(BOOT).unwrap().trim_end().parse().unwrap();
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        let connected = TcpStream::connect(address).unwrap();
        let process = Pid::from_raw(i32::try_from(server.0.id()).unwrap()).unwrap();
        kill_process(process, signal).unwrap();
        assert_eq!(server.0.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        drop(connected);
    }
}

#[test]
fn a_file_opens_it_to_the_network_and_its_keys_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namesrv.conf");
    let settings = folder.path().join("kvConfig.json");
    fs::write(&file, format!("listenPort=0\nkvConfigPath={}\nnoSuchKey=1\n", settings.display())).unwrap();
    let mut server = Running(command().arg("-c").arg(&file).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = line.strip_prefix(BOOT).unwrap().trim_end().parse().unwrap();
    assert_eq!(address.ip(), Ipv4Addr::UNSPECIFIED);
    server.0.kill().unwrap();
    let mut report = String::new();
    server.0.stderr.take().unwrap().read_to_string(&mut report).unwrap();
    for expected in [":1: listenPort: applied", ":3: noSuchKey: unknown", "nothing protects it"] {
        assert!(report.contains(expected), "{expected} is not in {report}");
    }
}

#[test]
fn it_prints_its_settings_and_its_usage() {
    let printed = output(&["-p", "listenPort=1234"]);
    assert!(printed.status.success());
    let printed = text(&printed.stdout);
    assert!(printed.lines().any(|line| line == "listenPort=1234"), "{printed}");
    assert!(printed.lines().any(|line| line == "bindAddress=127.0.0.1"), "{printed}");
    let help = output(&["-h"]);
    assert!(help.status.success() && text(&help.stdout).starts_with("usage: mqnamesrv"));
}

#[test]
fn errors_go_to_standard_error_and_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namesrv.conf");
    fs::write(&file, "listenPort=nine\n").unwrap();
    let damaged = folder.path().join("kvConfig.json");
    fs::write(&damaged, "{\"configTable\"").unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let (file, damaged) = (file.to_str().unwrap(), format!("kvConfigPath={}", damaged.display()));
    let (missing, in_use) = (format!("{file}.not"), format!("listenPort={port}"));
    for (arguments, expected) in [
        (&["-c", file][..], format!("{file}:1: listenPort")),
        (&["-c", &missing], missing.clone()),
        (&["listenPort=0", &damaged], "kvConfig.json".to_owned()),
        (&[&in_use, "kvConfigPath="], format!("127.0.0.1:{port}")),
        (&["--nonsense"], "--nonsense".to_owned()),
    ] {
        let ended = output(arguments);
        assert!(!ended.status.success(), "{arguments:?}");
        assert_eq!(text(&ended.stdout), "", "{arguments:?}");
        assert!(text(&ended.stderr).contains(&expected), "{arguments:?}: {}", text(&ended.stderr));
    }
}
