//! Filters by SQL92: who may use them, whose expression counts, and the check before a consumer starts (46).

use std::sync::Arc;

use rocketmq_boot_protocol::{
    Command,
    body::{SubscriptionData, lenient, query::ClientCheck},
    message::{property as keys, record::Record},
    topic,
};

use rocketmq_boot_store::Verdict;

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

    /// What a filter that looks at records makes of one, as long as something is `left` to spend on it.
    pub(crate) fn judge(&self, filter: &Filter, record: &[u8], left: &mut usize) -> Verdict {
        if *left == 0 {
            return Verdict::Stop;
        }
        // What is no record is given: the consumer will say so.
        let Ok(record) = Record::decode(record) else { return Verdict::Give };
        let expression = match filter {
            Filter::All | Filter::Codes(_) => None,
            Filter::Sql(expression) => Some(Arc::clone(expression)),
            Filter::SqlOfOrigin(group) => self.expression_of_origin(group, &record),
        };
        let Some(expression) = expression else { return Verdict::Give };
        *left = left.saturating_sub(record.properties.len().saturating_mul(expression.nodes()));
        if expression.matches(&record.text()) { Verdict::Give } else { Verdict::PassOver }
    }

    /// The group's expression for the topic that a message on its way back comes from; `None` when it wants all of
    /// them.
    fn expression_of_origin(&self, group: &str, record: &Record<'_>) -> Option<Arc<Expression>> {
        let subscription = self.clients.subscription(group, record.property(keys::RETRY_TOPIC)?)?;
        if subscription.is_tags() {
            return None;
        }
        self.expressions.compile(&subscription.sub_string).ok()
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
