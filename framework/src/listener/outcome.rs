//! What a listener returns, and what becomes of its messages then.

use crate::{Verdict, error::ListenerError};

/// What becomes of a message, and the error that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) error: Option<String>,
}

/// A return type of a listener.
///
/// | returned         | the message                                                                          |
/// |------------------|--------------------------------------------------------------------------------------|
/// | nothing, `Ok`    | is done                                                                              |
/// | [`Verdict`]      | is treated as it says                                                                |
/// | `Err(e)`         | is treated as `e.verdict()` says, if the error has one (see [`Failure`]), else retried |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an outcome of a listener",
    label = "cannot be turned into a verdict",
    note = "return nothing, `Verdict`, or a `Result` of these; a reply inside `Json(..)` is not supported yet"
)]
pub trait IntoOutcome {
    /// Turns the value into an outcome; `asked` is what the error's own [`Failure::verdict`] says.
    fn into_outcome(self, asked: Option<Verdict>) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self, _: Option<Verdict>) -> Outcome {
        Outcome { verdict: Verdict::done(), error: None }
    }
}

impl IntoOutcome for Verdict {
    fn into_outcome(self, _: Option<Verdict>) -> Outcome {
        Outcome { verdict: self, error: None }
    }
}

impl<T: IntoOutcome, E: ListenerError> IntoOutcome for Result<T, E> {
    fn into_outcome(self, asked: Option<Verdict>) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(None),
            Err(error) => failed(error, asked),
        }
    }
}

fn failed(error: impl ListenerError, asked: Option<Verdict>) -> Outcome {
    Outcome { verdict: asked.unwrap_or_else(Verdict::retry), error: Some(error.told()) }
}

/// An error that knows what should become of the message.
///
/// Implement it for an error type to let its variants choose: what a retry cannot mend is buried at once.
///
/// ```
/// use rocketmq_boot::{Verdict, listener::Failure};
///
/// #[derive(Debug, thiserror::Error)]
/// enum StockError {
///     #[error("the warehouse does not answer")]
///     Unreachable,
///     #[error("there is no such article")]
///     NoSuchArticle,
/// }
///
/// impl Failure for StockError {
///     fn verdict(&self) -> Verdict {
///         match self {
///             Self::Unreachable => Verdict::retry(),
///             Self::NoSuchArticle => Verdict::dead_letter(self.to_string()),
///         }
///     }
/// }
/// ```
pub trait Failure {
    /// What becomes of the message.
    fn verdict(&self) -> Verdict;
}

/// A result that is asked for its error's verdict.
#[doc(hidden)]
#[derive(Debug)]
pub struct Ask<'a, R>(pub &'a R);

#[doc(hidden)]
pub trait AskFailure {
    fn verdict(&self) -> Option<Verdict>;
}

impl<T, E: Failure> AskFailure for Ask<'_, Result<T, E>> {
    fn verdict(&self) -> Option<Verdict> {
        self.0.as_ref().err().map(Failure::verdict)
    }
}

#[doc(hidden)]
pub trait AskNothing {
    fn verdict(&self) -> Option<Verdict>;
}

impl<R> AskNothing for &Ask<'_, R> {
    fn verdict(&self) -> Option<Verdict> {
        None
    }
}

#[doc(hidden)]
pub type Out<R> = fn(R, Option<Verdict>) -> Outcome;

#[doc(hidden)]
pub const fn outcome<R: IntoOutcome>() -> Out<R> {
    R::into_outcome
}

/// What becomes of the messages of a batch.
///
/// Whatever is not mentioned is done: only what failed comes back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchVerdict {
    others: Vec<(usize, Verdict)>,
}

impl BatchVerdict {
    /// All are done.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// The message at `index` is retried.
    #[must_use]
    pub fn retry(self, index: usize) -> Self {
        self.set(index, Verdict::retry())
    }

    /// The message at `index` goes to the dead letters.
    #[must_use]
    pub fn dead_letter(self, index: usize, reason: impl Into<String>) -> Self {
        self.set(index, Verdict::dead_letter(reason))
    }

    /// Any verdict for the message at `index`; the last one counts.
    #[must_use]
    pub fn set(mut self, index: usize, verdict: Verdict) -> Self {
        self.others.push((index, verdict));
        self
    }
}

/// The outcome of each message of a batch.
#[doc(hidden)]
pub type BatchOutcome = Vec<Outcome>;

/// A return type of a batch listener: nothing, [`Verdict`] for all, [`BatchVerdict`], or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an outcome of a batch listener",
    label = "cannot be turned into verdicts",
    note = "return nothing, `Verdict`, `BatchVerdict`, or a `Result` of these"
)]
pub trait IntoBatchOutcome {
    /// Turns the value into an outcome for each of `count` messages.
    fn into_outcomes(self, asked: Option<Verdict>, count: usize) -> BatchOutcome;
}

impl IntoBatchOutcome for () {
    fn into_outcomes(self, _: Option<Verdict>, count: usize) -> BatchOutcome {
        BatchVerdict::done().into_outcomes(None, count)
    }
}

impl IntoBatchOutcome for Verdict {
    fn into_outcomes(self, _: Option<Verdict>, count: usize) -> BatchOutcome {
        vec![Outcome { verdict: self, error: None }; count]
    }
}

impl IntoBatchOutcome for BatchVerdict {
    fn into_outcomes(self, _: Option<Verdict>, count: usize) -> BatchOutcome {
        let mut outcomes = vec![Outcome { verdict: Verdict::done(), error: None }; count];
        for (index, verdict) in self.others {
            // An index beyond the batch names no message.
            if let Some(outcome) = outcomes.get_mut(index) {
                outcome.verdict = verdict;
            }
        }
        outcomes
    }
}

impl<T: IntoBatchOutcome, E: ListenerError> IntoBatchOutcome for Result<T, E> {
    fn into_outcomes(self, asked: Option<Verdict>, count: usize) -> BatchOutcome {
        match self {
            Ok(value) => value.into_outcomes(None, count),
            Err(error) => vec![failed(error, asked); count],
        }
    }
}

#[doc(hidden)]
pub type BatchOut<R> = fn(R, Option<Verdict>, usize) -> BatchOutcome;

#[doc(hidden)]
pub const fn batch_outcome<R: IntoBatchOutcome>() -> BatchOut<R> {
    R::into_outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_with_a_verdict_of_its_own_is_asked_and_others_are_retried() {
        #[derive(Debug, thiserror::Error)]
        #[error("closed")]
        struct Closed;
        impl Failure for Closed {
            fn verdict(&self) -> Verdict {
                Verdict::drop()
            }
        }
        let closed: Result<(), Closed> = Err(Closed);
        let asked = Ask(&closed).verdict();
        assert_eq!(closed.into_outcome(asked).verdict, Verdict::drop());

        let plain: Result<(), std::fmt::Error> = Err(std::fmt::Error);
        let asked = (&Ask(&plain)).verdict();
        assert_eq!(asked, None);
        assert_eq!(plain.into_outcome(asked).verdict, Verdict::retry());
    }

    #[test]
    fn only_what_failed_in_a_batch_comes_back() {
        let verdict = BatchVerdict::done().retry(1).dead_letter(2, "bad").retry(9);
        let verdicts: Vec<_> = verdict.into_outcomes(None, 3).into_iter().map(|o| o.verdict).collect();
        assert_eq!(verdicts, [Verdict::done(), Verdict::retry(), Verdict::dead_letter("bad")]);
    }
}
