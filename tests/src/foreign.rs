//! The client programs in other languages: built once a test run from `clients/`, run against a name server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;

/// All scenarios of a program run side by side; the slowest waits for a retry.
const PATIENCE: Duration = Duration::from_secs(300);
/// Many scenarios, few at a time, each with patience of its own.
const LONG_PATIENCE: Duration = Duration::from_secs(900);

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const APACHE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/apache.sh");

/// The chapters of `clients/java/behaviours` that any version of the client can run, the longest first: see there.
pub const CHAPTERS: [&str; 10] = [
    "Offsets",
    "Retries",
    "Ordering",
    "Transactions",
    "Delays",
    "Filters",
    "Replies",
    "Pulling",
    "Queries",
    "Sending",
];
/// Those that need a client of 5.x.
pub const CHAPTERS_OF_5: [&str; 2] = ["Timers", "Kinds"];

/// A client that is not ours.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    /// Apache's Java client in this version.
    Java(&'static str),
    /// Apache's Go client.
    Go,
    /// ali-ons on Node.
    Node,
    /// Apache's C++ client, by its Python binding.
    Python,
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
                "delay",
                "sql",
                "transaction",
            ],
            Self::Node => &["send-sync", "send-async", "ordered", "tags", "push", "retry", "broadcast"],
            Self::Python => &[
                "send-sync",
                "send-oneway",
                "ordered",
                "tags",
                "push",
                "retry",
                "broadcast",
                "delay",
                "pull",
            ],
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
            Client::Python => ("Python".to_owned(), python(scratch)),
        };
        Self { name, words, home }
    }

    /// Builds the program of `clients/java/behaviours` on Apache's Java client in this version.
    ///
    /// # Panics
    /// When a tool is missing or the build fails; the message carries its output.
    pub fn behaviours(version: &'static str, scratch: &Path) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let jars = jars(version);
        let classes = scratch.join(format!("java-{version}-behaviours"));
        let _lock = lock(scratch, &format!("java-{version}-behaviours.lock"));
        let of_5 = version.starts_with('5');
        let chapters = CHAPTERS.iter().chain(CHAPTERS_OF_5.iter().filter(|_| of_5)).copied();
        let sources = ["Behaviours", "Stage"].into_iter().chain(chapters.clone());
        let sources = sources.map(|name| join(&[CLIENTS, "java", "behaviours", &format!("{name}.java")]));
        checked(Command::new("javac").arg("-d").arg(&classes).args(["-cp", &jars]).args(sources));
        let mut words = jvm(home.path());
        words.extend(["-cp".to_owned(), format!("{jars}:{}", classes.display()), "Behaviours".to_owned()]);
        Self { name: format!("behaviours {version}"), words, home }
    }

    /// Builds the Spring Boot application of `clients/spring`.
    ///
    /// # Panics
    /// When a tool is missing or the build fails; the message carries its output.
    pub fn spring(scratch: &Path) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let (jars, classes) = (scratch.join("spring-lib"), scratch.join("spring"));
        let _lock = lock(scratch, "spring.lock");
        let pom = join(&[CLIENTS, "spring", "pom.xml"]);
        let (installed, wanted) =
            (jars.join("pom.xml"), fs::read(&pom).expect("the pom is in the repository"));
        if fs::read(&installed).ok().as_ref() != Some(&wanted) {
            let mut copy = Command::new("mvn");
            copy.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:copy-dependencies");
            checked(copy.arg("-DincludeScope=runtime").arg(format!("-DoutputDirectory={}", jars.display())));
            fs::write(&installed, &wanted).expect("the scratch folder can be written");
        }
        let sources = ["Account", "Application", "Listeners", "Order"];
        let sources = sources.map(|name| join(&[CLIENTS, "spring", "application", &format!("{name}.java")]));
        let jars = format!("{}/*", jars.display());
        checked(Command::new("javac").args(["-parameters", "-cp", &jars, "-d"]).arg(&classes).args(sources));
        let mut words = jvm(home.path());
        words.extend([
            "-cp".to_owned(),
            format!("{jars}:{}", classes.display()),
            "application.Application".to_owned(),
        ]);
        Self { name: "Spring Boot".to_owned(), words, home }
    }

    /// Runs the program until it ends and takes what it tells: its lines with a bar.
    ///
    /// # Panics
    /// When it fails; the message carries all that it said.
    pub fn tell(&self, name_server: &str, words: &[&str]) -> Vec<String> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg(name_server).args(words);
        // Run against two servers at once, each run keeps its own offsets.
        let home = TempDir::new_in(self.home.path()).expect("a temporary folder can be made");
        command.env("HOME", home.path()).current_dir(home.path());
        let mut process = Process::spawn(format!("the {} program", self.name), command);
        let status = process.wait(LONG_PATIENCE);
        let said = process.output();
        assert!(status.success(), "the {} program ended with {status}:\n{said}", self.name);
        said.lines().filter(|line| line.contains(" | ")).map(str::to_owned).collect()
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
    let jars = jars(version);
    let classes = scratch.join(format!("java-{version}"));
    let _lock = lock(scratch, &format!("java-{version}.lock"));
    let source = join(&[CLIENTS, "java", &format!("{class}.java")]);
    checked(Command::new("javac").arg("-d").arg(&classes).args(["-cp", &jars]).arg(source));
    let mut words = jvm(home);
    words.extend(["-cp".to_owned(), format!("{jars}:{}", classes.display()), class.to_owned()]);
    words
}

/// The class path of Apache's servers and client.
fn jars(version: &str) -> String {
    let jars = checked(Command::new(APACHE).arg("classpath").arg(version));
    String::from_utf8_lossy(&jars.stdout).trim().to_owned()
}

/// A small JVM with a client that keeps to `home` and does not idle for long.
fn jvm(home: &Path) -> Vec<String> {
    // Without it, the client's copy of logback reports on itself on standard output.
    let logging = home.join("logback.xml");
    fs::write(&logging, "<configuration><root level=\"OFF\"/></configuration>")
        .expect("the home can be written");
    [
        "java",
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        // The JVM does not ask the environment for its home.
        &format!("-Duser.home={}", home.display()),
        &format!("-Drmq.logback.configurationFile={}", logging.display()),
        // Below the working folder, which each run has for itself.
        "-Drocketmq.client.localOffsetStoreDir=offsets",
        "-Drocketmq.client.rebalance.waitInterval=1000",
        "-Drocketmq.client.rebalance.minInterval=200",
        "-Drocketmq.client.rebalance.lockInterval=1000",
    ]
    .map(str::to_owned)
    .to_vec()
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

fn python(scratch: &Path) -> Vec<String> {
    let folder = scratch.join("python");
    let _lock = lock(scratch, "python.lock");
    let (installed, requirements) =
        (folder.join("installed.txt"), join(&[CLIENTS, "python", "requirements.txt"]));
    let wanted = fs::read(&requirements).expect("the requirements are in the repository");
    let program = folder.join("bin").join("python");
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        checked(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        checked(Command::new(&program).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&requirements));
        fs::write(&installed, &wanted).expect("the scratch folder can be written");
    }
    let scenarios = join(&[CLIENTS, "python", "scenarios.py"]);
    vec![program.display().to_string(), scenarios.display().to_string()]
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
