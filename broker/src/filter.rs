//! Which messages a pull wants: by tags, or by an SQL92 expression over their properties.
//!
//! | module | what it holds |
//! |---|---|
//! | `lexer`, `parser` | from text to an expression, with RocketMQ's grammar and limits of ours |
//! | `expression` | what an expression says of a message, with RocketMQ's three values |
//! | `java` | numbers as Java reads them |
//! | `compiled` | expressions that were compiled before |

use std::sync::Arc;

use rocketmq_boot_protocol::message::hash::java_hash;

mod compiled;
mod expression;
mod java;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub(crate) use compiled::Expressions;
pub(crate) use expression::Expression;

/// How much one pull may cost in filtering: bytes of properties times parts of the expression. Usual ones cost a
/// tenth of it; one that costs more goes on with the next pull.
pub(crate) const FILTER_BUDGET: usize = 16 << 20;

/// An expression that cannot be compiled: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why} at position {position}")]
pub(crate) struct CompileError {
    position: usize,
    why: String,
}

impl CompileError {
    /// An error at byte `at` of `text`.
    fn new(text: &str, at: usize, why: impl Into<String>) -> Self {
        let position = 1 + text.char_indices().take_while(|(start, _)| *start < at).count();
        Self { position, why: why.into() }
    }

    /// Where it is wrong, in characters from 1.
    fn position(&self) -> usize {
        self.position
    }
}

/// A filter over messages.
#[derive(Debug)]
pub(crate) enum Filter {
    /// Everything.
    All,
    /// Messages whose tags code is one of these. Codes are hashes, so a message of another tag may pass; consumers
    /// compare the tag itself.
    Codes(Box<[i64]>),
    /// Messages of whose properties this is true.
    Sql(Arc<Expression>),
    /// Messages on their way back to this group, each by the group's expression for the topic it came from.
    SqlOfOrigin(Box<str>),
}

impl Filter {
    /// The filter of tags such as `*`, an empty text, or `a || b`.
    pub(crate) fn of_tags(expression: &str) -> Self {
        let expression = expression.trim();
        if expression.is_empty() || expression == "*" {
            return Self::All;
        }
        let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
        Self::Codes(tags.map(|tag| i64::from(java_hash(tag))).collect())
    }

    /// What it holds beside itself. What is shared with others counts for nothing.
    pub(crate) fn heap_bytes(&self) -> usize {
        if let Self::Codes(codes) = self { size_of_val(&**codes) } else { 0 }
    }

    /// Whether a message with this code may pass. Like Apache's, the comparison is on 32 bits.
    pub(crate) fn passes(&self, tags_code: i64) -> bool {
        match self {
            Self::Codes(codes) => codes.contains(&tags_code),
            Self::All | Self::Sql(_) | Self::SqlOfOrigin(_) => true,
        }
    }

    /// Whether a code alone does not decide.
    pub(crate) fn looks_at_records(&self) -> bool {
        matches!(self, Self::Sql(_) | Self::SqlOfOrigin(_))
    }
}
