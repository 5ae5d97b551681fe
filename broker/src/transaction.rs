//! Transactions: messages that stay out of sight until their producer says how its own transaction ended.
//!
//! A half message lies in `RMQ_SYS_TRANS_HALF_TOPIC` with its real destination among its properties. Committing it (37)
//! stores it anew where it belongs, together with a note in `RMQ_SYS_TRANS_OP_HALF_TOPIC` that it has ended; rolling
//! back stores the note alone. Rounds of [`check`] ask the producers of those that have no note how they ended (39),
//! and put each back at the tail with a count, so that the head of the queue moves on and nobody waits for an undecided
//! neighbour. After `transactionCheckMax` questions it is parked in `TRANS_CHECK_MAX_TIME_TOPIC`.
//!
//! Progress over both queues is kept as offsets of the group `CID_RMQ_SYS_TRANS`, as Apache's broker keeps it.

mod check;
mod end;
mod fates;
mod half;
mod ops;

use std::time::Duration;

use parking_lot::Mutex;
use rocketmq_boot_protocol::Clock;

use self::fates::Fates;
pub(crate) use self::ops::Op;
use crate::config::Settings;

/// The group under which the rounds keep their progress.
const GROUP: &str = "CID_RMQ_SYS_TRANS";

/// What transactions need beside the two queues. All of it can be lost: then a producer is asked once more.
#[derive(Debug)]
pub(crate) struct Transactions {
    fates: Mutex<Fates>,
    /// When the first round is due, in ms since 1970.
    first_check_ms: i64,
}

/// A message that comes to light because its transaction was committed.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    /// Says that the transaction ended.
    pub(crate) op: &'a Op,
}

impl Transactions {
    pub(crate) fn new(settings: &Settings, clock: &Clock) -> Self {
        let first_check_ms = clock.now_ms().saturating_add(in_ms(check_interval(settings)));
        Self { fates: Mutex::default(), first_check_ms }
    }
}

/// Time between two rounds; never none, because the rounds would follow each other without a pause.
fn check_interval(settings: &Settings) -> Duration {
    settings.transaction_check_interval.max(Duration::from_millis(1))
}

fn in_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
