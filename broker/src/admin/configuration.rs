//! How the broker is set up, and changing that while it runs: 25 and 26.

use rocketmq_boot_protocol::{
    Command,
    body::dialect::{Dialect, write},
    header::stats::BrokerConfigReply,
    properties_file::Properties,
};

use crate::{reject::Reject, state::State};

/// Keys that Apache's broker never lets anybody change over the wire (`configBlackList`).
const BLACK_LIST: [&str; 2] = ["brokerConfigPath", "configBlackList"];

/// Keys that tools read and fail without, of what this broker does not have.
const ABSENT: [(&str, &str); 3] =
    [("filterServerNums", "0"), ("slaveReadEnable", "false"), ("useTLS", "false")];

impl State {
    /// Every key that takes effect, with its value (26).
    pub(crate) fn config(&self, request: &Command) -> Command {
        let mut properties = self.settings.print();
        for (key, value) in ABSENT {
            properties.entry(key).or_insert_with(|| value.to_owned());
        }
        let body: String = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let version = write(&self.settings.version(), Dialect::Fastjson);
        let version = String::from_utf8(version).unwrap_or_default();
        Command::success(request).with_header(&BrokerConfigReply { version }).with_body(body)
    }

    /// Changes keys, all or none of them (25). What is changed is kept over a restart.
    pub(crate) fn update_config(&self, request: &Command) -> Result<Command, Reject> {
        let changes = Properties::parse(&request.body)
            .map_err(|error| Reject::failed(format!("string2Properties error: {error}")))?;
        let keys = || changes.entries().iter().map(|entry| entry.key.as_str());
        if keys().any(|key| BLACK_LIST.contains(&key)) {
            return Err(Reject::config_forbidden("Can not update config in black list."));
        }
        if !self.settings.config_update {
            return Err(Reject::config_forbidden(
                "the configuration is not changed over the wire: broker.conf allows it with configUpdateEnable=true",
            ));
        }
        self.settings.change(&changes, self.clock.now_ms())?;
        self.apply_changes();
        tracing::info!(
            keys = keys().collect::<Vec<_>>().join(", "),
            "the configuration was changed over the wire"
        );
        Ok(Command::success(request))
    }

    /// Tells those parts of the broker that keep settings of their own.
    fn apply_changes(&self) {
        self.groups.set_auto_create(self.settings.auto_create_subscription_group);
        self.topics.set_auto_create(&self.settings);
        // Name servers are told the topics again, with what the broker's permission leaves of theirs.
        self.topics.announce();
    }
}
