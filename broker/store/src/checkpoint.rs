//! The checkpoint: how far the store is known to be durable.
//!
//! ```text
//!   0 i64 store timestamp of the last durable record        Apache's fields
//!   8 i64 store timestamp of the last durable queue entry
//!  16 i64 store timestamp of the last message of the newest full file of the key index
//!  24 .. other fields of Apache's, kept as they are
//! 512 u64 magic                                             ours, in a sector of their own
//! 520 u64 position up to which the log is durable
//! 528 u64 position up to which consume queues are durable
//! 536 u32 CRC-32 of the three
//! 1024 u64 magic                                            ours, in another sector
//! 1032 u64 position up to which the key index is durable
//! 1040 u32 CRC-32 of the two
//! ```
//!
//! Apache starts a recovery at a time, which a clock that was set wrong leads astray; positions cannot be. It
//! ignores our fields and leaves them, which is harmless: they are then merely older than they could be.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::{Disk, File, read_file},
    index::IndexMark,
};

const CHECKPOINT_BYTES: usize = 4096;
const LOG_TIMESTAMP: usize = 0;
const QUEUE_TIMESTAMP: usize = LOG_TIMESTAMP + 8;
const INDEX_TIMESTAMP: usize = QUEUE_TIMESTAMP + 8;
const MAGIC: usize = 512;
const LOG_DURABLE: usize = MAGIC + 8;
const QUEUES_DURABLE: usize = LOG_DURABLE + 8;
const CRC: usize = QUEUES_DURABLE + 8;
const OURS: std::ops::Range<usize> = MAGIC..CRC;
const INDEX_MAGIC: usize = 1024;
const INDEX_DURABLE: usize = INDEX_MAGIC + 8;
const INDEX_CRC: usize = INDEX_DURABLE + 8;
const OUR_MAGIC: u64 = u64::from_be_bytes(*b"rmqboot1");

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The older of Apache's two timestamps.
    pub(crate) timestamp: i64,
    /// Our positions; `None` in a file that only Apache has written.
    pub(crate) durable: Option<Durable>,
}

/// Positions in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Durable {
    pub(crate) log: u64,
    pub(crate) queues: u64,
}

#[derive(Debug)]
pub(crate) struct Checkpoint {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Opened by the first save: looking at a folder must not change it.
    file: Option<Arc<dyn File>>,
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// Reads the file; `None` for the marks when there is none.
    pub(crate) fn open(disk: &Arc<dyn Disk>, root: &Path) -> io::Result<(Self, Option<Marks>)> {
        let path = root.join("checkpoint");
        let found = read_file(&**disk, &path)?;
        let existed = found.as_ref().is_some_and(|bytes| !bytes.is_empty());
        let mut bytes = found.unwrap_or_default();
        bytes.resize(CHECKPOINT_BYTES, 0);
        let checkpoint = Self { disk: Arc::clone(disk), path, file: None, bytes };
        let marks = existed.then(|| checkpoint.marks());
        Ok((checkpoint, marks))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn marks(&self) -> Marks {
        let timestamp = |at| i64::from_be_bytes(self.field(at));
        let ours = u64::from_be_bytes(self.field(MAGIC)) == OUR_MAGIC;
        let sound = u32::from_be_bytes(self.field(CRC)) == crc32fast::hash(&self.bytes[OURS]);
        let durable = Durable {
            log: u64::from_be_bytes(self.field(LOG_DURABLE)),
            queues: u64::from_be_bytes(self.field(QUEUES_DURABLE)),
        };
        Marks {
            timestamp: timestamp(LOG_TIMESTAMP).min(timestamp(QUEUE_TIMESTAMP)),
            // A torn sector of ours proves nothing durable, but the store is still ours.
            durable: ours.then(|| if sound { durable } else { Durable::default() }),
        }
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..].first_chunk().copied().unwrap_or([0; N])
    }

    /// How far the key index was durable; without a position when Apache alone has written the file.
    pub(crate) fn index(&self) -> (Option<u64>, i64) {
        let ours = u64::from_be_bytes(self.field(INDEX_MAGIC)) == OUR_MAGIC;
        let sound =
            u32::from_be_bytes(self.field(INDEX_CRC)) == crc32fast::hash(&self.bytes[INDEX_MAGIC..INDEX_CRC]);
        let position = u64::from_be_bytes(self.field(INDEX_DURABLE));
        let full_to = i64::from_be_bytes(self.field(INDEX_TIMESTAMP));
        (ours.then_some(if sound { position } else { 0 }), full_to)
    }

    /// Takes in how far the key index is durable; the next [`save`](Self::save) writes it.
    pub(crate) fn note_index(&mut self, mark: IndexMark) {
        let bytes = &mut self.bytes;
        bytes[INDEX_TIMESTAMP..INDEX_TIMESTAMP + 8].copy_from_slice(&mark.full_to.to_be_bytes());
        bytes[INDEX_MAGIC..INDEX_DURABLE].copy_from_slice(&OUR_MAGIC.to_be_bytes());
        bytes[INDEX_DURABLE..INDEX_CRC].copy_from_slice(&mark.position.to_be_bytes());
        let crc = crc32fast::hash(&bytes[INDEX_MAGIC..INDEX_CRC]);
        bytes[INDEX_CRC..INDEX_CRC + 4].copy_from_slice(&crc.to_be_bytes());
    }

    /// Writes the marks durably. `timestamp` is that of the last durable record.
    pub(crate) fn save(&mut self, durable: Durable, timestamp: i64) -> io::Result<()> {
        let bytes = &mut self.bytes;
        bytes[LOG_TIMESTAMP..QUEUE_TIMESTAMP].copy_from_slice(&timestamp.to_be_bytes());
        bytes[QUEUE_TIMESTAMP..QUEUE_TIMESTAMP + 8].copy_from_slice(&timestamp.to_be_bytes());
        bytes[MAGIC..LOG_DURABLE].copy_from_slice(&OUR_MAGIC.to_be_bytes());
        bytes[LOG_DURABLE..QUEUES_DURABLE].copy_from_slice(&durable.log.to_be_bytes());
        bytes[QUEUES_DURABLE..CRC].copy_from_slice(&durable.queues.to_be_bytes());
        let crc = crc32fast::hash(&bytes[OURS]);
        bytes[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(open_or_create(&*self.disk, &self.path)?),
        };
        file.write_at(bytes, 0)?;
        file.sync()
    }
}

fn open_or_create(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn File>> {
    match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = disk.create(path)?;
            path.parent().map_or(Ok(()), |root| disk.sync_dir(root))?;
            Ok(file)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn marks_survive_and_foreign_fields_are_kept() {
        let disk = SimDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut foreign = vec![0; 4096];
        foreign[..8].copy_from_slice(&7_i64.to_be_bytes());
        foreign[8..16].copy_from_slice(&5_i64.to_be_bytes());
        foreign[16..24].copy_from_slice(&9_i64.to_be_bytes());
        disk.put(Path::new("/s/checkpoint"), &foreign);
        let (mut checkpoint, marks) = Checkpoint::open(&shared, Path::new("/s")).unwrap();
        assert_eq!(marks, Some(Marks { timestamp: 5, durable: None }));
        let durable = Durable { log: 100, queues: 50 };
        checkpoint.save(durable, 11).unwrap();
        let (_, marks) = Checkpoint::open(&shared, Path::new("/s")).unwrap();
        assert_eq!(marks, Some(Marks { timestamp: 11, durable: Some(durable) }));
        let bytes = disk.content(Path::new("/s/checkpoint")).unwrap();
        assert_eq!((bytes.len(), bytes[23]), (4096, 9));
    }

    #[test]
    fn a_flipped_bit_proves_nothing_durable() {
        let disk = SimDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        disk.create_dirs(Path::new("/s")).unwrap();
        let (mut checkpoint, marks) = Checkpoint::open(&shared, Path::new("/s")).unwrap();
        assert_eq!(marks, None);
        checkpoint.save(Durable { log: 1, queues: 1 }, 1).unwrap();
        let mut bytes = disk.content(Path::new("/s/checkpoint")).unwrap();
        bytes[LOG_DURABLE] ^= 1;
        disk.put(Path::new("/s/checkpoint"), &bytes);
        let (_, marks) = Checkpoint::open(&shared, Path::new("/s")).unwrap();
        assert_eq!(marks.and_then(|marks| marks.durable), Some(Durable::default()));
    }
}
