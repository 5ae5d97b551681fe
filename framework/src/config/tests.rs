//! The layers together: order, places, placeholders, profiles.

use std::time::Duration;

use super::{
    key::Key,
    properties::{Binder, Properties},
    settings::{MAIN, Settings},
    *,
};

struct Given {
    folder: tempfile::TempDir,
    sources: Sources,
}

fn given(files: &[(&str, &str)]) -> Given {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let sources =
        Sources { home: Some(folder.path().to_owned()), profile: Some(String::new()), ..Sources::default() };
    Given { folder, sources }
}

impl Given {
    fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        self.sources.variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self
    }

    fn arguments(mut self, arguments: &[&str]) -> Self {
        self.sources.arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        self
    }

    fn profile(mut self, profile: Option<&str>) -> Self {
        self.sources.profile = profile.map(str::to_owned);
        self
    }

    fn load(&self) -> (Config, Settings, Vec<String>) {
        let mut problems = Problems::default();
        let schema = Schema::new([("shop", Shop::KEYS)], vec!["thank".to_owned()]);
        let config = Config::load(self.sources.clone(), &schema, &mut problems);
        let settings = Settings::read(&config, &mut problems);
        let lines = problems.lines();
        (config, settings, lines)
    }

    fn problems(&self) -> Vec<String> {
        self.load().2
    }

    fn settings(&self) -> Settings {
        let (_, settings, problems) = self.load();
        assert_eq!(problems, [""; 0]);
        settings
    }
}

#[derive(Debug, PartialEq)]
struct Shop {
    fee_cents: u32,
    grace: Duration,
    names: Vec<String>,
}

impl Properties for Shop {
    const KEYS: &'static [Key] =
        &[Key::any("fee-cents"), Key::any("grace"), Key::any("names"), Key::any("tag")];

    fn bind(binder: &mut Binder<'_>) -> Option<Self> {
        let fee_cents = binder.required("fee-cents");
        let grace = binder.or_else("grace", || Duration::from_secs(1));
        let names = binder.or_else("names", Vec::new);
        Some(Self { fee_cents: fee_cents?, grace: grace?, names: names? })
    }
}

const SAMPLE: &str = r#"rocketmq:
  # name-server: broker.example:9876     # absent in dev: the bundled server runs in this process
  producer:
    group: shop
    send-message-timeout: 3s             # Spring's plain 3000 (ms) is accepted too
  server: { data: ./data, name-server-port: 9876, broker-port: 10911 }
  listeners:
    thank: { concurrency: 8, max-attempts: 5, tag: "${shop.tag:billed}" }
  clusters:
    eu: { name-server: "${EU_NAMESRV:127.0.0.1:9976}", producer: { group: shop-eu } }
shop: { fee-cents: 30 }
"#;

#[test]
fn the_sample_is_read_with_the_place_of_each_listener() {
    let settings = given(&[("application.yaml", SAMPLE)]).settings();
    let thank = &settings.listeners["thank"];
    assert_eq!(thank.place, "application.yaml:8:5");
    assert_eq!((thank.concurrency, thank.max_attempts), (Some(8), Some(5)));
    assert_eq!(thank.tag.as_ref().unwrap().value, "billed");
    assert_eq!(thank.tag.as_ref().unwrap().place, "application.yaml:8:52");
    assert_eq!(settings.clusters[MAIN].name_server, None);
    assert_eq!(settings.clusters[MAIN].producer.group, "shop");
    assert_eq!(settings.clusters[MAIN].producer.send_timeout, Duration::from_secs(3));
    assert_eq!(settings.clusters["eu"].name_server.as_deref(), Some("127.0.0.1:9976"));
    assert_eq!(settings.clusters["eu"].producer.group, "shop-eu");
}

#[test]
fn later_layers_win_files_then_variables_then_arguments_then_code() {
    let yaml = "rocketmq: { producer: { group: file, max-message-size: 1MiB } }\n";
    let mut layers =
        given(&[("application.yaml", yaml), ("application-prod.yaml", "rocketmq.producer.group: profile\n")])
            .profile(Some("prod"));
    assert_eq!(layers.settings().clusters[MAIN].producer.group, "profile");
    layers = layers.variables(&[("ROCKETMQ_PRODUCER_GROUP", "variable")]);
    assert_eq!(layers.settings().clusters[MAIN].producer.group, "variable");
    layers = layers.arguments(&["--rocketmq.producer.group=argument", "--verbose", "file.txt"]);
    assert_eq!(layers.settings().clusters[MAIN].producer.group, "argument");
    layers.sources.set.push(("rocketmq.producer.group".to_owned(), "code".to_owned()));
    let settings = layers.settings();
    assert_eq!(settings.clusters[MAIN].producer.group, "code");
    assert_eq!(settings.clusters[MAIN].producer.max_message_bytes, 1 << 20);
}

#[test]
fn the_profile_comes_from_argument_variable_or_file() {
    let files = [("application.yaml", "spring: { profiles: { active: [file, other] } }\n")];
    let profiles = |given: Given| given.profile(None).load().0.profiles;
    assert_eq!(profiles(given(&files)), ["file", "other"]);
    assert_eq!(profiles(given(&files).variables(&[("SPRING_PROFILES_ACTIVE", "spring")])), ["spring"]);
    assert_eq!(profiles(given(&files).arguments(&["--spring.profiles.active=dotted"])), ["dotted"]);
    let own = [("ROCKETMQ_BOOT_PROFILES_ACTIVE", "own")];
    assert_eq!(profiles(given(&files).variables(&own)), ["own"]);
    let dotted = ["--spring.profiles.active=dotted"];
    assert_eq!(profiles(given(&files).variables(&own).arguments(&dotted)), ["dotted"]);
    assert_eq!(profiles(given(&files).variables(&own).arguments(&["--profile", "prod"])), ["prod"]);
    assert_eq!(profiles(given(&files).arguments(&["--profile=a,b"])), ["a", "b"]);
    let default: &[&str] = if cfg!(debug_assertions) { &["dev"] } else { &[] };
    assert_eq!(profiles(given(&[])), default);
}

#[test]
fn a_document_for_another_profile_is_skipped() {
    let yaml = "rocketmq.producer.group: all\n---\nspring.config.activate.on-profile: prod\nrocketmq.producer.group: prod\n";
    let files = [("application.yaml", yaml)];
    assert_eq!(given(&files).settings().clusters[MAIN].producer.group, "all");
    assert_eq!(given(&files).profile(Some("prod")).settings().clusters[MAIN].producer.group, "prod");
}

#[test]
fn unknown_keys_are_told_with_place_and_suggestion_and_foreign_ones_left_alone() {
    let yaml = SAMPLE.replace("{ concurrency: 8", "{ concurency: 8")
        + "server: { port: 8080 }\nlogging.level.root: debug\nspring: { application: { name: x } }\n";
    assert_eq!(
        given(&[("application.yaml", &yaml)]).problems(),
        [
            "application.yaml:8:14  rocketmq.listeners.thank.concurency: unknown key, did you mean `concurrency`?"
        ]
    );
    let yaml = "rocketmq:\n  producr:\n    group: x\nshop:\n  fee-cent: 3\n";
    assert_eq!(
        given(&[("application.yaml", yaml)]).problems(),
        [
            "application.yaml:2:3  rocketmq.producr: unknown key, did you mean `producer`?",
            "application.yaml:5:3  shop.fee-cent: unknown key, did you mean `fee-cents`?"
        ]
    );
}

#[test]
fn unknown_arguments_are_told_and_foreign_variables_are_not() {
    let given = given(&[])
        .arguments(&["--rocketmq.name-servr=x:1", "--server.port=80"])
        .variables(&[("ROCKETMQ_HOME", "/opt"), ("ROCKETMQ_NAMESRVER", "x:1")]);
    let (config, _, problems) = given.load();
    assert_eq!(
        problems,
        ["argument --rocketmq.name-servr  rocketmq.name-servr: unknown key, did you mean `name-server`?"]
    );
    assert_eq!(
        config.warnings,
        ["environment variable ROCKETMQ_NAMESRVER is not known, did you mean ROCKETMQ_NAME_SERVER?"]
    );
}

#[test]
fn wrong_types_are_told_at_the_value_in_the_file_that_won() {
    let base = "rocketmq:\n  listeners:\n    thank:\n      concurrency: 8\n      max-attempts: 0\n";
    let prod = "rocketmq:\n  listeners:\n    thank:\n      concurrency: [1]\n";
    let problems = given(&[("application.yaml", base), ("application-prod.yaml", prod)])
        .profile(Some("prod"))
        .problems();
    assert_eq!(
        problems,
        [
            "application.yaml:5:21  rocketmq.listeners.thank.max-attempts: invalid value: found signed int `0`, \
             expected a whole number, 1 or more",
            "application-prod.yaml:4:20  rocketmq.listeners.thank.concurrency: invalid type: found sequence, \
             expected a whole number, 1 or more"
        ]
    );
}

#[test]
fn wrong_values_of_variables_and_arguments_name_them() {
    let given = given(&[])
        .variables(&[("ROCKETMQ_SERVER_BROKER_PORT", "http")])
        .arguments(&["--rocketmq.server.enabled=perhaps"]);
    assert_eq!(
        given.problems(),
        [
            "argument --rocketmq.server.enabled  rocketmq.server.enabled: invalid value: found string \"perhaps\", \
             expected `true` or `false`",
            "environment variable ROCKETMQ_SERVER_BROKER_PORT  rocketmq.server.broker-port: invalid value: found \
             string \"http\", expected a number from 0 to 65535"
        ]
    );
}

#[test]
fn a_table_where_a_value_belongs_and_the_reverse_are_told() {
    let yaml = "rocketmq:\n  producer: shop\n  name-server: { a: 1 }\n";
    assert_eq!(
        given(&[("application.yaml", yaml)]).problems(),
        [
            "application.yaml:2:13  rocketmq.producer: expected keys below it",
            "application.yaml:3:16  rocketmq.name-server: invalid type: found map, expected text"
        ]
    );
}

#[test]
fn both_spellings_of_a_file_are_an_error() {
    let files = [("application.yaml", "a: 1\n"), ("application.yml", "a: 1\n")];
    assert_eq!(
        given(&files).problems(),
        ["application.yaml and application.yml  both exist: keep one of them"]
    );
    assert_eq!(
        given(&[("application.yml", "rocketmq.producer.group: x\n")]).settings().clusters[MAIN]
            .producer
            .group,
        "x"
    );
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let broken = given(&[("application.yaml", "rocketmq:\n  a: [1, 2\nb: 3\n")]).problems();
    assert_eq!(broken.len(), 1);
    assert!(broken[0].starts_with("application.yaml:"), "{broken:?}");
    let twice =
        given(&[("application.yaml", "rocketmq:\n  name-server: a:1\n  nameServer: b:1\n")]).problems();
    assert_eq!(twice, ["application.yaml:3:3  rocketmq.name-server: given twice, in two spellings"]);
    let binary = given(&[]);
    std::fs::write(binary.folder.path().join("application.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    assert_eq!(binary.problems(), ["application.yaml  cannot be read: it is not UTF-8 text"]);
    let list = given(&[("application.yaml", "- a\n- b\n")]).problems();
    assert_eq!(list, ["application.yaml:1:1  expected `key: value` lines"]);
    assert_eq!(given(&[("application.yaml", "# nothing\n")]).problems(), [""; 0]);
}

#[test]
fn placeholders_see_variables_arguments_and_other_keys() {
    let yaml =
        "rocketmq:\n  producer: { group: \"${shop.tag}-${REGION:eu}\" }\nshop: { tag: \"${tag.base:x}y\" }\n";
    let files = [("application.yaml", yaml)];
    let group = |given: Given| given.settings().clusters[MAIN].producer.group.clone();
    assert_eq!(group(given(&files)), "xy-eu");
    assert_eq!(group(given(&files).variables(&[("REGION", "us"), ("TAG_BASE", "z")])), "zy-us");
    let both = given(&files).variables(&[("TAG_BASE", "z")]).arguments(&["--tag.base=arg"]);
    assert_eq!(group(both), "argy-eu");
}

#[test]
fn placeholders_that_lead_nowhere_or_in_a_circle_are_told() {
    let yaml = "rocketmq:\n  producer: { group: \"${a}\" }\n  name-server: \"${missing}\"\na: \"${b}\"\nb: \"${a}\"\n";
    assert_eq!(
        given(&[("application.yaml", yaml)]).problems(),
        [
            "application.yaml:3:16  rocketmq.name-server: `${missing}` is not set and has no default",
            "application.yaml:2:22  rocketmq.producer.group: `${a}` refers to itself: a -> b -> a"
        ]
    );
}

#[test]
fn springs_spellings_and_units_are_accepted() {
    let yaml = "rocketmq:\n  nameServer: \"a:9876;b:9876\"\n  producer:\n    group: g\n    sendMessageTimeout: 3000\n    \
                compress-message-body-threshold: 4096\n    retry_times_when_send_failed: 3\n  consumer:\n    \
                listeners: { billing: { orders: false, other: true } }\n  listeners:\n    thank: \
                { consume-thread-number: 9, max-reconsume-times: 16, message-model: BROADCASTING }\n";
    let settings = given(&[("application.yaml", yaml)]).settings();
    let main = &settings.clusters[MAIN];
    assert_eq!(main.name_server.as_deref(), Some("a:9876;b:9876"));
    assert_eq!((main.producer.send_timeout, main.producer.retries), (Duration::from_secs(3), 3));
    assert_eq!(settings.switched_off, [("billing".to_owned(), "orders".to_owned())]);
    let thank = &settings.listeners["thank"];
    assert_eq!((thank.concurrency, thank.max_attempts), (Some(9), Some(17)));
    assert_eq!(thank.model.as_ref().unwrap().value, crate::listener::Model::Broadcasting);
}

#[test]
fn what_cannot_be_honoured_is_refused_and_what_has_no_effect_is_warned_of() {
    let yaml = "rocketmq:\n  producer: { tls-enable: true, instance-name: a, access-key: \"\" }\n  listeners:\n    \
                thank: { order: orderly, consume-thread-max: 64 }\n    other: { consume-mode: CONCURRENTLY }\n";
    let (config, _, problems) = given(&[("application.yaml", yaml)]).load();
    assert_eq!(
        problems,
        [
            "application.yaml:2:15  rocketmq.producer.tls-enable is not supported yet",
            "application.yaml:4:14  rocketmq.listeners.thank.order is not supported yet"
        ]
    );
    assert_eq!(config.warnings.len(), 2);
    assert!(
        config.warnings[0]
            .starts_with("application.yaml:2:33  rocketmq.producer.instance-name has no effect")
    );
}

#[test]
fn addresses_are_checked() {
    let yaml = "rocketmq: { name-server: \"broker.example\" }\n";
    assert_eq!(
        given(&[("application.yaml", yaml)]).problems(),
        [
            "application.yaml:1:26  rocketmq.name-server: `broker.example` is not `host:port`; several are parted by `;`"
        ]
    );
}

#[test]
fn properties_are_read_leaf_by_leaf_and_all_mistakes_are_told() {
    let bind = |given: &Given| {
        let (config, ..) = given.load();
        let mut problems = Problems::default();
        let shop = Shop::bind(&mut Binder::new(&config, "shop", "src/shop.rs:1", &mut problems));
        (shop, problems.lines())
    };
    let good = given(&[("application.yaml", "shop: { fee-cents: 30, grace: 2m, names: [a, b] }\n")]);
    let shop =
        Shop { fee_cents: 30, grace: Duration::from_secs(120), names: vec!["a".to_owned(), "b".to_owned()] };
    assert_eq!(bind(&good), (Some(shop), vec![]));
    let text = given(&[("application.yaml", "shop: { fee-cents: \"${FEE:7}\" }\n")])
        .variables(&[("SHOP_GRACE", "5s"), ("SHOP_NAMES", "a, b")]);
    let shop =
        Shop { fee_cents: 7, grace: Duration::from_secs(5), names: vec!["a".to_owned(), "b".to_owned()] };
    assert_eq!(bind(&text), (Some(shop), vec![]));
    let bad = given(&[("application.yaml", "shop:\n  fee-cents: lots\n  grace: soon\n")]);
    let (shop, problems) = bind(&bad);
    assert_eq!(shop, None);
    assert_eq!(
        problems,
        [
            "application.yaml:2:14  shop.fee-cents: invalid type: found string \"lots\", expected u32",
            "application.yaml:3:10  shop.grace: invalid value: found string \"soon\", expected a time such as `3s`, \
             or a number of milliseconds"
        ]
    );
    let missing = given(&[("application.yaml", "shop:\n  grace: 1s\n")]);
    assert_eq!(bind(&missing).1, ["application.yaml:1:1  shop.fee-cents is not set and has no default"]);
    assert_eq!(bind(&given(&[])).1, ["src/shop.rs:1  shop.fee-cents is not set and has no default"]);
}

#[test]
fn a_derived_struct_reads_its_nested_one() {
    #[derive(crate::Properties)]
    struct Outer {
        #[nested]
        inner: Inner,
        r#type: Option<String>,
    }
    #[derive(crate::Properties)]
    struct Inner {
        #[default(3)]
        how_many: u8,
        wait_for: Option<Duration>,
    }
    let schema = Schema::new([("outer", Outer::KEYS)], Vec::new());
    let yaml = "outer:\n  type: x\n  inner: { howMany: 300, waitFor: 2s }\n  inner.other: 1\n";
    let bind = |text: &str| {
        let given = given(&[("application.yaml", text)]);
        let mut problems = Problems::default();
        let config = Config::load(given.sources, &schema, &mut problems);
        let outer = Outer::bind(&mut Binder::new(&config, "outer", "", &mut problems));
        (outer, problems.lines())
    };
    let (outer, problems) = bind(yaml);
    assert!(outer.is_none());
    assert_eq!(
        problems,
        [
            "application.yaml:4:3  outer.inner.other: unknown key, expected one of how-many, wait-for",
            "application.yaml:3:21  outer.inner.how-many: invalid value: found signed int `300`, expected u8"
        ]
    );
    let (outer, problems) = bind("outer: { inner: { wait-for: 2s } }\n");
    assert_eq!(problems, [""; 0]);
    let Outer { inner: Inner { how_many, wait_for }, r#type } = outer.unwrap();
    assert_eq!((how_many, wait_for, r#type), (3, Some(Duration::from_secs(2)), None));
}
