//! What a name server answers, seen by brokers and clients that speak to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use rocketmq_boot_namesrv::{NameServer, Options, StartError};
use rocketmq_boot_protocol::{
    Clock, Command, Encoding, Header, RequestCode, ResponseCode,
    body::{
        BrokerMembers, ClusterInfo, DataVersion, Dialect, KvTable, TopicConfig, TopicList, TopicRoute,
        config::{RegisterBrokerBody, TopicConfigs},
        dialect, lenient, registration,
    },
    header::{
        broker::{BrokerIdentity, QueryDataVersionReply, RegisterBroker, RegisterBrokerReply},
        route::{
            BrokerName, BrokerOfCluster, ClusterName, GetKvConfigReply, KvConfigKey, KvNamespace, PutKvConfig,
        },
        topic::TopicName,
    },
};
use rocketmq_boot_remoting::{Peer, PeerOptions};
use serde::de::DeserializeOwned;

/// Far beyond what any test needs; only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        scan_interval: Duration::from_millis(5),
        ..Options::default()
    }
}

fn start() -> NameServer {
    NameServer::start(options(), Clock::system()).unwrap()
}

fn peer(server: &NameServer) -> Peer {
    Peer::new(server.address().to_string(), PeerOptions::default(), None)
}

async fn ask(peer: &Peer, code: RequestCode, header: &impl Header) -> Command {
    peer.call(Command::request(code, header), LONG).await.unwrap()
}

fn body<T: DeserializeOwned>(answer: &Command) -> T {
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
    lenient::read("answer", &answer.body).unwrap()
}

fn topics(counter: i64, names: &[&str]) -> RegisterBrokerBody {
    let topic_config_table =
        names.iter().map(|name| ((*name).to_owned(), TopicConfig::new(*name, 8))).collect();
    let data_version = DataVersion { counter, ..DataVersion::default() };
    RegisterBrokerBody {
        topic_config_serialize_wrapper: TopicConfigs { data_version, topic_config_table },
        ..RegisterBrokerBody::default()
    }
}

fn address(broker: &str, id: i64) -> String {
    let host = if broker == "a" { 1 } else { 2 };
    format!("10.0.0.{host}:{}", 10911 + id)
}

fn registration(broker: &str, id: i64, body: &RegisterBrokerBody, compressed: bool) -> Command {
    let bytes = match compressed {
        true => registration::encode(body),
        false => dialect::write(body, Dialect::Fastjson),
    };
    let header = RegisterBroker {
        broker_name: broker.into(),
        broker_addr: address(broker, id),
        cluster_name: "cluster".into(),
        ha_server_addr: format!("10.0.0.1:{}", 20911 + id),
        broker_id: id,
        heartbeat_timeout_millis: Some(30_000),
        enable_acting_master: Some(false),
        compressed,
        body_crc32: registration::checksum(&bytes),
    };
    Command::request(RequestCode::REGISTER_BROKER, &header).with_body(bytes)
}

fn identity(broker: &str, id: i64) -> BrokerIdentity {
    BrokerIdentity {
        broker_name: broker.into(),
        broker_addr: address(broker, id),
        cluster_name: "cluster".into(),
        broker_id: id,
    }
}

fn topic(name: &str) -> TopicName {
    TopicName { topic: name.into(), accept_standard_json_only: None, cluster_name: None }
}

/// Registers a master with topics `t` and `x` over a connection of its own.
async fn broker(server: &NameServer, name: &str) -> Peer {
    let peer = peer(server);
    let answer = peer.call(registration(name, 0, &topics(1, &["t", "x"]), true), LONG).await.unwrap();
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
    peer
}

async fn eventually(client: &Peer, name: &str, code: ResponseCode) {
    while ask(client, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic(name)).await.response_code() != code {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn registrations_of_both_forms_make_routes() {
    let server = start();
    for compressed in [false, true] {
        let peer = peer(&server);
        let all = topics(1, &["t", "x"]);
        let answer = peer.call(registration("a", 0, &all, compressed), LONG).await.unwrap();
        assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{answer:?}");
        let answer = peer.call(registration("a", 1, &all, compressed), LONG).await.unwrap();
        let learned: RegisterBrokerReply = answer.header().unwrap();
        assert_eq!(learned.master_addr.as_deref(), Some("10.0.0.1:10911"));
        assert_eq!(learned.ha_server_addr.as_deref(), Some("10.0.0.1:20911"));
        let route: TopicRoute = body(&ask(&peer, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
        assert_eq!(route.broker_datas[0].broker_addrs.0.len(), 2);
        assert_eq!(route.queue_datas[0].write_queue_nums, 8);
        for id in [0, 1] {
            ask(&peer, RequestCode::UNREGISTER_BROKER, &identity("a", id)).await;
        }
        let gone = ask(&peer, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await;
        assert_eq!(gone.response_code(), ResponseCode::TOPIC_NOT_EXIST);
        assert!(gone.remark.unwrap().contains("topic: t"));
    }
}

#[tokio::test]
async fn damaged_and_hostile_registrations_are_refused() {
    let server = start();
    let peer = peer(&server);
    let mut damaged = registration("a", 0, &topics(1, &["t", "x"]), true);
    damaged.body = [&damaged.body[..], b"!"].concat().into();
    let single = registration("a", 0, &topics(1, &["t"]), true);
    let mut nonsense = registration("a", 0, &topics(1, &["t", "x"]), false);
    nonsense.body = "{".into();
    nonsense.fields.insert("bodyCrc32", "0");
    let mut number = registration("a", 0, &topics(1, &["t", "x"]), false);
    number.fields.insert("brokerId", "first");
    let mut unnamed = registration("a", 0, &topics(1, &["t", "x"]), false);
    unnamed.fields.remove("brokerName");
    for request in [damaged, single, nonsense, number, unnamed] {
        let answer = peer.call(request, LONG).await.unwrap();
        assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR, "{answer:?}");
    }
    let clusters: ClusterInfo = body(&ask(&peer, RequestCode::GET_BROKER_CLUSTER_INFO, &()).await);
    assert_eq!(clusters, ClusterInfo::default());
}

#[tokio::test]
async fn each_kind_of_client_gets_the_json_that_it_reads() {
    let server = start();
    let _broker = broker(&server, "a").await;
    let client = peer(&server);
    let route = |version, accept| {
        let mut asked = topic("t");
        asked.accept_standard_json_only = accept;
        let mut request = Command::request(RequestCode::GET_ROUTEINFO_BY_TOPIC, &asked);
        request.version = version;
        let client = client.clone();
        async move { String::from_utf8(client.call(request, LONG).await.unwrap().body.to_vec()).unwrap() }
    };
    let bare = r#""brokerAddrs":{0:"10.0.0.1:10911"}"#;
    let quoted = r#""brokerAddrs":{"0":"10.0.0.1:10911"}"#;
    assert!(route(317, None).await.contains(bare));
    assert!(route(317, Some(true)).await.contains(quoted));
    assert!(route(401, None).await.contains(quoted));
    let mut request = Command::bare(RequestCode::GET_BROKER_CLUSTER_INFO);
    request.encoding = Encoding::Binary;
    let answer = client.call(request, LONG).await.unwrap();
    assert_eq!(answer.encoding, Encoding::Binary);
    assert!(String::from_utf8_lossy(&answer.body).contains(bare));
}

#[tokio::test]
async fn brokers_go_with_their_connection() {
    let server = start();
    let (a, b) = (broker(&server, "a").await, broker(&server, "b").await);
    let client = peer(&server);
    let route: TopicRoute = body(&ask(&client, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
    assert_eq!(route.broker_datas.len(), 2);
    drop(a);
    b.close();
    eventually(&client, "t", ResponseCode::TOPIC_NOT_EXIST).await;
}

#[tokio::test]
async fn brokers_go_when_silent_and_stay_while_they_say_something() {
    let clock = Clock::manual(0);
    let server = NameServer::start(options(), clock.clone()).unwrap();
    let broker = broker(&server, "a").await;
    let client = peer(&server);
    clock.advance(Duration::from_secs(86_400));
    for _ in 0..3 {
        clock.advance_monotonic(Duration::from_secs(25));
        ask(&broker, RequestCode::BROKER_HEARTBEAT, &identity("a", 0)).await;
    }
    let same = Command::request(RequestCode::QUERY_DATA_VERSION, &identity("a", 0)).with_body(
        dialect::write(&topics(1, &[]).topic_config_serialize_wrapper.data_version, Dialect::Fastjson),
    );
    clock.advance_monotonic(Duration::from_secs(25));
    let answer = broker.call(same, LONG).await.unwrap();
    assert!(!answer.header::<QueryDataVersionReply>().unwrap().changed);
    clock.advance_monotonic(Duration::from_secs(25));
    eventually(&client, "t", ResponseCode::SUCCESS).await;
    clock.advance_monotonic(Duration::from_secs(6));
    eventually(&client, "t", ResponseCode::TOPIC_NOT_EXIST).await;
    while broker.is_connected() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_broker_asks_whether_its_topics_are_known() {
    let server = start();
    let broker = broker(&server, "a").await;
    let ask_version = |id, counter| {
        let version = DataVersion { counter, ..DataVersion::default() };
        let request = Command::request(RequestCode::QUERY_DATA_VERSION, &identity("a", id))
            .with_body(dialect::write(&version, Dialect::Fastjson));
        let broker = broker.clone();
        async move { broker.call(request, LONG).await.unwrap() }
    };
    let answer = ask_version(0, 2).await;
    assert!(answer.header::<QueryDataVersionReply>().unwrap().changed);
    assert_eq!(body::<DataVersion>(&answer).counter, 1);
    assert!(!ask_version(0, 1).await.header::<QueryDataVersionReply>().unwrap().changed);
    let unknown = ask_version(3, 1).await;
    assert!(unknown.header::<QueryDataVersionReply>().unwrap().changed && unknown.body.is_empty());
}

#[tokio::test]
async fn tools_see_topics_and_clusters_and_change_permissions() {
    let server = start();
    let broker = broker(&server, "a").await;
    let list = |answer: Command| body::<TopicList>(&answer).topic_list;
    assert_eq!(list(ask(&broker, RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &()).await), ["t", "x"]);
    let cluster = ClusterName { cluster: "cluster".into() };
    assert_eq!(list(ask(&broker, RequestCode::GET_TOPICS_BY_CLUSTER, &cluster).await), ["t", "x"]);
    let system: TopicList = body(&ask(&broker, RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS, &()).await);
    assert_eq!(system.topic_list, ["cluster", "a"]);
    assert_eq!(system.broker_addr.as_deref(), Some("10.0.0.1:10911"));

    let name = BrokerName { broker_name: "a".into() };
    let wiped = ask(&broker, RequestCode::WIPE_WRITE_PERM_OF_BROKER, &name).await;
    assert_eq!(wiped.fields.get("wipeTopicCount"), Some("2"));
    let route: TopicRoute = body(&ask(&broker, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
    assert_eq!(route.queue_datas[0].perm, 4);
    let added = ask(&broker, RequestCode::ADD_WRITE_PERM_OF_BROKER, &name).await;
    assert_eq!(added.fields.get("addTopicCount"), Some("2"));

    ask(&broker, RequestCode::DELETE_TOPIC_IN_NAMESRV, &topic("t")).await;
    assert_eq!(list(ask(&broker, RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &()).await), ["x"]);
}

#[tokio::test]
async fn lists_can_be_switched_off() {
    let closed = Options { list_all_topics: false, list_topics_of_cluster: false, ..options() };
    let server = NameServer::start(closed, Clock::system()).unwrap();
    let client = peer(&server);
    let cluster = ClusterName { cluster: "cluster".into() };
    for answer in [
        ask(&client, RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &()).await,
        ask(&client, RequestCode::GET_TOPICS_BY_CLUSTER, &cluster).await,
    ] {
        assert_eq!(answer.response_code(), ResponseCode::SYSTEM_ERROR);
    }
}

#[tokio::test]
async fn settings_survive_a_restart_and_reach_routes_and_brokers() {
    let folder = tempfile::tempdir().unwrap();
    let with_file = Options {
        kv_config_path: Some(folder.path().join("kvConfig.json")),
        order_topics_in_routes: true,
        ..options()
    };
    let server = NameServer::start(with_file.clone(), Clock::system()).unwrap();
    let namespace = || "ORDER_TOPIC_CONFIG".to_owned();
    let put = PutKvConfig { namespace: namespace(), key: "t".into(), value: "a:8".into() };
    ask(&peer(&server), RequestCode::PUT_KV_CONFIG, &put).await;
    server.stop();

    let server = NameServer::start(with_file, Clock::system()).unwrap();
    let broker = broker(&server, "a").await;
    let key = |key: &str| KvConfigKey { namespace: namespace(), key: key.into() };
    let found = ask(&broker, RequestCode::GET_KV_CONFIG, &key("t")).await;
    assert_eq!(found.header::<GetKvConfigReply>().unwrap().value.as_deref(), Some("a:8"));
    let route: TopicRoute = body(&ask(&broker, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
    assert_eq!(route.order_topic_conf.as_deref(), Some("a:8"));
    let told = broker.call(registration("a", 0, &topics(1, &["t", "x"]), true), LONG).await.unwrap();
    assert_eq!(body::<KvTable>(&told).table.len(), 1);
    let all =
        ask(&broker, RequestCode::GET_KVLIST_BY_NAMESPACE, &KvNamespace { namespace: namespace() }).await;
    assert_eq!(body::<KvTable>(&all).table["t"], "a:8");

    ask(&broker, RequestCode::DELETE_KV_CONFIG, &key("t")).await;
    let nowhere = KvNamespace { namespace: "nowhere".into() };
    for answer in [
        ask(&broker, RequestCode::GET_KV_CONFIG, &key("t")).await,
        ask(&broker, RequestCode::GET_KVLIST_BY_NAMESPACE, &nowhere).await,
    ] {
        assert_eq!(answer.response_code(), ResponseCode::QUERY_NOT_FOUND);
    }
}

#[tokio::test]
async fn brokers_of_old_versions_register_topics_alone() {
    let server = start();
    let peer = peer(&server);
    let all = topics(1, &["t", "x"]).topic_config_serialize_wrapper;
    let bytes = dialect::write(&all, Dialect::Fastjson);
    let mut request = registration("a", 0, &topics(1, &[]), false);
    request.fields.insert("bodyCrc32", registration::checksum(&bytes).to_string());
    request.fields.insert("zoneName", "z1");
    let mut request = request.with_body(bytes);
    request.version = 36;
    assert_eq!(peer.call(request, LONG).await.unwrap().response_code(), ResponseCode::SUCCESS);
    let route: TopicRoute = body(&ask(&peer, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
    assert_eq!(route.queue_datas[0].write_queue_nums, 8);
    assert_eq!(route.broker_datas[0].zone_name.as_deref(), Some("z1"));
}

#[tokio::test]
async fn topics_of_units_are_listed_by_their_flags() {
    let server = start();
    let peer = peer(&server);
    let mut all = topics(1, &["plain", "unit", "sub", "both"]);
    for (name, flags) in [("unit", 1), ("sub", 2), ("both", 3)] {
        let table = &mut all.topic_config_serialize_wrapper.topic_config_table;
        table.get_mut(name).unwrap().topic_sys_flag = flags;
    }
    peer.call(registration("a", 0, &all, false), LONG).await.unwrap();
    for (code, expected) in [
        (RequestCode::GET_UNIT_TOPIC_LIST, vec!["both", "unit"]),
        (RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST, vec!["both", "sub"]),
        (RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, vec!["sub"]),
    ] {
        assert_eq!(body::<TopicList>(&ask(&peer, code, &()).await).topic_list, expected, "{code}");
    }
}

#[tokio::test]
async fn members_of_a_broker_and_queues_of_a_topic_are_known() {
    let server = start();
    let peer = broker(&server, "a").await;
    peer.call(registration("a", 1, &topics(1, &["t", "x"]), true), LONG).await.unwrap();
    let members =
        |name: &str| BrokerOfCluster { cluster_name: Some("cluster".into()), broker_name: name.into() };
    let group = body::<BrokerMembers>(&ask(&peer, RequestCode::GET_BROKER_MEMBER_GROUP, &members("a")).await);
    assert_eq!(group.broker_member_group.broker_addrs.0, [(0, address("a", 0)), (1, address("a", 1))].into());
    let group = body::<BrokerMembers>(&ask(&peer, RequestCode::GET_BROKER_MEMBER_GROUP, &members("b")).await);
    assert!(group.broker_member_group.broker_addrs.0.is_empty());

    let mut route: TopicRoute = body(&ask(&peer, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
    for (broker, code) in [("nobody", ResponseCode::TOPIC_NOT_EXIST), ("a", ResponseCode::SUCCESS)] {
        route.queue_datas[0].broker_name = broker.into();
        let request = Command::request(RequestCode::REGISTER_TOPIC_IN_NAMESRV, &topic("added"))
            .with_body(dialect::write(&route, Dialect::Fastjson));
        peer.call(request, LONG).await.unwrap();
        let found = ask(&peer, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("added")).await;
        assert_eq!(found.response_code(), code, "{broker}");
    }
}

#[tokio::test]
async fn its_own_settings_are_read_and_changed_where_that_is_allowed() {
    let change = |server: &NameServer, text: &'static str| {
        let peer = peer(server);
        let request = Command::bare(RequestCode::UPDATE_NAMESRV_CONFIG).with_body(text);
        async move { peer.call(request, LONG).await.unwrap().response_code() }
    };
    let printed = async |server: &NameServer| {
        let answer = ask(&peer(server), RequestCode::GET_NAMESRV_CONFIG, &()).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let server = start();
    let text = printed(&server).await;
    for line in ["kvConfigPath=\n", "listenPort=", "orderMessageEnable=false\n", "productEnvName=center\n"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.lines().is_sorted());
    assert_eq!(
        change(&server, "orderMessageEnable=true").await,
        ResponseCode::NO_PERMISSION,
        "off by default"
    );

    let open = Options { config_update: true, config_black_list: vec!["productEnvName".into()], ..options() };
    let server = NameServer::start(open, Clock::system()).unwrap();
    for (text, code) in [
        ("kvConfigPath=/etc/passwd\norderMessageEnable=true", ResponseCode::NO_PERMISSION),
        ("productEnvName=x", ResponseCode::NO_PERMISSION),
        ("orderMessageEnable=true\nlistenPort=1", ResponseCode::SYSTEM_ERROR),
        ("orderMessageEnable=true\nenableTopicList=maybe", ResponseCode::SYSTEM_ERROR),
        ("orderMessageEnable=true\nnever=heard", ResponseCode::SYSTEM_ERROR),
    ] {
        assert_eq!(change(&server, text).await, code, "{text}");
        assert!(printed(&server).await.contains("orderMessageEnable=false\n"), "{text}");
    }
    assert_eq!(
        change(&server, "orderMessageEnable=true\nenableAllTopicList=false").await,
        ResponseCode::SUCCESS
    );
    assert!(printed(&server).await.contains("orderMessageEnable=true\n"));
    let list = ask(&peer(&server), RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &()).await;
    assert_eq!(list.response_code(), ResponseCode::SYSTEM_ERROR);
}

#[tokio::test]
async fn name_servers_know_nothing_of_each_other() {
    let (first, second) = (start(), start());
    let (a, b) = (broker(&first, "a").await, broker(&second, "b").await);
    let brokers = async |client: &Peer| {
        let route: TopicRoute = body(&ask(client, RequestCode::GET_ROUTEINFO_BY_TOPIC, &topic("t")).await);
        route.queue_datas.into_iter().map(|data| (data.broker_name, data.perm)).collect::<Vec<_>>()
    };
    ask(&a, RequestCode::WIPE_WRITE_PERM_OF_BROKER, &BrokerName { broker_name: "a".into() }).await;
    assert_eq!((brokers(&a).await, brokers(&b).await), (vec![("a".into(), 4)], vec![("b".into(), 6)]));
    let also = broker(&second, "a").await;
    assert_eq!(brokers(&also).await, [("a".to_owned(), 6), ("b".to_owned(), 6)]);
    assert_eq!(brokers(&a).await, [("a".to_owned(), 4)]);
    // A registration that brings nothing new leaves the permission as it was set.
    a.call(registration("a", 0, &topics(1, &["t", "x"]), true), LONG).await.unwrap();
    assert_eq!(brokers(&a).await, [("a".to_owned(), 4)]);
}

#[tokio::test]
async fn unknown_codes_are_answered_by_name() {
    let server = start();
    let client = peer(&server);
    for (code, name) in [(RequestCode::SEND_MESSAGE_V2, "SEND_MESSAGE_V2"), (RequestCode(4711), "4711")] {
        let answer = ask(&client, code, &()).await;
        assert_eq!(answer.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
        assert!(answer.remark.unwrap().contains(name));
    }
}

#[test]
fn several_live_in_a_process_and_a_taken_port_is_named() {
    let (first, second) = (start(), start());
    assert_ne!(first.address(), second.address());
    let taken = Options { listen: first.address(), ..options() };
    let failed = NameServer::start(taken.clone(), Clock::system()).unwrap_err();
    assert!(matches!(failed, StartError::Bind(_)));
    assert!(failed.to_string().contains(&first.address().to_string()), "{failed}");
    first.stop();
    NameServer::start(taken, Clock::system()).unwrap();
}

#[tokio::test]
async fn it_starts_and_stops_inside_asynchronous_code() {
    let server = start();
    let client = peer(&server);
    ask(&client, RequestCode::GET_BROKER_CLUSTER_INFO, &()).await;
    server.stop();
    assert!(client.call(Command::bare(RequestCode::GET_BROKER_CLUSTER_INFO), LONG).await.is_err());
    drop(start());
}
