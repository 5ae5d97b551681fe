//! Process harness for cross-process tests.
