//! What a broker measures and how it is set up: codes 26 and 315.

use crate::fields::headers;

headers! {
    /// Asks for one measurement: 315.
    #[doc(alias = "ViewBrokerStatsDataRequestHeader")]
    ViewStats {
        /// What is measured, such as `TOPIC_PUT_NUMS`.
        stats_name: String = "statsName",
        /// Of what: a topic, `topic@group`, or the cluster.
        stats_key: String = "statsKey",
    }

    /// The answer to 26, beside the properties in its body.
    #[doc(alias = "GetBrokerConfigResponseHeader")]
    BrokerConfigReply {
        /// The configuration's data version, as JSON.
        version: String = "version",
    }
}
