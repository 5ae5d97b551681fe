//! Start hooks: functions that run once, when everything is consuming.

use std::{any::TypeId, future::Future, pin::Pin};

use crate::{
    context::{Context, Requires},
    error::{Error, ListenerError},
    place::Place,
};

#[doc(hidden)]
pub type Hooking = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A hook, as `#[on_start]` registers it.
#[doc(hidden)]
#[derive(Debug)]
pub struct HookEntry {
    pub name: &'static str,
    pub place: Place,
    pub function: fn() -> TypeId,
    pub requires: fn(&mut Requires),
    pub call: fn(Context) -> Hooking,
}

inventory::collect!(HookEntry);

/// What a start hook can return: nothing, or a `Result` of nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a start hook returns",
    label = "not an outcome of a start hook",
    note = "return nothing, or `Result<(), Error>`"
)]
pub trait HookOutcome {
    /// As a result.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), Error>;
}

impl HookOutcome for () {
    fn into_result(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<E: ListenerError> HookOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), Error> {
        self.map_err(ListenerError::boxed)
    }
}

#[doc(hidden)]
pub type HookOut<R> = fn(R) -> Result<(), Error>;

#[doc(hidden)]
pub const fn hook_outcome<R: HookOutcome>() -> HookOut<R> {
    R::into_result
}
