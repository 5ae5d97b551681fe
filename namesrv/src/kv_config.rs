//! Settings by namespace and key, kept in `kvConfig.json` as Apache keeps them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rocketmq_boot_protocol::body::{KvTable, lenient};
use serde::{Deserialize, Serialize};

/// The namespace of the queues of ordered topics: `broker:queues;broker:queues` by topic.
pub const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

/// The most bytes that a file may have.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why settings could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The file cannot be read. An unreadable file is never taken for an empty one.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said, or what is wrong with the contents.
        source: io::Error,
    },
    /// The file cannot be written; the change was not made.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The settings, in memory and in their file.
#[derive(Debug, Default)]
pub struct KvConfig {
    path: Option<PathBuf>,
    contents: Contents,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Contents {
    config_table: BTreeMap<String, BTreeMap<String, String>>,
}

impl KvConfig {
    /// Reads the file at `path`; without one, settings last as long as the process.
    ///
    /// # Errors
    /// A file that is there and cannot be understood.
    pub fn open(path: Option<PathBuf>) -> Result<Self, KvError> {
        let Some(path) = path else { return Ok(Self::default()) };
        match read(&path) {
            Ok(contents) => Ok(Self { path: Some(path), contents: contents.unwrap_or_default() }),
            Err(source) => Err(KvError::Read { path, source }),
        }
    }

    /// The value of a key.
    pub fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        self.contents.config_table.get(namespace)?.get(key).map(String::as_str)
    }

    /// All keys and values of a namespace.
    pub fn namespace(&self, namespace: &str) -> Option<KvTable> {
        self.contents.config_table.get(namespace).map(|table| KvTable { table: table.clone() })
    }

    /// Sets a value, in the file first.
    ///
    /// # Errors
    /// The file cannot be written; then nothing has changed.
    pub fn put(&mut self, namespace: &str, key: &str, value: &str) -> Result<(), KvError> {
        self.change(|table| {
            table.entry(namespace.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        })
    }

    /// Deletes a key, in the file first.
    ///
    /// # Errors
    /// As [`KvConfig::put`].
    pub fn delete(&mut self, namespace: &str, key: &str) -> Result<(), KvError> {
        self.change(|table| {
            if let Some(keys) = table.get_mut(namespace) {
                keys.remove(key);
            }
        })
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<String, BTreeMap<String, String>>),
    ) -> Result<(), KvError> {
        let mut next = self.contents.clone();
        change(&mut next.config_table);
        if let Some(path) = &self.path {
            save(path, &next).map_err(|source| KvError::Write { path: path.clone(), source })?;
        }
        self.contents = next;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<Contents>> {
    let bytes = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(file) if file.len() > MAX_FILE_BYTES => {
            return Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
        }
        Ok(_) => fs::read(path)?,
    };
    lenient::read("settings", &bytes).map(Some).map_err(io::Error::other)
}

/// Replaces the file as a whole: whoever reads it, also after a power cut, finds the old contents or the new.
fn save(path: &Path, contents: &Contents) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(contents)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_in_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/kvConfig.json");
        let mut settings = KvConfig::open(Some(path.clone())).unwrap();
        settings.put(ORDER_TOPICS, "t", "a:4;b:4").unwrap();
        settings.put(ORDER_TOPICS, "gone", "x").unwrap();
        settings.delete(ORDER_TOPICS, "gone").unwrap();
        settings.delete("nowhere", "gone").unwrap();
        let settings = KvConfig::open(Some(path.clone())).unwrap();
        assert_eq!(settings.get(ORDER_TOPICS, "t"), Some("a:4;b:4"));
        assert_eq!((settings.get(ORDER_TOPICS, "gone"), settings.get("nowhere", "t")), (None, None));
        assert_eq!(settings.namespace(ORDER_TOPICS).unwrap().table.len(), 1);
        let names: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(names, ["kvConfig.json"]);
    }

    #[test]
    fn a_file_of_apache_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        fs::write(&path, "{\n\t\"configTable\":{\n\t\t\"ORDER_TOPIC_CONFIG\":{\"t\":\"broker-a:8\"}\n\t}\n}")
            .unwrap();
        assert_eq!(KvConfig::open(Some(path)).unwrap().get(ORDER_TOPICS, "t"), Some("broker-a:8"));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        for contents in ["", "{\"configTable\":{\"a\":", "\0\0\0"] {
            fs::write(&path, contents).unwrap();
            let error = KvConfig::open(Some(path.clone())).unwrap_err();
            assert!(error.to_string().contains("kvConfig.json"), "{error}");
        }
    }

    #[test]
    fn a_change_that_cannot_be_kept_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = KvConfig::open(Some(folder.path().join("a/kvConfig.json"))).unwrap();
        // A file where the folder has to be.
        fs::write(folder.path().join("a"), "").unwrap();
        assert!(matches!(settings.put("n", "k", "v"), Err(KvError::Write { .. })));
        assert_eq!(settings.get("n", "k"), None);
    }
}
