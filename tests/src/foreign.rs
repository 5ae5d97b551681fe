//! The client programs in other languages: built once a test run from `clients/`, run against a name server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;

/// All scenarios of a program run side by side; the slowest waits for a retry.
const PATIENCE: Duration = Duration::from_secs(300);

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const APACHE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/apache.sh");

/// A client that is not ours.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    /// Apache's Java client in this version.
    Java(&'static str),
    /// Apache's Go client.
    Go,
    /// ali-ons on Node.
    Node,
}

impl Client {
    /// The scenarios that its library has an API for, without those around a restart.
    pub fn scenarios(self) -> &'static [&'static str] {
        match self {
            Self::Java(_) => &[
                "send-sync",
                "send-async",
                "send-oneway",
                "send-batch",
                "ordered",
                "tags",
                "push",
                "retry",
                "broadcast",
                "transactions",
                "request-reply",
            ],
            Self::Go => &[
                "send-sync",
                "send-async",
                "send-oneway",
                "send-batch",
                "ordered",
                "tags",
                "push",
                "retry",
                "broadcast",
            ],
            Self::Node => &["send-sync", "send-async", "ordered", "tags", "push", "retry", "broadcast"],
        }
    }
}

/// A client program, ready to run.
#[derive(Debug)]
pub struct Program {
    name: String,
    words: Vec<String>,
    // Logs and local offsets of the clients go to their home; one each keeps them out of the user's.
    home: TempDir,
}

impl Program {
    /// Builds the program; `scratch` keeps what can be used again.
    ///
    /// # Panics
    /// When a tool is missing or the build fails; the message carries its output.
    pub fn build(client: Client, scratch: &Path) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let (name, words) = match client {
            Client::Java(version) => (format!("Java {version}"), java(version, scratch, home.path())),
            Client::Go => ("Go".to_owned(), go(scratch)),
            Client::Node => ("Node".to_owned(), node(scratch)),
        };
        Self { name, words, home }
    }

    /// Runs scenarios on the topics `PREFIX-SCENARIO`.
    ///
    /// # Panics
    /// When a scenario fails or is not reported; the message carries all that the program said.
    #[expect(clippy::print_stdout, reason = "what the program said belongs in the output of a failing test")]
    pub fn run(&self, name_server: &str, prefix: &str, scenarios: &[&str]) {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg(name_server).arg(prefix).args(scenarios);
        command.env("HOME", self.home.path()).current_dir(self.home.path());
        let mut process = Process::spawn(format!("the {} program", self.name), command);
        let status = process.wait(PATIENCE);
        let said = process.output();
        println!("{}:\n{said}", self.name);
        for scenario in scenarios {
            assert!(
                said.lines().any(|line| line.starts_with(&format!("PASS {scenario} "))),
                "{}: {scenario} did not pass:\n{said}",
                self.name
            );
        }
        assert!(status.success(), "the {} program ended with {status}:\n{said}", self.name);
    }
}

fn java(version: &str, scratch: &Path, home: &Path) -> Vec<String> {
    java_program(version, "Scenarios", scratch, home)
}

fn java_program(version: &str, class: &str, scratch: &Path, home: &Path) -> Vec<String> {
    let jars = checked(Command::new(APACHE).arg("classpath").arg(version));
    let jars = String::from_utf8_lossy(&jars.stdout).trim().to_owned();
    let classes = scratch.join(format!("java-{version}"));
    let _lock = lock(scratch, &format!("java-{version}.lock"));
    // Without it, the client's copy of logback reports on itself on standard output.
    let logging = home.join("logback.xml");
    fs::write(&logging, "<configuration><root level=\"OFF\"/></configuration>")
        .expect("the home can be written");
    let source = join(&[CLIENTS, "java", &format!("{class}.java")]);
    checked(Command::new("javac").arg("-d").arg(&classes).args(["-cp", &jars]).arg(source));
    vec![
        "java".to_owned(),
        "-Xmx256m".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
        // It sees to its own home: the JVM does not ask the environment.
        format!("-Duser.home={}", home.display()),
        format!("-Drmq.logback.configurationFile={}", logging.display()),
        format!("-Drocketmq.client.localOffsetStoreDir={}", home.join("offsets").display()),
        "-cp".to_owned(),
        format!("{jars}:{}", classes.display()),
        class.to_owned(),
    ]
}

/// Runs commands of Apache's mqadmin 5.5.0 one after the other, in one JVM, and gives what each printed.
///
/// # Panics
/// When the program cannot be built or does not get to its end; the message carries what it said.
pub fn mqadmin(scratch: &Path, commands: &[Vec<String>]) -> Vec<String> {
    let home = TempDir::new().expect("a temporary folder can be made");
    let words = java_program("5.5.0", "Admin", scratch, home.path());
    let list = home.path().join("commands");
    let lines: String = commands.iter().map(|words| words.join("\t") + "\n").collect();
    fs::write(&list, lines).expect("the home can be written");
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(list).env("HOME", home.path()).current_dir(home.path());
    let mut process = Process::spawn("mqadmin", command);
    process.wait(PATIENCE);
    let said = process.output();
    let mut parts = said.split("#### ").skip(1);
    let printed = parts
        .by_ref()
        .take(commands.len())
        .map(|part| part.split_once('\n').map_or(part, |(_, printed)| printed).to_owned());
    let printed: Vec<_> = printed.collect();
    let ended = parts.next().is_some_and(|part| part.starts_with("end"));
    assert!(ended, "mqadmin did not get to its end:\n{said}");
    printed
}

fn go(scratch: &Path) -> Vec<String> {
    let program = scratch.join("go-scenarios");
    let _lock = lock(scratch, "go.lock");
    let mut build = Command::new("go");
    build.args(["build", "-buildvcs=false", "-mod=readonly", "-o"]).arg(&program).arg(".");
    checked(build.current_dir(join(&[CLIENTS, "go"])));
    vec![program.display().to_string()]
}

fn node(scratch: &Path) -> Vec<String> {
    let folder = scratch.join("node");
    let _lock = lock(scratch, "node.lock");
    fs::create_dir_all(&folder).expect("the scratch folder can be written");
    let installed = folder.join("installed-lock.json");
    let wanted =
        fs::read(join(&[CLIENTS, "node", "package-lock.json"])).expect("the lock file is in the repository");
    for file in ["package.json", "package-lock.json", "scenarios.js"] {
        fs::copy(join(&[CLIENTS, "node", file]), folder.join(file))
            .expect("the scratch folder can be written");
    }
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        checked(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder));
        fs::write(&installed, &wanted).expect("the scratch folder can be written");
    }
    vec!["node".to_owned(), folder.join("scenarios.js").display().to_string()]
}

fn join(parts: &[&str]) -> PathBuf {
    parts.iter().collect()
}

/// Two test processes may build the same program.
fn lock(scratch: &Path, name: &str) -> File {
    fs::create_dir_all(scratch).expect("the scratch folder can be made");
    let file = File::create(scratch.join(name)).expect("the scratch folder can be written");
    file.lock().expect("a lock file can be locked");
    file
}

fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{:?} is needed for the interop tests and cannot be run: {error}", command.get_program())
    });
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
