//! The clock that stores, brokers and name servers are handed.
//!
//! It has two hands. The **wall** hand stamps messages and drives what users see in hours and minutes: delay
//! levels, timers, transaction checks, retention. The **monotonic** hand drives leases, idle limits and back-off.
//! A test moves the wall hand and nothing else: routes and heartbeats must not expire because somebody skipped
//! the five hours of a retry ladder. Socket time-outs are not on this clock at all; they stay real.
//!
//! Nothing in this crate reads the clock by itself: it is defined here only because every other crate that takes
//! one stands above this crate.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

/// A cheap handle to the two hands of time.
///
/// [`Clock::system`] follows the machine. [`Clock::manual`] stands still until [`Clock::advance`] or
/// [`Clock::advance_monotonic`] is called.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System { started: Instant },
    Manual(Arc<Mutex<Hands>>),
}

type Ring = Box<dyn FnOnce() + Send>;

struct Hands {
    wall_ms: i64,
    monotonic: Duration,
    sequence: u64,
    alarms: BTreeMap<(i64, u64), Ring>,
}

/// How a task waits for a point on the wall hand; see [`Clock::until`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The point has passed.
    Due,
    /// Real time must pass first.
    Real(Duration),
    /// Only a test can move the hand there: set an [alarm](Clock::alarm).
    Manual,
}

impl Clock {
    /// Follows the machine's clocks.
    pub fn system() -> Self {
        Self(Kind::System { started: Instant::now() })
    }

    /// Stands still at `wall_ms`, milliseconds since 1970 UTC, until a test moves it.
    pub fn manual(wall_ms: i64) -> Self {
        Self(Kind::Manual(Arc::new(Mutex::new(Hands {
            wall_ms,
            monotonic: Duration::ZERO,
            sequence: 0,
            alarms: BTreeMap::new(),
        }))))
    }

    /// The wall hand, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Kind::System { .. } => system_ms(),
            Kind::Manual(hands) => hands.lock().wall_ms,
        }
    }

    /// The monotonic hand: time since the clock was made.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Kind::System { started } => started.elapsed(),
            Kind::Manual(hands) => hands.lock().monotonic,
        }
    }

    /// How to wait until the wall hand shows `at_ms`.
    pub fn until(&self, at_ms: i64) -> Wait {
        let remaining = at_ms.saturating_sub(self.now_ms());
        match (&self.0, u64::try_from(remaining)) {
            (_, Err(_) | Ok(0)) => Wait::Due,
            (Kind::System { .. }, Ok(remaining)) => Wait::Real(Duration::from_millis(remaining)),
            (Kind::Manual(_), Ok(_)) => Wait::Manual,
        }
    }

    /// Calls `ring` once a test has moved the wall hand to `at_ms`, at once when it is there already.
    ///
    /// A system clock never rings: wait for the duration that [`Clock::until`] gives.
    pub fn alarm(&self, at_ms: i64, ring: impl FnOnce() + Send + 'static) {
        let Kind::Manual(hands) = &self.0 else { return };
        let mut hands = hands.lock();
        if at_ms <= hands.wall_ms {
            drop(hands);
            return ring();
        }
        let sequence = hands.sequence;
        hands.sequence += 1;
        hands.alarms.insert((at_ms, sequence), Box::new(ring));
    }

    /// Moves the wall hand of a manual clock, stopping at every alarm on the way, in order of their times.
    ///
    /// A system clock is left alone.
    pub fn advance(&self, by: Duration) {
        let Kind::Manual(hands) = &self.0 else { return };
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let target = hands.lock().wall_ms.saturating_add(by);
        loop {
            let mut now = hands.lock();
            match now.alarms.first_key_value().map(|(key, _)| *key) {
                Some((at_ms, _)) if at_ms <= target => {
                    now.wall_ms = now.wall_ms.max(at_ms);
                    let ring = now.alarms.pop_first();
                    drop(now);
                    if let Some((_, ring)) = ring {
                        ring();
                    }
                }
                _ => {
                    now.wall_ms = now.wall_ms.max(target);
                    return;
                }
            }
        }
    }

    /// Moves the monotonic hand of a manual clock. A system clock is left alone.
    pub fn advance_monotonic(&self, by: Duration) {
        if let Kind::Manual(hands) = &self.0 {
            hands.lock().monotonic += by;
        }
    }

    /// The next alarm on the wall hand of a manual clock, in milliseconds since 1970 UTC.
    pub fn next_alarm(&self) -> Option<i64> {
        match &self.0 {
            Kind::System { .. } => None,
            Kind::Manual(hands) => hands.lock().alarms.first_key_value().map(|((at_ms, _), _)| *at_ms),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::System { .. } => "system",
            Kind::Manual(_) => "manual",
        };
        f.debug_struct("Clock").field("kind", &kind).field("now_ms", &self.now_ms()).finish()
    }
}

fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_one_hand_leaves_the_other() {
        let clock = Clock::manual(1_000);
        clock.advance(Duration::from_secs(5));
        assert_eq!((clock.now_ms(), clock.monotonic()), (6_000, Duration::ZERO));
        clock.advance_monotonic(Duration::from_secs(2));
        assert_eq!((clock.now_ms(), clock.monotonic()), (6_000, Duration::from_secs(2)));
    }

    #[test]
    fn alarms_ring_in_order_at_their_own_time() {
        let clock = Clock::manual(0);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for at_ms in [30, 10, 20, 99] {
            let (seen, reader) = (Arc::clone(&seen), clock.clone());
            clock.alarm(at_ms, move || seen.lock().push((at_ms, reader.now_ms())));
        }
        clock.advance(Duration::from_millis(50));
        assert_eq!(*seen.lock(), [(10, 10), (20, 20), (30, 30)]);
        assert_eq!((clock.now_ms(), clock.next_alarm()), (50, Some(99)));
    }

    #[test]
    fn an_alarm_set_while_ringing_still_rings() {
        let clock = Clock::manual(0);
        let rang = Arc::new(Mutex::new(0));
        let (inner, counter) = (clock.clone(), Arc::clone(&rang));
        clock.alarm(10, move || inner.alarm(20, move || *counter.lock() += 1));
        clock.advance(Duration::from_millis(20));
        assert_eq!(*rang.lock(), 1);
    }
}
