//! Pulls that wait for a message.
//!
//! Waiters hang off the queue that they wait on. Whoever appends to it looks at a counter, and only when somebody
//! waits takes them over and answers them, on its own thread and straight to their sockets. No loop polls.
//!
//! **Invariant.** A waiter is put into the list, *then* the queue's end is read again; a producer publishes the end,
//! *then* reads the counter. One of the two sees the other, so no wake-up is lost.

use std::{
    collections::BTreeMap,
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

/// Pulls held at most; one more is answered at once, as if its time were up.
const MAX_HELD: usize = 100_000;

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
    parked: Mutex<Vec<Parked>>,
}

impl Waiting {
    /// Whether somebody waits. To be asked after the new end of the queue has been published.
    pub(crate) fn any(&self) -> bool {
        fence(Ordering::SeqCst);
        self.count.load(Ordering::SeqCst) > 0
    }

    fn push(&self, parked: Parked) {
        let mut list = self.parked.lock();
        list.push(parked);
        self.count.store(list.len(), Ordering::SeqCst);
        drop(list);
        fence(Ordering::SeqCst);
    }

    fn take(&self) -> Vec<Parked> {
        let mut list = self.parked.lock();
        self.count.store(0, Ordering::SeqCst);
        std::mem::take(&mut *list)
    }

    fn remove(&self, id: u64) -> Option<Parked> {
        let mut list = self.parked.lock();
        let at = list.iter().position(|parked| parked.id == id)?;
        let parked = list.swap_remove(at);
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
    deadlines: Mutex<BTreeMap<(Instant, u64), Weak<TopicQueue>>>,
    late: Mutex<Vec<Parked>>,
    next_id: AtomicU64,
    earlier: Notify,
}

impl HeldPulls {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            deadlines: Mutex::default(),
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
            let mut deadlines = self.deadlines.lock();
            if deadlines.len() >= MAX_HELD {
                return Err(pull);
            }
            let first = deadlines.first_key_value().is_none_or(|((first, _), _)| until < *first);
            deadlines.insert((until, id), Arc::downgrade(&pull.queue));
            if first {
                self.earlier.notify_one();
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
        if self.deadlines.lock().contains_key(&(until, id)) {
            return;
        }
        if let Some(parked) = queue.waiting.remove(id) {
            self.late.lock().push(parked);
            self.earlier.notify_one();
        }
    }

    /// Tries to answer everybody who waits on a queue.
    pub(crate) fn wake(&self, queue: &TopicQueue, mut attempt: impl FnMut(Parked) -> Attempt) {
        for parked in queue.waiting.take() {
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
            let first = self.deadlines.lock().first_key_value().map(|((until, _), _)| *until);
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
        let all = std::mem::take(&mut *self.deadlines.lock());
        let late = std::mem::take(&mut *self.late.lock());
        let held = all.into_iter().filter_map(|((_, id), queue)| queue.upgrade()?.waiting.remove(id));
        held.chain(late).collect()
    }

    fn take_expired(&self, now: Instant) -> Vec<Parked> {
        let mut deadlines = self.deadlines.lock();
        let later = deadlines.split_off(&(now, u64::MAX));
        let expired = std::mem::replace(&mut *deadlines, later);
        drop(deadlines);
        expired.into_iter().filter_map(|((_, id), queue)| queue.upgrade()?.waiting.remove(id)).collect()
    }

    fn forget(&self, until: Instant, id: u64) {
        self.deadlines.lock().remove(&(until, id));
    }
}
