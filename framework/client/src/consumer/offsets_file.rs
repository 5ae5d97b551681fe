//! `offsets.json`: the offsets of a broadcasting group, in the form of Java's client.
//!
//! ```text
//! {"offsetTable":{{"brokerName":"a","queueId":0,"topic":"t"}:12,..}}
//! ```
//!
//! A save leaves the previous file as `offsets.json.bak` and never a half-written one. A file that cannot be read is
//! replaced by that copy; when neither can be read that is an error, because starting at the end instead would skip
//! messages without a word.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rocketmq_boot_protocol::{
    body::{group::QueueRef, lenient},
    message::MessageQueue,
};
use serde::Deserialize;

/// Offset by queue.
pub(super) type Table = BTreeMap<MessageQueue, i64>;

/// A file larger than this is none of ours.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Wrapper {
    offset_table: BTreeMap<String, i64>,
}

/// The file of a group: `dir/ip@instance/group/offsets.json`.
pub(super) fn path(dir: Option<&Path>, owner: &str, group: &str) -> PathBuf {
    let dir = dir.map_or_else(|| home().join(".rocketmq_offsets"), Path::to_owned);
    dir.join(owner).join(group).join("offsets.json")
}

fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_else(|| PathBuf::from("."))
}

/// Reads the table; empty when there is no file yet.
pub(super) fn load(path: &Path) -> io::Result<Table> {
    let copy = copy_of(path);
    match read(path) {
        Ok(Some(table)) => Ok(table),
        Ok(None) => Ok(read(&copy)?.unwrap_or_default()),
        Err(error) => match read(&copy) {
            Ok(Some(table)) => {
                tracing::warn!(path = %path.display(), %error, "offsets are taken from the previous file");
                Ok(table)
            }
            _ => Err(error),
        },
    }
}

fn read(path: &Path) -> io::Result<Option<Table>> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
        }
        Ok(_) => fs::read(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let invalid =
        |error: rocketmq_boot_protocol::DecodeError| io::Error::new(io::ErrorKind::InvalidData, error);
    let wrapper: Wrapper = lenient::read("offsets", &bytes).map_err(invalid)?;
    let mut table = Table::new();
    for (queue, offset) in wrapper.offset_table {
        let queue: QueueRef = lenient::read("queue", queue.as_bytes()).map_err(invalid)?;
        table.insert(MessageQueue::new(queue.topic, queue.broker_name, queue.queue_id), offset);
    }
    Ok(Some(table))
}

/// The file's content for a table.
pub(super) fn write(table: &Table) -> String {
    let mut text = String::from("{\"offsetTable\":{");
    for (at, (queue, offset)) in table.iter().enumerate() {
        let key = QueueRef {
            broker_name: queue.broker_name.clone(),
            queue_id: queue.queue_id,
            topic: queue.topic.clone(),
        };
        if at > 0 {
            text.push(',');
        }
        // Text and a number have no way to fail.
        text.push_str(&serde_json::to_string(&key).unwrap_or_default());
        text.push(':');
        text.push_str(&offset.to_string());
    }
    text.push_str("}}");
    text
}

/// Puts `text` in the place of the file, which stays as it is until the new one is on disk.
pub(super) fn save(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let temporary = path.with_extension("json.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    match fs::rename(path, copy_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("json.bak")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(offset: i64) -> Table {
        [(MessageQueue::new("t\"1", "broker-a", 0), offset), (MessageQueue::new("u", "broker-a", 3), 7)]
            .into()
    }

    fn in_dir(test: impl FnOnce(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        test(&path(Some(dir.path()), "127.0.0.1@DEFAULT", "g"));
    }

    #[test]
    fn the_text_is_javas() {
        let table: Table = [(MessageQueue::new("t", "broker-a", 0), 12)].into();
        assert_eq!(
            write(&table),
            r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"t"}:12}}"#
        );
    }

    #[test]
    fn what_java_writes_is_read() {
        in_dir(|path| {
            let text = "{\n\t\"offsetTable\":{{\n\t\t\"brokerName\":\"b\",\n\t\t\"queueId\":1,\n\t\t\"topic\":\"t\"\n\t}:5\n\t}\n}";
            save(path, text).unwrap();
            assert_eq!(load(path).unwrap(), [(MessageQueue::new("t", "b", 1), 5)].into());
        });
    }

    #[test]
    fn saved_tables_read_back_and_the_previous_one_stays() {
        in_dir(|path| {
            assert!(load(path).unwrap().is_empty());
            for offset in [1, 2, 3] {
                save(path, &write(&table(offset))).unwrap();
                assert_eq!(load(path).unwrap(), table(offset));
            }
            assert_eq!(read(&copy_of(path)).unwrap(), Some(table(2)));
        });
    }

    #[test]
    fn a_damaged_file_is_replaced_by_its_copy() {
        in_dir(|path| {
            save(path, &write(&table(1))).unwrap();
            save(path, &write(&table(2))).unwrap();
            fs::write(path, "{\"offsetTa").unwrap();
            assert_eq!(load(path).unwrap(), table(1));
            fs::remove_file(path).unwrap();
            assert_eq!(load(path).unwrap(), table(1));
        });
    }

    #[test]
    fn two_damaged_files_are_an_error_and_not_a_fresh_start() {
        in_dir(|path| {
            save(path, "").unwrap();
            assert!(load(path).is_err());
            save(path, "nonsense").unwrap();
            assert!(load(path).is_err());
        });
    }
}
