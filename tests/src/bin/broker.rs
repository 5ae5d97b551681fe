//! `mqbroker`, where the tests of this crate can find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    rocketmq_boot_broker::cli::main(std::env::args().skip(1))
}
