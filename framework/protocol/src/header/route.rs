//! Name server administration: codes 100, 101, 102, 219, 205, 224, 327.

use crate::fields::headers;

headers! {
    /// Sets a value: 100.
    #[doc(alias = "PutKVConfigRequestHeader")]
    PutKvConfig {
        /// The namespace.
        namespace: String = "namespace",
        /// The key.
        key: String = "key",
        /// The value.
        value: String = "value",
    }

    /// Reads (101) or deletes (102) a value.
    #[doc(alias = "GetKVConfigRequestHeader")]
    #[doc(alias = "DeleteKVConfigRequestHeader")]
    KvConfigKey {
        /// The namespace.
        namespace: String = "namespace",
        /// The key.
        key: String = "key",
    }

    /// The answer to 101.
    #[doc(alias = "GetKVConfigResponseHeader")]
    GetKvConfigReply {
        /// The value.
        value: Option<String> = "value",
    }

    /// Lists a namespace: 219.
    #[doc(alias = "GetKVListByNamespaceRequestHeader")]
    KvNamespace {
        /// The namespace.
        namespace: String = "namespace",
    }

    /// Names a cluster: 224.
    #[doc(alias = "GetTopicsByClusterRequestHeader")]
    ClusterName {
        /// The cluster.
        cluster: String = "cluster",
    }

    /// Names a broker of a cluster: 901.
    #[doc(alias = "GetBrokerMemberGroupRequestHeader")]
    BrokerOfCluster {
        /// The cluster.
        cluster_name: Option<String> = "clusterName",
        /// The broker.
        broker_name: String = "brokerName",
    }

    /// Names a broker: 205 and 327.
    #[doc(alias = "WipeWritePermOfBrokerRequestHeader")]
    #[doc(alias = "AddWritePermOfBrokerRequestHeader")]
    BrokerName {
        /// The broker.
        broker_name: String = "brokerName",
    }

    /// The answer to 205.
    WipeWritePermReply {
        /// How many topics changed.
        wipe_topic_count: i32 = "wipeTopicCount",
    }

    /// The answer to 327.
    AddWritePermReply {
        /// How many topics changed.
        add_topic_count: i32 = "addTopicCount",
    }
}
