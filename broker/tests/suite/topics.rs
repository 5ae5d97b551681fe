//! Topics and groups as tools make, list, change and delete them.

use rocketmq_boot_protocol::{
    Command, RequestCode, ResponseCode,
    body::{
        SubscriptionGroupConfig, TopicConfig, TopicList,
        config::{AllTopics, GroupConfigList, SubscriptionGroups, TopicConfigList},
        dialect::{Dialect, write},
        lenient,
        progress::{GroupList, TopicStats},
    },
    header::{
        group::{AllGroups, AllGroupsReply, DeleteSubscriptionGroup, GroupName},
        topic::{AllTopics as AllTopicsOf, AllTopicsReply, CreateTopic, TopicName},
    },
};

use super::wire::{TestBroker, Wire, message, pull};

fn create(topic: &str, attributes: &str) -> Command {
    let header = CreateTopic {
        topic: topic.into(),
        read_queue_nums: 2,
        write_queue_nums: 2,
        perm: 6,
        attributes: Some(attributes.into()),
        ..CreateTopic::default()
    };
    Command::request(RequestCode::UPDATE_AND_CREATE_TOPIC, &header)
}

fn named(code: RequestCode, topic: &str) -> Command {
    Command::request(code, &TopicName { topic: topic.into(), ..TopicName::default() })
}

fn config(wire: &mut Wire, topic: &str) -> TopicConfig {
    let answer = wire.expect(named(RequestCode::GET_TOPIC_CONFIG, topic), ResponseCode::SUCCESS);
    lenient::read("topic", &answer.body).unwrap()
}

fn refused(wire: &mut Wire, request: Command, code: ResponseCode) -> String {
    wire.expect(request, code).remark.unwrap()
}

#[test]
fn attributes_are_changed_one_by_one_and_survive_a_restart() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.expect(create("fifo", "+message.type=FIFO"), ResponseCode::SUCCESS);
    wire.expect(create("fifo", ""), ResponseCode::SUCCESS);
    assert_eq!(config(&mut wire, "fifo").attributes["message.type"], "FIFO");
    wire.expect(create("fifo", "+message.type=DELAY"), ResponseCode::SUCCESS);
    let why = refused(&mut wire, create("fifo", "+no.such=1"), ResponseCode::SYSTEM_ERROR);
    assert_eq!(why, "unsupported key: no.such");
    let why = refused(&mut wire, create("fifo", "+message.type=MIXED"), ResponseCode::INVALID_PARAMETER);
    assert_eq!(why, "MIXED message type is not supported.");
    broker.restart();
    let mut wire = broker.connect();
    let topic = config(&mut wire, "fifo");
    assert_eq!((topic.attributes["message.type"].as_str(), topic.write_queue_nums), ("DELAY", 2));
    wire.expect(create("fifo", "-message.type"), ResponseCode::SUCCESS);
    assert!(config(&mut wire, "fifo").attributes.is_empty());
}

#[test]
fn a_message_of_another_type_is_refused_where_that_is_asked_for() {
    let broker = TestBroker::with(|settings| settings.topic_message_type_check = true);
    let mut wire = broker.connect();
    wire.expect(create("fifo", "+message.type=FIFO"), ResponseCode::SUCCESS);
    wire.send(message("fifo", 0, "__SHARDINGKEY=k", "x"));
    let why = refused(&mut wire, message("fifo", 0, "TAGS=a", "x"), ResponseCode::MESSAGE_ILLEGAL);
    assert_eq!(why, "TopicMessageType validate failed, the expected type is FIFO, but actual type is NORMAL");
    wire.send(message("plain", 0, "TAGS=a", "x"));
    wire.expect(message("plain", 0, "DELAY=1", "x"), ResponseCode::MESSAGE_ILLEGAL);

    let lenient = TestBroker::start();
    let mut wire = lenient.connect();
    wire.expect(create("fifo", "+message.type=FIFO"), ResponseCode::SUCCESS);
    wire.send(message("fifo", 0, "TAGS=a", "x"));
}

#[test]
fn lists_of_topics_are_made_together_or_not_at_all() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let make = |names: &[&str]| {
        let topics = names.iter().map(|name| TopicConfig::new(*name, 3)).collect();
        let body = write(&TopicConfigList { topic_config_list: topics }, Dialect::Fastjson);
        Command::bare(RequestCode::UPDATE_AND_CREATE_TOPIC_LIST).with_body(body)
    };
    wire.expect(make(&["one", "bad name"]), ResponseCode::INVALID_PARAMETER);
    wire.expect(named(RequestCode::GET_TOPIC_CONFIG, "one"), ResponseCode::TOPIC_NOT_EXIST);
    wire.expect(make(&["one", "two"]), ResponseCode::SUCCESS);
    assert_eq!((config(&mut wire, "one").perm, config(&mut wire, "two").read_queue_nums), (6, 3));
}

#[test]
fn topics_are_listed_whole_and_in_pages() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    for topic in ["a1", "a2"] {
        wire.expect(create(topic, ""), ResponseCode::SUCCESS);
    }
    let mut list = |header: &AllTopicsOf| {
        let answer =
            wire.expect(Command::request(RequestCode::GET_ALL_TOPIC_CONFIG, header), ResponseCode::SUCCESS);
        let total = answer.header::<AllTopicsReply>().unwrap().total_topic_num.unwrap();
        (lenient::read::<AllTopics>("topics", &answer.body).unwrap(), usize::try_from(total).unwrap())
    };
    let (whole, total) = list(&AllTopicsOf::default());
    assert_eq!(whole.topic_config_table.len(), total);
    assert!(whole.topic_config_table.contains_key("a1") && whole.data_version.counter > 0);
    let version = String::from_utf8(write(&whole.data_version, Dialect::Standard)).unwrap();
    let mut names = Vec::new();
    while names.len() < total {
        let header = AllTopicsOf {
            topic_seq: i32::try_from(names.len()).ok(),
            max_topic_num: Some(3),
            data_version: Some(version.clone()),
        };
        let (page, _) = list(&header);
        assert!((1..=3).contains(&page.topic_config_table.len()));
        names.extend(page.topic_config_table.into_keys());
    }
    assert_eq!(names, whole.topic_config_table.into_keys().collect::<Vec<_>>());
}

#[test]
fn a_topic_tells_what_lies_in_it() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.expect(create("orders", ""), ResponseCode::SUCCESS);
    wire.send(message("orders", 1, "", "x"));
    wire.send(message("orders", 1, "", "y"));
    let answer = wire.expect(named(RequestCode::GET_TOPIC_STATS_INFO, "orders"), ResponseCode::SUCCESS);
    let stats: TopicStats = lenient::read("stats", &answer.body).unwrap();
    let ends: Vec<_> = stats.offset_table.0.values().map(|ends| (ends.min_offset, ends.max_offset)).collect();
    assert_eq!(ends, [(0, 0), (0, 2)]);
    let times: Vec<_> = stats.offset_table.0.values().map(|ends| ends.last_update_timestamp).collect();
    assert_eq!(times, [0, super::wire::START_MS]);
    assert!(stats.topic_put_tps > 0.0);
    wire.expect(named(RequestCode::GET_TOPIC_STATS_INFO, "none"), ResponseCode::TOPIC_NOT_EXIST);
}

#[test]
fn the_systems_topics_are_listed_and_cannot_be_touched() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    let answer =
        wire.expect(Command::bare(RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_BROKER), ResponseCode::SUCCESS);
    let topics = lenient::read::<TopicList>("topics", &answer.body).unwrap().topic_list;
    for topic in ["TBW102", "SCHEDULE_TOPIC_XXXX", "broker-a", "DefaultCluster", "OFFSET_MOVED_EVENT"] {
        assert!(topics.iter().any(|name| name == topic), "{topic} of {topics:?}");
        let why = refused(&mut wire, create(topic, ""), ResponseCode::INVALID_PARAMETER);
        assert_eq!(why, format!("The topic[{topic}] is conflict with system topic."));
        wire.expect(named(RequestCode::DELETE_TOPIC_IN_BROKER, topic), ResponseCode::INVALID_PARAMETER);
    }
}

#[test]
fn deleting_a_topic_takes_its_messages_and_offsets_along() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.expect(create("orders", ""), ResponseCode::SUCCESS);
    wire.send(message("orders", 0, "", "x"));
    wire.heartbeat("c1", "g", "orders", "*");
    let (code, ..) = wire.pull(pull("g", "orders", 0, 0, None));
    assert_eq!(code, ResponseCode::SUCCESS);
    // Twice: tools ask blindly for topics that may not be there.
    for _ in 0..2 {
        wire.expect(named(RequestCode::DELETE_TOPIC_IN_BROKER, "orders"), ResponseCode::SUCCESS);
    }
    wire.expect(pull("g", "orders", 0, 0, None), ResponseCode::TOPIC_NOT_EXIST);
    wire.expect(create("orders", ""), ResponseCode::SUCCESS);
    let answer = wire.expect(named(RequestCode::GET_TOPIC_STATS_INFO, "orders"), ResponseCode::SUCCESS);
    let stats: TopicStats = lenient::read("stats", &answer.body).unwrap();
    assert!(stats.offset_table.0.values().all(|ends| ends.max_offset == 0));
}

#[test]
fn without_automatic_topics_there_is_no_template() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("early", 0, "", "x"));
    broker.settings.auto_create_topic = false;
    broker.restart();
    let mut wire = broker.connect();
    wire.expect(message("late", 0, "", "x"), ResponseCode::TOPIC_NOT_EXIST);
    wire.expect(named(RequestCode::GET_TOPIC_CONFIG, "TBW102"), ResponseCode::TOPIC_NOT_EXIST);
    wire.send(message("early", 0, "", "x"));
}

#[test]
fn groups_keep_every_member_over_a_restart() {
    let mut broker = TestBroker::start();
    let mut wire = broker.connect();
    let group = SubscriptionGroupConfig {
        group_name: "g".into(),
        retry_max_times: 3,
        consume_broadcast_enable: false,
        group_retry_policy: serde_json::from_str(r#"{"type":"EXPONENTIAL"}"#).ok(),
        more: [("laterMember".to_owned(), true.into())].into(),
        ..SubscriptionGroupConfig::default()
    };
    let body = write(&group, Dialect::Fastjson);
    wire.expect(
        Command::bare(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).with_body(body),
        ResponseCode::SUCCESS,
    );
    broker.restart();
    let mut wire = broker.connect();
    let one = Command::request(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &GroupName { group: "g".into() });
    let answer = wire.expect(one, ResponseCode::SUCCESS);
    assert_eq!(lenient::read::<SubscriptionGroupConfig>("group", &answer.body).unwrap(), group);

    let list = GroupConfigList { group_config_list: vec![group.clone(), SubscriptionGroupConfig { group_name: "a b".into(), ..group.clone() }] };
    let request = Command::bare(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST);
    wire.expect(request.with_body(write(&list, Dialect::Fastjson)), ResponseCode::INVALID_PARAMETER);

    let header = AllGroups { group_seq: Some(0), max_group_num: Some(2), ..AllGroups::default() };
    let answer = wire.expect(
        Command::request(RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, &header),
        ResponseCode::SUCCESS,
    );
    assert!(answer.header::<AllGroupsReply>().unwrap().total_group_num > Some(8));
    let page: SubscriptionGroups = lenient::read("groups", &answer.body).unwrap();
    assert_eq!(page.subscription_group_table.len(), 2);
}

#[test]
fn a_deleted_group_is_forgotten_with_its_offsets() {
    let broker = TestBroker::start();
    let mut wire = broker.connect();
    wire.send(message("orders", 0, "", "x"));
    wire.heartbeat("c1", "g", "orders", "*");
    let header = rocketmq_boot_protocol::header::offset::UpdateConsumerOffset {
        consumer_group: "g".into(),
        topic: "orders".into(),
        queue_id: 0,
        commit_offset: 1,
    };
    wire.expect(Command::request(RequestCode::UPDATE_CONSUMER_OFFSET, &header), ResponseCode::SUCCESS);
    drop(wire);
    let mut wire = broker.connect();
    let groups = |wire: &mut Wire| {
        let answer = wire.expect(named(RequestCode::QUERY_TOPIC_CONSUME_BY_WHO, "orders"), ResponseCode::SUCCESS);
        lenient::read::<GroupList>("groups", &answer.body).unwrap().group_list
    };
    assert_eq!(groups(&mut wire), ["g"]);
    let header = DeleteSubscriptionGroup { group_name: "g".into(), clean_offset: true };
    for _ in 0..2 {
        wire.expect(Command::request(RequestCode::DELETE_SUBSCRIPTIONGROUP, &header), ResponseCode::SUCCESS);
    }
    wire.expect(
        Command::request(RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG, &GroupName { group: "g".into() }),
        ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
    );
    let committed = rocketmq_boot_protocol::header::offset::QueryConsumerOffset {
        consumer_group: "g".into(),
        topic: "orders".into(),
        queue_id: 0,
        set_zero_if_not_found: Some(false),
    };
    wire.expect(Command::request(RequestCode::QUERY_CONSUMER_OFFSET, &committed), ResponseCode::QUERY_NOT_FOUND);
}
