//! What a test broker answers.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE};
use rocketmq_boot_protocol::{
    Command, DecodeError, Header, RequestCode, ResponseCode,
    body::{
        BrokerData, Heartbeat, QueueData, TopicRoute,
        dialect::{self, Dialect},
        group::{ConsumerIds, LockBatch, LockedQueues},
        lenient,
    },
    header::{
        group::{ConsumerGroup, UnregisterClient},
        offset::{OffsetReply, QueryConsumerOffset, QueueOffset, SearchOffset, UpdateConsumerOffset},
        pull::{PullMessage, PullMessageReply, sys_flag},
        recall::{RecallMessage, RecallMessageReply},
        reply::PushReply,
        send::{SendBack, SendMessageReply, SendMessageShort},
        topic::TopicName,
        transaction::{CheckTransactionState, EndTransaction},
    },
    message::{
        batch,
        hash::java_hash,
        id::OffsetMessageId,
        property,
        record::{Draft, Record},
        sys_flag::Transaction,
    },
    topic::{PERM_READ, PERM_WRITE, TRANS_HALF_TOPIC, dlq_topic, retry_topic},
};
use tokio::time::{Instant, timeout_at};

use super::{Answers, Broker, Member};

/// What the brokers' cluster is called.
const CLUSTER: &str = "C";

/// Positions say which queue and offset a message has, so that it can be found again.
const QUEUE_STRIDE: i64 = 1_000_000;

impl Broker {
    pub(super) async fn answer(&self, request: &Command, answers: &Answers) -> Option<Command> {
        let served = match request.request_code() {
            RequestCode::GET_ROUTEINFO_BY_TOPIC => self.route(request),
            RequestCode::HEART_BEAT => self.heartbeat(request, answers),
            RequestCode::UNREGISTER_CLIENT => self.unregister(request),
            RequestCode::GET_CONSUMER_LIST_BY_GROUP => self.members(request),
            RequestCode::SEND_MESSAGE_V2 | RequestCode::SEND_BATCH_MESSAGE => self.send(request),
            RequestCode::SEND_REPLY_MESSAGE_V2 => self.reply(request),
            RequestCode::END_TRANSACTION => self.end_transaction(request),
            RequestCode::RECALL_MESSAGE => self.recall(request),
            RequestCode::CONSUMER_SEND_MSG_BACK => self.send_back(request),
            RequestCode::PULL_MESSAGE | RequestCode::LITE_PULL_MESSAGE => self.pull(request).await,
            RequestCode::LOCK_BATCH_MQ => self.lock(request),
            RequestCode::UNLOCK_BATCH_MQ => self.unlock(request),
            RequestCode::SEARCH_OFFSET_BY_TIMESTAMP => self.search(request),
            RequestCode::CHECK_CLIENT_CONFIG => Ok(Command::success(request)),
            RequestCode::QUERY_CONSUMER_OFFSET => self.query_offset(request),
            RequestCode::UPDATE_CONSUMER_OFFSET => self.update_offset(request),
            RequestCode::GET_MAX_OFFSET | RequestCode::GET_MIN_OFFSET => self.bound(request),
            code => Ok(Command::failure(request, ResponseCode::REQUEST_CODE_NOT_SUPPORTED, code.to_string())),
        };
        Some(
            served.unwrap_or_else(|error| {
                Command::failure(request, ResponseCode::SYSTEM_ERROR, error.to_string())
            }),
        )
    }

    fn route(&self, request: &Command) -> Result<Command, DecodeError> {
        let topic = request.header::<TopicName>()?.topic;
        let state = self.state.lock();
        let queues = match state.topics.get(&topic) {
            Some(queues) => i32::try_from(queues.len()).unwrap(),
            None if topic == "TBW102" && state.template => 8,
            None => return Ok(Command::failure(request, ResponseCode::TOPIC_NOT_EXIST, "no such topic")),
        };
        let (cluster, slaves) = (self.cluster.lock(), self.slaves.lock());
        let slaves_of = |name: &str| {
            let of_name = slaves.iter().filter(|(master, ..)| master == name);
            of_name.map(|(_, id, address)| (*id, address.clone())).collect::<Vec<_>>()
        };
        let route = TopicRoute {
            broker_datas: cluster
                .iter()
                .map(|(name, address)| BrokerData {
                    cluster: CLUSTER.to_owned(),
                    broker_name: name.clone(),
                    broker_addrs: [(0, address.clone())].into_iter().chain(slaves_of(name)).collect(),
                    ..BrokerData::default()
                })
                .collect(),
            queue_datas: cluster
                .iter()
                .map(|(name, _)| QueueData {
                    broker_name: name.clone(),
                    perm: PERM_READ | PERM_WRITE,
                    read_queue_nums: queues,
                    write_queue_nums: queues,
                    topic_sys_flag: 0,
                })
                .collect(),
            ..TopicRoute::default()
        };
        Ok(Command::success(request).with_body(dialect::write(&route, Dialect::Fastjson)))
    }

    fn heartbeat(&self, request: &Command, answers: &Answers) -> Result<Command, DecodeError> {
        let heartbeat: Heartbeat = lenient::read("heartbeat", &request.body)?;
        let mut state = self.state.lock();
        let mut changed = Vec::new();
        state.clients.insert(heartbeat.client_id.clone(), answers.connection);
        for data in heartbeat.producer_data_set {
            state.producers.insert(data.group_name, answers.connection);
        }
        for data in heartbeat.consumer_data_set {
            state.topics.entry(retry_topic(&data.group_name)).or_insert_with(|| vec![Vec::new()]);
            let member = Member { connection: answers.connection, subscriptions: data.subscription_data_set };
            let members = state.members.entry(data.group_name.clone()).or_default();
            if members.insert(heartbeat.client_id.clone(), member).is_none() {
                changed.push(data.group_name);
            }
        }
        drop(state);
        changed.iter().for_each(|group| self.notify(group));
        Ok(Command::success(request))
    }

    fn unregister(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<UnregisterClient>()?;
        if let Some(group) = header.consumer_group {
            if let Some(members) = self.state.lock().members.get_mut(&group) {
                members.remove(&header.client_id);
            }
            self.notify(&group);
        }
        Ok(Command::success(request))
    }

    /// Forgets the members behind a connection.
    pub(super) fn leave(&self, connection: u64) {
        let mut changed = Vec::new();
        for (group, members) in &mut self.state.lock().members {
            let before = members.len();
            members.retain(|_, member| member.connection != connection);
            if members.len() < before {
                changed.push(group.clone());
            }
        }
        changed.iter().for_each(|group| self.notify(group));
    }

    /// Tells a group's members that they changed.
    pub(crate) fn notify(&self, group: &str) {
        let notice = Command::request(
            RequestCode::NOTIFY_CONSUMER_IDS_CHANGED,
            &ConsumerGroup { consumer_group: group.to_owned() },
        );
        self.tell(group, &notice.one_way());
    }

    /// Sends a request to a group's members.
    pub(crate) fn tell(&self, group: &str, request: &Command) {
        let state = self.state.lock();
        for member in state.members.get(group).into_iter().flat_map(|members| members.values()) {
            if let Some(connection) = state.connections.get(&member.connection) {
                let _ = connection.send(Some(request.to_bytes().to_vec()));
            }
        }
    }

    fn members(&self, request: &Command) -> Result<Command, DecodeError> {
        let group = request.header::<ConsumerGroup>()?.consumer_group;
        let state = self.state.lock();
        let ids: Vec<String> =
            state.members.get(&group).into_iter().flat_map(|members| members.keys().cloned()).collect();
        if ids.is_empty() {
            return Ok(Command::failure(request, ResponseCode::SYSTEM_ERROR, "no consumer for this group"));
        }
        let ids = ConsumerIds { consumer_id_list: ids };
        Ok(Command::success(request).with_body(dialect::write(&ids, Dialect::Standard)))
    }

    fn lock(&self, request: &Command) -> Result<Command, DecodeError> {
        let batch: LockBatch = lenient::read("locks", &request.body)?;
        let mut state = self.state.lock();
        let mut held = LockedQueues::default();
        for queue in batch.mq_set {
            let key = (batch.consumer_group.clone(), queue.topic.clone(), queue.queue_id);
            if *state.locks.entry(key).or_insert_with(|| batch.client_id.clone()) == batch.client_id {
                held.lock_ok_mq_set.push(queue);
            }
        }
        drop(state);
        self.news.notify_waiters();
        Ok(Command::success(request).with_body(dialect::write(&held, Dialect::Fastjson)))
    }

    fn unlock(&self, request: &Command) -> Result<Command, DecodeError> {
        let batch: LockBatch = lenient::read("locks", &request.body)?;
        for queue in batch.mq_set {
            let key = (batch.consumer_group.clone(), queue.topic.clone(), queue.queue_id);
            let locks = &mut self.state.lock().locks;
            if locks.get(&key) == Some(&batch.client_id) {
                locks.remove(&key);
            }
        }
        self.news.notify_waiters();
        Ok(Command::success(request))
    }

    /// Every message was stored at its own offset.
    fn search(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<SearchOffset>()?;
        let end = self.end(&header.topic, header.queue_id);
        Ok(Command::success(request).with_header(&OffsetReply { offset: header.timestamp.clamp(0, end) }))
    }

    fn end(&self, topic: &str, queue: i32) -> i64 {
        let state = self.state.lock();
        let queue = state.topics.get(topic).and_then(|queues| queues.get(index(queue)));
        i64::try_from(queue.map_or(0, Vec::len)).unwrap()
    }

    fn send(&self, request: &Command) -> Result<Command, DecodeError> {
        let mut header = request.header::<SendMessageShort>()?;
        // What has failed too often does not come back.
        if let Some(group) = header.topic.strip_prefix("%RETRY%")
            && header.max_reconsume_times.is_some_and(|limit| header.reconsume_times > limit)
        {
            header.topic = dlq_topic(group);
            header.queue_id = 0;
        }
        let queue_id = usize::try_from(header.queue_id).unwrap();
        let properties = header.properties.clone().unwrap_or_default();
        let mut draft = draft(&header.topic, &request.body, properties.as_bytes());
        draft.queue_id = header.queue_id;
        draft.sys_flag = header.sys_flag;
        draft.reconsume_times = header.reconsume_times;
        let more = format!("CLUSTER\u{1}{CLUSTER}\u{2}");
        draft.more_properties = more.as_bytes();
        let half = Transaction::of(header.sys_flag) == Transaction::Prepared;
        if half {
            // The real topic is known again from the end of the transaction.
            draft.topic = TRANS_HALF_TOPIC.as_bytes();
        }
        let offset = if header.batch {
            let items = batch::items(&request.body).collect::<Result<Vec<_>, _>>().unwrap();
            let offsets: Vec<i64> = items
                .iter()
                .map(|item| {
                    self.append(queue_id, Draft { body: item.body, properties: item.properties, ..draft })
                })
                .collect();
            offsets[0]
        } else {
            self.append(queue_id, draft)
        };
        let physical_offset = u64::try_from(i64::from(header.queue_id) * QUEUE_STRIDE + offset).unwrap();
        let place = OffsetMessageId { host: self.address.parse().unwrap(), physical_offset };
        let reply = SendMessageReply {
            message_id: place.to_string(),
            queue_id: header.queue_id,
            queue_offset: offset,
            transaction_id: None,
            recall_handle: properties.contains("TIMER_").then(|| {
                URL_SAFE.encode(format!("v1 {} {} 1700000000000 {offset}", header.topic, self.name))
            }),
        };
        let mut answer = Command::success(request).with_header(&reply);
        answer.fields.insert("MSG_REGION", "DefaultRegion");
        answer.fields.insert("TRACE_ON", "true");
        Ok(answer)
    }

    /// Makes a half message visible, or forgets it.
    fn end_transaction(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<EndTransaction>()?;
        if Transaction::of(header.commit_or_rollback) == Transaction::Commit {
            let (queue, offset) = (header.commit_log_offset / QUEUE_STRIDE, header.tran_state_table_offset);
            let (queue, offset) = (usize::try_from(queue).unwrap(), usize::try_from(offset).unwrap());
            let bytes = self.state.lock().topics[TRANS_HALF_TOPIC][queue][offset].clone();
            let record = Record::decode(&bytes).unwrap();
            self.append(queue, draft(&header.topic.unwrap(), record.body, record.properties));
        }
        Ok(Command::success(request))
    }

    /// Asks the producers of a group how the transaction of a half message ended.
    pub(crate) fn check_transaction(&self, group: &str, topic: &str, queue: usize, offset: usize) {
        let bytes = self.state.lock().topics[TRANS_HALF_TOPIC][queue][offset].clone();
        let record = Record::decode(&bytes).unwrap();
        let header = CheckTransactionState {
            topic: Some(topic.to_owned()),
            tran_state_table_offset: i64::try_from(offset).unwrap(),
            commit_log_offset: record.physical_offset,
            message_id: record.property(property::UNIQ_KEY).map(ToOwned::to_owned),
            transaction_id: record.property(property::UNIQ_KEY).map(ToOwned::to_owned),
            offset_message_id: None,
            broker_name: Some(self.name.clone()),
        };
        let request = Command::request(RequestCode::CHECK_TRANSACTION_STATE, &header).one_way();
        self.ask_producer(group, &request.with_body(bytes));
    }

    /// Pushes a reply to the client that it is for.
    fn reply(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<SendMessageShort>()?;
        let properties = header.properties.clone().unwrap_or_default();
        let client = property::get(&properties, property::REPLY_TO_CLIENT).unwrap_or_default();
        let push = PushReply {
            producer_group: header.producer_group.clone(),
            topic: header.topic.clone(),
            properties: header.properties.clone(),
            sys_flag: header.sys_flag,
            ..PushReply::default()
        };
        let push = Command::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, &push)
            .with_body(request.body.clone());
        let state = self.state.lock();
        match state.clients.get(client).and_then(|connection| state.connections.get(connection)) {
            Some(connection) => {
                let _ = connection.send(Some(push.to_bytes().to_vec()));
                Ok(Command::success(request))
            }
            None => Ok(Command::failure(request, ResponseCode::SYSTEM_ERROR, "channel not found")),
        }
    }

    fn recall(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<RecallMessage>()?;
        let reply = RecallMessageReply { message_id: header.recall_handle.unwrap_or_default() };
        Ok(Command::success(request).with_header(&reply))
    }

    /// Stores a message behind its queue's last, and makes its topic when there is none.
    pub(crate) fn append(&self, queue_id: usize, mut draft: Draft<'_>) -> i64 {
        let mut state = self.state.lock();
        let topic = String::from_utf8(draft.topic.to_vec()).unwrap();
        let queues = state.topics.entry(topic).or_insert_with(|| vec![Vec::new(); 4]);
        draft.queue_id = i32::try_from(queue_id).unwrap();
        let queue = &mut queues[queue_id];
        let offset = i64::try_from(queue.len()).unwrap();
        let mut record = Vec::new();
        draft.encode(offset, i64::from(draft.queue_id) * QUEUE_STRIDE + offset, 1, &mut record).unwrap();
        queue.push(record);
        drop(state);
        self.news.notify_waiters();
        offset
    }

    /// Delivers a failed message again at once, whatever its level, or buries it.
    fn send_back(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<SendBack>()?;
        let queue = usize::try_from(header.offset / QUEUE_STRIDE).unwrap();
        let index = usize::try_from(header.offset % QUEUE_STRIDE).unwrap();
        let topic = header.origin_topic.clone().unwrap_or_default();
        let find = |topic: &str| {
            let state = self.state.lock();
            state.topics.get(topic).and_then(|queues| queues.get(queue)?.get(index).cloned())
        };
        // A message that came back lies in the retry topic, and still says where it came from.
        let retried = find(&retry_topic(&header.group)).filter(|bytes| {
            let record = Record::decode(bytes).unwrap();
            record.property(property::RETRY_TOPIC) == Some(&topic)
        });
        let bytes = retried.or_else(|| find(&topic)).expect("the message that comes back");
        let record = Record::decode(&bytes).unwrap();
        let limit = header.max_reconsume_times.unwrap_or(16);
        let dead = header.delay_level < 0 || record.reconsume_times >= limit;
        let target = if dead { dlq_topic(&header.group) } else { retry_topic(&header.group) };
        let more = format!("RETRY_TOPIC\u{1}{topic}\u{2}");
        let mut draft = draft(&target, record.body, record.properties);
        draft.more_properties = more.as_bytes();
        draft.reconsume_times = record.reconsume_times + 1;
        self.append(0, draft);
        Ok(Command::success(request))
    }

    async fn pull(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<PullMessage>()?;
        if header.sys_flag & sys_flag::COMMIT_OFFSET != 0 {
            self.commit(&header.consumer_group, &header.topic, header.queue_id, header.commit_offset);
        }
        let hold = Duration::from_millis(u64::try_from(header.suspend_timeout_millis).unwrap());
        let deadline = Instant::now() + hold;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let answer = self.look(request, &header);
            if answer.response_code() != ResponseCode::PULL_NOT_FOUND
                || timeout_at(deadline, news).await.is_err()
            {
                return Ok(answer);
            }
        }
    }

    fn look(&self, request: &Command, header: &PullMessage) -> Command {
        let state = self.state.lock();
        let queue = state.topics.get(&header.topic).and_then(|queues| queues.get(index(header.queue_id)));
        let Some(queue) = queue else {
            return Command::failure(request, ResponseCode::TOPIC_NOT_EXIST, "no such queue");
        };
        let end = i64::try_from(queue.len()).unwrap();
        let reply = |code, next| {
            let reply = PullMessageReply {
                suggest_which_broker_id: state.suggest,
                next_begin_offset: next,
                min_offset: state.min_offset,
                max_offset: end,
            };
            Command::answer(request, code).with_header(&reply)
        };
        let from = header.queue_offset;
        if from < state.min_offset {
            return reply(ResponseCode::PULL_OFFSET_MOVED, state.min_offset);
        }
        if from > end {
            return reply(ResponseCode::PULL_OFFSET_MOVED, end);
        }
        if from == end {
            return reply(ResponseCode::PULL_NOT_FOUND, from);
        }
        let count = usize::try_from(header.max_message_nums).unwrap();
        let scanned = &queue[index(i32::try_from(from).unwrap())..];
        let scanned = &scanned[..count.min(scanned.len())];
        let next = from + i64::try_from(scanned.len()).unwrap();
        let body: Vec<u8> =
            scanned.iter().filter(|bytes| matches(header, bytes)).flatten().copied().collect();
        match body.is_empty() {
            true => reply(ResponseCode::PULL_RETRY_IMMEDIATELY, next),
            false => reply(ResponseCode::SUCCESS, next).with_body(body),
        }
    }

    fn query_offset(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<QueryConsumerOffset>()?;
        Ok(match self.committed(&header.consumer_group, &header.topic, header.queue_id) {
            Some(offset) => Command::success(request).with_header(&OffsetReply { offset }),
            None => Command::failure(request, ResponseCode::QUERY_NOT_FOUND, "nothing consumed"),
        })
    }

    fn update_offset(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = request.header::<UpdateConsumerOffset>()?;
        self.commit(&header.consumer_group, &header.topic, header.queue_id, header.commit_offset);
        Ok(Command::success(request))
    }

    pub(crate) fn commit(&self, group: &str, topic: &str, queue: i32, offset: i64) {
        self.state.lock().offsets.insert((group.to_owned(), topic.to_owned(), queue), offset);
        self.news.notify_waiters();
    }

    fn bound(&self, request: &Command) -> Result<Command, DecodeError> {
        let header = QueueOffset::read(&request.fields)?;
        let state = self.state.lock();
        let queue = state.topics.get(&header.topic).and_then(|queues| queues.get(index(header.queue_id)));
        let end = i64::try_from(queue.map_or(0, Vec::len)).unwrap();
        let max = request.request_code() == RequestCode::GET_MAX_OFFSET;
        let offset = if max { end } else { state.min_offset };
        Ok(Command::success(request).with_header(&OffsetReply { offset }))
    }
}

/// Compares hashes of tags, as brokers do.
fn matches(header: &PullMessage, bytes: &[u8]) -> bool {
    let expression = header.subscription.as_deref().unwrap_or("*");
    let record = Record::decode(bytes).unwrap();
    let hash = record.property(property::TAGS).map(java_hash);
    expression == "*" || expression.split("||").any(|tag| hash == Some(java_hash(tag.trim())))
}

fn index(id: i32) -> usize {
    usize::try_from(id).unwrap()
}

/// A message for [`Broker::append`].
pub(crate) fn draft<'a>(topic: &'a str, body: &'a [u8], properties: &'a [u8]) -> Draft<'a> {
    Draft {
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: ([127, 0, 0, 1], 1).into(),
        store_host: ([127, 0, 0, 1], 2).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        topic: topic.as_bytes(),
        properties,
        more_properties: b"",
    }
}
