//! The whole of rocketmq-boot on one page.
use rocketmq_boot::prelude::*;
#[derive(Serialize, Deserialize, Debug)]
struct Order { id: u64, cents: u32 }

#[rocketmq_listener(topic = "orders", group = "billing", model = "clustering", tag = "placed")]
async fn bill(Json(order): Json<Order>, template: Template) -> Result<(), Error> {
    template.send("orders:billed", Json(&order)).keys(order.id).await?;
    Ok(())
}

#[rocketmq_listener(topic = "orders", group = "billing", tag = "billed")]
async fn thank(Json(order): Json<Order>, Attempt(n): Attempt) {
    info!(order.id, n, "thank you");
}

#[on_start]
async fn place_some(template: Template) -> Result<(), Error> {
    for id in 1..=10 {
        template.send("orders:placed", Json(&Order { id, cents: 4_200 })).sharded_by(id).await?;
    }
    Ok(())
}

#[rocketmq_boot::main]
async fn main() -> App {
    App::new()
}
