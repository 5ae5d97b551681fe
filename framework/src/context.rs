//! What arguments are made from, besides the message: the components and the template of the application.

use std::{
    any::{TypeId, type_name},
    fmt,
    sync::Arc,
};

use crate::{
    component::{Component, Container},
    error::Error,
    template::Template,
};

/// The application, as extractors see it.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    container: Container,
    template: Template,
}

impl Context {
    pub(crate) fn new(container: Container, template: Template) -> Self {
        Self { inner: Arc::new(Inner { container, template }) }
    }

    /// The template of the application.
    pub fn template(&self) -> &Template {
        &self.inner.template
    }

    /// A component by its type.
    pub fn component<T: Send + Sync + 'static>(&self) -> Option<Component<T>> {
        self.inner.container.find()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// The component types that a function asks for, told before anything runs.
#[derive(Debug, Default)]
pub struct Requires {
    pub(crate) types: Vec<(TypeId, &'static str)>,
}

impl Requires {
    /// Asks for a component of this type.
    pub fn component<T: Send + Sync + 'static>(&mut self) {
        self.types.push((TypeId::of::<T>(), type_name::<T>()));
    }

    pub(crate) fn of(tell: fn(&mut Self)) -> Self {
        let mut requires = Self::default();
        tell(&mut requires);
        requires
    }
}

/// An argument that needs no message: of start hooks, component constructors, and listeners too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument here: no message is at hand",
    label = "not known to the application",
    note = "here, an argument is `Template`, `Component<T>`, or a type of yours with `impl FromApp`"
)]
pub trait FromApp: Sized + Send {
    /// Takes the value from the application.
    ///
    /// # Errors
    /// Says what is missing; the function is then not called.
    fn from_app(cx: &Context) -> Result<Self, Error>;

    /// Names the components that it needs, for the report at start.
    fn requires(_: &mut Requires) {}
}

impl FromApp for Template {
    fn from_app(cx: &Context) -> Result<Self, Error> {
        Ok(cx.template().clone())
    }
}

impl<T: Send + Sync + 'static> FromApp for Component<T> {
    fn from_app(cx: &Context) -> Result<Self, Error> {
        cx.component().ok_or_else(|| Error::msg(format!("there is no component `{}`", type_name::<T>())))
    }

    fn requires(requires: &mut Requires) {
        requires.component::<T>();
    }
}

/// What an expansion knows of one argument that needs no message.
#[doc(hidden)]
pub struct AppArgument<T> {
    pub make: fn(&Context) -> Result<T, Error>,
    pub requires: fn(&mut Requires),
}

#[doc(hidden)]
pub const fn application<T: FromApp>() -> AppArgument<T> {
    AppArgument { make: T::from_app, requires: T::requires }
}

impl<T> fmt::Debug for AppArgument<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppArgument").finish_non_exhaustive()
    }
}
