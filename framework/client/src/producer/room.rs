//! Back-pressure: how many messages and bytes of one producer may be under way.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bounds of what is under way; those that are not set do not bind.
#[derive(Debug)]
pub(super) struct Room {
    messages: Option<Semaphore>,
    bytes: Option<(Semaphore, u32)>,
}

/// A place among what is under way, given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    _message: Option<SemaphorePermit<'a>>,
    _bytes: Option<SemaphorePermit<'a>>,
}

impl Room {
    /// `None` when nothing is bounded.
    pub(super) fn new(messages: Option<u32>, bytes: Option<u32>) -> Option<Self> {
        if messages.is_none() && bytes.is_none() {
            return None;
        }
        let semaphore =
            |permits: u32| Semaphore::new(usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS));
        Some(Self {
            messages: messages.map(|messages| semaphore(messages.max(1))),
            bytes: bytes.map(|bytes| (semaphore(bytes.max(1)), bytes.max(1))),
        })
    }

    /// Waits for room for one request of so many bytes. One larger than all the room gets all of it.
    pub(super) async fn enter(&self, bytes: usize) -> Place<'_> {
        let message = match &self.messages {
            Some(messages) => messages.acquire().await.ok(),
            None => None,
        };
        let bytes = match &self.bytes {
            Some((semaphore, all)) => {
                let wanted = u32::try_from(bytes).unwrap_or(u32::MAX).min(*all);
                semaphore.acquire_many(wanted).await.ok()
            }
            None => None,
        };
        Place { _message: message, _bytes: bytes }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn both_bounds_bind_until_places_are_given_back() {
        let room = Room::new(Some(2), Some(100)).unwrap();
        let first = room.enter(60).now_or_never().unwrap();
        assert!(room.enter(60).now_or_never().is_none(), "too many bytes");
        let second = room.enter(40).now_or_never().unwrap();
        assert!(room.enter(0).now_or_never().is_none(), "too many messages");
        drop((first, second));
        assert!(room.enter(1_000_000).now_or_never().is_some(), "the largest message has its turn too");
        assert!(Room::new(None, None).is_none());
    }
}
