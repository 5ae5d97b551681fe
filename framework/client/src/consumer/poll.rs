//! Messages that were pulled and wait to be polled.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::message::MessageView;
use tokio::sync::Notify;

use super::{queue::Assigned, window::Window};

/// The messages of all queues, in the order in which they came. The queues' windows bound it.
#[derive(Debug)]
pub(super) struct Inbox {
    parcels: Mutex<VecDeque<Parcel>>,
    pub(super) more: Notify,
    /// Whether what was polled is committed without being asked to.
    auto_commit: AtomicBool,
}

#[derive(Debug)]
struct Parcel {
    assigned: Arc<Assigned>,
    window: Arc<Window>,
    messages: VecDeque<MessageView>,
}

/// Messages that somebody polled.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) window: Arc<Window>,
    pub(super) messages: Vec<MessageView>,
}

impl Inbox {
    pub(super) fn new(auto_commit: bool) -> Self {
        Self { parcels: Mutex::default(), more: Notify::new(), auto_commit: AtomicBool::new(auto_commit) }
    }

    pub(super) fn commits(&self) -> bool {
        self.auto_commit.load(Ordering::Relaxed)
    }

    pub(super) fn set_commits(&self, commits: bool) {
        self.auto_commit.store(commits, Ordering::Relaxed);
    }

    pub(super) fn put(&self, assigned: &Arc<Assigned>, window: &Arc<Window>, messages: Vec<MessageView>) {
        let (assigned, window) = (Arc::clone(assigned), Arc::clone(window));
        self.parcels.lock().push_back(Parcel { assigned, window, messages: messages.into() });
        self.more.notify_one();
    }

    /// Takes at most so many messages of the first queue that has some and is not paused.
    pub(super) fn take(&self, most: usize) -> Option<Taken> {
        let mut parcels = self.parcels.lock();
        parcels.retain(|parcel| !parcel.window.is_closed());
        let at = parcels.iter().position(|parcel| parcel.assigned.gate.is_open())?;
        let parcel = parcels.get_mut(at)?;
        let count = most.min(parcel.messages.len());
        let taken =
            Taken { window: Arc::clone(&parcel.window), messages: parcel.messages.drain(..count).collect() };
        if parcel.messages.is_empty() {
            parcels.remove(at);
        }
        Some(taken)
    }
}
