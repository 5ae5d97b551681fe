//! The newest file of the key index, as it is written.
//!
//! Slots are kept in memory and entries gather until they are written together: a key costs no system call. Memory that
//! no slot was ever written to is never touched, so a small index costs little.

use std::io;

use crate::{
    cast::{to_u64, to_usize},
    disk::File,
    index::file::{ENTRY_BYTES, HEADER_BYTES, Header, IndexFile, KeyEntry, SLOT_BYTES, Shape},
};

/// Slots are written in pieces of this size.
const PAGE_BYTES: usize = 4096;
/// Memory for entries that is kept while few of them come.
const KEPT_BYTES: usize = 64 << 10;
/// Read at a time.
const READ_BYTES: usize = 1 << 20;
/// Entries that are read together when a file is gone through: whole ones.
const REPLAY_BYTES: usize = ENTRY_BYTES << 15;

#[derive(Debug)]
pub(super) struct Image {
    shape: Shape,
    pub(super) header: Header,
    slots: Vec<u8>,
    /// Which pages of the slots differ from the file's.
    dirty: Vec<bool>,
    /// Entries that are not in the file yet, up to the next one.
    staged: Vec<u8>,
}

impl Image {
    /// Of a file without entries.
    pub(super) fn new(shape: Shape, header: Header) -> Self {
        let slots = vec![0; to_usize(shape.slots_bytes())];
        let dirty = vec![false; slots.len().div_ceil(PAGE_BYTES)];
        Self { shape, header, slots, dirty, staged: Vec::new() }
    }

    /// Of a file that was left in order.
    pub(super) fn load(file: &IndexFile) -> io::Result<Self> {
        let mut image = Self::new(file.shape, *file.header.read());
        read_sparse(&*file.file, to_u64(HEADER_BYTES), &mut image.slots)?;
        Ok(image)
    }

    /// Of a file whose end is not to be trusted: entries are taken as long as they make sense and are of messages
    /// below `limit`, slots are made again from them, and what lies behind them is wiped.
    pub(super) fn replay(file: &IndexFile, limit: u64) -> io::Result<Self> {
        let found = *file.header.read();
        let mut image = Self::new(file.shape, Header { used_slots: 0, next: 1, ..found });
        let mut bytes = vec![0; REPLAY_BYTES];
        'file: while image.header.next < file.shape.entries {
            let read = file.file.read_at(&mut bytes, file.shape.entry_at(image.header.next))?;
            let (entries, _) = bytes[..read].as_chunks::<ENTRY_BYTES>();
            if entries.is_empty() {
                break;
            }
            for entry in entries.iter().map(KeyEntry::decode) {
                if image.header.next >= file.shape.entries || !image.take(&entry, found.begin, limit) {
                    break 'file;
                }
            }
        }
        let mut on_disk = vec![0; image.slots.len()];
        read_sparse(&*file.file, to_u64(HEADER_BYTES), &mut on_disk)?;
        let pages = image.slots.chunks(PAGE_BYTES).zip(on_disk.chunks(PAGE_BYTES));
        image.dirty = pages.map(|(own, found)| own != found).collect();
        let end = file.shape.bytes();
        let mut at = file.shape.entry_at(image.header.next);
        while let Some(data) = file.file.next_data(at)?.filter(|data| *data < end) {
            at = at.max(data);
            let bytes = to_u64(READ_BYTES).min(end - at);
            file.file.zero(at, bytes)?;
            at += bytes;
        }
        Ok(image)
    }

    /// Takes over an entry that lies in the file already; `false` when it makes no sense there.
    fn take(&mut self, entry: &KeyEntry, begin: u64, limit: u64) -> bool {
        let next = self.header.next;
        let least = if next == 1 { begin } else { self.header.end };
        let slot = entry.hash % self.shape.slots;
        let sound = entry.position >= least
            && entry.position < limit
            && entry.seconds >= 0
            && entry.hash <= i32::MAX.unsigned_abs()
            && entry.previous == self.slot(slot);
        if sound {
            self.set_slot(slot, next);
            self.header.used_slots += u32::from(entry.previous == 0);
            self.header.end = entry.position;
            self.header.next += 1;
        }
        sound
    }

    pub(super) fn is_full(&self) -> bool {
        self.header.is_full(self.shape)
    }

    pub(super) fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Puts an entry; `false` when the file is full.
    pub(super) fn put(&mut self, hash: u32, position: u64, timestamp: i64) -> bool {
        if self.is_full() {
            return false;
        }
        let (header, slot) = (&self.header, hash % self.shape.slots);
        // A new file's first time is that of the last message before it, until it has an entry.
        let seconds = match header.begin_timestamp {
            ..=0 => 0,
            begin => timestamp.saturating_sub(begin) / 1000,
        };
        let entry = KeyEntry {
            hash,
            position,
            seconds: i32::try_from(seconds.max(0)).unwrap_or(i32::MAX),
            previous: self.slot(slot),
        };
        self.staged.extend_from_slice(&entry.encode());
        self.set_slot(slot, self.header.next);
        let header = &mut self.header;
        if header.next == 1 {
            (header.begin, header.begin_timestamp) = (position, timestamp);
        }
        header.used_slots += u32::from(entry.previous == 0);
        header.next += 1;
        (header.end, header.end_timestamp) = (position, timestamp);
        true
    }

    /// Writes what is not in the file yet. What fails can be written again.
    pub(super) fn write(&mut self, file: &IndexFile) -> io::Result<()> {
        let mut header = file.header.write();
        let staged = u32::try_from(self.staged.len() / ENTRY_BYTES).unwrap_or(u32::MAX);
        file.file.write_at(&self.staged, self.shape.entry_at(self.header.next - staged))?;
        let mut page = 0;
        for run in self.dirty.chunk_by(|a, b| a == b) {
            let (from, to) = (page * PAGE_BYTES, (page + run.len()) * PAGE_BYTES);
            page += run.len();
            if run[0] {
                let bytes = &self.slots[from..to.min(self.slots.len())];
                file.file.write_at(bytes, to_u64(HEADER_BYTES + from))?;
            }
        }
        file.file.write_at(&self.header.encode(), 0)?;
        self.dirty.fill(false);
        if self.staged.len() < KEPT_BYTES {
            self.staged.shrink_to(KEPT_BYTES);
        }
        self.staged.clear();
        *header = self.header;
        Ok(())
    }

    fn slot(&self, slot: u32) -> u32 {
        let bytes = self.slots[at(slot)..].first_chunk().copied().unwrap_or_default();
        // One that points at no entry, as in a damaged file, holds none.
        Some(u32::from_be_bytes(bytes)).filter(|number| *number < self.header.next).unwrap_or(0)
    }

    fn set_slot(&mut self, slot: u32, number: u32) {
        let at = at(slot);
        self.slots[at..at + SLOT_BYTES].copy_from_slice(&number.to_be_bytes());
        self.dirty[at / PAGE_BYTES] = true;
    }
}

fn at(slot: u32) -> usize {
    to_usize(u64::from(slot)) * SLOT_BYTES
}

/// Reads into zeros, skipping what the file has no data for.
fn read_sparse(file: &dyn File, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let end = offset + to_u64(out.len());
    let mut at = offset;
    while let Some(data) = file.next_data(at)?.filter(|data| *data < end) {
        at = at.max(data);
        let from = to_usize(at - offset);
        let to = out.len().min(from + READ_BYTES);
        if file.read_at(&mut out[from..to], at)? < to - from {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += to_u64(to - from);
        if at >= end {
            break;
        }
    }
    Ok(())
}
