//! The message model: what is stored, what is batched, what applications send and receive.
//!
//! A pull response *is* a run of stored records, so the store that writes them and the client that reads them
//! share [`record`]. Everything here works on byte slices and never panics on what they hold.

pub mod batch;
pub mod compress;
pub mod hash;
pub mod id;
pub mod property;
pub mod record;
pub mod sys_flag;

mod outgoing;
mod queue;
mod view;

pub use outgoing::{Message, MessageError};
pub use queue::MessageQueue;
pub use view::{MessageView, ViewError};

/// Splits `N` bytes off the front of `bytes`.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// Splits a slice of `length` bytes off the front of `bytes`.
fn take_slice<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}
