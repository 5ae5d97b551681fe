//! TLS for peers: whom they trust, who they are, and the stream that encrypts what they say.
//!
//! The session is rustls's own, which does no I/O. Writers and the reader share it under a short lock; what the
//! socket does not take stays in the session until the next write or read goes on with it.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;

use crate::stream::Sink;

/// Plaintext that a session holds for a socket which takes no more.
const HELD_BYTES: usize = 64 * 1024;

/// How a peer protects its connections; for [`PeerOptions::tls`](crate::PeerOptions::tls).
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use rocketmq_boot_remoting::Tls;
///
/// let tls = Tls::trusting(&std::fs::read("ca.pem")?)?
///     .identity(&std::fs::read("client.pem")?, &std::fs::read("client.key")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    trust: Trust,
    identity: Option<Identity>,
    server_name: Option<ServerName<'static>>,
}

#[derive(Clone)]
enum Trust {
    Roots(Arc<RootCertStore>),
    Anybody,
}

type Identity = (Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>);

/// Certificates or keys that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The text holds no such part in PEM form, or a damaged one.
    #[error("no usable {what} in PEM form: {why}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        why: Arc<str>,
    },
    /// The parts do not go together.
    #[error("certificate and key cannot be used: {0}")]
    Config(#[from] rustls::Error),
    /// The server's name is none that a certificate can have.
    #[error("`{0}` is no name of a server")]
    ServerName(Arc<str>),
}

fn pem(what: &'static str, why: impl fmt::Display) -> TlsError {
    TlsError::Pem { what, why: why.to_string().into() }
}

impl Tls {
    /// Trusts servers whose certificate was issued by one of these authorities, in PEM form.
    ///
    /// # Errors
    /// There is no usable certificate in the text.
    #[doc(alias = "tls.client.trustCertPath")]
    pub fn trusting(authorities: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities)? {
            roots.add(certificate).map_err(|error| pem("authority", error))?;
        }
        Ok(Self { trust: Trust::Roots(Arc::new(roots)), identity: None, server_name: None })
    }

    /// Trusts whoever answers, as Java's clients do in their test mode, which is their default: the connection is
    /// encrypted, and nothing says with whom.
    #[doc(alias = "tls.test.mode.enable")]
    pub fn trusting_anybody() -> Self {
        Self { trust: Trust::Anybody, identity: None, server_name: None }
    }

    /// Shows a certificate to servers that ask for one; both parts are in PEM form, and the key is not encrypted.
    ///
    /// # Errors
    /// There is no usable certificate or key in the texts.
    #[doc(alias = "tls.client.certPath")]
    #[doc(alias = "tls.client.keyPath")]
    pub fn identity(mut self, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| pem("private key", error))?;
        self.identity = Some((certificates(chain)?, Arc::new(key)));
        Ok(self)
    }

    /// Expects this name in the certificates of all servers, in place of the host that their address names.
    ///
    /// # Errors
    /// It is no name of a server.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        let wrong = |_| TlsError::ServerName(name.into());
        self.server_name = Some(ServerName::try_from(name.to_owned()).map_err(wrong)?);
        Ok(self)
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.trust {
            Trust::Roots(roots) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
                    .build()
                    .map_err(|error| pem("authority", error))?;
                builder.with_webpki_verifier(verifier)
            }
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            }
        };
        Ok(match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        })
    }

    /// Shakes hands on a new connection to `address`.
    pub(crate) async fn connect(&self, address: &str, socket: TcpStream) -> io::Result<TlsStream> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        let config = self.config().map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(HELD_BYTES));
        while session.is_handshaking() || session.wants_write() {
            while session.wants_write() {
                if let Err(error) = session.write_tls(&mut Socket(&socket)) {
                    would_block(error)?;
                    socket.writable().await?;
                }
            }
            if session.is_handshaking() {
                match session.read_tls(&mut Socket(&socket)) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {
                        let state = session.process_new_packets();
                        if let Err(error) = state {
                            // Tells the other side what was wrong, if it still listens.
                            let _ = session.write_tls(&mut Socket(&socket));
                            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                        }
                    }
                    Err(error) => {
                        would_block(error)?;
                        socket.readable().await?;
                    }
                }
            }
        }
        Ok(TlsStream { socket, session: Mutex::new(session) })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("verifies", &matches!(self.trust, Trust::Roots(_)))
            .field("shows_certificate", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = read.map_err(|error| pem("certificate", error))?;
    if certificates.is_empty() {
        return Err(pem("certificate", "there is none"));
    }
    Ok(certificates)
}

/// Nothing when the socket has to be waited for.
fn would_block(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(error) }
}

/// The socket as a session wants it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An encrypted connection after its handshake.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: Mutex<ClientConnection>,
}

impl TlsStream {
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads once.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut session = self.session.lock();
            match session.reader().read(buffer) {
                Err(error) => would_block(error)?,
                read => return Poll::Ready(read),
            }
            match session.read_tls(&mut Socket(&self.socket)) {
                Ok(0) => return Poll::Ready(Ok(0)),
                Ok(_) => {
                    session
                        .process_new_packets()
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    // An answer of the session itself, such as a new key; what does not fit goes with the next write.
                    self.push(&mut session)?;
                }
                Err(error) => {
                    would_block(error)?;
                    drop(session);
                    ready!(self.socket.poll_read_ready(context))?;
                }
            }
        }
    }

    /// Moves encrypted bytes into the socket, as many as it takes; tells whether that was all.
    fn push(&self, session: &mut ClientConnection) -> io::Result<bool> {
        while session.wants_write() {
            if let Err(error) = session.write_tls(&mut Socket(&self.socket)) {
                would_block(error)?;
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Sink for TlsStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session.lock();
        if !self.push(&mut session)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = session.writer().write(bytes)?;
        self.push(&mut session)?;
        Ok(taken)
    }

    fn is_behind(&self) -> bool {
        self.session.lock().wants_write()
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(context)
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Takes any certificate, and checks only that the server holds its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
