//! The command line of `mqbroker`, as Apache's has it: `-c`, `-n`, `-p`, `-m`, `-h`, and `key=value` words.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use rocketmq_boot_protocol::Clock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::{
    Broker,
    config::{Problem, Settings},
};

const HELP: &str = "usage: mqbroker [-c file] [-n addresses] [-p] [-m] [-h] [key=value ...]
  -c, --configFile FILE        settings in the syntax of Apache's broker.conf
  -n, --namesrvAddr ADDRESSES  name servers: host:port;host:port
  -p, --printConfigItem        print every setting and exit
  -m, --printImportantConfig   print the important settings and exit
  -h, --help                   print this and exit
  key=value                    a setting, applied last
Without -c, -n or brokerIP1 the broker listens on 127.0.0.1 only.
";

/// Where a setting comes from that is a word of the command line.
const COMMAND_LINE: &str = "command line";

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(20);

/// What the words of the command line ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    config_file: Option<String>,
    name_servers: Option<String>,
    print: Print,
    settings: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Print {
    #[default]
    Nothing,
    All,
    Important,
    Help,
}

/// Runs `mqbroker` until it is told to stop by SIGINT or SIGTERM.
///
/// The exit code is 0 after a clean stop, 1 when the broker could not start, 2 for a wrong command line.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments = match Arguments::read(arguments) {
        Ok(arguments) => arguments,
        Err(why) => return fail(2, &format!("mqbroker: {why}\n{HELP}")),
    };
    if arguments.print == Print::Help {
        return say(HELP);
    }
    let Loaded { settings, origins } = match load(&arguments) {
        Ok(loaded) => loaded,
        Err(why) => return fail(1, &why),
    };
    match arguments.print {
        Print::All => return say(&lines(settings.print(), &origins)),
        Print::Important => return say(&lines(settings.print_important(), &origins)),
        Print::Nothing | Print::Help => {}
    }
    log_to_stderr();
    raise_open_files();
    run(settings)
}

/// Takes all the file handles that the process may have: each connection is one, and most systems start low.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn run(settings: Settings) -> ExitCode {
    let name_servers = settings.name_servers.join(";");
    // Asked for before the start, so that a signal during it is not lost.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(1, &format!("error: cannot listen for signals: {error}\n")),
    };
    let broker = match Broker::start(settings, Clock::system()) {
        Ok(broker) => broker,
        Err(error) => return fail(1, &format!("error: the broker did not start: {error}\n")),
    };
    let (name, address) = (broker.name(), broker.address());
    let of =
        if name_servers.is_empty() { String::new() } else { format!(" and name server is {name_servers}") };
    say(&format!("The broker[{name}, {address}] boot success. serializeType=JSON{of}\n"));
    signals.wait();
    broker.stop(STOP);
    ExitCode::SUCCESS
}

/// Settings, and where each that is not a default comes from.
#[derive(Debug, Default)]
struct Loaded {
    settings: Settings,
    origins: Origins,
}

type Origins = BTreeMap<&'static str, String>;

/// File, then command line; the address follows the rule of the help text. What is wrong is told all at once.
fn load(arguments: &Arguments) -> Result<Loaded, String> {
    let mut loaded = Loaded::default();
    let mut wrong = Vec::new();
    let mut apply = |source: &str, text: &str, report: bool| {
        wrong.extend(loaded.apply(source, text, report).err().into_iter().flatten());
    };
    if let Ok(name_servers) = std::env::var("NAMESRV_ADDR") {
        apply("NAMESRV_ADDR", &format!("namesrvAddr={name_servers}"), false);
    }
    if let Some(file) = &arguments.config_file {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("error: cannot read {file}: {error}\n"))?;
        apply(file, &text, true);
    }
    if let Some(name_servers) = &arguments.name_servers {
        apply(COMMAND_LINE, &format!("namesrvAddr={name_servers}"), false);
    }
    for word in &arguments.settings {
        apply(COMMAND_LINE, word, true);
    }
    let told = arguments.config_file.is_some() || arguments.name_servers.is_some();
    if told && loaded.settings.bind.is_none() {
        loaded.settings.bind = Some(std::net::Ipv4Addr::UNSPECIFIED.into());
    }
    wrong.extend(loaded.settings.check().err().into_iter().flatten());
    if wrong.is_empty() { Ok(loaded) } else { Err(problems(&wrong)) }
}

impl Loaded {
    fn apply(&mut self, source: &str, text: &str, report: bool) -> Result<(), Vec<String>> {
        let applied = self.settings.apply(source, text);
        let one_line = source == COMMAND_LINE || !report;
        let text = |problem: Problem| {
            let line = if one_line { 0 } else { problem.line };
            Problem { line, ..problem }.to_string()
        };
        let applied = applied.map_err(|found| found.into_iter().map(text).collect::<Vec<_>>())?;
        for (line, key) in &applied.names {
            let origin = if one_line { source.to_owned() } else { format!("{source}:{line}") };
            self.origins.insert(key, origin);
        }
        if report {
            write_out(&mut std::io::stderr(), &applied.to_string());
        }
        Ok(())
    }
}

fn problems(found: &[String]) -> String {
    let mut text = format!("error: {} problems, nothing was started\n", found.len());
    for problem in found {
        text.push_str("  ");
        text.push_str(problem);
        text.push('\n');
    }
    text.replacen("1 problems", "1 problem", 1)
}

impl Arguments {
    fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let mut value = |name: &str| words.next().ok_or_else(|| format!("{name} needs a value"));
            match word.as_str() {
                "-c" | "--configFile" => read.config_file = Some(value(&word)?),
                "-n" | "--namesrvAddr" => read.name_servers = Some(value(&word)?),
                "-p" | "--printConfigItem" => read.print = Print::All,
                "-m" | "--printImportantConfig" => read.print = Print::Important,
                "-h" | "--help" => read.print = Print::Help,
                _ if !word.starts_with('-') && word.contains('=') => read.settings.push(word),
                _ => return Err(format!("unknown argument `{word}`")),
            }
        }
        Ok(read)
    }
}

/// SIGINT and SIGTERM, on a small runtime of their own.
struct Signals(std::sync::mpsc::Receiver<()>);

impl Signals {
    fn new() -> std::io::Result<Self> {
        let (told, waiting) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async move {
                use tokio::signal::unix::{SignalKind, signal};
                let streams = signal(SignalKind::interrupt())
                    .and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
                let (mut int, mut term) = match streams {
                    Ok(streams) => streams,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let _ = ready.send(Ok(()));
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
                let _ = told.send(());
            });
        })?;
        is_ready.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self(waiting))
    }

    fn wait(&self) {
        // An error means that the thread is gone, and with it any chance of being told.
        let _ = self.0.recv();
    }
}

/// Settings as a file that can be read again, each with where it comes from and what it counts.
fn lines(settings: BTreeMap<&'static str, String>, origins: &Origins) -> String {
    let line = |(key, value): (&&'static str, &String)| {
        let origin = origins.get(key).map_or("default", String::as_str);
        let unit = Settings::unit(key).map(|unit| format!(", {unit}")).unwrap_or_default();
        format!("# {origin}{unit}\n{key}={value}\n")
    };
    settings.iter().map(line).collect()
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second server in one process finds the first one's log in place, which is what it wants.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}

fn say(text: &str) -> ExitCode {
    write_out(&mut std::io::stdout(), text);
    ExitCode::SUCCESS
}

fn fail(code: u8, text: &str) -> ExitCode {
    write_out(&mut std::io::stderr(), text);
    ExitCode::from(code)
}

/// Nobody may be reading; that is no reason to stop.
fn write_out(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_options_of_apache_are_read() {
        let read = read("-c b.conf -n a:1;b:2 listenPort=10922 autoCreateTopicEnable=true -m").unwrap();
        assert_eq!(read.config_file.as_deref(), Some("b.conf"));
        assert_eq!(read.name_servers.as_deref(), Some("a:1;b:2"));
        assert_eq!(read.settings, ["listenPort=10922", "autoCreateTopicEnable=true"]);
        assert_eq!(read.print, Print::Important);
    }

    #[test]
    fn what_is_no_option_is_named() {
        assert_eq!(read("-x").unwrap_err(), "unknown argument `-x`");
        assert_eq!(read("-c").unwrap_err(), "-c needs a value");
    }

    #[test]
    fn started_bare_it_listens_on_the_loopback_only() {
        let bound = |line: &str| load(&read(line).unwrap()).unwrap().settings.bind_address();
        assert!(bound("listenPort=0").is_loopback());
        assert!(bound("-n 127.0.0.1:9876").is_unspecified());
        assert!(bound("brokerIP1=10.0.0.1").is_unspecified());
    }

    #[test]
    fn what_is_printed_says_where_it_comes_from_and_what_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.conf");
        std::fs::write(&file, "# mine\nfileReservedTime = 48\nlistenPort=1\n").unwrap();
        let file = file.to_str().unwrap();
        let Loaded { settings, origins } = load(&read(&format!("-c {file} listenPort=22")).unwrap()).unwrap();
        let printed = lines(settings.print(), &origins);
        for expected in [
            format!("# {file}:2, hours\nfileReservedTime=48\n"),
            "# command line\nlistenPort=22\n".to_owned(),
            "# default, ms\nflushIntervalCommitLog=500\n".to_owned(),
            "# default, % of the disk\ndiskMaxUsedSpaceRatio=75\n".to_owned(),
        ] {
            assert!(printed.contains(&expected), "{expected} is not in\n{printed}");
        }
        assert!(lines(settings.print_important(), &origins).lines().count() < 20);
        let mut again = Settings::default();
        let set: Vec<&str> = printed.lines().filter(|line| !line.ends_with('=')).collect();
        again.apply("printed", &set.join("\n")).unwrap();
        assert_eq!(again.print(), settings.print());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.conf");
        std::fs::write(&file, "brokerId=x\nfileReservedTime=0\n").unwrap();
        let line = format!("-c {} listenPort=y storePathCommitLog=/a,/b", file.display());
        let why = load(&read(&line).unwrap()).unwrap_err();
        for part in [
            "4 problems",
            ":1: brokerId",
            "command line: listenPort",
            "fileReservedTime=0",
            "storePathCommitLog",
        ] {
            assert!(why.contains(part), "{part} is not in\n{why}");
        }
    }
}
