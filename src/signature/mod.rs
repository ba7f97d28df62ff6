//! The provider's signature: base64 of HMAC-SHA256 over `task_id "." timestamp`.
//!
//! Source: <https://docs.kie.ai/common-api/webhook-verification>. It covers the task id and the
//! second of sending, and nothing else of the request. A provider that does not sign is known by a
//! secret in the callback URL.

mod headers;
mod key;
mod ring;
mod url_secret;

pub use self::{
    headers::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
    key::{InvalidKey, SigningKey},
    url_secret::{UrlSecret, WeakSecret},
};

pub(crate) use self::{
    headers::{Signature, Timestamp},
    ring::KeyRing,
};
