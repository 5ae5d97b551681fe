//! What a program prints when it has started: one line about itself, and one for each listener.

use std::fmt::Write as _;

use crate::listener::plan::Group;

/// The columns of the table.
const COLUMNS: [&str; 8] = ["listener", "topic", "tag", "group", "model", "order", "concurrency", "set by"];

/// The headline and the listeners, one line each.
pub(crate) fn table(profiles: &[String], headlines: &[String], groups: &[Group]) -> String {
    let mut out = format!("rocketmq-boot {}", env!("CARGO_PKG_VERSION"));
    match profiles {
        [] => out.push_str("  no profile"),
        [one] => {
            let _ = write!(out, "  profile {one}");
        }
        several => {
            let _ = write!(out, "  profiles {}", several.join(", "));
        }
    }
    for headline in headlines {
        let _ = write!(out, "  {headline}");
    }
    out.push('\n');
    let rows = rows(groups);
    if rows.is_empty() {
        return out;
    }
    let header = COLUMNS.map(str::to_owned);
    let lines = || std::iter::once(&header).chain(&rows);
    let width = |column: usize| lines().map(|line| line[column].chars().count()).max().unwrap_or(0);
    for line in lines() {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let _ = write!(text, "  {cell:<width$}", width = width(column));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn rows(groups: &[Group]) -> Vec<[String; 8]> {
    let mut rows: Vec<_> = groups
        .iter()
        .flat_map(|group| group.listeners.iter().map(move |listener| (group, listener)))
        .collect();
    rows.sort_by_key(|(_, listener)| listener.entry.place);
    rows.into_iter()
        .map(|(group, listener)| {
            [
                listener.id.clone(),
                listener.topic.clone(),
                listener.tags.expression(),
                match group.cluster.as_str() {
                    "" => group.name.clone(),
                    cluster => format!("{} ({cluster})", group.name),
                },
                group.model.to_string(),
                "concurrent".to_owned(),
                listener.concurrency.to_string(),
                listener.set_by.clone(),
            ]
        })
        .collect()
}
