//! What one program tells of two servers, compared line by line.
//!
//! A line is "scenario | what: value". The two must tell the same; where ours differs on purpose, that is listed with the
//! reason, and a listed difference that is not there any more is one too.

use std::collections::BTreeMap;

/// A difference that is meant.
#[derive(Debug)]
pub struct Exception {
    /// The line up to its value, "scenario | what"; with a star at its end, all lines that begin so.
    pub at: &'static str,
    /// What is told of ours instead of what is told of Apache's; empty when nothing is told.
    pub ours: &'static str,
    /// Why it stays so.
    pub reason: &'static str,
}

impl Exception {
    fn covers(&self, what: &str) -> bool {
        self.at.strip_suffix('*').map_or(self.at == what, |prefix| what.starts_with(prefix))
    }
}

/// Compares what was told; every string is a difference that is neither meant nor allowed.
pub fn differences(apache: &[String], ours: &[String], exceptions: &[&[Exception]]) -> Vec<String> {
    let exceptions: Vec<_> = exceptions.iter().copied().flatten().collect();
    let (apache, ours) = (by_place(apache), by_place(ours));
    let mut found = Vec::new();
    let mut used = vec![false; exceptions.len()];
    let places = apache.keys().chain(ours.keys().filter(|place| !apache.contains_key(*place)));
    for place in places {
        let told = |by: &BTreeMap<Place<'_>, &str>| by.get(place).copied().unwrap_or_default().to_owned();
        let (theirs, own) = (told(&apache), told(&ours));
        if theirs == own {
            continue;
        }
        match exceptions.iter().position(|each| each.covers(place.what) && each.ours == own) {
            Some(position) => used[position] = true,
            None => found.push(format!("{}\n  Apache: {theirs}\n  ours:   {own}", place.what)),
        }
    }
    let unused = exceptions.iter().zip(used).filter(|(_, used)| !used);
    found.extend(unused.map(|(each, _)| format!("{}\n  is listed as different and is not", each.at)));
    found
}

/// Where a value stands: a scenario may tell several of one thing.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    what: &'a str,
    count: usize,
}

fn by_place(lines: &[String]) -> BTreeMap<Place<'_>, &str> {
    let mut places = BTreeMap::new();
    for line in lines {
        let (what, value) = line.split_once(": ").unwrap_or((line, ""));
        let count = places.range(Place { what, count: 0 }..=Place { what, count: usize::MAX }).count();
        places.insert(Place { what, count }, value);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::{Exception, differences};

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_compared_by_what_they_are_about() {
        let apache = lines("a | x: 1\na | x: 2\nb | y: 3");
        assert!(differences(&apache, &lines("b | y: 3\na | x: 1\na | x: 2"), &[]).is_empty());
        let found = differences(&apache, &lines("a | x: 2\na | x: 2\na | z: 4"), &[]);
        let expected = [
            "a | x\n  Apache: 1\n  ours:   2",
            "b | y\n  Apache: 3\n  ours:   ",
            "a | z\n  Apache: \n  ours:   4",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_exception_allows_one_value_and_must_be_needed() {
        let exceptions = [Exception { at: "a | x", ours: "2", reason: "better" }];
        let apache = lines("a | x: 1");
        assert!(differences(&apache, &lines("a | x: 2"), &[&exceptions]).is_empty());
        assert_eq!(differences(&apache, &lines("a | x: 3"), &[&exceptions]).len(), 2);
        let all = [Exception { at: "a | *", ours: "2", reason: "better" }];
        assert!(differences(&lines("a | x: 1\na | y: 1"), &lines("a | x: 2\na | y: 2"), &[&all]).is_empty());
        assert_eq!(
            differences(&apache, &apache, &[&exceptions]),
            ["a | x\n  is listed as different and is not"]
        );
    }
}
