//! Brokers: how they are, how they are set up, and their housekeeping.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    Command, RequestCode,
    body::{KvTable, stats::BrokerStats},
    header::{
        route::{AddWritePermReply, BrokerName, WipeWritePermReply},
        stats::ViewStats,
    },
};

use super::{Admin, Scope, unreadable};
use crate::Error;

impl Admin {
    /// How the broker at an address is: what it says of itself by name.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "fetchBrokerRuntimeStats")]
    pub async fn broker_runtime(&self, broker: &str) -> Result<BTreeMap<String, String>, Error> {
        let request = Command::bare(RequestCode::GET_BROKER_RUNTIME_INFO);
        let table: KvTable = self.ask_for(broker, "tell how it is", request).await?;
        Ok(table.table)
    }

    /// The configuration of the broker at an address, as the text of a properties file.
    ///
    /// # Errors
    /// The broker does not answer.
    #[doc(alias = "getBrokerConfig")]
    pub async fn broker_config(&self, broker: &str) -> Result<String, Error> {
        let request = Command::bare(RequestCode::GET_BROKER_CONFIG);
        let answer = self.ask(broker, "tell its configuration", request).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Changes the configuration of brokers.
    ///
    /// # Errors
    /// There is no broker, or one of them refused.
    #[doc(alias = "updateBrokerConfig")]
    pub async fn set_broker_config(&self, scope: &Scope, changes: &[(&str, &str)]) -> Result<(), Error> {
        let line = |(key, value): &(&str, &str)| format!("{key}={value}\n");
        let text: String = changes.iter().map(line).collect();
        let request = Command::bare(RequestCode::UPDATE_BROKER_CONFIG).with_body(text.into_bytes());
        self.change(scope, "change its configuration", request).await
    }

    /// One measurement of the broker at an address, such as `TOPIC_PUT_NUMS` of a topic.
    ///
    /// # Errors
    /// The broker does not answer, or has no such measurement.
    #[doc(alias = "viewBrokerStatsData")]
    pub async fn broker_stats(&self, broker: &str, name: &str, key: &str) -> Result<BrokerStats, Error> {
        let header = ViewStats { stats_name: name.to_owned(), stats_key: key.to_owned() };
        let request = Command::request(RequestCode::VIEW_BROKER_STATS_DATA, &header);
        self.ask_for(broker, "tell a measurement", request).await
    }

    /// Has no producer find the broker of this name any more; gives how many topics changed. Consumers still find it.
    ///
    /// # Errors
    /// A name server does not answer.
    #[doc(alias = "wipeWritePermOfBroker")]
    pub async fn forbid_writing(&self, broker_name: &str) -> Result<i32, Error> {
        let header = BrokerName { broker_name: broker_name.to_owned() };
        let request = Command::request(RequestCode::WIPE_WRITE_PERM_OF_BROKER, &header);
        let mut changed = 0;
        for (answer, server) in self.ask_name_servers("wipe a permission", request).await? {
            let reply = answer.header::<WipeWritePermReply>().map_err(|error| unreadable(&server, error))?;
            changed = changed.max(reply.wipe_topic_count);
        }
        Ok(changed)
    }

    /// Undoes [`Admin::forbid_writing`]; gives how many topics changed.
    ///
    /// # Errors
    /// A name server does not answer.
    #[doc(alias = "addWritePermOfBroker")]
    pub async fn allow_writing(&self, broker_name: &str) -> Result<i32, Error> {
        let header = BrokerName { broker_name: broker_name.to_owned() };
        let request = Command::request(RequestCode::ADD_WRITE_PERM_OF_BROKER, &header);
        let mut changed = 0;
        for (answer, server) in self.ask_name_servers("add a permission", request).await? {
            let reply = answer.header::<AddWritePermReply>().map_err(|error| unreadable(&server, error))?;
            changed = changed.max(reply.add_topic_count);
        }
        Ok(changed)
    }

    /// Has brokers remove consume queues whose messages are gone.
    ///
    /// # Errors
    /// There is no broker, or one of them refused.
    pub async fn clean_expired_queues(&self, scope: &Scope) -> Result<(), Error> {
        let request = Command::bare(RequestCode::CLEAN_EXPIRED_CONSUMEQUEUE);
        self.change(scope, "clean its queues", request).await
    }

    /// Has brokers remove what is left of topics that were deleted.
    ///
    /// # Errors
    /// As [`Admin::clean_expired_queues`].
    pub async fn clean_unused_topics(&self, scope: &Scope) -> Result<(), Error> {
        let request = Command::bare(RequestCode::CLEAN_UNUSED_TOPIC);
        self.change(scope, "clean its topics", request).await
    }

    /// Has brokers delete messages whose time is over now, not at their hour.
    ///
    /// # Errors
    /// As [`Admin::clean_expired_queues`].
    pub async fn delete_expired_messages(&self, scope: &Scope) -> Result<(), Error> {
        let request = Command::bare(RequestCode::DELETE_EXPIRED_COMMITLOG);
        self.change(scope, "delete old messages", request).await
    }
}
