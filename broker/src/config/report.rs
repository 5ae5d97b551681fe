//! What became of each line of a configuration.

use std::fmt;

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or `command line`.
    pub source: String,
    /// The line, from 1; 0 on the command line.
    pub line: usize,
    /// The key.
    pub key: String,
    /// What is wrong and what was expected.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}: {}", self.source, self.key, self.why),
            line => write!(f, "{}:{line}: {}: {}", self.source, self.key, self.why),
        }
    }
}

/// Keys by what became of them, each with its line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The file, or `command line`.
    pub source: String,
    /// Took effect.
    pub applied: Vec<(usize, String)>,
    /// Took effect, under the names of today.
    pub names: Vec<(usize, &'static str)>,
    /// Set again further down, which wins.
    pub shadowed: Vec<(usize, String)>,
    /// Known to RocketMQ, without effect here.
    pub without_effect: Vec<(usize, String)>,
    /// Known to nobody, with the closest key that is.
    pub unknown: Vec<(usize, String, Option<&'static str>)>,
    /// Spelt in a way that RocketMQ has given up, with today's spelling.
    pub renamed: Vec<(usize, String, &'static str)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |line: &usize| match line {
            0 => self.source.clone(),
            line => format!("{}:{line}", self.source),
        };
        let names: Vec<_> = self.applied.iter().map(|(_, key)| key.as_str()).collect();
        writeln!(f, "{}: applied {} keys: {}", self.source, names.len(), names.join(", "))?;
        for (line, key, today) in &self.renamed {
            writeln!(f, "  {}  {key}: read as {today}, which it is called today", at(line))?;
        }
        for (line, key) in &self.shadowed {
            writeln!(f, "  {}  {key}: set again further down", at(line))?;
        }
        for (line, key) in &self.without_effect {
            writeln!(f, "  {}  {key}: known, has no effect in this broker", at(line))?;
        }
        for (line, key, close) in &self.unknown {
            match close {
                Some(close) => writeln!(f, "  {}  {key}: unknown key, did you mean {close}?", at(line))?,
                None => writeln!(f, "  {}  {key}: unknown key", at(line))?,
            }
        }
        Ok(())
    }
}
