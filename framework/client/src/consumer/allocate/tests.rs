use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// One input with what RocketMQ's own client gives to each member.
#[derive(Deserialize)]
struct Case {
    strategy: String,
    members: Vec<String>,
    queues: Vec<String>,
    shares: Vec<Vec<String>>,
}

/// The room stands in front of everything.
#[derive(Debug)]
struct InFront;

impl Rooms for InFront {
    fn of_queue(&self, queue: &MessageQueue) -> String {
        queue.broker_name.split('@').next().unwrap().to_owned()
    }

    fn of_member(&self, client_id: &str) -> String {
        client_id.split('-').next().unwrap().to_owned()
    }
}

fn queue(text: &str) -> MessageQueue {
    let (broker, id) = text.split_once(':').unwrap();
    MessageQueue::new("orders", broker, id.parse().unwrap())
}

fn strategy(name: &str, queues: &[MessageQueue]) -> Box<dyn Allocate> {
    match name {
        "AVG" => Box::new(Averagely),
        "AVG_BY_CIRCLE" => Box::new(AveragelyByCircle),
        "CONSISTENT_HASH" => Box::new(ConsistentHash::default()),
        "MACHINE_ROOM" => Box::new(MachineRoom::new(["room0", "room2"])),
        "CONFIG" => Box::new(ByConfig(queues[..queues.len().div_ceil(2)].to_vec())),
        "MACHINE_ROOM_NEARBY-AVG" => Box::new(MachineRoomNearby::new(Averagely, InFront)),
        "MACHINE_ROOM_NEARBY-CONSISTENT_HASH" => {
            Box::new(MachineRoomNearby::new(ConsistentHash::default(), InFront))
        }
        other => panic!("no strategy {other}"),
    }
}

#[test]
fn every_member_gets_what_javas_client_gives_it() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/vectors/assignments/assignments.json")).unwrap();
    assert!(cases.len() > 100);
    for case in cases {
        let queues: Vec<_> = case.queues.iter().map(|text| queue(text)).collect();
        let strategy = strategy(&case.strategy, &queues);
        for (member, share) in case.members.iter().zip(&case.shares) {
            let mine = strategy.allocate(&Division::new("billing", member, &case.members, &queues));
            let expected: Vec<_> = share.iter().map(|text| queue(text)).collect();
            assert_eq!(mine, expected, "{} of {} for {member}", case.strategy, case.members.len());
        }
    }
}

fn members(count: usize) -> Vec<String> {
    (0..count).map(|member| format!("room{}-10.0.0.1@{member:03}", member % 3)).collect()
}

fn queues(brokers: usize, each: i32) -> Vec<MessageQueue> {
    let of = |broker| (0..each).map(move |id| MessageQueue::new("t", format!("room{broker}@b"), id));
    (0..brokers).flat_map(of).collect()
}

fn covering() -> Vec<Box<dyn Allocate>> {
    vec![
        Box::new(Averagely),
        Box::new(AveragelyByCircle),
        Box::new(ConsistentHash::default()),
        Box::new(MachineRoom::new((0..9).map(|room| format!("room{room}")))),
        Box::new(MachineRoomNearby::new(Averagely, InFront)),
        Box::new(MachineRoomNearby::new(AveragelyByCircle, InFront)),
        Box::new(MachineRoomNearby::new(ConsistentHash::default(), InFront)),
    ]
}

fn of(strategy: &dyn Allocate, me: &str, members: &[String], queues: &[MessageQueue]) -> Vec<MessageQueue> {
    share(strategy, &Division::new("g", me, members, queues))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_queue_has_exactly_one_owner(count in 1_usize..20, brokers in 1_usize..5, each in 0_i32..20) {
        let (members, queues) = (members(count), queues(brokers, each));
        for strategy in covering() {
            let shares = members.iter().flat_map(|me| strategy.allocate(&Division::new("g", me, &members, &queues)));
            let mut all: Vec<_> = shares.collect();
            all.sort();
            prop_assert_eq!(&all, &queues, "{:?}", strategy);
        }
    }

    #[test]
    fn average_shares_differ_by_at_most_one(count in 1_usize..20, each in 0_i32..60) {
        let (members, queues) = (members(count), queues(2, each));
        for strategy in [&Averagely as &dyn Allocate, &AveragelyByCircle] {
            let sizes = || members.iter().map(|me| of(strategy, me, &members, &queues).len());
            prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
        }
    }

    #[test]
    fn on_the_ring_only_the_queues_of_who_leaves_move(count in 2_usize..20, gone: prop::sample::Index) {
        let (before, queues) = (members(count), queues(3, 16));
        let mut after = before.clone();
        let gone = after.remove(gone.index(count));
        let left = of(&ConsistentHash::default(), &gone, &before, &queues);
        for me in &after {
            let held = of(&ConsistentHash::default(), me, &before, &queues);
            let holds = of(&ConsistentHash::default(), me, &after, &queues);
            let gained: Vec<_> = holds.iter().filter(|queue| !held.contains(queue)).collect();
            prop_assert!(held.iter().all(|queue| holds.contains(queue)));
            prop_assert!(gained.iter().all(|queue| left.contains(queue)));
        }
    }

    #[test]
    fn when_the_last_member_leaves_the_first_keeps_what_it_has(count in 2_usize..20, each in 1_i32..9) {
        let queues = queues(count, each);
        let (before, after) = (members(count), members(count - 1));
        let held = of(&Averagely, &before[0], &before, &queues);
        prop_assert!(of(&Averagely, &before[0], &after, &queues).starts_with(&held));
    }
}

#[test]
fn who_is_not_a_member_gets_nothing() {
    for strategy in covering() {
        assert!(of(&*strategy, "x", &members(2), &queues(1, 3)).is_empty());
        assert!(of(&*strategy, "x", &[], &queues(1, 3)).is_empty());
    }
}

#[test]
fn what_a_strategy_makes_up_is_left_out() {
    let real = queues(1, 2);
    let mut named = real.clone();
    named.extend([real[0].clone(), MessageQueue::new("t", "elsewhere", 0)]);
    assert_eq!(of(&ByConfig(named), &members(1)[0], &members(1), &real), real);
}
