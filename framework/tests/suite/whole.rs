//! Whole applications on the bundled server: real sockets, real files, port 0.

use std::{path::Path, time::Duration};

use rocketmq_boot::{Running, prelude::*};
use rocketmq_boot_client::Client;
use tokio::sync::mpsc;

/// What the listeners of one application tell its test.
struct Inbox(mpsc::UnboundedSender<String>);

impl Inbox {
    fn tell(&self, text: String) {
        // A test that has seen enough does not listen any more.
        let _ = self.0.send(text);
    }
}

struct Told(mpsc::UnboundedReceiver<String>);

impl Told {
    /// The next `count` things that were told, sorted.
    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        while told.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(30), self.0.recv()).await;
            told.push(next.unwrap_or_else(|_| panic!("only {told:?} were told")).expect("somebody tells"));
        }
        told.sort();
        told
    }

    fn nothing_more(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

fn app(folder: &Path) -> (App, Told) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let app = App::new()
        .home(folder)
        .arguments([""; 0])
        .variables([("", ""); 0])
        .profile("test")
        .set("rocketmq.server.name-server-port", 0)
        .set("rocketmq.server.broker-port", 0)
        .set("rocketmq.server.commit-log-file-size", "1MiB")
        .with(Inbox(sender));
    (app, Told(receiver))
}

async fn started(app: App) -> Running {
    app.start().await.unwrap_or_else(|error| panic!("{error}"))
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
}

#[rocketmq_listener(topic = "orders", group = "billing", tag = "placed")]
async fn bill(Json(order): Json<Order>, template: Template, Keys(keys): Keys) -> Result<(), Error> {
    template.send("orders:billed", Json(&order)).keys(&keys[0]).header("by", "bill").await?;
    Ok(())
}

#[rocketmq_listener(topic = "orders", group = "billing", tag = "billed")]
async fn thank(Json(order): Json<Order>, message: MessageView, Attempt(n): Attempt, inbox: Component<Inbox>) {
    inbox.tell(format!("thank {} by {} attempt {n}", order.id, message.property("by").unwrap_or_default()));
}

#[on_start]
async fn place_some(template: Template) -> Result<(), Error> {
    for id in 1..=3 {
        template.send("orders:placed", Json(&Order { id })).keys(id).sharded_by(id).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_listeners_of_one_group_each_get_their_tag() {
    let folder = tempfile::tempdir().unwrap();
    let (app, mut told) = app(folder.path());
    let running = started(app.listener(bill).listener(thank).on_start(place_some)).await;
    running.run_hooks().await.unwrap();
    let expected = [1, 2, 3].map(|id| format!("thank {id} by bill attempt 1"));
    assert_eq!(told.next(3).await, expected);
    running.stop().await;
    assert!(told.nothing_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_in_one_process_have_servers_of_their_own_and_reach_each_other_by_name() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (eu, mut told_eu) = app(first.path());
    let eu = started(eu.listener(echo)).await;
    let (us, mut told_us) = app(second.path());
    let us = started(us.listener(echo).set("rocketmq.clusters.eu.name-server", eu.name_server())).await;
    assert_ne!(eu.name_server(), us.name_server());

    us.template().send("echo", "for us").await.unwrap();
    us.template().cluster("eu").send("echo", "for eu").await.unwrap();
    assert_eq!(
        (told_us.next(1).await, told_eu.next(1).await),
        (vec!["for us".to_owned()], vec!["for eu".to_owned()])
    );
    let nowhere = us.template().cluster("asia").send("echo", "x").await.unwrap_err();
    assert!(nowhere.to_string().contains("there is no cluster `asia`"), "{nowhere}");

    us.stop().await;
    eu.stop().await;
    assert!(told_us.nothing_more() && told_eu.nothing_more());
}

#[rocketmq_listener(topic = "echo", group = "echo")]
async fn echo(text: String, inbox: Component<Inbox>) {
    inbox.tell(text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_consumed_before_a_restart_does_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let (before, mut told) = app(folder.path());
    let running = started(before.listener(echo)).await;
    let batch = running.template().send_batch("echo", ["one", "two"]).await.unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(told.next(2).await, ["one", "two"]);
    running.stop().await;

    let (after, mut told) = app(folder.path());
    let running = started(after.listener(echo)).await;
    running.template().send("echo", "three").one_way().await.unwrap();
    assert_eq!(told.next(1).await, ["three"]);
    running.stop().await;
    assert!(told.nothing_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_ends_in_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let (app, mut told) = app(folder.path());
    let running = started(app.listener(thank)).await;
    running.template().send("orders:billed", "no JSON").await.unwrap();
    running.template().send("orders:billed", Json(Order { id: 9 })).await.unwrap();
    assert_eq!(told.next(1).await, ["thank 9 by  attempt 1"]);

    let admin = Client::connect(running.name_server()).admin();
    let buried = async {
        loop {
            if let Ok(queues) = admin.message_queues("%DLQ%billing").await {
                for queue in &queues {
                    if admin.max_offset(queue).await.is_ok_and(|offset| offset == 1) {
                        return;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), buried).await.expect("the message is buried");
    running.stop().await;
}

struct Rates(u64);

#[component]
async fn rates(template: Template) -> Result<Rates, Error> {
    template.send("echo", "rates are made").await?;
    Ok(Rates(7))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn constructors_may_send_and_their_components_are_found_by_type() {
    let folder = tempfile::tempdir().unwrap();
    let (app, mut told) = app(folder.path());
    let running = started(app.component(rates).listener(echo)).await;
    assert_eq!(running.component::<Rates>().unwrap().0, 7);
    assert_eq!(told.next(1).await, ["rates are made"]);
    running.stop().await;
}

#[component]
async fn broken() -> Result<u8, Error> {
    Err(Error::msg("the database does not answer"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_constructor_that_fails_stops_what_was_started() {
    let folder = tempfile::tempdir().unwrap();
    let error = app(folder.path()).0.component(broken).start().await.unwrap_err();
    let told = error.to_string();
    assert!(told.ends_with("component `broken` was not made: the database does not answer"), "{told}");
    // The folder is free again.
    let (again, _) = app(folder.path());
    started(again.listener(echo)).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_or_a_folder_in_use_is_one_clear_problem() {
    let folder = tempfile::tempdir().unwrap();
    let running = started(app(folder.path()).0.listener(echo)).await;
    let port = running.name_server().rsplit(':').next().unwrap().to_owned();

    let other = tempfile::tempdir().unwrap();
    let taken = app(other.path()).0.set("rocketmq.server.name-server-port", &port).listener(echo);
    let told = taken.start().await.unwrap_err().to_string();
    assert!(told.starts_with("1 problem, nothing was started\n") && told.contains(&port), "{told}");

    let shared = app(folder.path()).0.listener(echo);
    let told = shared.start().await.unwrap_err().to_string();
    assert!(told.starts_with("1 problem, nothing was started\n"), "{told}");
    assert!(told.contains("rocketmq.server.data"), "{told}");
    running.stop().await;
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = app(folder.path()).0.set("rocketmq.name-server", nobody).listener(echo);
    let told = app.start().await.unwrap_err().to_string();
    assert!(told.contains("group `echo` did not start") && told.contains(&nobody.to_string()), "{told}");
}
