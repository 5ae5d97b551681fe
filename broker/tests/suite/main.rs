//! A broker as its clients see it: real sockets, real files, and a clock that the test moves.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod captured;
mod groups;
mod hostile;
mod pulling;
mod retrying;
mod sending;
mod starting;
mod wire;
