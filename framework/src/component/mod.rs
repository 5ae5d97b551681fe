//! Components: one value of each type, made before anything runs and shared by everything that asks for it.

mod plan;

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    future::Future,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    sync::Arc,
};

use crate::{
    context::{Context, Requires},
    error::{Error, ListenerError},
    place::Place,
};

pub(crate) use self::plan::{Asking, Plan, Source};

/// A component of the application, as an argument of a listener, a hook or a constructor.
///
/// It is a shared reference: it derefs to the value, and cloning it is cheap.
pub struct Component<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Component<T> {
    /// The shared value itself.
    pub fn into_inner(self) -> Arc<T> {
        self.0
    }
}

impl<T> From<T> for Component<T> {
    /// For calling a listener directly, in a test.
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T: ?Sized> Clone for Component<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Component<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Component<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A component whatever its type.
pub(crate) type Erased = Arc<dyn Any + Send + Sync>;

/// The components of one application, by type.
#[derive(Clone, Default)]
pub(crate) struct Container {
    values: HashMap<TypeId, Erased>,
}

impl Container {
    pub(crate) fn insert(&mut self, ty: TypeId, value: Erased) {
        self.values.insert(ty, value);
    }

    pub(crate) fn find<T: Send + Sync + 'static>(&self) -> Option<Component<T>> {
        let value = Arc::clone(self.values.get(&TypeId::of::<T>())?);
        value.downcast().ok().map(Component)
    }
}

/// The type that a constructor makes.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Provided {
    pub id: TypeId,
    pub name: &'static str,
}

impl Provided {
    pub fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }
}

#[doc(hidden)]
pub type Making = Pin<Box<dyn Future<Output = Result<Erased, Error>> + Send>>;

/// A constructor, as `#[component]` registers it.
#[doc(hidden)]
#[derive(Debug)]
pub struct ComponentEntry {
    pub name: &'static str,
    pub place: Place,
    pub function: fn() -> TypeId,
    pub provides: fn() -> Provided,
    pub requires: fn(&mut Requires),
    pub make: fn(Context) -> Making,
}

inventory::collect!(ComponentEntry);

/// The return type of a constructor, for telling `Db` from `Result<Db, E>`.
#[doc(hidden)]
pub struct Made<R>(PhantomData<fn() -> R>);

impl<R> Made<R> {
    pub const TAG: Self = Self(PhantomData);
}

impl<R> fmt::Debug for Made<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

#[doc(hidden)]
pub trait MadeOrFailed {
    type Value: Send + Sync + 'static;
    type Failure;

    fn provides(&self) -> Provided {
        Provided::of::<Self::Value>()
    }

    fn finish(&self, made: Result<Self::Value, Self::Failure>) -> Result<Erased, Error>
    where
        Self::Failure: ListenerError;
}

impl<T: Send + Sync + 'static, E> MadeOrFailed for Made<Result<T, E>> {
    type Value = T;
    type Failure = E;

    fn finish(&self, made: Result<T, E>) -> Result<Erased, Error>
    where
        E: ListenerError,
    {
        made.map(|value| Arc::new(value) as Erased).map_err(ListenerError::boxed)
    }
}

#[doc(hidden)]
pub trait MadeDirectly {
    type Value: Send + Sync + 'static;

    fn provides(&self) -> Provided {
        Provided::of::<Self::Value>()
    }

    fn finish(&self, made: Self::Value) -> Result<Erased, Error>;
}

impl<T: Send + Sync + 'static> MadeDirectly for &Made<T> {
    type Value = T;

    fn finish(&self, made: T) -> Result<Erased, Error> {
        Ok(Arc::new(made))
    }
}
