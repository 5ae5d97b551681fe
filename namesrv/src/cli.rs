//! The `mqnamesrv` command.
//!
//! Standard output carries the one line that says where the server listens, as Apache's does, so that scripts can
//! wait for it; everything else goes to standard error.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use rocketmq_boot_protocol::{
    Clock,
    properties_file::{Entry, Properties, SyntaxError},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{NameServer, Options, StartError, settings};

const USAGE: &str = "\
usage: mqnamesrv [-c <file>] [-n <addresses>] [-p] [-h] [key=value ...]

  -c, --configFile <file>     read settings from a file in the syntax of Java's properties
  -n, --namesrvAddr <list>    accepted, as Apache's does; a name server has no use for it
  -p, --printConfigItem       print all settings and exit
  -h, --help                  print this and exit

Settings given as key=value win over the file's. Started without -c and -n it listens on 127.0.0.1, with one of
them on 0.0.0.0; bindAddress decides otherwise.
";

/// Why the command ends without having served.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}\n\n{USAGE}")]
    Usage(String),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Syntax { path: PathBuf, source: SyntaxError },
    #[error("{0}")]
    Values(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    file: Option<PathBuf>,
    joins: bool,
    print: bool,
    help: bool,
    words: Vec<Entry>,
}

/// Runs the command; returns when SIGINT or SIGTERM came, or nothing could be started.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // A program that runs this command inside may have set up its own logging.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .try_init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is no other place left to complain at.
            let _ = writeln!(io::stderr(), "mqnamesrv: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let arguments = parse(arguments)?;
    if arguments.help {
        return print(USAGE);
    }
    let Configured { options, origins } = configure(&arguments, &mut io::stderr())?;
    if arguments.print {
        let line = |(key, value)| {
            let origin = origins.get(key).map_or("default", String::as_str);
            let unit = settings::unit(key).map(|unit| format!(", {unit}")).unwrap_or_default();
            format!("# {origin}{unit}\n{key}={value}\n")
        };
        return print(&settings::items(&options).map(line).collect::<String>());
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Signals)?;
    runtime.block_on(async {
        // Signals are caught before the boot line is out: whoever reads it may send one at once.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
        let server = NameServer::start(options, Clock::system())?;
        let address = server.address();
        print(&format!("The Name Server boot success. serializeType=JSON, address {address}\n"))?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        server.stop();
        Ok(())
    })
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Arguments, Failure> {
    let mut parsed = Arguments::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value =
            || arguments.next().ok_or_else(|| Failure::Usage(format!("`{argument}` needs a value")));
        match argument.as_str() {
            "-c" | "--configFile" => parsed.file = Some(value()?.into()),
            "-n" | "--namesrvAddr" => {
                value()?;
                parsed.joins = true;
            }
            "-p" | "--printConfigItem" => parsed.print = true,
            "-h" | "--help" => parsed.help = true,
            word => match word.split_once('=') {
                Some((key, value)) if !key.starts_with('-') && !key.is_empty() => {
                    parsed.words.push(Entry { key: key.to_owned(), value: value.to_owned(), line: 0 });
                }
                _ => return Err(Failure::Usage(format!("`{word}` is no option and no key=value"))),
            },
        }
    }
    Ok(parsed)
}

/// Puts together the defaults, the file and the words, and reports on every key.
fn configure(arguments: &Arguments, report: &mut dyn Write) -> Result<Configured, Failure> {
    let options = Options { kv_config_path: home_file("namesrv/kvConfig.json"), ..Options::default() };
    let mut configured = Configured { options, origins: BTreeMap::new() };
    let mut wrong = Vec::new();
    if arguments.file.is_some() || arguments.joins {
        configured.options.listen.set_ip(Ipv4Addr::UNSPECIFIED.into());
    }
    if let Some(path) = &arguments.file {
        let bytes = fs::read(path).map_err(|source| Failure::Unreadable { path: path.clone(), source })?;
        let properties =
            Properties::parse(&bytes).map_err(|source| Failure::Syntax { path: path.clone(), source })?;
        for entry in properties.shadowed() {
            say(report, &place(path, entry), &entry.key, "replaced by a later line");
        }
        for entry in properties.entries() {
            wrong.extend(configured.apply(entry, &place(path, entry), report).err());
        }
    }
    for word in &arguments.words {
        wrong.extend(configured.apply(word, "command line", report).err());
    }
    if wrong.is_empty() { Ok(configured) } else { Err(Failure::Values(wrong.join("\n"))) }
}

/// Options, and where each that is not a default comes from.
#[derive(Debug)]
struct Configured {
    options: Options,
    origins: BTreeMap<String, String>,
}

impl Configured {
    fn apply(&mut self, entry: &Entry, place: &str, report: &mut dyn Write) -> Result<(), String> {
        let outcome = settings::apply(&mut self.options, entry)
            .map_err(|reason| format!("{place}: {}: {reason}", entry.key))?;
        if outcome == settings::Outcome::Applied {
            self.origins.insert(entry.key.clone(), place.to_owned());
        }
        say(report, place, &entry.key, &outcome.to_string());
        Ok(())
    }
}

fn say(report: &mut dyn Write, place: &str, key: &str, what: &str) {
    // A report that nobody can read is no reason not to serve.
    let _ = writeln!(report, "{place}: {key}: {what}");
}

fn place(path: &Path, entry: &Entry) -> String {
    format!("{}:{}", path.display(), entry.line)
}

fn home_file(name: &str) -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Result<Arguments, Failure> {
        parse(words.iter().map(|word| (*word).to_owned()))
    }

    fn configured(words: &[&str]) -> (Result<Options, Failure>, String) {
        let mut report = Vec::new();
        let options = configure(&arguments(words).unwrap(), &mut report).map(|configured| configured.options);
        (options, String::from_utf8(report).unwrap())
    }

    #[test]
    fn it_listens_on_loopback_until_it_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namesrv.conf");
        fs::write(&file, "listenPort=1").unwrap();
        let file = file.to_str().unwrap();
        let listen = |words: &[&str]| configured(words).0.unwrap().listen.to_string();
        assert_eq!(listen(&[]), "127.0.0.1:9876");
        assert_eq!(listen(&["listenPort=2"]), "127.0.0.1:2");
        assert_eq!(listen(&["-c", file]), "0.0.0.0:1");
        assert_eq!(listen(&["-n", "elsewhere:9876"]), "0.0.0.0:9876");
        assert_eq!(listen(&["-c", file, "bindAddress=127.0.0.1"]), "127.0.0.1:1");
        assert_eq!(listen(&["bindAddress=::1", "listenPort=0"]), "[::1]:0");
    }

    #[test]
    fn every_key_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namesrv.conf");
        fs::write(&file, "# mine\nlistenPort=1\nserverWorkerThreads=4\nlistenport=7\nlistenPort=2\n")
            .unwrap();
        let file = file.to_str().unwrap();
        let (options, report) = configured(&["-c", file, "listenPort=3"]);
        assert_eq!(options.unwrap().listen.port(), 3);
        let expected = [
            format!("{file}:2: listenPort: replaced by a later line"),
            format!("{file}:3: serverWorkerThreads: known to Apache's name server, without effect here"),
            format!("{file}:4: listenport: unknown, ignored; was `listenPort` meant?"),
            format!("{file}:5: listenPort: applied"),
            "command line: listenPort: applied".to_owned(),
        ];
        assert_eq!(report.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namesrv.conf");
        let path = file.to_str().unwrap();
        let failure = |words: &[&str]| configured(words).0.unwrap_err().to_string();
        assert!(failure(&["-c", path]).contains(path));
        fs::write(&file, "\n\nlistenPort=many\n").unwrap();
        assert!(failure(&["-c", path]).starts_with(&format!("{path}:3: listenPort: `many`")));
        fs::write(&file, "\na=\\u00\n").unwrap();
        assert!(failure(&["-c", path]).starts_with(&format!("{path}: line 2")));
        fs::write(&file, "listenPort=many\norderMessageEnable=perhaps\n").unwrap();
        assert_eq!(failure(&["-c", path, "productEnvName=x", "enableTopicList="]).lines().count(), 3);
        assert!(failure(&["listenPort=-1"]).starts_with("command line: listenPort"));
    }

    #[test]
    fn arguments_that_mean_nothing_are_refused() {
        for words in [&["-x"][..], &["-c"], &["word"], &["=value"], &["--key=value"]] {
            assert!(matches!(arguments(words), Err(Failure::Usage(_))), "{words:?}");
        }
    }
}
