//! RocketMQ's store: a commit log, its consume queues and its key index in Apache's bytes.
//!
//! Disk only: no sockets, no async runtime, no topic policy. The store knows a topic's name, a queue's number, an
//! offset, bytes and a tags code. Folders can move between this store and Apache RocketMQ 4.9 and 5.x.
//!
//! | module | what it holds |
//! |---|---|
//! | `store` | the handle, its watermarks, opening and closing |
//! | `append` | one lock, one clock read and one write for a batch of messages |
//! | `read`, `lookup` | messages by queue offset, by position, by time |
//! | `flush`, `keeper` | the threads: making the log durable; the next file, queue files, checkpoints |
//! | `recovery`, `scan` | what happens between opening and the first append |
//! | `index` | messages by key |
//! | `retention` | giving space back, at the front of the log and of the queues |
//! | `segment`, `queue`, `queue_files`, `open_files`, `queues`, `entry`, `checkpoint` | the files |
//! | `timer` | which records wait for which instant |
//! | [`disk`] | the only way to the disk, real or simulated |
//! | [`metadata`] | the broker's small tables, saved so that a crash leaves the old or the new one |

pub mod disk;
pub mod metadata;

mod append;
mod cast;
mod checkpoint;
mod entry;
mod error;
mod flush;
mod index;
mod keeper;
mod lookup;
mod open_files;
mod options;
mod queue;
mod queue_files;
mod queues;
mod read;
mod recovery;
mod retention;
mod scan;
mod segment;
mod store;
mod timer;

pub use append::{Append, Appended};
pub use error::{AppendError, FlushFailure, OpenError, ReadError};
pub use index::{FoundByKey, KeyKind, KeyQuery};
pub use lookup::{Boundary, QueueEntry};
pub use options::{Flush, IndexSize, Options, TagsCode};
pub use queue::Queue;
pub use read::{Heat, ReadLimit, ReadOutcome, ReadStatus, RecordFilter, Verdict, Wanted};
pub use recovery::{Quarantined, Recovered, quarantine_folder};
pub use retention::OldestFile;
pub use store::Store;
pub use timer::{
    SlotUnits, TIMER_PROGRESS_BYTES, TimerOptions, TimerProgress, TimerUnit, Timers, TimersFound,
};
