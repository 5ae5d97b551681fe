//! Whole applications, up to the point where they would connect.

use rocketmq_boot::prelude::*;

mod conflicts {
    use super::*;

    #[rocketmq_listener(topic = "orders", group = "billing", model = "clustering", tag = "placed")]
    pub(super) async fn bill() {}

    #[rocketmq_listener(topic = "orders", group = "billing", model = "broadcasting", tag = "placed || paid")]
    pub(super) async fn audit() {}
}

fn hermetic(app: App) -> App {
    let folder = std::env::temp_dir().join("rocketmq-boot-no-such-folder");
    app.home(folder).arguments([""; 0]).variables([("", ""); 0]).profile("test")
}

async fn problems(app: App) -> Vec<String> {
    let error = app.start().await.expect_err("the application must not start");
    error.problems().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn conflicts_within_a_group_name_both_places() {
    let app = hermetic(App::new().listener(conflicts::bill).listener(conflicts::audit));
    assert_eq!(
        problems(app).await,
        [
            "tests/suite/app.rs:8 and tests/suite/app.rs:11  group `billing` is declared `clustering` in one place \
             and `broadcasting` in the other",
            "tests/suite/app.rs:8 and tests/suite/app.rs:11  group `billing` has two listeners for messages with tag \
             `placed` of topic `orders`: `bill` and `audit`",
        ]
    );
}

mod components {
    use super::*;

    pub(super) struct Db;
    pub(super) struct Cache;
    pub(super) struct Mail;
    pub(super) struct Left;
    pub(super) struct Right;

    #[component]
    pub(super) async fn cache(_db: Component<Db>) -> Cache {
        Cache
    }

    #[component]
    pub(super) fn left(_right: Component<Right>) -> Left {
        Left
    }

    #[component]
    pub(super) fn right(_left: Component<Left>) -> Right {
        Right
    }

    #[rocketmq_listener(topic = "orders", group = "stock")]
    pub(super) async fn reserve(_cache: Component<Cache>, _mail: Component<Mail>) {}

    #[on_start]
    pub(super) async fn warm(_left: Component<Left>) {}
}

#[tokio::test]
async fn what_is_missing_is_told_with_the_path_of_who_needs_it() {
    let app = hermetic(App::new().listener(components::reserve).component(components::cache));
    assert_eq!(
        problems(app).await,
        [
            "tests/suite/app.rs:48  there is no component `Db`, needed by listener `reserve` -> Cache -> Db: add \
             `#[component] async fn ..() -> Db` or `App::with(..)`",
            "tests/suite/app.rs:63  there is no component `Mail`, needed by listener `reserve` -> Mail: add \
             `#[component] async fn ..() -> Mail` or `App::with(..)`",
        ]
    );
}

#[tokio::test]
async fn components_that_ask_for_each_other_are_told_as_a_chain() {
    let app = App::new().on_start(components::warm).component(components::left).component(components::right);
    assert_eq!(
        problems(hermetic(app)).await,
        ["tests/suite/app.rs:53  components ask for each other: Left -> Right -> Left"]
    );
}

#[tokio::test]
async fn two_components_of_one_type_are_told() {
    let app = App::new().component(components::cache).with(components::Cache).with(components::Db);
    assert_eq!(
        problems(hermetic(app)).await,
        ["tests/suite/app.rs:48  there are two components of the type `Cache`"]
    );
}

#[tokio::test]
async fn a_function_without_its_attribute_is_told() {
    async fn plain() {}
    let told = problems(hermetic(App::new().listener(plain))).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("plain` is not marked with `#[rocketmq_listener]`"), "{told:?}");
}

#[tokio::test]
async fn a_release_without_a_name_server_is_refused() {
    let app = hermetic(App::new().without_discovery()).profile("");
    assert_eq!(
        problems(app).await,
        [
            "there is no name server: set `rocketmq.name-server`, or `rocketmq.server.enabled: true` to start the bundled one"
        ]
    );
}

#[tokio::test]
async fn a_name_server_and_the_bundled_one_exclude_each_other() {
    let app = hermetic(App::new().without_discovery())
        .set("rocketmq.name-server", "127.0.0.1:1")
        .set("rocketmq.server.enabled", true);
    assert_eq!(
        problems(app).await,
        ["`set(\"rocketmq.name-server\", ..)` in code and `set(\"rocketmq.server.enabled\", ..)` in code  \
             `rocketmq.name-server` and `rocketmq.server.enabled` are both set: keep one of them"]
    );
}

#[tokio::test]
async fn settings_of_listeners_that_do_not_exist_are_told() {
    let app = hermetic(App::new().listener(conflicts::bill)).set("rocketmq.listeners.bil.concurrency", 3);
    assert_eq!(
        problems(app).await,
        [
            "`set(\"rocketmq.listeners.bil.concurrency\", ..)` in code  rocketmq.listeners.bil: there is no such \
             listener, did you mean `bill`?"
        ]
    );
}

#[tokio::test]
async fn a_switched_off_listener_conflicts_with_nobody() {
    let app = App::new().listener(conflicts::bill).listener(conflicts::audit);
    let app = hermetic(app)
        .set("rocketmq.listeners.audit.enabled", false)
        .set("rocketmq.listeners.bill.cluster", "eu");
    let told = problems(app).await;
    assert_eq!(
        told,
        [
            "`set(\"rocketmq.listeners.bill.cluster\", ..)` in code  listener `bill`: there is no cluster `eu`, add \
             it under `rocketmq.clusters`"
        ]
    );
}

mod settings {
    use super::*;

    #[derive(Properties, Debug)]
    #[properties(prefix = "suite-shop")]
    pub(super) struct Shop {
        #[default(30)]
        pub(super) fee_cents: u32,
        pub(super) owner: String,
    }

    #[component]
    pub(super) fn fee(shop: Component<Shop>) -> u32 {
        if shop.owner.is_empty() { 0 } else { shop.fee_cents }
    }
}

#[tokio::test]
async fn properties_are_bound_when_something_asks_for_them_and_their_mistakes_are_told() {
    let app = hermetic(App::new().component(settings::fee)).set("suite-shop.fee-cents", "lots");
    assert_eq!(
        problems(app).await,
        [
            "`set(\"suite-shop.fee-cents\", ..)` in code  suite-shop.fee-cents: invalid type: found string \"lots\", \
             expected u32",
            "`set(\"suite-shop.fee-cents\", ..)` in code  suite-shop.owner is not set and has no default",
        ]
    );
    let app = hermetic(App::new().without_discovery()).set("suite-shop.fee-cent", 1);
    assert_eq!(
        problems(app).await,
        [
            "`set(\"suite-shop.fee-cent\", ..)` in code  suite-shop.fee-cent: unknown key, did you mean `fee-cents`?"
        ]
    );
}
