//! Messages that grow old.

use std::time::Duration;

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    header::offset::{OffsetReply, QueueOffset},
};

use super::wire::{TestBroker, Wire, message, pull};

const HOUR: Duration = Duration::from_secs(3_600);

fn min_offset(wire: &mut Wire, topic: &str) -> i64 {
    let queue = QueueOffset { topic: topic.into(), queue_id: 0 };
    let answer = wire.expect(Command::request(RequestCode::GET_MIN_OFFSET, &queue), ResponseCode::SUCCESS);
    answer.header::<OffsetReply>().unwrap().offset
}

#[test]
fn messages_go_after_their_time_and_consumers_are_told_where_to_go_on() {
    let mut broker = TestBroker::with(|settings| {
        settings.delete_when = (0..24).collect();
        settings.delete_pause = Duration::ZERO;
        settings.clean_interval = Duration::from_millis(1);
    });
    let mut wire = broker.connect();
    let body = "x".repeat(64 << 10);
    for _ in 0..40 {
        wire.send(message("old", 0, "UNIQ_KEY=U", &body));
    }
    broker.clock.advance(HOUR * 72);
    for _ in 0..20 {
        wire.send(message("old", 0, "UNIQ_KEY=U", &body));
    }
    // Each look at the disk may find the log not flushed yet; all of them together take no hour of the clock.
    while min_offset(&mut wire, "old") < 30 {
        broker.clock.advance(Duration::from_millis(1));
    }
    let min = min_offset(&mut wire, "old");
    assert!(min <= 40, "what is young stays: {min}");
    let (code, header, _) = wire.pull(pull("g", "old", 0, 0, None));
    assert_eq!((code, header.next_begin_offset), (ResponseCode::PULL_OFFSET_MOVED, min));
    let (code, _, messages) = wire.pull(pull("g", "old", 0, min, None));
    assert_eq!((code, messages[0].queue_offset), (ResponseCode::SUCCESS, min));
    broker.restart();
    let mut wire = broker.connect();
    assert_eq!(min_offset(&mut wire, "old"), min);
    assert_eq!(wire.send(message("old", 0, "UNIQ_KEY=U", &body)).queue_offset, 60);
}
