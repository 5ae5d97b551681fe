//! Arguments of listeners: what can be taken from a message and its context.

use std::{any::type_name, fmt, future::Future, pin::Pin};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::outcome::{BatchOutcome, Outcome};
use crate::{
    MessageView,
    component::Component,
    context::{Context, FromApp, Requires},
    json::Json,
    template::Template,
};

/// An argument of a listener.
///
/// Implement it for types of your own that are found in a message: a tenant in a property, a checked payload.
///
/// ```
/// use rocketmq_boot::listener::{Context, FromMessage, Rejection};
/// use rocketmq_boot::MessageView;
///
/// struct Tenant(String);
///
/// impl FromMessage for Tenant {
///     fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
///         let tenant = message.property("tenant").ok_or_else(|| Rejection::new("it names no tenant"))?;
///         Ok(Self(tenant.to_owned()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a listener",
    label = "not something that a message holds",
    note = "an argument is one of `Json<T>`, `String`, `Bytes`, `MessageView`, `Keys`, `Tag`, `Attempt`, `Template`, `Component<T>`, an `Option` of these, or a type of yours with `impl FromMessage`"
)]
pub trait FromMessage: Sized + Send {
    /// Topic and tag, for a payload type that is sent to one place only.
    const CONTRACT: Option<(&'static str, &'static str)> = None;

    /// Takes the value from a message.
    ///
    /// # Errors
    /// A [`Rejection`]: the message can never be handled, and goes to the dead letters with this reason.
    fn from_message(cx: &Context, message: &MessageView) -> Result<Self, Rejection>;

    /// Names the components that it needs, for the report at start.
    fn requires(_: &mut Requires) {}
}

/// Why a message does not have what a listener asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    reason: String,
}

impl Rejection {
    /// With a reason that is kept with the dead letter.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl<T: DeserializeOwned + Send> FromMessage for Json<T> {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        let read = serde_json::from_slice(&message.body);
        read.map(Json).map_err(|error| {
            Rejection::new(format!("the body is not the JSON of `{}`: {error}", type_name::<T>()))
        })
    }
}

impl FromMessage for String {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        let text = std::str::from_utf8(&message.body);
        text.map(str::to_owned)
            .map_err(|error| Rejection::new(format!("the body is not UTF-8 text: {error}")))
    }
}

impl FromMessage for Bytes {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        Ok(message.body.clone())
    }
}

impl FromMessage for MessageView {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        Ok(message.clone())
    }
}

/// The keys that a message can be found by; empty when it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(pub Vec<String>);

impl FromMessage for Keys {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        Ok(Self(message.keys().map(str::to_owned).collect()))
    }
}

/// The tag of a message. `Option<Tag>` takes messages without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub String);

impl FromMessage for Tag {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        let tag = message.tag().ok_or_else(|| Rejection::new("the message has no tag"))?;
        Ok(Self(tag.to_owned()))
    }
}

/// Which delivery of the message this is: 1 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

impl Attempt {
    pub(crate) fn of(message: &MessageView) -> Self {
        Self(u32::try_from(message.reconsume_times).unwrap_or(0).saturating_add(1))
    }
}

impl FromMessage for Attempt {
    fn from_message(_: &Context, message: &MessageView) -> Result<Self, Rejection> {
        Ok(Self::of(message))
    }
}

/// `None` for a message that does not have it.
impl<T: FromMessage> FromMessage for Option<T> {
    const CONTRACT: Option<(&'static str, &'static str)> = T::CONTRACT;

    fn from_message(cx: &Context, message: &MessageView) -> Result<Self, Rejection> {
        Ok(T::from_message(cx, message).ok())
    }

    fn requires(requires: &mut Requires) {
        T::requires(requires);
    }
}

/// An argument of a batch listener.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a batch listener",
    label = "the payload is a `Vec`",
    note = "an argument is `Vec<T>` with a `T` that a message holds, such as `Vec<Json<Order>>`, or `Template` or `Component<T>`"
)]
pub trait FromBatch: Sized + Send {
    /// As [`FromMessage::CONTRACT`].
    const CONTRACT: Option<(&'static str, &'static str)> = None;

    /// Takes the value from messages.
    ///
    /// # Errors
    /// A [`Rejection`] and the index of the message that it is about; the call is then tried without it.
    fn from_batch(cx: &Context, messages: &[MessageView]) -> Result<Self, BatchRejection>;

    /// As [`FromMessage::requires`].
    fn requires(_: &mut Requires) {}
}

/// Which message of a batch does not have what a listener asks for, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRejection {
    /// The index of the message.
    pub index: usize,
    /// What it lacks.
    pub rejection: Rejection,
}

impl<T: FromMessage> FromBatch for Vec<T> {
    const CONTRACT: Option<(&'static str, &'static str)> = T::CONTRACT;

    fn from_batch(cx: &Context, messages: &[MessageView]) -> Result<Self, BatchRejection> {
        let one = |(index, message)| {
            T::from_message(cx, message).map_err(|rejection| BatchRejection { index, rejection })
        };
        messages.iter().enumerate().map(one).collect()
    }

    fn requires(requires: &mut Requires) {
        T::requires(requires);
    }
}

macro_rules! from_the_application {
    ($([$($generics:tt)*] $ty:ty),*) => {$(
        impl<$($generics)*> FromMessage for $ty {
            fn from_message(cx: &Context, _: &MessageView) -> Result<Self, Rejection> {
                <Self as FromApp>::from_app(cx).map_err(|error| Rejection::new(error.to_string()))
            }

            fn requires(requires: &mut Requires) {
                <Self as FromApp>::requires(requires);
            }
        }

        impl<$($generics)*> FromBatch for $ty {
            fn from_batch(cx: &Context, _: &[MessageView]) -> Result<Self, BatchRejection> {
                <Self as FromApp>::from_app(cx)
                    .map_err(|error| BatchRejection { index: 0, rejection: Rejection::new(error.to_string()) })
            }

            fn requires(requires: &mut Requires) {
                <Self as FromApp>::requires(requires);
            }
        }
    )*};
}

from_the_application!([] Template, [T: Send + Sync + 'static] Component<T>);

/// What an expansion knows of one argument.
#[doc(hidden)]
pub struct Argument<T> {
    pub make: fn(&Context, &MessageView) -> Result<T, Rejection>,
    pub requires: fn(&mut Requires),
    pub contract: Option<(&'static str, &'static str)>,
}

#[doc(hidden)]
pub const fn message<T: FromMessage>() -> Argument<T> {
    Argument { make: T::from_message, requires: T::requires, contract: T::CONTRACT }
}

impl<T> fmt::Debug for Argument<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argument").field("contract", &self.contract).finish_non_exhaustive()
    }
}

/// What an expansion knows of one argument of a batch listener.
#[doc(hidden)]
pub struct BatchArgument<T> {
    pub make: fn(&Context, &[MessageView]) -> Result<T, BatchRejection>,
    pub requires: fn(&mut Requires),
    pub contract: Option<(&'static str, &'static str)>,
}

#[doc(hidden)]
pub const fn batch<T: FromBatch>() -> BatchArgument<T> {
    BatchArgument { make: T::from_batch, requires: T::requires, contract: T::CONTRACT }
}

impl<T> fmt::Debug for BatchArgument<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchArgument").field("contract", &self.contract).finish_non_exhaustive()
    }
}

/// Topic and tag of a listener that names none.
///
/// # Panics
/// While compiling, when no argument has a contract, or two have different ones.
#[doc(hidden)]
#[track_caller]
pub const fn from_contract(
    contracts: &[Option<(&'static str, &'static str)>],
) -> (&'static str, Option<&'static str>) {
    let mut at = 0;
    while at < contracts.len() {
        if let Some((topic, tag)) = contracts[at] {
            return (topic, if tag.is_empty() { None } else { Some(tag) });
        }
        at += 1;
    }
    panic!("a listener needs `topic = \"..\"`, or an argument that is a contract")
}

/// A call under way.
#[doc(hidden)]
pub type Calling<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How a listener is called.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Call {
    One(fn(Context, MessageView) -> Calling<Result<Outcome, Rejection>>),
    Batch(fn(Context, Vec<MessageView>) -> Calling<Result<BatchOutcome, BatchRejection>>),
}
