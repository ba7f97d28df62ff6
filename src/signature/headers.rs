use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderName;

/// `X-Webhook-Timestamp`: when the provider sent the request, in Unix seconds.
pub const TIMESTAMP_HEADER: HeaderName = HeaderName::from_static("x-webhook-timestamp");

/// `X-Webhook-Signature`: base64 of the HMAC-SHA256 over task id and timestamp.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static("x-webhook-signature");

/// The value of `X-Webhook-Signature`: 44 characters of canonical base64, decoded.
///
/// No `PartialEq`: it is compared by [`KeyRing::verify`] alone.
pub(crate) struct Signature([u8; 32]);

impl Signature {
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let mut tag = [0; 32];
        // The engine refuses other alphabets, missing padding and stray trailing bits.
        let decodes = value.len() == 44 && STANDARD.decode_slice(value, &mut tag) == Ok(32);
        decodes.then_some(Self(tag))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The value of `X-Webhook-Timestamp`: Unix seconds, one to twelve digits without leading zeros.
///
/// The signature covers the header's own bytes. Only this grammar keeps `task_id "." timestamp`
/// unambiguous, and it leaves one spelling for each number, so the bytes can be kept as such.
#[derive(Clone, Copy)]
pub(crate) struct Timestamp {
    digits: [u8; Self::MAX_LEN],
    len: u8,
    seconds: u64,
}

impl Timestamp {
    const MAX_LEN: usize = 12;

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let canonical = value == b"0" || value.first().is_some_and(|digit| *digit != b'0');
        let mut digits = [0; Self::MAX_LEN];
        digits.get_mut(..value.len())?.copy_from_slice(value);
        let mut seconds = 0_u64;
        for digit in value {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            seconds = seconds * 10 + u64::from(digit); // twelve digits fit
        }
        let len = u8::try_from(value.len()).ok()?;
        canonical.then_some(Self {
            digits,
            len,
            seconds,
        })
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.seconds
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }
}
