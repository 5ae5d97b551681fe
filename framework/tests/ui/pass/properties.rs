use rocketmq_boot::prelude::*;
use std::time::Duration;

#[derive(Properties, Debug)]
#[properties(prefix = "shop")]
struct Shop {
    #[default(30)]
    fee_cents: u32,
    #[default("eu")]
    region: String,
    #[default(secs(5))]
    grace: Duration,
    #[default]
    names: Vec<String>,
    owner: Option<String>,
}

#[derive(Properties, Debug)]
#[properties(prefix = "shop.tax")]
struct Tax {
    rate: u32,
    #[nested]
    office: Office,
}

#[derive(Properties, Debug)]
struct Office {
    city: String,
}

fn main() {
    let shop = Shop::default();
    assert_eq!((shop.fee_cents, shop.region.as_str(), shop.grace.as_secs()), (30, "eu", 5));
    assert!(shop.names.is_empty() && shop.owner.is_none());
    let tax = Tax { rate: 1, office: Office { city: String::new() } };
    assert_eq!(tax.rate, 1);
    assert_eq!(tax.office.city, "");
}
