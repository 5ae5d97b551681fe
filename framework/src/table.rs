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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{App, rocketmq_listener};

    #[rocketmq_listener(topic = "orders", group = "billing", model = "clustering", tag = "placed")]
    async fn bill() {}

    #[rocketmq_listener(topic = "orders", group = "billing", tag = "billed")]
    async fn thank() {}

    #[test]
    fn the_table_shows_each_listener_and_who_set_it() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "rocketmq:\n  listeners:\n    thank: { concurrency: 8 }\n";
        std::fs::write(folder.path().join("application.yaml"), yaml).unwrap();
        let app = App::new().listener(thank).listener(bill).home(folder.path()).profile("dev");
        let checked = app.arguments([""; 0]).variables([("", ""); 0]).check().unwrap();
        let headline = "bundled server 127.0.0.1:9876 / 127.0.0.1:10911, data ./data".to_owned();
        let table = table(&checked.config.profiles, &[headline], &checked.groups);
        let place = bill_place();
        let expected = format!(
            "rocketmq-boot 0.1.0  profile dev  bundled server 127.0.0.1:9876 / 127.0.0.1:10911, data ./data\n\
             \x20 listener  topic   tag     group    model       order       concurrency  set by\n\
             \x20 bill      orders  placed  billing  clustering  concurrent  20           {place}\n\
             \x20 thank     orders  billed  billing  clustering  concurrent  8            application.yaml:3\n"
        );
        assert_eq!(table, expected);
    }

    fn bill_place() -> String {
        let mut entries = inventory::iter::<crate::listener::ListenerEntry>();
        let entry = entries.find(|entry| entry.name == "bill" && entry.place.file == "src/table.rs").unwrap();
        entry.place.to_string()
    }

    #[test]
    fn an_application_without_listeners_has_one_line() {
        assert_eq!(
            table(&[], &["name server a:1".to_owned()], &[]),
            "rocketmq-boot 0.1.0  no profile  name server a:1\n"
        );
    }
}
