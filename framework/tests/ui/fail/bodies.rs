use rocketmq_boot::prelude::*;

#[derive(Serialize)]
struct Order;

async fn send(template: Template, order: Order) -> Result<(), Error> {
    template.send("orders", &order).await?;
    Ok(())
}

fn main() {
    drop(send);
}
