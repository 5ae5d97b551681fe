//! What can be the body of a message.

use bytes::Bytes;
use serde::Serialize;

use crate::json::Json;

/// A body, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub(crate) bytes: Bytes,
    /// What `contentType` says to consumers of rocketmq-spring; bytes have none.
    pub(crate) content_type: Option<&'static str>,
}

impl Body {
    /// Bytes of no particular type.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), content_type: None }
    }

    /// Bytes whose type consumers are told in the property `contentType`.
    pub fn typed(bytes: impl Into<Bytes>, content_type: &'static str) -> Self {
        Self { bytes: bytes.into(), content_type: Some(content_type) }
    }
}

/// A value that can be sent: text and bytes as they are, anything else inside [`Json`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message body",
    label = "not a message body",
    note = "wrap it: `Json(&value)`; text and bytes are sent as they are"
)]
pub trait Payload {
    /// Turns the value into bytes.
    ///
    /// # Errors
    /// Says why the value cannot be encoded.
    fn into_body(self) -> Result<Body, String>;
}

impl<T: Serialize> Payload for Json<T> {
    fn into_body(self) -> Result<Body, String> {
        let bytes = serde_json::to_vec(&self.0)
            .map_err(|error| format!("the body cannot be written as JSON: {error}"))?;
        Ok(Body::typed(bytes, "application/json"))
    }
}

const TEXT: &str = "text/plain;charset=UTF-8";

impl Payload for &str {
    fn into_body(self) -> Result<Body, String> {
        Ok(Body::typed(self.to_owned(), TEXT))
    }
}

impl Payload for String {
    fn into_body(self) -> Result<Body, String> {
        Ok(Body::typed(self, TEXT))
    }
}

impl Payload for &String {
    fn into_body(self) -> Result<Body, String> {
        self.as_str().into_body()
    }
}

impl Payload for Bytes {
    fn into_body(self) -> Result<Body, String> {
        Ok(Body::bytes(self))
    }
}

impl Payload for Vec<u8> {
    fn into_body(self) -> Result<Body, String> {
        Ok(Body::bytes(self))
    }
}

impl Payload for &[u8] {
    fn into_body(self) -> Result<Body, String> {
        Ok(Body::bytes(self.to_vec()))
    }
}

impl<const N: usize> Payload for &[u8; N] {
    fn into_body(self) -> Result<Body, String> {
        Ok(Body::bytes(self.to_vec()))
    }
}
