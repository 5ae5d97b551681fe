//! Expressions that were compiled before, by their text.
//!
//! Pulls bring their expression along, or name a subscription that has one: either way it is compiled once. Those that
//! cannot be compiled are remembered too, for their consumers ask again and again.

use std::{collections::HashMap, mem, sync::Arc};

use parking_lot::Mutex;

use super::{CompileError, Expression, parser};

/// Bytes of text in a generation; two are kept, and what is used moves into the newer one. An expression takes some
/// times the memory of its text.
const GENERATION_BYTES: usize = 512 << 10;
/// What an expression takes beside its text, in the same measure.
const BESIDE_TEXT_BYTES: usize = 64;
/// The longest text that is kept: none that is longer can be compiled.
const MAX_KEPT_BYTES: usize = 4 << 10;

type Compiled = Result<Arc<Expression>, CompileError>;

/// The compiled expressions of a broker.
#[derive(Debug, Default)]
pub(crate) struct Expressions {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    new: HashMap<Box<str>, Compiled>,
    old: HashMap<Box<str>, Compiled>,
    new_bytes: usize,
}

impl Expressions {
    /// Compiles an expression, unless it was compiled lately.
    pub(crate) fn compile(&self, text: &str) -> Compiled {
        if let Some(known) = self.generations.lock().find(text) {
            return known;
        }
        // Two threads may compile the same text at once; neither waits for the other.
        let compiled = parser::parse(text).map(|parsed| {
            if let Some(position) = parsed.unread {
                tracing::warn!(
                    expression = text.escape_debug().to_string(),
                    position,
                    "what follows this position of a filter has no effect, as in RocketMQ"
                );
            }
            Arc::new(parsed.expression)
        });
        if text.len() <= MAX_KEPT_BYTES {
            self.generations.lock().keep(text.into(), compiled.clone());
        }
        compiled
    }
}

impl Generations {
    fn find(&mut self, text: &str) -> Option<Compiled> {
        if let Some(known) = self.new.get(text) {
            return Some(known.clone());
        }
        let (text, known) = self.old.remove_entry(text)?;
        self.keep(text, known.clone());
        Some(known)
    }

    fn keep(&mut self, text: Box<str>, compiled: Compiled) {
        let bytes = text.len() + BESIDE_TEXT_BYTES;
        if self.new_bytes + bytes > GENERATION_BYTES {
            self.old = mem::take(&mut self.new);
            self.new_bytes = 0;
        }
        if self.new.insert(text, compiled).is_none() {
            self.new_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_compiled_once_and_the_rest_is_forgotten() {
        let expressions = Expressions::default();
        let used = expressions.compile("used = 1").unwrap();
        for number in 0..1_000 {
            expressions.compile(&format!("p{number} = '{}'", "x".repeat(2_000))).unwrap();
            assert!(Arc::ptr_eq(&used, &expressions.compile("used = 1").unwrap()));
        }
        let generations = expressions.generations.lock();
        assert!((100..600).contains(&(generations.new.len() + generations.old.len())));
    }

    #[test]
    fn errors_are_remembered() {
        let expressions = Expressions::default();
        let error = expressions.compile("a >").unwrap_err();
        assert_eq!(expressions.compile("a >").unwrap_err(), error);
        assert_eq!(expressions.generations.lock().new.len(), 1);
    }
}
