//! The same programs against Apache's servers and against ours: what they tell of both must be the same.

use std::thread;

use rocketmq_boot_tests::account::{self, Exception};
use rocketmq_boot_tests::cluster::{Cluster, Servers};
use rocketmq_boot_tests::foreign::{CHAPTERS, CHAPTERS_OF_5, Program};

use crate::servers::{ours, scratch};

/// Delays that a test can wait for, and what is off by default.
const CONF: &str = "\
messageDelayLevel=1s 2s 3s 4s
transactionTimeOut=3000
transactionCheckInterval=1000
transactionCheckMax=3
recallMessageEnable=true
enablePropertyFilter=true
";

/// Where ours is right to differ, whatever the client.
const JAVA: &[Exception] = &[
    Exception {
        at: "transaction | checked *",
        ours: "topic T {KEYS=key-x, MSG_REGION=DefaultRegion, PGROUP=T-p, REAL_QID=0, REAL_TOPIC=T, \
               TAGS=TagX, TRACE_ON=true, TRANSACTION_CHECK_TIMES=~, TRAN_MSG=true, \
               TRAN_PREPARED_QUEUE_OFFSET=~, UNIQ_KEY=~, WAIT=true, __transactionId__=~, colour=blue} \
               with transaction id",
        reason: "A half message that is checked again is a copy; it names the first one, so that the end \
               of any of them ends all.",
    },
    Exception {
        at: "transaction | given up",
        ours: "never known topic TRANS_CHECK_MAX_TIME_TOPIC queue 0 flag 0 sysflag 0 attempt 0 half at \
               0 {KEYS=key-x, MSG_REGION=DefaultRegion, PGROUP=T-p, REAL_QID=0, REAL_TOPIC=T, \
               TAGS=TagX, TRACE_ON=true, TRANSACTION_CHECK_TIMES=~, TRAN_MSG=true, \
               TRAN_PREPARED_QUEUE_OFFSET=~, UNIQ_KEY=~, WAIT=true, __transactionId__=~, colour=blue}",
        reason: "As above.",
    },
    Exception {
        at: "transaction-ends-refused | commit after it",
        ours: "code 1",
        reason: "What was rolled back stays so; Apache delivers it.",
    },
    Exception {
        at: "transaction-ends-refused | stored",
        ours: "twice plain",
        reason: "What was committed twice is delivered once, and what was rolled back is not; Apache \
               delivers both.",
    },
    Exception {
        at: "filter-sql-unreadable | *",
        ours: "refused with code 23",
        reason: "A filter that cannot be compiled lets nothing through; in a pull without a heartbeat, \
               Apache's lets everything through.",
    },
    Exception {
        at: "pull-refused | an unknown type of filter",
        ours: "code 23 nextBeginOffset=null minOffset=null maxOffset=null",
        reason: "As above.",
    },
    Exception {
        at: "pull-refused | a bad group",
        ours: "code 29 nextBeginOffset=null minOffset=null maxOffset=null",
        reason: "The name is what is wrong, not that the group is missing.",
    },
    Exception {
        at: "send-refused | to the timers' topic",
        ours: "code 16 queueId=null queueOffset=null",
        reason: "Only the broker writes there; Apache refuses no more than the queue that its topic does \
               not have.",
    },
    Exception {
        at: "send-refused | without a body",
        ours: "code 0 queueId=1 queueOffset=4",
        reason: "A message may be empty; Apache's handler fails on it.",
    },
    Exception {
        at: "send-refused | with an empty body",
        ours: "code 0 queueId=1 queueOffset=5",
        reason: "As above.",
    },
    Exception {
        at: "send-refused | a batch that is none",
        ours: "code 13 queueId=null queueOffset=null",
        reason: "The message is at fault, not the broker.",
    },
    Exception {
        at: "offset-requests | commit -1",
        ours: "code 29",
        reason: "Nothing is before the first message; Apache's group has lost its place afterwards.",
    },
    Exception { at: "offset-requests | after it", ours: "code 0 offset=9", reason: "As above." },
    Exception {
        at: "offset-requests | commit to a queue that is not there",
        ours: "code 29",
        reason: "A queue that is not there has no offsets; Apache keeps some for it.",
    },
    Exception {
        at: "offset-requests | max of queue 7",
        ours: "code 29 offset=null",
        reason: "As above; Apache makes the queue when it is asked.",
    },
    Exception { at: "offset-requests | min of queue 7", ours: "code 29 offset=null", reason: "As above." },
    Exception {
        at: "offset-requests | offset of queue 7 at 0",
        ours: "code 29 offset=null",
        reason: "As above.",
    },
    Exception {
        at: "offset-requests | max of a topic that is unknown",
        ours: "code 17 offset=null",
        reason: "As above.",
    },
];

/// There is no difference.
const SPRING: &[Exception] = &[];

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn clients_see_what_apache_shows() {
    let (ours, apache) = thread::scope(|scope| {
        let apache = scope.spawn(|| Cluster::start(Servers::Apache("5.5.0"), CONF));
        (Cluster::start(ours(), CONF), apache.join().expect("Apache's servers start"))
    });
    let both = [apache.name_server(), ours.name_server()];
    let mut found = Vec::new();
    let chapters = || CHAPTERS.into_iter();
    let of_5 = Program::behaviours("5.5.0", scratch());
    found.extend(compare(&of_5, both, "java-5", chapters().chain(CHAPTERS_OF_5).collect(), &[JAVA]));
    let of_4 = Program::behaviours("4.9.7", scratch());
    found.extend(compare(&of_4, both, "java-4", chapters().collect(), &[JAVA]));
    found.extend(compare(&Program::spring(scratch()), both, "spring", Vec::new(), &[SPRING]));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Runs a program against both at once and gives the differences.
fn compare<'a>(
    program: &Program,
    [apache, ours]: [&str; 2],
    prefix: &'a str,
    mut words: Vec<&'a str>,
    exceptions: &[&[Exception]],
) -> Vec<String> {
    words.insert(0, prefix);
    let told = thread::scope(|scope| {
        let apache = scope.spawn(|| program.tell(apache, &words));
        let ours = program.tell(ours, &words);
        apache.join().map(|apache| (apache, ours))
    });
    let (apache, ours) = told.expect("the program runs against Apache's servers");
    let found = account::differences(&apache, &ours, exceptions);
    found.into_iter().map(|each| format!("{prefix}: {each}")).collect()
}
