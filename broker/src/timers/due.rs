//! A message that asks for an instant, on its way in: when it is due, and what it becomes meanwhile.

use rocketmq_boot_protocol::{
    message::property::{self as keys, get},
    topic,
};

use crate::{config::TimerSettings, properties::replace, reject::Reject, state::State};

/// What delivery adds to a message's properties must find room when it was taken: two instants and a count.
const ROOM_FOR_DELIVERY: usize = 96;

/// A message that waits for an instant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    /// Its properties in the timer topic.
    pub(crate) properties: String,
    /// What they say about the instant: rounded down, because a tick is delivered when it is over.
    pub(crate) out_ms: i64,
    /// Bytes that the properties must leave free.
    pub(crate) reserved: usize,
}

impl State {
    /// Decides about a message for `queue_id` of `topic` whose properties ask for an instant: `None` when it has passed.
    ///
    /// # Errors
    /// The instant makes no sense or is too far ahead, too many wait for it, or timers are off.
    pub(crate) fn timed(
        &self,
        properties: &str,
        topic: &str,
        queue_id: i32,
    ) -> Result<Option<Timed>, Reject> {
        // What was delivered by a timer already says so; it goes its ordinary way when it is sent again.
        if get(properties, keys::TIMER_OUT_MS).is_some() || topic == topic::TIMER_TOPIC {
            return Ok(None);
        }
        let settings = &self.settings.timers;
        if !settings.enabled {
            return Err(Reject::timers_disabled());
        }
        let Some(out_ms) = out_ms(settings, properties, self.clock.now_ms())? else { return Ok(None) };
        if self.timers.is_congested(settings, out_ms, || self.counters.random()) {
            return Err(Reject::timers_congested(settings.congested_at));
        }
        let properties = replace(
            properties,
            &[
                (keys::TIMER_OUT_MS, Some(&out_ms.to_string())),
                (keys::REAL_TOPIC, Some(topic)),
                (keys::REAL_QID, Some(&queue_id.to_string())),
            ],
        );
        Ok(Some(Timed { properties, out_ms, reserved: ROOM_FOR_DELIVERY }))
    }
}

/// The instant that properties ask for, rounded down to the tick that ends with it or after it; `None` when it has passed.
fn out_ms(settings: &TimerSettings, properties: &str, now_ms: i64) -> Result<Option<i64>, Reject> {
    let illegal = || Reject::timer_out_of_range(settings.max_delay_ms());
    let number =
        |key| get(properties, key).map(|text| text.parse::<i64>().map_err(|_| illegal())).transpose();
    let seconds = number(keys::TIMER_DELAY_SEC)?;
    let deliver_ms = match seconds.map(|seconds| seconds.checked_mul(1_000)) {
        Some(delay) => delay.and_then(|delay| now_ms.checked_add(delay)),
        None => match number(keys::TIMER_DELAY_MS)? {
            Some(delay) => now_ms.checked_add(delay),
            None => number(keys::TIMER_DELIVER_MS)?,
        },
    };
    let deliver_ms = deliver_ms.ok_or_else(illegal)?;
    if deliver_ms <= now_ms {
        // There is nothing left that a recall could take back.
        let recall = get(properties, keys::TIMER_DEL_UNIQKEY).is_some();
        return if recall { Err(illegal()) } else { Ok(None) };
    }
    if deliver_ms.saturating_sub(now_ms) > settings.max_delay_ms() {
        return Err(illegal());
    }
    let precision_ms = settings.precision_ms();
    Ok(Some((deliver_ms - 1).div_euclid(precision_ms) * precision_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_300;

    fn asked(properties: &str) -> Result<Option<i64>, Reject> {
        let stored: String = properties.split(';').map(|p| p.replace('=', "\u{1}") + "\u{2}").collect();
        out_ms(&TimerSettings::default(), &stored, NOW)
    }

    #[test]
    fn seconds_come_before_milliseconds_and_those_before_an_instant() {
        assert_eq!(asked("TIMER_DELIVER_MS=1790000007000"), Ok(Some(1_790_000_006_000)));
        assert_eq!(asked("TIMER_DELIVER_MS=1790000007000;TIMER_DELAY_MS=5000"), Ok(Some(1_790_000_005_000)));
        assert_eq!(asked("TIMER_DELAY_MS=5000;TIMER_DELAY_SEC=2"), Ok(Some(1_790_000_002_000)));
    }

    #[test]
    fn an_instant_is_rounded_down_to_a_tick_that_is_not_over_before_it() {
        for (deliver, out) in [(2_000, 1_000), (2_001, 2_000), (1_999, 1_000), (301, 0)] {
            let text = format!("TIMER_DELIVER_MS={}", 1_790_000_000_000_i64 + deliver);
            assert_eq!(asked(&text), Ok(Some(1_790_000_000_000 + out)), "{deliver}");
        }
    }

    #[test]
    fn what_has_passed_does_not_wait() {
        for text in
            ["TIMER_DELAY_SEC=0", "TIMER_DELAY_MS=-7", "TIMER_DELIVER_MS=1790000000300", "TIMER_DELIVER_MS=0"]
        {
            assert_eq!(asked(text), Ok(None), "{text}");
            assert!(asked(&format!("{text};TIMER_DEL_UNIQKEY=k")).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_far_ahead_is_refused_in_apaches_words() {
        for text in [
            "TIMER_DELAY_SEC=soon",
            "TIMER_DELAY_SEC=259201",
            "TIMER_DELAY_MS=259200001",
            "TIMER_DELAY_SEC=9223372036854775807",
            "TIMER_DELAY_MS=9223372036854775807",
            "TIMER_DELIVER_MS=9223372036854775807",
            "TIMER_DELIVER_MS= 1790000001000",
        ] {
            let reject = asked(text).unwrap_err();
            assert_eq!(reject.code, rocketmq_boot_protocol::ResponseCode::MESSAGE_ILLEGAL, "{text}");
            assert!(reject.remark.contains("max delay 259200000ms"), "{text}: {}", reject.remark);
        }
        assert_eq!(asked("TIMER_DELAY_SEC=259200"), Ok(Some(1_790_259_200_000)));
    }
}
