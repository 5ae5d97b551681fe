//! Pulls that wait for a message.
//!
//! Waiters hang off the queue that they wait on. Whoever appends to it looks at a counter, and only when somebody
//! waits takes them over and answers them, on its own thread and straight to their sockets. No loop polls.
//!
//! **Invariant.** A waiter is put into the list, *then* the queue's end is read again; a producer publishes the end,
//! *then* reads the counter. One of the two sees the other, so no wake-up is lost.
//!
//! What waits is bounded in bytes, in all and for each connection, and goes with its connection.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering, fence},
    },
    time::Instant,
};

use parking_lot::Mutex;
use rocketmq_boot_remoting::Connection;
use rocketmq_boot_store::Store;
use tokio::sync::Notify;

use crate::{pull::Pull, topics::TopicQueue};

/// What a held pull costs beside its filter, in the list and in the tables below.
const PULL_BYTES: usize = size_of::<Parked>() + 256;

/// Bytes that all held pulls may cost, and those of one connection; one more pull is answered at once, as if its time
/// were up.
const MAX_BYTES: Bounds = Bounds { all: 128 << 20, of_connection: 8 << 20 };

/// A list that had room for more waiters than this gives it back once it is empty.
const KEPT_WAITERS: usize = 64;

/// A pull that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) pull: Pull,
    pub(crate) connection: Arc<Connection>,
    pub(crate) until: Instant,
    id: u64,
}

/// The waiters of one queue.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    /// By number: a queue may have a hundred thousand waiters that all leave one by one.
    parked: Mutex<HashMap<u64, Parked>>,
}

impl Waiting {
    /// Whether somebody waits. To be asked after the new end of the queue has been published.
    pub(crate) fn any(&self) -> bool {
        fence(Ordering::SeqCst);
        self.count.load(Ordering::SeqCst) > 0
    }

    fn push(&self, parked: Parked) {
        let mut list = self.parked.lock();
        list.insert(parked.id, parked);
        self.count.store(list.len(), Ordering::SeqCst);
        drop(list);
        fence(Ordering::SeqCst);
    }

    fn take(&self) -> HashMap<u64, Parked> {
        let mut list = self.parked.lock();
        self.count.store(0, Ordering::SeqCst);
        std::mem::take(&mut *list)
    }

    fn remove(&self, id: u64) -> Option<Parked> {
        let mut list = self.parked.lock();
        let parked = list.remove(&id)?;
        if list.is_empty() && list.capacity() > KEPT_WAITERS {
            *list = HashMap::new();
        }
        self.count.store(list.len(), Ordering::SeqCst);
        Some(parked)
    }
}

/// What became of a try to answer a held pull.
pub(crate) enum Attempt {
    /// It has its answer.
    Answered,
    /// There is nothing for it yet; where it goes on may have moved.
    Nothing(Parked),
}

/// When each held pull has waited long enough.
#[derive(Debug)]
pub(crate) struct HeldPulls {
    store: Store,
    deadlines: Mutex<Deadlines>,
    late: Mutex<Vec<Parked>>,
    next_id: AtomicU64,
    earlier: Notify,
}

impl HeldPulls {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            deadlines: Mutex::new(Deadlines::new(MAX_BYTES)),
            late: Mutex::default(),
            next_id: AtomicU64::new(0),
            earlier: Notify::new(),
        }
    }

    /// Holds a pull until `until`, or answers it when a message came in the meantime.
    ///
    /// Gives it back when too many are held already.
    pub(crate) fn hold(
        &self,
        pull: Pull,
        connection: &Arc<Connection>,
        until: Instant,
        attempt: impl FnMut(Parked) -> Attempt,
    ) -> Result<(), Pull> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        {
            let held = Held {
                queue: Arc::downgrade(&pull.queue),
                connection: connection.id(),
                bytes: PULL_BYTES + pull.filter_bytes(),
            };
            let added = self.deadlines.lock().insert(until, id, held);
            if connection.is_closed() {
                // It may have been told to go before the pull was in the table.
                self.leave(connection.id());
            }
            match added {
                None => return Err(pull),
                Some(true) => self.earlier.notify_one(),
                Some(false) => {}
            }
        }
        self.park(Parked { pull, connection: Arc::clone(connection), until, id }, attempt);
        Ok(())
    }

    /// Puts a waiter into its queue's list; when a message came in between, takes it out and tries again.
    fn park(&self, mut parked: Parked, mut attempt: impl FnMut(Parked) -> Attempt) {
        loop {
            let (queue, from, id) = (Arc::clone(&parked.pull.queue), parked.pull.offset, parked.id);
            let until = parked.until;
            queue.waiting.push(parked);
            if self.store.readable_end(&queue.stored) <= from {
                return self.see_to_its_end(&queue, until, id);
            }
            // Somebody else may have woken it by now; then it is theirs.
            let Some(taken) = queue.waiting.remove(id) else { return };
            match attempt(taken) {
                Attempt::Answered => return self.forget(until, id),
                Attempt::Nothing(again) => parked = again,
            }
        }
    }

    /// A waiter whose time ran out while it was being looked at was not in its queue's list when it was to be
    /// answered: that is made up for here.
    fn see_to_its_end(&self, queue: &TopicQueue, until: Instant, id: u64) {
        if self.deadlines.lock().by_time.contains_key(&(until, id)) {
            return;
        }
        if let Some(parked) = queue.waiting.remove(id) {
            self.late.lock().push(parked);
            self.earlier.notify_one();
        }
    }

    /// Tries to answer everybody who waits on a queue.
    pub(crate) fn wake(&self, queue: &TopicQueue, mut attempt: impl FnMut(Parked) -> Attempt) {
        for parked in queue.waiting.take().into_values() {
            let (until, id) = (parked.until, parked.id);
            match attempt(parked) {
                Attempt::Answered => self.forget(until, id),
                Attempt::Nothing(parked) => self.park(parked, &mut attempt),
            }
        }
    }

    /// Waits until pulls have waited long enough, and hands them out.
    pub(crate) async fn expired(&self) -> Vec<Parked> {
        loop {
            let earlier = self.earlier.notified();
            let late = std::mem::take(&mut *self.late.lock());
            if !late.is_empty() {
                return late;
            }
            let first = self.deadlines.lock().by_time.first_key_value().map(|((until, _), _)| *until);
            match first {
                None => earlier.await,
                Some(until) => {
                    tokio::select! {
                        () = earlier => {}
                        () = tokio::time::sleep_until(until.into()) => {
                            let expired = self.take_expired(Instant::now());
                            if !expired.is_empty() {
                                return expired;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Hands out every held pull, for the broker's stop.
    pub(crate) fn take_all(&self) -> Vec<Parked> {
        let all = std::mem::replace(&mut *self.deadlines.lock(), Deadlines::new(MAX_BYTES)).by_time;
        let late = std::mem::take(&mut *self.late.lock());
        all.into_iter().filter_map(|((_, id), held)| held.take(id)).chain(late).collect()
    }

    /// Forgets the pulls of a connection that has ended.
    pub(crate) fn leave(&self, connection: u64) {
        let gone = self.deadlines.lock().remove_connection(connection);
        for (id, held) in gone {
            // One that is being looked at right now is not in its list; it ends up among the late ones.
            drop(held.take(id));
        }
    }

    fn take_expired(&self, now: Instant) -> Vec<Parked> {
        let expired = self.deadlines.lock().remove_until(now);
        expired.into_iter().filter_map(|(id, held)| held.take(id)).collect()
    }

    fn forget(&self, until: Instant, id: u64) {
        self.deadlines.lock().remove(until, id);
    }
}

/// A held pull, as far as finding and counting it needs.
#[derive(Debug)]
struct Held {
    queue: Weak<TopicQueue>,
    connection: u64,
    bytes: usize,
}

impl Held {
    fn take(&self, id: u64) -> Option<Parked> {
        self.queue.upgrade()?.waiting.remove(id)
    }
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    all: usize,
    of_connection: usize,
}

/// Everything that is held, by time and by connection.
#[derive(Debug)]
struct Deadlines {
    bounds: Bounds,
    bytes: usize,
    by_time: BTreeMap<(Instant, u64), Held>,
    /// Stays while the connection lives, so that a consumer that keeps up costs no allocation.
    by_connection: HashMap<u64, OfConnection>,
}

#[derive(Debug, Default)]
struct OfConnection {
    bytes: usize,
    held: BTreeMap<u64, Instant>,
}

impl Deadlines {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, bytes: 0, by_time: BTreeMap::new(), by_connection: HashMap::new() }
    }

    /// Adds a pull and says whether it is the next to have waited long enough; `None` when there is no room for it.
    fn insert(&mut self, until: Instant, id: u64, held: Held) -> Option<bool> {
        let of = self.by_connection.entry(held.connection).or_default();
        if self.bytes + held.bytes > self.bounds.all || of.bytes + held.bytes > self.bounds.of_connection {
            return None;
        }
        of.bytes += held.bytes;
        of.held.insert(id, until);
        self.bytes += held.bytes;
        let first = self.by_time.first_key_value().is_none_or(|((first, _), _)| until < *first);
        self.by_time.insert((until, id), held);
        Some(first)
    }

    fn remove(&mut self, until: Instant, id: u64) -> Option<Held> {
        let held = self.by_time.remove(&(until, id))?;
        self.bytes -= held.bytes;
        if let Some(of) = self.by_connection.get_mut(&held.connection) {
            of.bytes -= held.bytes;
            of.held.remove(&id);
        }
        Some(held)
    }

    fn remove_until(&mut self, now: Instant) -> Vec<(u64, Held)> {
        let due: Vec<_> = self.by_time.range(..=(now, u64::MAX)).map(|(key, _)| *key).collect();
        due.into_iter().filter_map(|(until, id)| Some((id, self.remove(until, id)?))).collect()
    }

    fn remove_connection(&mut self, connection: u64) -> Vec<(u64, Held)> {
        let of = self.by_connection.get_mut(&connection).map(|of| std::mem::take(&mut of.held));
        let ids = of.into_iter().flatten();
        let gone = ids.filter_map(|(id, until)| Some((id, self.remove(until, id)?))).collect();
        self.by_connection.remove(&connection);
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn held(connection: u64, bytes: usize) -> Held {
        Held { queue: Weak::new(), connection, bytes }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_in_all_and_by_connection() {
        let mut deadlines = Deadlines::new(Bounds { all: 100, of_connection: 60 });
        let at = |second| Instant::now() + Duration::from_secs(second);
        let (soon, later) = (at(10), at(20));
        assert_eq!(deadlines.insert(later, 1, held(7, 40)), Some(true));
        assert_eq!(deadlines.insert(soon, 2, held(7, 20)), Some(true));
        assert_eq!(deadlines.insert(soon, 3, held(7, 1)), None, "the connection's share is full");
        assert_eq!(deadlines.insert(later, 4, held(8, 40)), Some(false));
        assert_eq!(deadlines.insert(later, 5, held(9, 1)), None, "all of it is full");
        assert!(deadlines.remove(soon, 2).is_some() && deadlines.remove(soon, 2).is_none());
        assert_eq!(deadlines.insert(later, 6, held(9, 20)), Some(false));
        assert_eq!(deadlines.remove_connection(7).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1]);
        assert_eq!(deadlines.bytes, 60);
        assert_eq!(deadlines.remove_until(soon).len(), 0);
        assert_eq!(deadlines.remove_until(later).len(), 2);
        assert_eq!((deadlines.bytes, deadlines.by_time.len()), (0, 0));
        deadlines.remove_connection(8);
        deadlines.remove_connection(9);
        assert!(deadlines.by_connection.is_empty());
    }
}
