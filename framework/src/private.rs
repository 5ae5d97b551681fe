//! What expansions of the macros mention. Not for users: nothing here is stable.

use std::{
    any::{Any, TypeId},
    sync::Arc,
};

pub use inventory;

pub use crate::{
    component::{ComponentEntry, Made, MadeDirectly, MadeOrFailed, Making, Provided},
    config::{
        key::Key,
        properties::{Binder, Nested, Properties, PropertiesEntry, nested},
    },
    context::{AppArgument, application},
    hook::{HookEntry, HookOut, Hooking, hook_outcome},
    listener::{
        ListenerEntry, Model, Start,
        extract::{Argument, BatchArgument, Call, Calling, batch, from_contract, message},
        outcome::{Ask, AskFailure, AskNothing, BatchOut, BatchOutcome, Out, batch_outcome, outcome},
        spec::ListenerSpec,
    },
    place::{Place, source_file},
    program::main,
};

/// The type of a function item: what tells one listener from another.
pub fn type_id_of<F: 'static>(_: F) -> TypeId {
    TypeId::of::<F>()
}

/// A value as a component.
pub fn erased<T: Any + Send + Sync>(value: Option<T>) -> Option<Arc<dyn Any + Send + Sync>> {
    value.map(|value| Arc::new(value) as _)
}
