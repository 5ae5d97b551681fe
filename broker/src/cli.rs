//! The command line of `mqbroker`, as Apache's has it: `-c`, `-n`, `-p`, `-m`, `-h`, and `key=value` words.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use rocketmq_boot_protocol::Clock;
use tracing_subscriber::EnvFilter;

use crate::{Broker, config::Settings};

const HELP: &str = "usage: mqbroker [-c file] [-n addresses] [-p] [-m] [-h] [key=value ...]
  -c, --configFile FILE        settings in the syntax of Apache's broker.conf
  -n, --namesrvAddr ADDRESSES  name servers: host:port;host:port
  -p, --printConfigItem        print every setting and exit
  -m, --printImportantConfig   print the important settings and exit
  -h, --help                   print this and exit
  key=value                    a setting, applied last
Without -c, -n or brokerIP1 the broker listens on 127.0.0.1 only.
";

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
    let settings = match settings(&arguments) {
        Ok(settings) => settings,
        Err(why) => return fail(1, &why),
    };
    match arguments.print {
        Print::All => return say(&lines(settings.print())),
        Print::Important => return say(&lines(settings.print_important())),
        Print::Nothing | Print::Help => {}
    }
    log_to_stderr();
    run(settings)
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

/// File, then command line; the address follows the rule of the help text.
fn settings(arguments: &Arguments) -> Result<Settings, String> {
    let mut settings = Settings::default();
    if let Ok(name_servers) = std::env::var("NAMESRV_ADDR") {
        apply(&mut settings, "NAMESRV_ADDR", &format!("namesrvAddr={name_servers}"), false)?;
    }
    if let Some(file) = &arguments.config_file {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("error: cannot read {file}: {error}\n"))?;
        apply(&mut settings, file, &text, true)?;
    }
    if let Some(name_servers) = &arguments.name_servers {
        apply(&mut settings, "command line", &format!("namesrvAddr={name_servers}"), false)?;
    }
    for word in &arguments.settings {
        apply(&mut settings, "command line", word, true)?;
    }
    let told = arguments.config_file.is_some() || arguments.name_servers.is_some();
    if told && settings.bind.is_none() {
        settings.bind = Some(std::net::Ipv4Addr::UNSPECIFIED.into());
    }
    settings.check().map_err(|wrong| problems(&wrong))?;
    Ok(settings)
}

fn apply(settings: &mut Settings, source: &str, text: &str, report: bool) -> Result<(), String> {
    let applied = settings.apply(source, text).map_err(|found| {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        problems(&found)
    })?;
    if report {
        write_out(&mut std::io::stderr(), &applied.to_string());
    }
    Ok(())
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

fn lines(settings: std::collections::BTreeMap<&'static str, String>) -> String {
    settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
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
        assert!(settings(&read("listenPort=0").unwrap()).unwrap().bind_address().is_loopback());
        assert!(settings(&read("-n 127.0.0.1:9876").unwrap()).unwrap().bind_address().is_unspecified());
        assert!(settings(&read("brokerIP1=10.0.0.1").unwrap()).unwrap().bind_address().is_unspecified());
    }
}
