//! What brokers tell name servers: codes 103, 104, 322, 904.

use crate::fields::headers;

headers! {
    /// A broker registers: 103.
    #[doc(alias = "RegisterBrokerRequestHeader")]
    RegisterBroker {
        /// The broker's name; master and slaves share it.
        broker_name: String = "brokerName",
        /// `ip:port` for clients.
        broker_addr: String = "brokerAddr",
        /// The cluster.
        cluster_name: String = "clusterName",
        /// `ip:port` for slaves.
        ha_server_addr: String = "haServerAddr",
        /// 0 is the master.
        broker_id: i64 = "brokerId",
        /// Silence after which the broker is forgotten, in ms; absent means 120 s.
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMillis",
        /// Whether the smallest slave may stand in for a lost master.
        enable_acting_master: Option<bool> = "enableActingMaster",
        /// Whether the body is a zlib stream.
        compressed: bool = "compressed",
        /// CRC-32 of the body as sent, top bit cleared; 0 = not checked.
        body_crc32: i32 = "bodyCrc32",
    }

    /// What a registering broker learns.
    #[doc(alias = "RegisterBrokerResponseHeader")]
    RegisterBrokerReply {
        /// The master's address for slaves.
        ha_server_addr: Option<String> = "haServerAddr",
        /// The master's address for clients.
        master_addr: Option<String> = "masterAddr",
    }

    /// A broker leaves (104), asks for its data version (322), or says that it lives (904).
    #[doc(alias = "UnRegisterBrokerRequestHeader")]
    #[doc(alias = "QueryDataVersionRequestHeader")]
    #[doc(alias = "BrokerHeartbeatRequestHeader")]
    BrokerIdentity {
        /// The broker's name.
        broker_name: String = "brokerName",
        /// `ip:port` for clients.
        broker_addr: String = "brokerAddr",
        /// The cluster.
        cluster_name: String = "clusterName",
        /// 0 is the master.
        broker_id: i64 = "brokerId",
    }

    /// The answer to 322.
    #[doc(alias = "QueryDataVersionResponseHeader")]
    QueryDataVersionReply {
        /// Whether the name server's data differs.
        changed: bool = "changed",
    }
}
