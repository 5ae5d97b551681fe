//! Every kind of malice at once, and somebody in the middle who has work to do.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rocketmq_boot_tests::malice::{KINDS, Victims, rage};

use super::Target;

/// Messages that the bystander sends and reads back meanwhile.
const ROUNDS: usize = 50;

#[test]
fn who_is_attacked_by_all_at_once_still_serves_the_others() {
    let mut target = Target::start();
    target.cluster.create_topic("malice", 2);
    let [name_server, broker] = target.addresses();
    let victims = Victims { name_server, broker, topic: "malice".to_owned() };
    let stop = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        let attackers: Vec<_> =
            KINDS.iter().map(|kind| scope.spawn(|| rage(*kind, &victims, &stop))).collect();
        // Should the bystander fail, the attackers have to end as well.
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..ROUNDS {
                target.is_unharmed(&format!("round {round}"));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let rounds: Vec<_> = attackers.into_iter().map(|attacker| attacker.join().unwrap_or(0)).collect();
        served.map(|()| rounds)
    });
    let rounds = ended.unwrap_or_else(|failure| std::panic::resume_unwind(failure));
    for ((kind, _), rounds) in KINDS.iter().zip(rounds) {
        assert!(rounds > 0, "{kind} has not happened");
    }
    target.is_unharmed("all of it");
}
