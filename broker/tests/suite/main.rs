//! A broker as its clients see it: real sockets, real files, and a clock that the test moves. All of it runs with one
//! shard and with four, where a waiter is woken from another shard than its own.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]
#![expect(
    clippy::duplicate_mod,
    reason = "the suite runs twice, and a constant above each copy tells them apart"
)]

macro_rules! suite {
    ($name:ident, $shards:literal) => {
        #[path = "."]
        mod $name {
            const SHARDS: usize = $shards;

            #[path = "ageing.rs"]
            mod ageing;
            #[path = "captured.rs"]
            mod captured;
            #[path = "filtering.rs"]
            mod filtering;
            #[path = "groups.rs"]
            mod groups;
            #[path = "hostile.rs"]
            mod hostile;
            #[path = "measuring.rs"]
            mod measuring;
            #[path = "progress.rs"]
            mod progress;
            #[path = "pulling.rs"]
            mod pulling;
            #[path = "querying.rs"]
            mod querying;
            #[path = "recalling.rs"]
            mod recalling;
            #[path = "relaying.rs"]
            mod relaying;
            #[path = "replying.rs"]
            mod replying;
            #[path = "retrying.rs"]
            mod retrying;
            #[path = "sending.rs"]
            mod sending;
            #[path = "starting.rs"]
            mod starting;
            #[path = "timing.rs"]
            mod timing;
            #[path = "topics.rs"]
            mod topics;
            #[path = "transactions.rs"]
            mod transactions;
            #[path = "wire.rs"]
            mod wire;
        }
    };
}

suite!(one_shard, 1);
suite!(four_shards, 4);
