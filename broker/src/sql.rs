//! Filters by SQL92: who may use them, whose expression counts, and the check before a consumer starts (46).

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    body::{SubscriptionData, lenient, query::ClientCheck},
    message::{property as keys, record::Record},
    topic,
};

use crate::{
    filter::{Expression, Filter},
    reject::Reject,
    state::State,
};

/// The only type of expression beside tags.
const SQL92: &str = "SQL92";

impl State {
    /// The filter of an expression that a pull brings along.
    ///
    /// Apache's broker passes every message by an expression that it cannot compile; here the pull is refused.
    pub(crate) fn brought_filter(&self, topic: &str, kind: &str, text: &str) -> Result<Filter, Reject> {
        if text.is_empty() {
            return Err(Reject::bad_filter(format!("Expression can't be null! {kind}")));
        }
        self.check_kind(kind)?;
        let expression = self.expressions.compile(text).map_err(Reject::bad_filter)?;
        Ok(self.sql_filter(topic, expression))
    }

    /// The filter of an expression that a heartbeat brought.
    pub(crate) fn subscribed_filter(
        &self,
        topic: &str,
        subscription: &SubscriptionData,
    ) -> Result<Filter, Reject> {
        if subscription.sub_string.is_empty() {
            return Err(Reject::no_filter("it is empty"));
        }
        let compiled = self.expressions.compile(&subscription.sub_string);
        let expression = compiled.map_err(Reject::no_filter)?;
        self.check_kind(&subscription.expression_type)?;
        Ok(self.sql_filter(topic, expression))
    }

    fn check_kind(&self, kind: &str) -> Result<(), Reject> {
        if !self.settings.property_filter {
            return Err(Reject::filter_not_supported(kind));
        }
        if kind == SQL92 { Ok(()) } else { Err(Reject::bad_filter(format!("{kind:?} is not known"))) }
    }

    fn sql_filter(&self, topic: &str, expression: Arc<Expression>) -> Filter {
        match topic.strip_prefix(topic::RETRY_PREFIX) {
            Some(group) if self.settings.filter_retry => Filter::SqlOfOrigin(group.into()),
            _ => Filter::Sql(expression),
        }
    }

    /// Whether a record passes a filter that looks at records.
    pub(crate) fn filter_passes(&self, filter: &Filter, record: &[u8]) -> bool {
        match filter {
            Filter::All | Filter::Codes(_) => true,
            Filter::Sql(expression) => expression.matches_record(record),
            Filter::SqlOfOrigin(group) => self.origin_passes(group, record),
        }
    }

    /// Whether the message that comes back passes the group's filter for the topic it came from.
    fn origin_passes(&self, group: &str, record: &[u8]) -> bool {
        let Ok(record) = Record::decode(record) else { return true };
        let origin = record.property(keys::RETRY_TOPIC);
        let subscription = origin.and_then(|origin| self.clients.subscription(group, origin));
        let Some(subscription) = subscription.filter(|subscription| !subscription.is_tags()) else {
            return true;
        };
        let expression = self.expressions.compile(&subscription.sub_string);
        expression.map_or(true, |expression| expression.matches(&record.text()))
    }

    /// Says whether a subscription can be served (46), which clients ask before they start.
    pub(crate) fn check_client(&self, request: &Command) -> Result<Command, Reject> {
        if request.body.is_empty() {
            return Ok(Command::success(request));
        }
        let check: ClientCheck = lenient::read("client check", &request.body)?;
        if let Some(subscription) = check.subscription_data.filter(|subscription| !subscription.is_tags()) {
            self.check_kind(&subscription.expression_type)?;
            self.expressions.compile(&subscription.sub_string).map_err(Reject::bad_filter)?;
        }
        Ok(Command::success(request))
    }
}
