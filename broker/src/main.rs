//! The `mqbroker` binary.

fn main() {}
