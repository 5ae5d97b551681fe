use rocketmq_boot::prelude::*;

#[derive(Properties)]
#[properties(prefx = "shop")]
struct Typo {
    fee: u32,
}

#[derive(Properties)]
#[properties(prefix = "rocketmq.shop")]
struct Taken {
    fee: u32,
}

#[derive(Properties)]
enum Choice {
    One,
}

struct Inner;

#[derive(Properties)]
#[properties(prefix = "outer")]
struct Outer {
    #[nested]
    inner: Inner,
}

fn main() {}
