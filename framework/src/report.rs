//! The one report about everything that is wrong at start.
//!
//! Every check of the start-up notes what it finds in a [`Problems`] and goes on; only then does the start fail,
//! with all of them together. Nothing here knows what the checks are.

use std::fmt;

/// One mistake: where it is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: String,
    message: String,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    /// Where it is: a file with line and column, a source line, a variable, or empty when it is nowhere.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong, and what to do about it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{}  {}", self.place, self.message),
        }
    }
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one. The same mistake seen from two sides is told once.
    pub(crate) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        let problem = Problem::new(place, message);
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Fails with everything noted, if anything was.
    pub(crate) fn check(self) -> Result<(), StartError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(StartError { problems: self.0 }),
        }
    }

    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// Why an application did not start: every problem that was found, each with its place and its remedy.
///
/// Its `Display` is the report that a program prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    problems: Vec<Problem>,
}

impl StartError {
    pub(crate) fn one(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem::new(place, message)] }
    }

    /// Each problem, in the order in which they were found.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let s = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{s}, nothing was started")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts_and_names_every_problem_once() {
        let mut problems = Problems::default();
        problems.add("application.yaml:8:14", "rocketmq.x: unknown key");
        problems.add("application.yaml:8:14", "rocketmq.x: unknown key");
        problems.add("", "no name server");
        let error = problems.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 problems, nothing was started\n  application.yaml:8:14  rocketmq.x: unknown key\n  no name server"
        );
    }
}
