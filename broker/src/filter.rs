//! Which messages a pull wants. Tags only: SQL92 comes with the property filters.

use rocketmq_boot_protocol::message::hash::java_hash;

/// A filter over the tags codes of a consume queue.
///
/// Codes are hashes, so a message of another tag may pass; consumers compare the tag itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Everything.
    All,
    /// Messages with one of these codes.
    Codes(Box<[i64]>),
}

impl Filter {
    /// The filter of an expression such as `*`, an empty text, or `a || b`.
    pub(crate) fn of_expression(expression: &str) -> Self {
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

    /// Whether a message with this code passes. Like Apache's, the comparison is on 32 bits.
    pub(crate) fn passes(&self, tags_code: i64) -> bool {
        match self {
            Self::All => true,
            Self::Codes(codes) => codes.contains(&tags_code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_split_and_trimmed() {
        let filter = Filter::of_expression(" placed||billed || ");
        assert!(
            filter.passes(i64::from(java_hash("placed"))) && filter.passes(i64::from(java_hash("billed")))
        );
        assert!(!filter.passes(0) && !filter.passes(i64::from(java_hash("other"))));
        assert_eq!(Filter::of_expression("*"), Filter::All);
        assert_eq!(Filter::of_expression(""), Filter::All);
    }
}
