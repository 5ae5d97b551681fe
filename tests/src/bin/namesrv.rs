//! The name server, as a program that the tests of this crate can find.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::FAILURE
}
