//! Who a client is: its address, its id, and for whom it speaks.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rocketmq_boot_protocol::Command;
use rocketmq_boot_remoting::Outbound;
use sha1::Sha1;

/// Tells clients of one process apart that were made within one tick of the clock.
const RANDOM_BITS: u32 = 20;

/// The address that other hosts see this one by: the source that the system would use towards `server`.
///
/// Connecting a datagram socket sends nothing; it only asks the routing table.
pub(crate) fn local_address(server: Option<SocketAddr>) -> IpAddr {
    let documentation = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    [server, Some(documentation)]
        .into_iter()
        .flatten()
        .find_map(source_towards)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn source_towards(server: SocketAddr) -> Option<IpAddr> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// The id of a client: `ip@instance`, where an instance without a name is `pid#nanoseconds`, and `@unit` behind it in
/// a unit.
///
/// Two members of a group with one id would be given the same queues.
pub(crate) fn client_id(ip: IpAddr, instance: Option<&str>, unit: Option<&str>, now_nanos: u128) -> String {
    let id = match instance {
        Some(name) => format!("{ip}@{name}"),
        None => {
            let random = RandomState::new().build_hasher().finish() >> (u64::BITS - RANDOM_BITS);
            let nanos = (now_nanos >> RANDOM_BITS << RANDOM_BITS) | u128::from(random);
            format!("{ip}@{}#{nanos}", std::process::id())
        }
    };
    match unit {
        Some(unit) => format!("{id}@{unit}"),
        None => id,
    }
}

/// A user of a cluster with access control: ACL 1.0 of 4.4 and later, and the users of 5.3.
///
/// ```
/// use rocketmq_boot_client::{Client, Credentials};
/// let credentials = Credentials::new("shop", "12345678").security_token("from the token service");
/// let client = Client::builder("127.0.0.1:9876").credentials(credentials).build();
/// ```
#[derive(Clone)]
#[doc(alias = "SessionCredentials")]
pub struct Credentials {
    access_key: String,
    secret_key: String,
    security_token: Option<String>,
}

impl Credentials {
    /// A user by its access key, and the secret that signs its requests. The secret itself is never sent.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into(), security_token: None }
    }

    /// Adds the token of a user that exists for some time only.
    #[must_use]
    pub fn security_token(mut self, token: impl Into<String>) -> Self {
        self.security_token = Some(token.into());
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// For whom a client speaks: completes its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpeaksFor {
    /// Said beside every request since 5.2, and left to the server.
    pub(crate) namespace: Option<String>,
    pub(crate) credentials: Option<Credentials>,
}

impl SpeaksFor {
    /// `None` when requests are complete as they are.
    pub(crate) fn outbound(&self) -> Option<Arc<dyn Outbound>> {
        (self.namespace.is_some() || self.credentials.is_some()).then(|| Arc::new(self.clone()) as _)
    }
}

impl Outbound for SpeaksFor {
    fn request(&self, request: &mut Command) {
        if let Some(namespace) = &self.namespace {
            request.fields.insert("nsd", "true");
            request.fields.insert("ns", namespace.as_str());
        }
        if let Some(credentials) = &self.credentials {
            sign(request, credentials);
        }
    }
}

/// Adds the user and a signature over all fields, in the order of their names, and the body.
fn sign(request: &mut Command, credentials: &Credentials) {
    request.fields.remove("Signature");
    request.fields.insert("AccessKey", credentials.access_key.as_str());
    if let Some(token) = &credentials.security_token {
        request.fields.insert("SecurityToken", token.as_str());
    }
    let mut fields: Vec<(&str, &str)> = request.fields.iter().collect();
    fields.sort_unstable();
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(credentials.secret_key.as_bytes()) else { return };
    fields.iter().for_each(|(_, value)| mac.update(value.as_bytes()));
    mac.update(&request.body);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    request.fields.insert("Signature", signature);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_loopback_the_address_is_loopback() {
        let server = "127.0.0.1:9876".parse().ok();
        assert_eq!(local_address(server), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn ids_have_javas_form_and_differ_within_one_tick() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(client_id(ip, Some("shop"), None, 1), "127.0.0.1@shop");
        assert_eq!(client_id(ip, Some("shop"), Some("u"), 1), "127.0.0.1@shop@u");
        let ids: std::collections::HashSet<String> =
            (0..20).map(|_| client_id(ip, None, None, 1 << 60)).collect();
        assert!(ids.len() > 15, "{ids:?}");
        let pid = std::process::id();
        assert!(ids.iter().all(|id| id.starts_with(&format!("127.0.0.1@{pid}#1152921504"))), "{ids:?}");
    }

    /// The signature is what `openssl dgst -sha1 -hmac 12345678` makes of `shopordersbody`.
    #[test]
    fn requests_are_signed_over_sorted_fields_and_the_body() {
        let mut request =
            Command::bare(rocketmq_boot_protocol::RequestCode::SEND_MESSAGE_V2).with_body("body");
        request.fields.insert("topic", "orders");
        request.fields.insert("Signature", "of an earlier attempt");
        let speaks_for =
            SpeaksFor { namespace: None, credentials: Some(Credentials::new("shop", "12345678")) };
        speaks_for.request(&mut request);
        assert_eq!(request.fields.get("AccessKey"), Some("shop"));
        assert_eq!(request.fields.get("Signature"), Some("7IioQJTEz+Q0RXoN3vqFdijS56c="));
        assert_eq!(format!("{:?}", Credentials::new("a", "secret")), "Credentials { access_key: \"a\", .. }");
    }

    #[test]
    fn a_namespace_and_a_token_are_said_and_signed() {
        let mut request = Command::bare(rocketmq_boot_protocol::RequestCode::HEART_BEAT);
        let speaks_for = SpeaksFor {
            namespace: Some("tenant".to_owned()),
            credentials: Some(Credentials::new("a", "s").security_token("t")),
        };
        speaks_for.request(&mut request);
        let said = ["ns", "nsd", "SecurityToken"].map(|key| request.fields.get(key));
        assert_eq!(said, [Some("tenant"), Some("true"), Some("t")]);
        let first = request.fields.get("Signature").map(ToOwned::to_owned);
        request.fields.insert("ns", "other");
        sign(&mut request, &Credentials::new("a", "s").security_token("t"));
        assert_ne!(request.fields.get("Signature").map(ToOwned::to_owned), first);
        assert!(SpeaksFor::default().outbound().is_none());
    }
}
