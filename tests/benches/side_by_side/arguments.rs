//! The command line.

use std::time::Duration;

use crate::rows::Row;

/// What to do.
pub(crate) enum Mode {
    /// Ours beside Apache's.
    SideBySide,
    /// Ours alone.
    OursOnly,
    /// Apache's alone.
    ApacheOnly,
    /// A broker that runs already.
    Broker(String),
    /// One load on ours.
    Profile(String),
}

/// The command line.
pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    filter: String,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments =
            Self { mode: Mode::SideBySide, rounds: 3, window: Duration::from_secs(3), filter: String::new() };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => {}
                "--ours-only" => arguments.mode = Mode::OursOnly,
                "--apache-only" => arguments.mode = Mode::ApacheOnly,
                "--broker" => arguments.mode = Mode::Broker(value()?),
                "--profile" => arguments.mode = Mode::Profile(value()?),
                "--seconds" => {
                    let seconds = value()?;
                    let seconds =
                        seconds.parse().map_err(|_| format!("`{seconds}` is not a number of seconds"))?;
                    arguments.window = Duration::from_secs(seconds);
                }
                _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
                _ => match word.parse() {
                    Ok(rounds) => arguments.rounds = rounds,
                    Err(_) => arguments.filter = word,
                },
            }
        }
        if arguments.rounds == 0 || arguments.rows().is_empty() {
            return Err("nothing to measure".to_owned());
        }
        Ok(arguments)
    }

    /// The rows that the filter lets through.
    pub(crate) fn rows(&self) -> Vec<Row> {
        Row::ALL.into_iter().filter(|row| row.key().contains(&self.filter)).collect()
    }
}
