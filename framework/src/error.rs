//! The error that user code may return.

use std::{error::Error as StdError, fmt};

type Boxed = Box<dyn StdError + Send + Sync>;

/// Any error, boxed: what `?` turns errors into in listeners, hooks and component constructors.
///
/// It is no `std::error::Error` itself, so that every one of them converts into it.
pub struct Error(Boxed);

impl Error {
    /// An error that is only a message.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self(message.to_string().into())
    }

    /// The error inside.
    pub fn inner(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<Error> for Boxed {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(&*self.0))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An error type that a listener, a hook or a constructor can return.
///
/// Everything that `?` accepts is one: every `std::error::Error`, and [`Error`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that a listener can return",
    label = "not an error type",
    note = "derive `thiserror::Error` for it, or return `rocketmq_boot::Error`"
)]
pub trait ListenerError: Send + 'static {
    /// The message and those of its causes.
    #[doc(hidden)]
    fn told(self) -> String;

    /// As the error that the framework hands on.
    #[doc(hidden)]
    fn boxed(self) -> Error;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Boxed> + Send + 'static> ListenerError for E {
    fn told(self) -> String {
        chain(&*self.into())
    }

    fn boxed(self) -> Error {
        Error(self.into())
    }
}

/// An error's message with the messages of its causes, each told once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot bill")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = Error::from(Outer("x".parse::<u8>().unwrap_err()));
        assert_eq!(error.to_string(), "cannot bill: invalid digit found in string");
        assert_eq!(error.told(), "cannot bill: invalid digit found in string");
    }
}
