//! Reading the units of one tick, oldest first, though each knows only the one before it.
//!
//! The chain is walked twice: once to the oldest unit, keeping every few thousandth position, then stretch by stretch from
//! there. So a tick of millions of timers costs the memory of one stretch, and few disk reads, as units that were
//! enqueued together lie together.

use std::io;

use super::{
    log::{TimerLog, Window},
    unit::{Line, TimerUnit},
};

/// Units between two kept positions.
const STRETCH: usize = 4_096;

/// Where a reader of one tick's units stands.
#[derive(Debug)]
pub struct SlotUnits {
    tick: i64,
    precision_ms: i64,
    /// The newest unit of each stretch, newest stretch first.
    stretches: Vec<u64>,
    recalls: Vec<TimerUnit>,
    window: Window,
}

impl SlotUnits {
    pub(super) fn begin(
        log: &mut TimerLog,
        tick: i64,
        precision_ms: i64,
        last: Option<u64>,
    ) -> io::Result<Self> {
        let mut reading = Self {
            tick,
            precision_ms,
            stretches: Vec::new(),
            recalls: Vec::new(),
            window: Window::default(),
        };
        let (mut next, mut walked) = (last, 0_usize);
        while let Some(at) = next {
            let Some((unit, before)) = reading.unit(log, at)? else { break };
            if walked.is_multiple_of(STRETCH) {
                reading.stretches.push(at);
            }
            walked += 1;
            if unit.recalls && !unit.rolls {
                reading.recalls.push(unit);
            }
            next = before;
        }
        Ok(reading)
    }

    /// The tick.
    pub fn tick(&self) -> i64 {
        self.tick
    }

    /// The units that recall others of this tick. They come among the others too.
    pub fn recalls(&self) -> &[TimerUnit] {
        &self.recalls
    }

    pub(super) fn next(&mut self, log: &mut TimerLog) -> io::Result<Vec<TimerUnit>> {
        let Some(&newest) = self.stretches.last() else { return Ok(Vec::new()) };
        let mut units = Vec::new();
        let mut next = Some(newest);
        while let Some(at) = next.filter(|_| units.len() < STRETCH) {
            let Some((unit, before)) = self.unit(log, at)? else { break };
            units.push(unit);
            next = before;
        }
        self.stretches.pop();
        units.reverse();
        Ok(units)
    }

    /// The unit at a position and where the one before it lies. `None` ends the chain: its rest is gone with the
    /// records that it was about, or is damaged.
    fn unit(&mut self, log: &mut TimerLog, at: u64) -> io::Result<Option<(TimerUnit, Option<u64>)>> {
        match log.line(at, &mut self.window)? {
            Line::Unit(unit, before) if unit.due_ms.div_euclid(self.precision_ms) == self.tick => {
                // A chain that goes forwards would never end.
                Ok(Some((unit, before.filter(|before| *before < at))))
            }
            found => {
                if at >= log.start() {
                    tracing::warn!(at, tick = self.tick, ?found, "a chain of timers is broken");
                }
                Ok(None)
            }
        }
    }
}
