//! Reading the captured frames; their format is described in `tests/vectors/README.md`.

use std::{fs, path::Path};

use rocketmq_boot_protocol::{Command, Encoding, Frame};

/// One captured frame.
pub(crate) struct Captured {
    /// File and title, for messages.
    pub(crate) name: String,
    /// The request's code, also for a response; `None` for a response to the broker, whose request is not known.
    pub(crate) request: Option<i32>,
    pub(crate) is_response: bool,
    pub(crate) encoding: Encoding,
    pub(crate) header: Vec<u8>,
    /// The body's beginning.
    pub(crate) body: Vec<u8>,
    /// Whether that is all of it.
    pub(crate) whole: bool,
}

impl Captured {
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame { encoding: self.encoding, header: &self.header, body: &self.body }
    }

    pub(crate) fn command(&self) -> Command {
        Command::decode(self.frame()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Whether this is a request with one of these codes.
    pub(crate) fn asks(&self, codes: &[i32]) -> bool {
        !self.is_response && self.request.is_some_and(|code| codes.contains(&code))
    }

    /// Whether this is a successful answer to one of these codes.
    pub(crate) fn grants(&self, codes: &[i32]) -> bool {
        self.is_response && self.request.is_some_and(|code| codes.contains(&code)) && self.command().code == 0
    }
}

/// All captured frames of all clients. The broker's tests and the seeds of the fuzz targets read them too.
pub(crate) fn all() -> Vec<Captured> {
    let protocol = match env!("CARGO_PKG_NAME") {
        "rocketmq-boot-protocol" => ".",
        "rocketmq-boot-fuzz" => "../../framework/protocol",
        _ => "../framework/protocol",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(protocol).join("tests/vectors/frames");
    let mut frames = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        read(&file, &fs::read_to_string(&path).unwrap(), &mut frames);
    }
    assert!(frames.len() > 300, "only {} captured frames were found", frames.len());
    frames
}

fn read(file: &str, text: &str, frames: &mut Vec<Captured>) {
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            frames.push(begin(file, title));
            continue;
        }
        let frame = frames.last_mut().unwrap();
        if let Some(header) = line.strip_prefix("header ") {
            frame.header = match frame.encoding {
                Encoding::Json => header.as_bytes().to_vec(),
                Encoding::Binary => from_hex(header),
            };
        } else if let Some(body) = line.strip_prefix("body ") {
            let (length, literal) = body.split_once(" bytes ").unwrap();
            frame.body = from_literal(literal);
            frame.whole = length.parse() == Ok(frame.body.len());
        } else {
            assert!(line.is_empty(), "{}: {line}", frame.name);
            frame.header.push(b'\n');
        }
    }
}

fn begin(file: &str, title: &str) -> Captured {
    let words: Vec<_> = title.split([' ', ',']).collect();
    Captured {
        name: format!("{file}: {title}"),
        request: words[2].parse().ok(),
        is_response: words[0] == "response",
        encoding: if words.contains(&"binary") { Encoding::Binary } else { Encoding::Json },
        header: Vec::new(),
        body: Vec::new(),
        whole: true,
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What stands between the quotes of a Python bytes literal, which may have lost its end.
fn from_literal(literal: &str) -> Vec<u8> {
    let quote = literal.as_bytes()[1];
    let mut rest = literal[2..].bytes().peekable();
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => match rest.next() {
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    bytes.extend(u8::from_str_radix(&digits, 16));
                }
                Some(b'n') => bytes.push(b'\n'),
                Some(b'r') => bytes.push(b'\r'),
                Some(b't') => bytes.push(b'\t'),
                Some(other) => bytes.push(other),
                None => {}
            },
            byte if byte == quote && rest.peek().is_none() => {}
            byte => bytes.push(byte),
        }
    }
    bytes
}
