//! Where the programs under test are.

use std::path::Path;

use rocketmq_boot_tests::cluster::Servers;

/// The servers of this repository, as built with the tests.
pub(crate) fn ours() -> Servers {
    Servers::Ours {
        name_server: env!("CARGO_BIN_EXE_namesrv").into(),
        broker: env!("CARGO_BIN_EXE_broker").into(),
    }
}

/// Where build products of the tests are kept between runs.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
