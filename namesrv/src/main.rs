//! The `mqnamesrv` binary.

fn main() {}
