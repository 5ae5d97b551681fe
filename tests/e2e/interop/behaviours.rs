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

/// What Apache shows to nobody's use, or what ours says better.
const JAVA: &[Exception] = &[];
const JAVA_4: &[Exception] = &[];
const SPRING: &[Exception] = &[];

#[test]
#[cfg_attr(not(interop), ignore = "foreign peers run with CI=true or INTEROP=1")]
fn clients_see_what_apache_shows() {
    let (apache, ours) = thread::scope(|scope| {
        let apache = scope.spawn(|| Cluster::start(Servers::Apache("5.5.0"), CONF));
        (Cluster::start(ours(), CONF), apache.join().expect("Apache's servers start"))
    });
    let both = [apache.name_server(), ours.name_server()];
    let mut found = Vec::new();
    let chapters = || CHAPTERS.iter().copied();
    let of_5 = Program::behaviours("5.5.0", scratch());
    found.extend(compare(&of_5, both, "java-5", chapters().chain(CHAPTERS_OF_5).collect(), JAVA));
    let of_4 = Program::behaviours("4.9.7", scratch());
    found.extend(compare(&of_4, both, "java-4", chapters().collect(), JAVA_4));
    found.extend(compare(&Program::spring(scratch()), both, "spring", Vec::new(), SPRING));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Runs a program against both at once and gives the differences.
fn compare<'a>(
    program: &Program,
    [apache, ours]: [&str; 2],
    prefix: &'a str,
    mut words: Vec<&'a str>,
    exceptions: &[Exception],
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
