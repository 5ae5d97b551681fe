//! Why bytes from the wire could not be understood.

/// A header, field or body that could not be decoded. It concerns one request, never its connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Bytes end before the value does, or a length inside points past the end.
    #[error("{what} ends early at byte {offset}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where in it the bytes ran out.
        offset: usize,
    },
    /// Bytes that the format does not allow.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A field that the request cannot do without.
    #[error("header field `{0}` is missing")]
    MissingField(&'static str),
    /// A field with a value of the wrong type.
    #[error("header field `{field}` should be {expected}, not `{value}`")]
    WrongType {
        /// The field's name on the wire.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
        /// What it held, shortened.
        value: String,
    },
    /// More of something than the limits allow.
    #[error("{what} is over its limit of {limit}")]
    TooLarge {
        /// What there was too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl DecodeError {
    /// A malformed `what`.
    pub fn malformed(what: &'static str, why: impl ToString) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }

    /// A field whose text is not `expected`; at most 64 characters of it are kept.
    pub fn wrong_type(field: &'static str, expected: &'static str, value: &str) -> Self {
        Self::WrongType { field, expected, value: value.chars().take(64).collect() }
    }
}
