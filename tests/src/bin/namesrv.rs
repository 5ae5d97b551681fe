//! `mqnamesrv`, where the tests of this crate can find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    rocketmq_boot_namesrv::cli::main(std::env::args().skip(1))
}
