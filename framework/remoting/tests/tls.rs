//! Peers inside TLS, against a server that the test plays with rustls.

#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Duration,
};

use rocketmq_boot_protocol::{Command, Frame, RequestCode};
use rocketmq_boot_remoting::{Error, Peer, PeerOptions, Tls, TlsError};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

const AUTHORITY: &[u8] = include_bytes!("certificates/ca.pem");
const SERVER: &[u8] = include_bytes!("certificates/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("certificates/server.key");
const CLIENT: &[u8] = include_bytes!("certificates/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("certificates/client.key");

/// Far beyond what any test needs; only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

/// Whether a server asks its clients for certificates.
#[derive(Clone, Copy, PartialEq)]
enum Clients {
    Any,
    Known,
}

/// A server that echoes bodies, on a thread for each connection.
fn serve(clients: Clients) -> String {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        Clients::Any => builder.unwrap().with_no_client_auth(),
        Clients::Known => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(SERVER).unwrap()];
    let config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap()).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = StreamOwned::new(session, socket.unwrap());
            thread::spawn(move || echo(stream));
        }
    });
    address
}

/// Ends with the connection, however it ends.
fn echo(mut stream: impl Read + Write) {
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..read]);
        while let Some((frame, length)) = Frame::split(&buffer).unwrap() {
            let request = Command::decode(frame).unwrap();
            buffer.drain(..length);
            let answer = Command::success(&request).with_body(request.body.clone());
            if stream.write_all(&answer.to_bytes()).is_err() {
                return;
            }
        }
    }
}

fn peer(address: &str, tls: Tls) -> Peer {
    Peer::new(address, PeerOptions { tls: Some(tls), ..PeerOptions::default() }, None)
}

fn trusting() -> Tls {
    Tls::trusting(AUTHORITY).unwrap().server_name("broker.test").unwrap()
}

async fn call(peer: &Peer, body: Vec<u8>) -> Result<Command, Error> {
    peer.call(Command::bare(RequestCode::HEART_BEAT).with_body(body), LONG).await
}

#[tokio::test]
async fn calls_of_every_size_go_through() {
    let peer = peer(&serve(Clients::Any), trusting());
    // More than the socket, the session and a record of TLS hold.
    for bytes in [0, 1, 16_384, 16_385, 8 << 20] {
        let body: Vec<u8> = (0..=255).cycle().take(bytes).collect();
        let answer = call(&peer, body.clone()).await.unwrap();
        assert!(answer.body[..] == body[..], "{bytes}");
    }
    let calls = (0..500_u32).map(|n| call(&peer, n.to_be_bytes().repeat(100)));
    for (n, answer) in (0_u32..).zip(futures_util::future::join_all(calls).await) {
        assert_eq!(answer.unwrap().body[..4], n.to_be_bytes());
    }
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_is_not_spoken_to() {
    let address = serve(Clients::Any);
    // Without a name of its own, the server is expected to be who its address says.
    let refused = call(&peer(&address, Tls::trusting(AUTHORITY).unwrap()), vec![1]).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    let stranger = Tls::trusting(CLIENT).unwrap().server_name("broker.test").unwrap();
    let refused = call(&peer(&address, stranger), vec![1]).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
    call(&peer(&address, Tls::trusting_anybody()), vec![1]).await.unwrap();
}

#[tokio::test]
async fn a_server_may_want_to_know_its_clients() {
    let address = serve(Clients::Known);
    let refused = call(&peer(&address, trusting()), vec![1]).await;
    assert!(refused.is_err(), "{refused:?}");
    let known = trusting().identity(CLIENT, CLIENT_KEY).unwrap();
    call(&peer(&address, known), vec![1]).await.unwrap();
}

#[tokio::test]
async fn a_plain_server_is_an_error_and_not_a_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let _ = socket.unwrap().write_all(b"this is no handshake");
        }
    });
    let refused = call(&peer(&address, trusting()), vec![1]).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
}

#[test]
fn texts_that_hold_no_certificate_are_refused() {
    assert!(matches!(Tls::trusting(b""), Err(TlsError::Pem { .. })));
    assert!(matches!(Tls::trusting(SERVER_KEY), Err(TlsError::Pem { .. })));
    assert!(matches!(trusting().identity(CLIENT, CLIENT), Err(TlsError::Pem { .. })));
    assert!(matches!(trusting().server_name("no name"), Err(TlsError::ServerName(_))));
    assert!(!format!("{:?}", trusting()).contains("KEY"));
}
