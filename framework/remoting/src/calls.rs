//! Calls that wait for their response, found by opaque.
//!
//! A slab: the low bits of an opaque are the slot, the high bits count how often the slot was used, so that a late
//! response to a call that gave up never reaches the call that has the slot now. There is no allocation per call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use rocketmq_boot_protocol::Command;

use crate::Error;

const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Generations stay below the sign bit: some peers print opaques and none should see a negative one.
const GENERATION_MASK: u32 = (1 << (31 - INDEX_BITS)) - 1;

type Outcome = Result<Command, Error>;

/// The calls of one connection.
#[derive(Debug)]
pub(crate) struct Calls {
    address: Arc<str>,
    limit: usize,
    slab: Mutex<Slab>,
}

#[derive(Debug, Default)]
struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
    failed: Option<Error>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting(Option<Waker>),
    Done(Outcome),
}

impl Calls {
    /// Room for `limit` calls to `address` at a time.
    pub(crate) fn new(address: Arc<str>, limit: usize) -> Arc<Self> {
        let limit = limit.min(1 << INDEX_BITS);
        Arc::new(Self { address, limit, slab: Mutex::default() })
    }

    /// Takes a slot for a call that is about to be sent.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Call, Error> {
        let mut slab = self.slab.lock();
        if let Some(error) = &slab.failed {
            return Err(error.clone());
        }
        let index = match slab.free.pop() {
            Some(index) => index,
            None if slab.slots.len() < self.limit => {
                slab.slots.push(Slot { generation: 0, state: State::Free });
                u32::try_from(slab.slots.len() - 1).unwrap_or(INDEX_MASK)
            }
            None => return Err(Error::Overloaded { address: Arc::clone(&self.address) }),
        };
        let slot = &mut slab.slots[to_usize(index)];
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        slot.state = State::Waiting(None);
        let opaque = ((slot.generation << INDEX_BITS) | index).cast_signed();
        Ok(Call { calls: Arc::clone(self), opaque })
    }

    /// Hands a response to its call; `false` when nobody waits for it any more.
    pub(crate) fn complete(&self, response: Command) -> bool {
        let mut slab = self.slab.lock();
        let Some(slot) = slab.find(response.opaque) else { return false };
        let State::Waiting(waker) = &mut slot.state else { return false };
        let waker = waker.take();
        slot.state = State::Done(Ok(response));
        drop(slab);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Fails every call that waits, and all that would begin.
    pub(crate) fn fail(&self, error: &Error) {
        let mut wakers = Vec::new();
        let mut slab = self.slab.lock();
        if slab.failed.is_some() {
            return;
        }
        slab.failed = Some(error.clone());
        for slot in &mut slab.slots {
            if let State::Waiting(waker) = &mut slot.state {
                wakers.extend(waker.take());
                slot.state = State::Done(Err(error.clone()));
            }
        }
        drop(slab);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Slab {
    /// The slot that an opaque stands for, unless it has been used again since.
    fn find(&mut self, opaque: i32) -> Option<&mut Slot> {
        let bits = opaque.cast_unsigned();
        let slot = self.slots.get_mut(to_usize(bits & INDEX_MASK))?;
        (slot.generation == bits >> INDEX_BITS).then_some(slot)
    }
}

fn to_usize(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// A call under way: resolves to its response, and gives up its slot when dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Arc<Calls>,
    opaque: i32,
}

impl Call {
    /// What the request has to carry.
    pub(crate) const fn opaque(&self) -> i32 {
        self.opaque
    }
}

impl Future for Call {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut slab = self.calls.slab.lock();
        let gone = || Error::closed(&self.calls.address, "the call was polled after its end");
        let Some(slot) = slab.find(self.opaque) else { return Poll::Ready(Err(gone())) };
        match &mut slot.state {
            State::Waiting(Some(waker)) => waker.clone_from(context.waker()),
            State::Waiting(waker) => *waker = Some(context.waker().clone()),
            state => match std::mem::replace(state, State::Free) {
                State::Done(outcome) => return Poll::Ready(outcome),
                _ => return Poll::Ready(Err(gone())),
            },
        }
        Poll::Pending
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut slab = self.calls.slab.lock();
        if let Some(slot) = slab.find(self.opaque) {
            let left = std::mem::replace(&mut slot.state, State::Free);
            slab.free.push(self.opaque.cast_unsigned() & INDEX_MASK);
            drop(slab);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use rocketmq_boot_protocol::RequestCode;

    use super::*;

    fn calls(limit: usize) -> Arc<Calls> {
        Calls::new("there:1".into(), limit)
    }

    fn response(opaque: i32) -> Command {
        let mut request = Command::bare(RequestCode::HEART_BEAT);
        request.opaque = opaque;
        Command::success(&request)
    }

    fn poll(call: &mut Call) -> Poll<Outcome> {
        Pin::new(call).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_response_reaches_the_call_with_its_opaque() {
        let calls = calls(8);
        let (mut first, mut second) = (calls.begin().unwrap(), calls.begin().unwrap());
        assert!(calls.complete(response(second.opaque())));
        assert!(poll(&mut first).is_pending());
        assert!(matches!(poll(&mut second), Poll::Ready(Ok(command)) if command.opaque == second.opaque()));
    }

    #[test]
    fn a_late_response_misses_the_call_that_has_the_slot_now() {
        let calls = calls(1);
        let stale = calls.begin().unwrap().opaque();
        let mut next = calls.begin().unwrap();
        assert_ne!(stale, next.opaque());
        assert!(!calls.complete(response(stale)));
        assert!(poll(&mut next).is_pending());
        assert!(!calls.complete(response(-1)) && !calls.complete(response(i32::MAX)));
    }

    #[test]
    fn calls_over_the_limit_are_refused_until_one_ends() {
        let calls = calls(1);
        let call = calls.begin().unwrap();
        assert!(matches!(calls.begin(), Err(Error::Overloaded { .. })));
        drop(call);
        assert!(calls.begin().is_ok());
    }

    #[test]
    fn failing_ends_calls_of_now_and_later() {
        let calls = calls(8);
        let mut call = calls.begin().unwrap();
        calls.fail(&Error::closed(&"there:1".into(), "over"));
        assert!(matches!(poll(&mut call), Poll::Ready(Err(Error::Closed { .. }))));
        assert!(matches!(calls.begin(), Err(Error::Closed { .. })));
    }
}
