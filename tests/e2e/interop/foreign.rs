//! Unmodified clients of other people against our name server and broker.
//!
//! The same programs run against Apache's servers as a control: what passes there and fails here is our fault.

use rocketmq_boot_tests::cluster::{Cluster, Servers};
use rocketmq_boot_tests::foreign::{Client, Program};

use crate::servers::{ours, scratch};

/// Producers are asked soon and often how their transactions ended. Filters on properties are off by default.
const CONFIGURATION: &str =
    "transactionTimeOut=1000\ntransactionCheckInterval=2000\nenablePropertyFilter=true\n";

fn serve(servers: Servers, client: Client) {
    let program = Program::build(client, scratch());
    let mut cluster = Cluster::start(servers, CONFIGURATION);
    for scenario in client.scenarios() {
        cluster.create_topic(&format!("foreign-{scenario}"), 4);
    }
    cluster.create_topic("foreign-offsets", 4);
    program.run(cluster.name_server(), "foreign", client.scenarios());
    program.run(cluster.name_server(), "foreign", &["offsets-before"]);
    cluster.stop_broker();
    cluster.start_broker();
    program.run(cluster.name_server(), "foreign", &["offsets-after"]);
}

macro_rules! foreign_clients {
    ($($client:ident: $which:expr;)*) => {
        /// Against ours.
        mod ours_serve {
            use super::{Client, ours, serve};
            $(
                #[test]
                #[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
                fn $client() {
                    serve(ours(), $which);
                }
            )*
        }

        /// The control.
        mod control {
            use super::{Client, Servers, serve};
            $(
                mod $client {
                    use super::{Client, Servers, serve};

                    #[test]
                    #[ignore = "proves the client programs, not our servers"]
                    fn apache_5_5_0_serves() {
                        serve(Servers::Apache("5.5.0"), $which);
                    }

                    #[test]
                    #[ignore = "proves the client programs, not our servers"]
                    fn apache_4_9_7_serves() {
                        serve(Servers::Apache("4.9.7"), $which);
                    }
                }
            )*
        }
    };
}

foreign_clients! {
    java_5_5_0: Client::Java("5.5.0");
    java_4_9_7: Client::Java("4.9.7");
    go: Client::Go;
    node: Client::Node;
    python: Client::Python;
}
