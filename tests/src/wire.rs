//! One connection, frame by frame: JSON headers as a 4.x Java client writes them, and whatever else a test wants to say.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::{Map, Value, json};

/// A request that is not answered in this time is a failure of the test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What 4.9.7 calls itself; from 4.9.4 on, routes are answered in standard JSON.
const VERSION: i32 = 407;

/// The request codes that the tests write.
pub mod code {
    /// SEND_MESSAGE_V2.
    pub const SEND: i32 = 310;
    /// SEND_BATCH_MESSAGE.
    pub const SEND_BATCH: i32 = 320;
    /// PULL_MESSAGE.
    pub const PULL: i32 = 11;
    /// QUERY_CONSUMER_OFFSET.
    pub const QUERY_OFFSET: i32 = 14;
    /// UPDATE_CONSUMER_OFFSET.
    pub const UPDATE_OFFSET: i32 = 15;
    /// UPDATE_AND_CREATE_TOPIC.
    pub const CREATE_TOPIC: i32 = 17;
    /// GET_MAX_OFFSET.
    pub const MAX_OFFSET: i32 = 30;
    /// GET_MIN_OFFSET.
    pub const MIN_OFFSET: i32 = 31;
    /// HEART_BEAT.
    pub const HEARTBEAT: i32 = 34;
    /// REGISTER_BROKER.
    pub const REGISTER_BROKER: i32 = 103;
    /// GET_ROUTEINFO_BY_TOPIC.
    pub const ROUTE: i32 = 105;
    /// GET_BROKER_CLUSTER_INFO.
    pub const CLUSTER: i32 = 106;
}

/// A request to be.
#[derive(Debug, Clone)]
pub struct Request {
    code: i32,
    flag: i32,
    fields: Map<String, Value>,
    body: Vec<u8>,
}

impl Request {
    /// A request without fields and body.
    pub fn new(code: i32) -> Self {
        Self { code, flag: 0, fields: Map::new(), body: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, key: &str, value: impl ToString) -> Self {
        self.fields.insert(key.to_owned(), Value::String(value.to_string()));
        self
    }

    /// Says the same with another code.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Asks for no answer.
    #[must_use]
    pub fn one_way(mut self) -> Self {
        self.flag |= 2;
        self
    }

    /// The whole frame.
    ///
    /// # Panics
    /// When the parts do not fit a frame.
    pub fn encode(&self, opaque: i32) -> Vec<u8> {
        let header = json!({
            "code": self.code,
            "extFields": self.fields,
            "flag": self.flag,
            "language": "JAVA",
            "opaque": opaque,
            "serializeTypeCurrentRPC": "JSON",
            "version": VERSION,
        });
        frame(header.to_string().as_bytes(), &self.body)
    }
}

/// A frame around any header, well-formed or not.
///
/// # Panics
/// When the parts do not fit a frame.
pub fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let length =
        |bytes: usize| u32::try_from(bytes).expect("a test writes frames of less than 4 GiB").to_be_bytes();
    let mut bytes = Vec::with_capacity(8 + header.len() + body.len());
    bytes.extend(length(4 + header.len() + body.len()));
    bytes.extend(length(header.len()));
    bytes.extend(header);
    bytes.extend(body);
    bytes
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code, or the request code of what the server asks by itself.
    pub code: i32,
    /// Which request it answers.
    pub opaque: i32,
    /// Bit 0: a response.
    pub flag: i32,
    /// The reason in words.
    pub remark: String,
    /// The fields.
    pub fields: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A field as a number.
    ///
    /// # Panics
    /// When it is missing or not a number.
    pub fn number(&self, key: &str) -> i64 {
        let text = self.fields.get(key).unwrap_or_else(|| panic!("no field {key} in {self:?}"));
        text.parse().unwrap_or_else(|_| panic!("field {key} is not a number in {self:?}"))
    }

    /// Itself, when its code is 0.
    ///
    /// # Panics
    /// When the server refused.
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "refused: {}", self.remark);
        self
    }
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    opaque: i32,
}

impl Wire {
    /// Connects; reads and writes give up after [`PATIENCE`].
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, opaque: 0 })
    }

    /// Lets writes fail that the other side does not take in time.
    ///
    /// # Errors
    /// When the system refuses the time-out.
    pub fn give_up_writing_after(&self, time: Duration) -> io::Result<()> {
        self.stream.set_write_timeout(Some(time))
    }

    /// A second hand on the connection, for a thread that only reads or only writes.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn split(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, opaque: self.opaque })
    }

    /// Sends a request and waits for its answer; requests of the server in between are passed over.
    ///
    /// # Errors
    /// When the connection ends or stays silent.
    pub fn call(&mut self, request: &Request) -> io::Result<Answer> {
        let opaque = self.send(request)?;
        loop {
            let answer = self.receive()?;
            if answer.flag & 1 == 1 && answer.opaque == opaque {
                return Ok(answer);
            }
        }
    }

    /// Sends a request; the number is what its answer will carry.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, request: &Request) -> io::Result<i32> {
        self.opaque += 1;
        self.stream.write_all(&request.encode(self.opaque))?;
        Ok(self.opaque)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// The next frame from the server.
    ///
    /// # Errors
    /// When the connection ends or stays silent.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let mut lengths = [0; 8];
        self.stream.read_exact(&mut lengths)?;
        let [total, mark] = [&lengths[..4], &lengths[4..]].map(|part| {
            usize::try_from(u32::from_be_bytes([part[0], part[1], part[2], part[3]]))
                .expect("usize holds 32 bits")
        });
        if mark >> 24 != 0 || total < 4 + mark {
            return Err(io::Error::other(format!(
                "lengths {total} and {mark:#x} in a JSON request's answer"
            )));
        }
        let mut header = vec![0; mark];
        self.stream.read_exact(&mut header)?;
        let mut body = vec![0; total - 4 - mark];
        self.stream.read_exact(&mut body)?;
        parse(&header, body)
    }

    /// Whether the server closes the connection, reading past whatever it says before that.
    ///
    /// # Errors
    /// When it stays open and silent.
    pub fn closed(&mut self) -> io::Result<()> {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn parse(header: &[u8], body: Vec<u8>) -> io::Result<Answer> {
    let header: Value = serde_json::from_slice(header)?;
    let number = |key: &str| {
        let number = header.get(key).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| io::Error::other(format!("no {key} in {header}")))
    };
    let mut fields = BTreeMap::new();
    for (key, value) in header.get("extFields").and_then(Value::as_object).into_iter().flatten() {
        let value =
            value.as_str().ok_or_else(|| io::Error::other(format!("field {key} is not text in {header}")))?;
        fields.insert(key.clone(), value.to_owned());
    }
    let remark = header.get("remark").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Answer {
        code: number("code")?,
        opaque: number("opaque")?,
        flag: number("flag")?,
        remark,
        fields,
        body,
    })
}

/// A plain send to one queue, with the short field names.
pub fn send(topic: &str, queue: u32, body: &[u8]) -> Request {
    Request::new(code::SEND)
        .field("a", "e2e-producer")
        .field("b", topic)
        .field("c", "TBW102")
        .field("d", 4)
        .field("e", queue)
        .field("f", 0)
        .field("g", 1_700_000_000_000_i64)
        .field("h", 0)
        .field("i", "")
        .field("j", 0)
        .field("k", false)
        .field("m", false)
        .body(body)
}

/// A pull of everything from an offset on; it is answered at once, also when there is nothing.
pub fn pull(group: &str, topic: &str, queue: u32, offset: i64) -> Request {
    Request::new(code::PULL)
        .field("consumerGroup", group)
        .field("topic", topic)
        .field("queueId", queue)
        .field("queueOffset", offset)
        .field("maxMsgNums", 32)
        .field("sysFlag", 4)
        .field("commitOffset", 0)
        .field("suspendTimeoutMillis", 0)
        .field("subscription", "*")
        .field("subVersion", 0)
        .field("expressionType", "TAG")
}

/// Creates a topic, or changes it.
pub fn create_topic(topic: &str, queues: u32) -> Request {
    Request::new(code::CREATE_TOPIC)
        .field("topic", topic)
        .field("defaultTopic", "TBW102")
        .field("readQueueNums", queues)
        .field("writeQueueNums", queues)
        .field("perm", 6)
        .field("topicFilterType", "SINGLE_TAG")
        .field("topicSysFlag", 0)
        .field("order", false)
}
