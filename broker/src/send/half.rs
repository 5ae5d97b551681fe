//! Half messages: stored out of sight, with where they are meant to go among their properties.

use std::borrow::Cow;

use rocketmq_boot_protocol::{
    hot::SendView,
    message::{property as keys, sys_flag::Transaction},
    topic,
};

use super::{Accepted, Messages, Single, Target};
use crate::{
    properties::{Marks, replace},
    reject::Reject,
    state::State,
};

impl State {
    /// Accepts a half message. The sender is told the queue that it asked for, and the offset in the half queue, by
    /// which it ends the transaction.
    pub(super) fn accept_half<'a>(
        &self,
        view: &SendView<'a>,
        target: &Target,
        marks: &Marks<'a>,
    ) -> Result<Accepted<'a>, Reject> {
        if self.settings.reject_transactions {
            return Err(Reject::broker_forbids(&self.settings.broker_name, "sending transaction"));
        }
        let half = self
            .topics
            .find(topic::TRANS_HALF_TOPIC)
            .ok_or_else(|| Reject::topic_not_exist(topic::TRANS_HALF_TOPIC))?;
        let unique_key = self.unique_key(marks);
        let real_queue = target.queue_id.to_string();
        let properties = replace(
            &self.rewrite(view.properties, marks, &unique_key, false),
            &[
                (keys::TRANSACTION_ID, Some(&unique_key)),
                (keys::REAL_TOPIC, Some(target.topic.name())),
                (keys::REAL_QID, Some(&real_queue)),
                // What the broker writes when it puts the message back; a producer must not say it.
                (keys::TRANSACTION_CHECK_TIMES, None),
                (keys::TRAN_PREPARED_QUEUE_OFFSET, None),
            ],
        );
        let single = Single {
            body: view.body,
            flag: view.message_flag,
            properties: Cow::Owned(properties),
            unique_key,
            tags_code: marks.tags_code(),
        };
        self.check_properties(&single)?;
        let hidden = Target { topic: half, queue_id: 0 };
        Ok(Accepted {
            answered_queue_id: target.queue_id,
            sys_flag: Transaction::None.set(view.sys_flag),
            ..self.accepted(view, hidden, Messages::One(single), marks.waits)
        })
    }
}
