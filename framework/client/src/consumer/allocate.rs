//! Which queues are mine: the average allocation.
//!
//! Every member of a group computes this for itself from the same two sorted lists, so a change of one comma here
//! would have two members, Java's among them, consume the same queue.

/// The queues of the member called `me`: a contiguous run, sizes differ by at most one, earlier members get the
/// larger ones. Nothing when `me` is not among the members yet.
#[doc(alias = "AllocateMessageQueueAveragely")]
pub(crate) fn averagely<'a, Q>(me: &str, members: &[String], queues: &'a [Q]) -> &'a [Q] {
    let Some(index) = members.iter().position(|member| member == me) else { return &[] };
    let (whole, rest) = (queues.len() / members.len(), queues.len() % members.len());
    let start = index * whole + index.min(rest);
    let length = whole + usize::from(index < rest);
    queues.get(start..start + length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|member| format!("10.0.0.1@{member:03}")).collect()
    }

    /// The rule as RocketMQ states it, with its own case distinctions.
    fn stated(index: usize, members: usize, queues: usize) -> Vec<usize> {
        let rest = queues % members;
        let average = match queues <= members {
            true => 1,
            false if index < rest => queues / members + 1,
            false => queues / members,
        };
        let start = if index < rest { index * average } else { index * average + rest };
        let length = average.min(queues.saturating_sub(start));
        (start..start + length).collect()
    }

    proptest! {
        #[test]
        fn every_queue_has_exactly_one_owner(count in 1_usize..40, queues in 0_usize..200) {
            let (members, queues) = (members(count), (0..queues).collect::<Vec<_>>());
            let all: Vec<usize> =
                members.iter().flat_map(|me| averagely(me, &members, &queues).to_vec()).collect();
            prop_assert_eq!(all, queues);
        }

        #[test]
        fn shares_differ_by_at_most_one(count in 1_usize..40, queues in 0_usize..200) {
            let (members, queues) = (members(count), (0..queues).collect::<Vec<_>>());
            let sizes = || members.iter().map(|me| averagely(me, &members, &queues).len());
            prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
        }

        #[test]
        fn the_result_is_the_stated_rules(count in 1_usize..40, queues in 0_usize..200) {
            let (members, queues) = (members(count), (0..queues).collect::<Vec<_>>());
            for (index, me) in members.iter().enumerate() {
                prop_assert_eq!(averagely(me, &members, &queues), stated(index, count, queues.len()));
            }
        }

        #[test]
        fn a_member_that_leaves_last_moves_no_queue_of_the_first(count in 2_usize..40, each in 1_usize..9) {
            // Stable: what the first member holds only grows when the last one leaves.
            let queues: Vec<usize> = (0..count * each).collect();
            let (before, after) = (members(count), members(count - 1));
            let held = averagely(&before[0], &before, &queues);
            prop_assert!(averagely(&before[0], &after, &queues).starts_with(held));
        }
    }

    #[test]
    fn who_is_not_a_member_gets_nothing() {
        assert!(averagely("x", &members(2), &[1, 2, 3]).is_empty());
        assert!(averagely("x", &[], &[1, 2, 3]).is_empty());
    }
}
