//! A command: the request or response that a frame carries, decoded and owned.
//!
//! This is the general form, for everything that is not on the hot path. Both header encodings are written and
//! read here; the tolerance for what real clients send is all in `json` and `binary`.

mod binary;
mod json;

use std::fmt;

use bytes::Bytes;

use crate::{
    DecodeError,
    code::{RequestCode, ResponseCode},
    fields::{Fields, Header},
    frame::{self, Encoding, Frame},
};

/// The version that we announce: 5.3.3, which every client since 4.9 knows how to treat.
pub const VERSION: i32 = 479;

/// Bit of [`Command::flag`] that marks a response.
pub const FLAG_RESPONSE: i32 = 1;

/// Bit of [`Command::flag`] that marks a request without an answer.
pub const FLAG_ONE_WAY: i32 = 2;

/// The language that a peer says it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Language {
    #[default]
    Java,
    Cpp,
    DotNet,
    Python,
    Delphi,
    Erlang,
    Ruby,
    Other,
    Http,
    Go,
    Php,
    Oms,
    Rust,
    NodeJs,
}

/// Byte on the binary wire, name on the JSON wire.
const LANGUAGES: [(Language, &str); 14] = [
    (Language::Java, "JAVA"),
    (Language::Cpp, "CPP"),
    (Language::DotNet, "DOTNET"),
    (Language::Python, "PYTHON"),
    (Language::Delphi, "DELPHI"),
    (Language::Erlang, "ERLANG"),
    (Language::Ruby, "RUBY"),
    (Language::Other, "OTHER"),
    (Language::Http, "HTTP"),
    (Language::Go, "GO"),
    (Language::Php, "PHP"),
    (Language::Oms, "OMS"),
    (Language::Rust, "RUST"),
    (Language::NodeJs, "NODE_JS"),
];

impl Language {
    /// The name on the JSON wire.
    pub fn name(self) -> &'static str {
        LANGUAGES.iter().find(|(language, _)| *language == self).map_or("OTHER", |(_, name)| name)
    }

    /// An unknown name is [`Language::Other`].
    pub fn from_name(name: &str) -> Self {
        LANGUAGES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(language, _)| *language)
    }

    /// The byte on the binary wire.
    pub fn to_byte(self) -> u8 {
        let at = LANGUAGES.iter().position(|(language, _)| *language == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(7)
    }

    /// An unknown byte is [`Language::Other`].
    pub fn from_byte(byte: u8) -> Self {
        LANGUAGES.get(usize::from(byte)).map_or(Self::Other, |(language, _)| *language)
    }
}

/// A request or a response.
#[doc(alias = "RemotingCommand")]
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// A [`RequestCode`] or a [`ResponseCode`], by [`Command::is_response`].
    pub code: i32,
    /// The sender's language.
    pub language: Language,
    /// The sender's version: RocketMQ numbers its releases, two a release. 413 is 5.0.0, 407 is 4.9.7.
    pub version: i32,
    /// Pairs a response with its request.
    pub opaque: i32,
    /// [`FLAG_RESPONSE`] and [`FLAG_ONE_WAY`].
    pub flag: i32,
    /// Error text, or the name of a pull's status.
    pub remark: Option<String>,
    /// The header, flattened.
    pub fields: Fields,
    /// The body; empty when there is none.
    pub body: Bytes,
    /// How the header came, and how an answer has to be written.
    pub encoding: Encoding,
}

impl Command {
    /// A request with a header. The opaque is set by whoever sends it.
    pub fn request(code: RequestCode, header: &impl Header) -> Self {
        let mut fields = Fields::new();
        header.write(&mut fields);
        Self {
            code: code.0,
            language: Language::Rust,
            version: VERSION,
            opaque: 0,
            flag: 0,
            remark: None,
            fields,
            body: Bytes::new(),
            encoding: Encoding::Json,
        }
    }

    /// A request without a header.
    pub fn bare(code: RequestCode) -> Self {
        Self::request(code, &())
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the remark.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// Sets the header.
    #[must_use]
    pub fn with_header(mut self, header: &impl Header) -> Self {
        header.write(&mut self.fields);
        self
    }

    /// Marks a request as one that nobody answers.
    #[must_use]
    pub fn one_way(mut self) -> Self {
        self.flag |= FLAG_ONE_WAY;
        self
    }

    /// The answer to `request`, in the encoding that it came in.
    pub fn answer(request: &Self, code: ResponseCode) -> Self {
        Self {
            code: code.0,
            language: Language::Java,
            version: VERSION,
            opaque: request.opaque,
            flag: FLAG_RESPONSE,
            remark: None,
            fields: Fields::new(),
            body: Bytes::new(),
            encoding: request.encoding,
        }
    }

    /// A successful answer to `request`.
    pub fn success(request: &Self) -> Self {
        Self::answer(request, ResponseCode::SUCCESS)
    }

    /// A refusal of `request`.
    pub fn failure(request: &Self, code: ResponseCode, remark: impl Into<String>) -> Self {
        Self::answer(request, code).with_remark(remark)
    }

    /// Whether this is a response.
    pub const fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether this is a request that must not be answered.
    pub const fn is_one_way(&self) -> bool {
        self.flag & FLAG_ONE_WAY != 0
    }

    /// The code of a request.
    pub const fn request_code(&self) -> RequestCode {
        RequestCode(self.code)
    }

    /// The code of a response.
    pub const fn response_code(&self) -> ResponseCode {
        ResponseCode(self.code)
    }

    /// The typed header.
    ///
    /// # Errors
    /// A field is missing or of the wrong type.
    pub fn header<H: Header>(&self) -> Result<H, DecodeError> {
        H::read(&self.fields)
    }

    /// Decodes a frame's header and copies its body.
    ///
    /// # Errors
    /// The header's bytes are no header.
    pub fn decode(frame: Frame<'_>) -> Result<Self, DecodeError> {
        let mut command = match frame.encoding {
            Encoding::Json => json::decode(frame.header)?,
            Encoding::Binary => binary::decode(frame.header)?,
        };
        command.body = Bytes::copy_from_slice(frame.body);
        Ok(command)
    }

    /// Appends the whole frame to `out`, in [`Command::encoding`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as(self.opaque, out);
    }

    /// [`Command::encode`] with another opaque.
    pub fn encode_as(&self, opaque: i32, out: &mut Vec<u8>) {
        frame::write(out, self.encoding, &self.body, |out| match self.encoding {
            Encoding::Json => json::encode(self, opaque, out),
            Encoding::Binary => binary::encode(self, opaque, out),
        });
    }

    /// The whole frame.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(256 + self.body.len());
        self.encode(&mut out);
        out.into()
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Command");
        if self.is_response() {
            out.field("code", &self.response_code());
        } else {
            out.field("code", &self.request_code());
        }
        out.field("opaque", &self.opaque)
            .field("flag", &self.flag)
            .field("version", &self.version)
            .field("language", &self.language)
            .field("remark", &self.remark)
            .field("fields", &self.fields)
            .field("body_bytes", &self.body.len())
            .field("encoding", &self.encoding)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(encoding: Encoding) -> Command {
        let mut fields = Fields::new();
        fields.insert("queueId", "3");
        fields.insert("topic", "Tö\"p\u{1}ic\\");
        Command {
            code: 310,
            language: Language::Go,
            version: 317,
            opaque: -7,
            flag: FLAG_ONE_WAY,
            remark: Some("why\nnot".into()),
            fields,
            body: Bytes::from_static(b"body"),
            encoding,
        }
    }

    fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        Command::decode(Frame::split(bytes).unwrap().unwrap().0)
    }

    #[test]
    fn both_encodings_round_trip() {
        for encoding in [Encoding::Json, Encoding::Binary] {
            let command = sample(encoding);
            assert_eq!(decode(&command.to_bytes()).unwrap(), command);
        }
    }

    #[test]
    fn a_binary_header_cut_anywhere_is_an_error() {
        let mut header = Vec::new();
        binary::encode(&sample(Encoding::Binary), 0, &mut header);
        for cut in 0..header.len() {
            assert!(binary::decode(&header[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn json_of_real_clients_is_taken() {
        for text in [
            r#"{"code":34,"opaque":1}"#,
            r#"{"code":34,"opaque":1,"language":"KLINGON","extFields":{"a":1,"b":true,"c":null,"d":"x"},"more":[{}]}"#,
            r#"{"code":"34","opaque":"1","language":9,"extFields":null,"serializeTypeCurrentRPC":""}"#,
            "{\"code\":34,\"opaque\":1}\n",
        ] {
            let command = json::decode(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((command.code, command.opaque), (34, 1), "{text}");
        }
        let command = json::decode(br#"{"extFields":{"a":1,"b":true,"c":null}}"#).unwrap();
        assert_eq!(command.fields.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "true")]);
    }

    #[test]
    fn of_json_members_that_come_twice_the_last_counts() {
        let text = br#"{"code":1,"extFields":{"old":"1"},"code":2,"extFields":{"z":1,"a":"x","z":2,"a":null,"m":-0.5}}"#;
        let command = json::decode(text).unwrap();
        assert_eq!(command.code, 2);
        assert_eq!(command.fields.iter().collect::<Vec<_>>(), [("z", "2"), ("m", "-0.5")]);
    }

    #[test]
    fn fields_are_limited_in_both_encodings() {
        for (count, fits) in [(256, true), (257, false)] {
            let mut command = sample(Encoding::Json);
            command.fields = Fields::new();
            for at in 0..count {
                command.fields.insert(format!("field{at}"), "value");
            }
            for encoding in [Encoding::Json, Encoding::Binary] {
                command.encoding = encoding;
                assert_eq!(decode(&command.to_bytes()).is_ok(), fits, "{count} fields in {encoding:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_an_error_of_its_request() {
        for text in ["", "{", "[]", "nonsense", r#"{"code":[]}"#, r#"{"extFields":{"a":{}}}"#, "\u{0}\u{0}"] {
            assert!(json::decode(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        assert!(json::decode(deep.as_bytes()).is_err());
    }
}
