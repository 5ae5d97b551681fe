//! A client that speaks plain frames, and a broker to speak them to.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use rocketmq_boot_broker::{Broker, Settings};
use rocketmq_boot_protocol::{
    Clock, Command, Encoding, Frame, RequestCode, ResponseCode,
    body::{
        ConsumerData, Heartbeat, ProducerData, SubscriptionData,
        dialect::{Dialect, write},
    },
    header::{
        pull::{PullMessage, PullMessageReply, sys_flag},
        send::{SendBack, SendMessage, SendMessageReply, SendMessageShort},
    },
    message::{MessageView, hash::java_hash, record::records},
};
use tempfile::TempDir;

/// When the clock of every test starts: an afternoon in 2026.
pub(crate) const START_MS: i64 = 1_790_000_000_000;

/// A broker with a folder of its own.
pub(crate) struct TestBroker {
    pub(crate) broker: Option<Broker>,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
    pub(crate) settings: Settings,
}

impl TestBroker {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), START_MS, change)
    }

    /// A broker on what lies in a folder already.
    pub(crate) fn in_folder(folder: TempDir, now_ms: i64, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            broker_name: "broker-a".into(),
            listen_port: 0,
            store_root: folder.path().join("store"),
            commit_log_file_bytes: 1 << 20,
            consume_queue_file_entries: 1_000,
            index_slots: 1_000,
            index_entries: 2_000,
            shards: super::SHARDS,
            disk_full_percent: 99,
            ..Settings::default()
        };
        change(&mut settings);
        let clock = Clock::manual(now_ms);
        let broker = Broker::start(settings.clone(), clock.clone()).unwrap();
        Self { broker: Some(broker), clock, folder, settings }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.broker.as_ref().unwrap())
    }

    /// The broker as it is after it was killed now: started anew on what its files hold at this moment. This one goes on,
    /// as nobody, on files of its own.
    pub(crate) fn killed(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(self.folder.path(), folder.path());
        let settings = Settings { store_root: folder.path().join("store"), ..self.settings.clone() };
        let broker = Broker::start(settings.clone(), self.clock.clone()).unwrap();
        Self { broker: Some(broker), clock: self.clock.clone(), folder, settings }
    }

    pub(crate) fn stop(&mut self) {
        self.broker.take().unwrap().stop(Duration::from_secs(5));
    }

    pub(crate) fn start_again(&mut self) {
        self.broker = Some(Broker::start(self.settings.clone(), self.clock.clone()).unwrap());
    }

    pub(crate) fn restart(&mut self) {
        self.broker.take().unwrap().stop(Duration::from_secs(5));
        self.broker = Some(Broker::start(self.settings.clone(), self.clock.clone()).unwrap());
    }
}

/// Copies a folder. The timer wheel is 37 MiB of nearly nothing, so holes stay holes.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to);
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
            continue;
        }
        let mut source = match fs::File::open(entry.path()) {
            // A table that is being saved has a name of its own until it takes the place of the one before.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.unwrap(),
        };
        let copied = fs::File::create(&to).unwrap();
        copied.set_len(source.metadata().unwrap().len()).unwrap();
        let (mut chunk, mut at) = (vec![0; 1 << 20], 0);
        loop {
            let read = source.read(&mut chunk).unwrap();
            if read == 0 {
                break;
            }
            if chunk[..read].iter().any(|byte| *byte != 0) {
                copied.write_all_at(&chunk[..read], at).unwrap();
            }
            at += u64::try_from(read).unwrap();
        }
    }
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    opaque: i32,
    pub(crate) encoding: Encoding,
}

impl Wire {
    fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, buffer: Vec::new(), opaque: 0, encoding: Encoding::Json }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends without waiting; gives the opaque.
    pub(crate) fn post(&mut self, mut request: Command) -> i32 {
        self.opaque += 1;
        request.opaque = self.opaque;
        request.encoding = self.encoding;
        self.write(&request.to_bytes());
        self.opaque
    }

    /// [`Wire::post`] for a command that brings its own encoding.
    pub(crate) fn post_as_it_is(&mut self, request: Command) -> i32 {
        self.encoding = request.encoding;
        self.post(request)
    }

    /// The next command, whatever it is; `None` when the broker closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Command> {
        loop {
            if let Some((frame, length)) = Frame::split(&self.buffer).unwrap() {
                let command = Command::decode(frame).unwrap();
                self.buffer.drain(..length);
                return Some(command);
            }
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(crate) fn answer_to(&mut self, opaque: i32) -> Command {
        loop {
            let command = self.receive().expect("the broker closed the connection");
            if command.is_response() && command.opaque == opaque {
                return command;
            }
        }
    }

    pub(crate) fn call(&mut self, request: Command) -> Command {
        let opaque = self.post(request);
        self.answer_to(opaque)
    }

    pub(crate) fn expect(&mut self, request: Command, code: ResponseCode) -> Command {
        let answer = self.call(request);
        assert_eq!(answer.response_code(), code, "{answer:?}");
        answer
    }

    pub(crate) fn send(&mut self, request: Command) -> SendMessageReply {
        self.expect(request, ResponseCode::SUCCESS).header().unwrap()
    }

    pub(crate) fn pull(&mut self, request: Command) -> (ResponseCode, PullMessageReply, Vec<MessageView>) {
        let answer = self.call(request);
        pulled(&answer)
    }

    /// Says that a consumer of `group` subscribes to `topic`.
    pub(crate) fn heartbeat(&mut self, client: &str, group: &str, topic: &str, tags: &str) {
        self.heartbeat_of(client, group, SubscriptionData::tags(topic, tags, 1, java_hash));
    }

    /// Says that a producer of `group` is here.
    pub(crate) fn produces_for(&mut self, client: &str, group: &str) {
        let heartbeat = Heartbeat {
            client_id: client.into(),
            producer_data_set: vec![ProducerData { group_name: group.into() }],
            ..Heartbeat::default()
        };
        let request = Command::bare(RequestCode::HEART_BEAT).with_body(write(&heartbeat, Dialect::Fastjson));
        self.expect(request, ResponseCode::SUCCESS);
    }

    /// [`Wire::heartbeat`] with a subscription of the caller's.
    pub(crate) fn heartbeat_of(&mut self, client: &str, group: &str, subscription: SubscriptionData) {
        let heartbeat = Heartbeat {
            client_id: client.into(),
            consumer_data_set: vec![ConsumerData {
                group_name: group.into(),
                subscription_data_set: vec![subscription],
                ..ConsumerData::default()
            }],
            ..Heartbeat::default()
        };
        let request = Command::bare(RequestCode::HEART_BEAT).with_body(write(&heartbeat, Dialect::Fastjson));
        self.expect(request, ResponseCode::SUCCESS);
    }
}

pub(crate) fn pulled(answer: &Command) -> (ResponseCode, PullMessageReply, Vec<MessageView>) {
    let views =
        records(&answer.body).map(|record| MessageView::decode(&record.unwrap(), 1 << 20).unwrap()).collect();
    (answer.response_code(), answer.header().unwrap(), views)
}

/// A send with the properties `key=value;key=value`.
pub(crate) fn message(topic: &str, queue_id: i32, properties: &str, body: &str) -> Command {
    let stored: String = properties
        .split(';')
        .filter(|p| !p.is_empty())
        .map(|p| p.replacen('=', "\u{1}", 1) + "\u{2}")
        .collect();
    let header = SendMessage {
        producer_group: "producers".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id,
        born_timestamp: START_MS,
        properties: Some(stored),
        ..SendMessage::default()
    };
    Command::request(RequestCode::SEND_MESSAGE_V2, &SendMessageShort::from(header)).with_body(body.to_owned())
}

/// A pull with its subscription in the header; `hold` asks for the long poll.
pub(crate) fn pull(group: &str, topic: &str, queue_id: i32, offset: i64, hold: Option<Duration>) -> Command {
    let suspend = if hold.is_some() { sys_flag::SUSPEND } else { 0 };
    let header = PullMessage {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id,
        queue_offset: offset,
        max_message_nums: 32,
        sys_flag: sys_flag::SUBSCRIPTION | suspend,
        suspend_timeout_millis: hold.map_or(0, |hold| i64::try_from(hold.as_millis()).unwrap()),
        subscription: Some("*".into()),
        ..PullMessage::default()
    };
    Command::request(RequestCode::PULL_MESSAGE, &header)
}

/// A failed message on its way back.
pub(crate) fn send_back(group: &str, message: &MessageView, level: i32) -> Command {
    let header = SendBack {
        offset: message.physical_offset,
        group: group.into(),
        delay_level: level,
        origin_topic: Some(message.topic.clone()),
        max_reconsume_times: Some(16),
        ..SendBack::default()
    };
    Command::request(RequestCode::CONSUMER_SEND_MSG_BACK, &header)
}
