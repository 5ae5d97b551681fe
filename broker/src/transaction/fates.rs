//! What became of the transactions that ended or were asked about lately.
//!
//! The log does not tell in one look whether a half message has ended, and one transaction may lie in the log several
//! times. This table does, for the last of them: it makes a second commit harmless and keeps the copy of a message
//! whose producer answered late from being asked about. It is bounded, and lost with the process; what it has
//! forgotten is delivered or asked about once more, as Apache's broker does it with every such message.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use rocketmq_boot_protocol::message::sys_flag::Transaction;

/// Transactions remembered at most; some 3 MiB.
const MAX: usize = 1 << 16;

/// A transaction: the offset of its first half message in the half queue.
pub(super) type Id = i64;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It ended; with what, if that is known.
    Ended(Option<Transaction>),
    /// It was put back: its newest half message is here.
    Renewed(i64),
}

/// What somebody who wants to end a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// End it. Its newest half message is the one here, if it was put back.
    Granted(Option<i64>),
    /// Nothing: it has ended so already.
    Done,
    /// Nothing: it has ended the other way.
    Contradicted,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Fates {
    by_id: HashMap<Id, Fate>,
    /// In the order in which they came.
    order: VecDeque<Id>,
}

impl Fates {
    pub(super) fn of(&self, id: Id) -> Option<Fate> {
        self.by_id.get(&id).copied()
    }

    /// Claims the end of a transaction for one decision; whoever was granted it and fails gives it back with
    /// [`Fates::set`] or [`Fates::forget`].
    pub(super) fn claim(&mut self, id: Id, decision: Transaction) -> Claim {
        let claim = match self.of(id) {
            None => Claim::Granted(None),
            Some(Fate::Renewed(newest)) => Claim::Granted(Some(newest)),
            Some(Fate::Ended(how)) if how.is_none_or(|how| how == decision) => return Claim::Done,
            Some(Fate::Ended(_)) => return Claim::Contradicted,
        };
        self.set(id, Fate::Ended(Some(decision)));
        claim
    }

    pub(super) fn set(&mut self, id: Id, fate: Fate) {
        match self.by_id.entry(id) {
            Entry::Occupied(mut known) => *known.get_mut() = fate,
            Entry::Vacant(new) => {
                new.insert(fate);
                self.order.push_back(id);
            }
        }
        while self.order.len() > MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
    }

    /// Undoes a claim on a transaction of which nothing was known before.
    pub(super) fn forget(&mut self, id: Id) {
        if self.by_id.remove(&id).is_some()
            && let Some(at) = self.order.iter().rposition(|known| *known == id)
        {
            self.order.remove(at);
        }
    }

    /// Notes that a transaction has ended, however it did.
    pub(super) fn note_ended(&mut self, id: Id) {
        if !matches!(self.of(id), Some(Fate::Ended(_))) {
            self.set(id, Fate::Ended(None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_ends_once() {
        let mut fates = Fates::default();
        assert_eq!(fates.claim(7, Transaction::Commit), Claim::Granted(None));
        assert_eq!(fates.claim(7, Transaction::Commit), Claim::Done);
        assert_eq!(fates.claim(7, Transaction::Rollback), Claim::Contradicted);
        fates.forget(7);
        assert_eq!(fates.claim(7, Transaction::Rollback), Claim::Granted(None));
    }

    #[test]
    fn whoever_ends_a_renewed_transaction_learns_of_its_copy() {
        let mut fates = Fates::default();
        fates.set(7, Fate::Renewed(9));
        fates.set(7, Fate::Renewed(12));
        assert_eq!(fates.claim(7, Transaction::Commit), Claim::Granted(Some(12)));
        fates.note_ended(7);
        assert_eq!(fates.of(7), Some(Fate::Ended(Some(Transaction::Commit))));
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut fates = Fates::default();
        for id in 0..=i64::try_from(MAX).unwrap() {
            fates.note_ended(id);
        }
        assert_eq!((fates.of(0), fates.of(1)), (None, Some(Fate::Ended(None))));
        assert_eq!((fates.by_id.len(), fates.order.len()), (MAX, MAX));
        // An end of which only the note is known goes with either decision.
        assert_eq!(fates.claim(1, Transaction::Rollback), Claim::Done);
    }
}
