use super::*;

const NOW: Duration = Duration::from_secs(1_000);

fn topics(counter: i64, names: &[&str]) -> TopicConfigs {
    TopicConfigs {
        data_version: DataVersion { counter, ..DataVersion::default() },
        topic_config_table: names
            .iter()
            .map(|name| ((*name).to_owned(), TopicConfig::new(*name, 4)))
            .collect(),
    }
}

fn broker(name: &str, id: i64, names: &[&str]) -> Registration {
    Registration {
        cluster: "c".into(),
        broker: name.into(),
        id,
        address: format!("{name}:{id}"),
        ha_address: format!("{name}:ha{id}"),
        topics: topics(1, names),
        connection: 7,
        ..Registration::default()
    }
}

fn table(registrations: impl IntoIterator<Item = Registration>) -> Routes {
    let mut routes = Routes::new(false);
    for registration in registrations {
        routes.register(registration, NOW).unwrap();
    }
    routes
}

#[test]
fn a_route_names_every_broker_of_the_topic() {
    let routes = table([broker("a", 0, &["t", "x"]), broker("b", 0, &["t", "y"]), broker("a", 1, &[])]);
    let route = routes.route("t").unwrap();
    assert_eq!(route.queue_datas.iter().map(|q| q.broker_name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let addresses: Vec<_> = route.broker_datas.iter().map(|b| b.broker_addrs.0.clone()).collect();
    assert_eq!(
        addresses,
        [BTreeMap::from([(0, "a:0".into()), (1, "a:1".into())]), BTreeMap::from([(0, "b:0".into())])]
    );
    assert_eq!(routes.route("x").unwrap().broker_datas.len(), 1);
    assert_eq!(routes.route("nothing"), None);
}

#[test]
fn topics_of_slaves_do_not_count_but_slaves_learn_their_master() {
    let mut routes = table([broker("a", 0, &["t", "x"])]);
    let learned = routes.register(broker("a", 1, &["t", "slave-only"]), NOW).unwrap();
    assert_eq!((learned.master.as_deref(), learned.ha_address.as_deref()), (Some("a:0"), Some("a:ha0")));
    assert_eq!(routes.route("slave-only"), None);
    let learned = table([]).register(broker("a", 1, &["t", "x"]), NOW).unwrap();
    assert_eq!(learned, Registered::default());
}

#[test]
fn one_topic_is_a_change_of_a_known_broker_and_nothing_else() {
    let mut routes = Routes::new(false);
    let refused = routes.register(broker("a", 0, &["t"]), NOW).unwrap_err();
    assert_eq!(refused, RegisterError::Unknown { broker: "a".into(), id: 0 });
    assert_eq!(routes.clusters(), ClusterInfo::default(), "a refused broker leaves no trace");
    routes.register(broker("a", 0, &["t", "x"]), NOW).unwrap();
    routes.register(Registration { topics: topics(2, &["more"]), ..broker("a", 0, &[]) }, NOW).unwrap();
    assert_eq!(routes.topics(), ["more", "t", "x"]);
}

#[test]
fn a_changed_version_updates_and_an_equal_one_does_not() {
    let mut routes = table([broker("a", 0, &["t", "x"])]);
    let wider = |counter| {
        let mut registration = Registration { topics: topics(counter, &["t", "x"]), ..broker("a", 0, &[]) };
        registration.topics.topic_config_table.get_mut("t").unwrap().write_queue_nums = 16;
        registration
    };
    routes.register(wider(1), NOW).unwrap();
    assert_eq!(routes.route("t").unwrap().queue_datas[0].write_queue_nums, 4);
    routes.register(wider(2), NOW).unwrap();
    assert_eq!(routes.route("t").unwrap().queue_datas[0].write_queue_nums, 16);
    assert_eq!(routes.version("c", "a:0").unwrap().counter, 2);
}

#[test]
fn missing_topics_are_deleted_only_when_asked() {
    for delete in [false, true] {
        let mut routes = Routes::new(delete);
        routes.register(broker("a", 0, &["t", "x"]), NOW).unwrap();
        routes.register(Registration { topics: topics(2, &["t", "y"]), ..broker("a", 0, &[]) }, NOW).unwrap();
        assert_eq!(routes.route("x").is_none(), delete);
    }
}

#[test]
fn silence_is_measured_by_each_brokers_own_limit() {
    let mut routes = table([
        broker("a", 0, &["t", "x"]),
        Registration { timeout: Some(Duration::from_secs(10)), connection: 8, ..broker("b", 0, &["t", "x"]) },
    ]);
    assert!(routes.expire(NOW + Duration::from_secs(10)).is_empty());
    assert!(routes.beat("c", "b:0", NOW + Duration::from_secs(10)));
    assert!(routes.expire(NOW + Duration::from_secs(20)).is_empty());
    assert_eq!(routes.expire(NOW + Duration::from_secs(21)), [8]);
    assert_eq!(routes.route("t").unwrap().broker_datas.len(), 1);
    assert!(!routes.beat("c", "b:0", NOW));
    assert_eq!(routes.expire(NOW + Duration::from_secs(121)), [7]);
    assert_eq!((routes.route("t"), routes.clusters()), (None, ClusterInfo::default()));
}

#[test]
fn a_closed_connection_takes_its_brokers_and_no_others() {
    let mut routes = table([broker("a", 0, &["t", "x"])]);
    // It registered again over another connection before the first one was seen to end.
    routes.register(Registration { connection: 9, ..broker("a", 0, &["t", "x"]) }, NOW).unwrap();
    routes.disconnect(7);
    assert!(routes.route("t").is_some());
    routes.disconnect(9);
    assert!(routes.route("t").is_none());
}

#[test]
fn leaving_one_by_one_empties_the_table() {
    let mut routes = table([broker("a", 0, &["t", "x"]), broker("a", 1, &[])]);
    routes.unregister("c", "a:0", "a");
    assert_eq!(routes.route("t").unwrap().broker_datas[0].master(), None);
    assert_eq!(routes.route("t").unwrap().queue_datas[0].perm, 6, "without an acting master nothing changes");
    routes.unregister("c", "a:1", "a");
    assert_eq!((routes.topics(), routes.clusters()), (Vec::new(), ClusterInfo::default()));
    routes.unregister("c", "never", "there");
}

#[test]
fn a_slave_that_stands_in_serves_reads_only() {
    let acting = |id| Registration { acting_master: Some(true), ..broker("a", id, &["t", "x"]) };
    let mut routes = table([acting(0), acting(1)]);
    assert_eq!(routes.route("t").unwrap().queue_datas[0].perm, 6);
    routes.unregister("c", "a:0", "a");
    assert_eq!(routes.route("t").unwrap().queue_datas[0].perm, 4);
    routes.register(acting(1), NOW).unwrap();
    assert_eq!(routes.route("t").unwrap().queue_datas[0].perm, 4);
    assert!(routes.route("t").unwrap().broker_datas[0].enable_acting_master);
}

#[test]
fn a_slave_that_became_the_master_leaves_its_old_id() {
    let mut routes = table([broker("a", 0, &["t", "x"]), broker("a", 1, &[])]);
    routes.register(Registration { address: "a:1".into(), ..broker("a", 0, &["t", "x"]) }, NOW).unwrap();
    let route = routes.route("t").unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs.0, BTreeMap::from([(0, "a:1".into())]));
}

#[test]
fn a_broker_that_comes_back_under_another_name_leaves_the_old_one() {
    let mut routes = table([broker("a", 0, &["t", "x"])]);
    routes.register(Registration { address: "a:0".into(), ..broker("b", 0, &["t", "y"]) }, NOW).unwrap();
    assert_eq!(routes.clusters().broker_addr_table.into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(routes.topics(), ["t", "y"]);
}

#[test]
fn of_two_masters_the_one_elected_later_stays() {
    let elected = |address: &str, state_version| {
        let mut registration = Registration { address: address.into(), ..broker("a", 0, &["t", "x"]) };
        registration.topics.data_version.state_version = state_version;
        registration
    };
    let mut routes = table([elected("new", 5)]);
    routes.register(elected("old", 4), NOW).unwrap();
    assert_eq!(routes.route("t").unwrap().broker_datas[0].master(), Some("new"));
    routes.register(elected("newest", 6), NOW).unwrap();
    assert_eq!(routes.route("t").unwrap().broker_datas[0].master(), Some("newest"));
}

#[test]
fn write_permission_is_taken_and_given_broker_by_broker() {
    let mut routes = table([broker("a", 0, &["t", "x"]), broker("b", 0, &["t", "y"])]);
    assert_eq!(routes.set_writable("a", false), 2);
    let perms =
        |routes: &Routes| routes.route("t").unwrap().queue_datas.iter().map(|q| q.perm).collect::<Vec<_>>();
    assert_eq!(perms(&routes), [4, 6]);
    assert_eq!(routes.set_writable("a", true), 2);
    assert_eq!(perms(&routes), [6, 6]);
    assert_eq!(routes.set_writable("nobody", true), 0);
}

#[test]
fn topics_are_listed_by_cluster_and_deleted_there_or_everywhere() {
    let other = Registration { cluster: "d".into(), ..broker("b", 0, &["t", "y"]) };
    let mut routes = table([broker("a", 0, &["t", "x"]), other]);
    assert_eq!(routes.topics_of("c"), ["t", "x"]);
    assert_eq!(routes.topics_of("nowhere"), Vec::<String>::new());
    assert_eq!(routes.system_topics(), ["c", "a", "d", "b"]);
    assert_eq!(routes.any_broker().as_deref(), Some("a:0"));
    routes.delete_topic("t", Some("c"));
    assert_eq!(routes.route("t").unwrap().queue_datas[0].broker_name, "b");
    routes.delete_topic("t", None);
    assert_eq!(routes.topics(), ["x", "y"]);
}
