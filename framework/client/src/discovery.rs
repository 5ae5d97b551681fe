//! Fetching the list of name servers from a web address: one GET, whose answer is `host:port;host:port`.
//!
//! Plain HTTP/1.0, which every web server answers without chunks and by closing the connection.

use std::fmt;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer larger than this is no list of name servers.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Where the list lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

impl Endpoint {
    /// Reads `http://host[:port][/path]`; `None` for anything else.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let rest = url.trim().strip_prefix("http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, 80),
        };
        let clean = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ');
        (!host.is_empty() && clean(host) && clean(path)).then(|| Self {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

/// Gets the text behind an endpoint; the error says why there is none.
pub(crate) async fn fetch(endpoint: &Endpoint) -> Result<String, String> {
    let Endpoint { host, port, path } = endpoint;
    let exchange = async {
        let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), *port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: text/plain\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = exchange.await.map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("it did not answer in HTTP")?;
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("it answered with status {status}"));
    }
    Ok(body.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn web_addresses_are_told_from_lists() {
        let parsed = |url| Endpoint::parse(url).map(|endpoint| endpoint.to_string());
        assert_eq!(
            parsed("http://ns.example/rocketmq/nsaddr").as_deref(),
            Some("http://ns.example:80/rocketmq/nsaddr")
        );
        assert_eq!(parsed("http://127.0.0.1:8080").as_deref(), Some("http://127.0.0.1:8080/"));
        for other in ["127.0.0.1:9876", "a:1;b:2", "http://", "http://a:x/", "http://a/b c", "https://a/"] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }

    /// Serves one answer to whoever comes first.
    async fn serve(answer: &'static str) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1_000];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /nsaddr HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        Endpoint::parse(&format!("http://127.0.0.1:{port}/nsaddr")).unwrap()
    }

    #[tokio::test]
    async fn the_list_is_what_the_web_server_answers() {
        let endpoint = serve("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\na:1;b:2\n").await;
        assert_eq!(fetch(&endpoint).await.as_deref(), Ok("a:1;b:2"));
        let endpoint = serve("HTTP/1.1 404 Not Found\r\n\r\n").await;
        assert_eq!(fetch(&endpoint).await.unwrap_err(), "it answered with status 404");
        let endpoint = serve("hello").await;
        assert!(fetch(&endpoint).await.is_err());
    }
}
