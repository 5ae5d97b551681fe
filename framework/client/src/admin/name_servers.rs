//! What name servers keep besides routes: values by namespace and key.

use std::collections::BTreeMap;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::KvTable,
    header::route::{GetKvConfigReply, KvConfigKey, KvNamespace, PutKvConfig},
};
use rocketmq_boot_remoting::Peer;

use super::{Admin, read, unreadable};
use crate::{Error, core::accept};

impl Admin {
    /// A value; `None` when there is none.
    ///
    /// # Errors
    /// No name server answers.
    #[doc(alias = "getKVConfig")]
    pub async fn kv(&self, namespace: &str, key: &str) -> Result<Option<String>, Error> {
        let header = KvConfigKey { namespace: namespace.to_owned(), key: key.to_owned() };
        let request = Command::request(RequestCode::GET_KV_CONFIG, &header);
        match self.ask_name_server("tell a value", request).await {
            Ok((answer, server)) => {
                let reply =
                    answer.header::<GetKvConfigReply>().map_err(|error| unreadable(&server, error))?;
                Ok(reply.value)
            }
            Err(Error::Refused { code: ResponseCode::QUERY_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All values of a namespace, by key.
    ///
    /// # Errors
    /// No name server answers.
    #[doc(alias = "getKVListByNamespace")]
    pub async fn kvs(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
        let header = KvNamespace { namespace: namespace.to_owned() };
        let request = Command::request(RequestCode::GET_KVLIST_BY_NAMESPACE, &header);
        match self.ask_name_server("tell its values", request).await {
            Ok((answer, server)) => Ok(read::<KvTable>(&server, &answer)?.table),
            Err(Error::Refused { code: ResponseCode::QUERY_NOT_FOUND, .. }) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Sets a value on all name servers.
    ///
    /// # Errors
    /// A name server does not answer.
    #[doc(alias = "createAndUpdateKvConfig")]
    pub async fn put_kv(&self, namespace: &str, key: &str, value: &str) -> Result<(), Error> {
        let header =
            PutKvConfig { namespace: namespace.to_owned(), key: key.to_owned(), value: value.to_owned() };
        let request = Command::request(RequestCode::PUT_KV_CONFIG, &header);
        self.change_name_servers("keep a value", request).await
    }

    /// Deletes a value from all name servers.
    ///
    /// # Errors
    /// A name server does not answer.
    #[doc(alias = "deleteKvConfig")]
    pub async fn delete_kv(&self, namespace: &str, key: &str) -> Result<(), Error> {
        let header = KvConfigKey { namespace: namespace.to_owned(), key: key.to_owned() };
        let request = Command::request(RequestCode::DELETE_KV_CONFIG, &header);
        self.change_name_servers("delete a value", request).await
    }

    /// Makes a change on every name server: they do not tell each other.
    pub(super) async fn change_name_servers(
        &self,
        action: &'static str,
        request: Command,
    ) -> Result<(), Error> {
        self.ask_name_servers(action, request).await.map(drop)
    }

    /// Asks every name server.
    pub(super) async fn ask_name_servers(
        &self,
        action: &'static str,
        request: Command,
    ) -> Result<Vec<(Command, Peer)>, Error> {
        let core = self.core();
        let limit = core.options.request_timeout;
        let mut answers = Vec::new();
        for server in core.name_servers.all(limit).await?.iter() {
            let answer = core.call(server, request.clone(), limit).await;
            let answer = answer.map_err(|source| Error::Call { action, source })?;
            answers.push((accept(server, action, answer)?, server.clone()));
        }
        Ok(answers)
    }
}
