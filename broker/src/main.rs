//! The `mqbroker` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    rocketmq_boot_broker::cli::main(std::env::args().skip(1))
}
