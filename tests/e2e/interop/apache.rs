//! Our client against Apache's servers.

use rocketmq_boot_tests::cluster::{Cluster, Servers};

use crate::{own_client, own_consumers};

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn our_client_with_5_5_0() {
    own_client::run_all(Cluster::start(Servers::Apache("5.5.0"), ""));
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn our_client_with_4_9_7() {
    own_client::run_all(Cluster::start(Servers::Apache("4.9.7"), ""));
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn our_consumers_with_5_5_0() {
    own_consumers::run_all(&Cluster::start(Servers::Apache("5.5.0"), ""));
}

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn our_consumers_with_4_9_7() {
    own_consumers::run_all(&Cluster::start(Servers::Apache("4.9.7"), ""));
}
