//! Small files that must never be half written: topics, groups, consumer offsets.
//!
//! A file is written beside the old one, synced, and renamed over it; the old one stays as `<name>.bak`. Whatever step a
//! crash interrupts, the old or the new content is there whole. Reading knows three answers: the content, that
//! there has never been any, and an error. A damaged file is never taken for an empty one.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::disk::{Disk, read_file};

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The content.
    pub value: T,
    /// Whether it comes from the generation before, because the file itself is damaged or missing.
    pub from_backup: bool,
}

/// Why a file could not be saved or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The disk failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither generation can be read. Restore one of them from a copy.
    #[error("{} is damaged ({reason}), and so is its backup ({backup_reason})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What is wrong with the generation before.
        backup_reason: String,
    },
}

/// Replaces the content of `path`, durably, and keeps the generation before.
///
/// # Errors
/// [`MetadataError::Io`]; the old content is still there then.
pub fn save(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), MetadataError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| MetadataError::Io { action, path, source }
    };
    let (next, backup) = (sibling(path, ".tmp"), sibling(path, ".bak"));
    let folder = path.parent().unwrap_or(Path::new(""));
    let file = disk.create(&next).map_err(io("make", &next))?;
    file.write_at(bytes, 0).and_then(|()| file.sync()).map_err(io("write", &next))?;
    match disk.rename(path, &backup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        renamed => renamed.map_err(io("rename", path))?,
    }
    disk.rename(&next, path).map_err(io("rename", &next))?;
    disk.sync_dir(folder).map_err(io("sync", folder))
}

/// Reads `path` with `parse`, or the generation before when that fails; `None` when there has never been one.
///
/// # Errors
/// [`MetadataError`] when neither can be read.
pub fn load<T, E: fmt::Display>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Option<Loaded<T>>, MetadataError> {
    let backup = sibling(path, ".bak");
    let reason = match read_one(disk, path, &parse) {
        Ok(Some(value)) => return Ok(Some(Loaded { value, from_backup: false })),
        Ok(None) => None,
        Err(reason) => Some(reason),
    };
    match (read_one(disk, &backup, &parse), reason) {
        (Ok(Some(value)), reason) => {
            let reason = reason.as_deref().unwrap_or("it is missing");
            tracing::warn!(path = %path.display(), reason, "read the generation before of a damaged file");
            Ok(Some(Loaded { value, from_backup: true }))
        }
        (Ok(None), None) => Ok(None),
        (backup, reason) => Err(MetadataError::Damaged {
            path: path.to_owned(),
            reason: reason.unwrap_or_else(|| "it is missing".to_owned()),
            backup_reason: backup.err().unwrap_or_else(|| "it is missing".to_owned()),
        }),
    }
}

/// Reads one generation; what is empty has lost its content, as nothing is ever saved empty.
fn read_one<T, E: fmt::Display>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Option<T>, String> {
    match read_file(disk, path) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) if bytes.is_empty() => Err("it is empty".to_owned()),
        Ok(Some(bytes)) => parse(&bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Cut, Sector, SimDisk};

    const PATH: &str = "/s/config/topics.json";

    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dirs(Path::new("/s/config")).unwrap();
        disk
    }

    fn read(disk: &SimDisk) -> Result<Option<Loaded<String>>, MetadataError> {
        load(disk, Path::new(PATH), |bytes| match String::from_utf8(bytes.to_vec()) {
            Ok(text) if text.starts_with('{') && text.ends_with('}') => Ok(text),
            _ => Err("not an object"),
        })
    }

    fn value(disk: &SimDisk) -> String {
        read(disk).unwrap().unwrap().value
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_old_or_the_new_content() {
        for names_kept in [true, false] {
            for fate in [Sector::Kept, Sector::Lost, Sector::Torn] {
                let disk = disk();
                save(&disk, Path::new(PATH), b"{old}").unwrap();
                save(&disk, Path::new(PATH), b"{new}").unwrap();
                let after = disk.cut_power(Cut { sectors: &mut |_, _| fate, names_kept });
                assert_eq!(value(&after), "{new}");
                for room in 0..5 {
                    disk.set_room(Some(room));
                    assert!(save(&disk, Path::new(PATH), b"{third}").is_err());
                    let after = disk.cut_power(Cut { sectors: &mut |_, _| fate, names_kept });
                    assert_eq!((value(&after), value(&disk)), ("{new}".into(), "{new}".into()));
                }
            }
        }
    }

    #[test]
    fn a_failed_sync_keeps_the_old_content() {
        let disk = disk();
        save(&disk, Path::new(PATH), b"{old}").unwrap();
        disk.fail_sync_after(0);
        assert!(save(&disk, Path::new(PATH), b"{new}").is_err());
        assert_eq!(value(&disk), "{old}");
    }

    #[test]
    fn between_the_renames_the_backup_is_read() {
        let disk = disk();
        save(&disk, Path::new(PATH), b"{old}").unwrap();
        disk.rename(Path::new(PATH), &sibling(Path::new(PATH), ".bak")).unwrap();
        assert_eq!(read(&disk).unwrap(), Some(Loaded { value: "{old}".into(), from_backup: true }));
    }

    #[test]
    fn damage_is_never_read_as_nothing() {
        let disk = disk();
        assert_eq!(read(&disk).unwrap(), None);
        save(&disk, Path::new(PATH), b"{old}").unwrap();
        for damaged in [&b""[..], b"{ol", b"\0\0\0\0\0", b"\xFF{}"] {
            disk.put(Path::new(PATH), damaged);
            let error = read(&disk).unwrap_err().to_string();
            assert!(error.contains(PATH), "{error}");
            disk.put(&sibling(Path::new(PATH), ".bak"), b"{before}");
            assert_eq!(read(&disk).unwrap(), Some(Loaded { value: "{before}".into(), from_backup: true }));
            disk.put(&sibling(Path::new(PATH), ".bak"), damaged);
            assert!(matches!(read(&disk), Err(MetadataError::Damaged { .. })));
            disk.remove(&sibling(Path::new(PATH), ".bak")).unwrap();
        }
        disk.break_file(Path::new(PATH));
        assert!(matches!(read(&disk), Err(MetadataError::Damaged { .. })));
    }
}
