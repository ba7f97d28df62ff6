//! The provider's signature: base64 of HMAC-SHA256 over `task_id "." timestamp`.
//!
//! Source: <https://docs.kie.ai/common-api/webhook-verification>. It covers the task id and the
//! second of sending, and nothing else of the request.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::trace;

/// A key that callbacks are signed with: `webhookHmacKey` of the account's settings page.
///
/// It is used as the text that it is: no hexadecimal, no base64. The raw key is not kept, only the
/// prepared HMAC state, which is wiped when the last clone is dropped. `Debug` shows the label
/// alone.
///
/// # Example
///
/// ```
/// use suno_callback::SigningKey;
///
/// let key = SigningKey::new("the key of the settings page")?.labelled("2026-11");
/// assert_eq!(format!("{key:?}"), r#"SigningKey("2026-11")"#);
/// assert!(SigningKey::new("").is_err());
/// assert!(SigningKey::new("'the key of the settings page'").is_err());
/// # Ok::<(), suno_callback::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    mac: Hmac<Sha256>,
    label: Arc<str>,
}

impl SigningKey {
    /// The shortest key, in bytes.
    pub const MIN_LEN: usize = 8;

    /// A key that is shorter is taken with a warning in the log; the provider's are longer.
    const SAFE_LEN: usize = 16;

    /// Prepares a key. It is taken as it is.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for what cannot be the key of the settings page, so that a forgotten
    /// environment variable or an env file's quotes do not open the door, or close it for everybody.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let key = key.as_ref();
        InvalidKey::check(key)?;
        if key.len() < Self::SAFE_LEN {
            trace::short_key();
        }
        let mac = Hmac::new_from_slice(key).map_err(|_| InvalidKey::Empty)?;
        let label = Arc::from("default");
        Ok(Self { mac, label })
    }

    /// Prepares a key without the blanks, line breaks and byte order mark around it, as files,
    /// shells and editors add them.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for what is still no key then.
    pub fn trimmed(key: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        Self::new(trimmed(key.as_ref()))
    }

    /// Names the key for logs and for [`Delivery::key_label`](crate::Delivery::key_label), so that
    /// an operator sees when an old one is no longer in use. Default: `default`.
    pub fn labelled(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = label.into();
        self
    }

    /// The name of the key.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Signs as the provider does: the value of `X-Webhook-Signature`. For tests and tools.
    pub fn sign(&self, task_id: &str, timestamp: u64) -> String {
        STANDARD.encode(self.tag(task_id, timestamp.to_string().as_bytes()))
    }

    fn tag(&self, task_id: &str, timestamp: &[u8]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(task_id.as_bytes());
        mac.update(b".");
        mac.update(timestamp);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.label)
    }
}

/// Why something cannot be a [`SigningKey`]. The text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Nothing, or nothing but blanks. Everybody knows the empty key, so verifying with it verifies
    /// nothing. A key of nothing but NUL bytes counts as empty, because HMAC fills every short key
    /// up with them.
    Empty,
    /// A blank, a line break or a byte order mark at one end.
    Blank,
    /// Quotes around it.
    Quoted,
    /// Shorter than [`SigningKey::MIN_LEN`]: whoever sees one callback can guess it.
    TooShort,
}

impl InvalidKey {
    fn check(key: &[u8]) -> Result<(), Self> {
        let utf_16 = key.starts_with(b"\xff\xfe") || key.starts_with(b"\xfe\xff");
        let nuls = key.iter().rev().take_while(|byte| **byte == 0).count();
        match trimmed(key) {
            [] => Err(Self::Empty),
            _ if nuls == key.len() => Err(Self::Empty),
            text if text.len() < key.len() || utf_16 => Err(Self::Blank),
            text if is_quoted(text) => Err(Self::Quoted),
            text if text.len() - nuls < SigningKey::MIN_LEN => Err(Self::TooShort),
            _ => Ok(()),
        }
    }
}

fn trimmed(key: &[u8]) -> &[u8] {
    let unseen = |char| matches!(char, '\u{feff}' | '\u{200b}' | '\u{2060}');
    let is_blank = |char: char| char.is_whitespace() || unseen(char);
    match std::str::from_utf8(key) {
        Ok(text) => text.trim_matches(is_blank).as_bytes(),
        Err(_) => key.trim_ascii(),
    }
}

/// As env files, JSON and word processors quote.
fn is_quoted(key: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(key) else {
        return false;
    };
    matches!(
        (text.chars().next(), text.chars().next_back()),
        (Some('"'), Some('"'))
            | (Some('\''), Some('\''))
            | (Some('`'), Some('`'))
            | (
                Some('\u{201c}' | '\u{201e}' | '\u{201d}'),
                Some('\u{201c}' | '\u{201d}')
            )
            | (
                Some('\u{2018}' | '\u{201a}' | '\u{2019}'),
                Some('\u{2018}' | '\u{2019}')
            )
            | (Some('\u{ab}'), Some('\u{bb}'))
    )
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the signing key is empty; is its environment variable set?",
            Self::Blank => {
                "the signing key has a blank, a line break or a byte order mark at one end; \
                 read it with `SigningKey::trimmed`, or save it without, as UTF-8"
            }
            Self::Quoted => {
                "the signing key stands in quotes, which env files keep; write it without them"
            }
            Self::TooShort => {
                "the signing key is shorter than 8 bytes and can be guessed; take the whole \
                 `webhookHmacKey` of the account's settings page"
            }
        })
    }
}

impl std::error::Error for InvalidKey {}

/// The keys that are accepted: one, or several while rotating.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing {
    first: SigningKey,
    more: Vec<SigningKey>,
}

impl KeyRing {
    pub(crate) fn new(first: SigningKey) -> Self {
        let more = Vec::new();
        Self { first, more }
    }

    pub(crate) fn push(&mut self, key: SigningKey) {
        self.more.push(key);
    }

    /// The label of the key that made `signature`.
    ///
    /// Every key is tried and every comparison takes the same time, whatever the outcome; only
    /// then the choice is looked at.
    pub(crate) fn verify(
        &self,
        task_id: &str,
        timestamp: &Timestamp,
        signature: &Signature,
    ) -> Option<&Arc<str>> {
        let mut chosen = 0_u32;
        for (number, key) in (1_u32..).zip(self.iter()) {
            let tag = key.tag(task_id, timestamp.as_bytes());
            chosen.conditional_assign(&number, words(&tag).ct_eq(&words(&signature.0)));
        }
        let index = usize::try_from(chosen).ok()?.checked_sub(1)?;
        self.iter().nth(index).map(|key| &key.label)
    }

    fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

/// The bytes of a tag as words: as constant in time when they are compared, in an eighth of the
/// steps.
fn words(tag: &[u8; 32]) -> [u64; 4] {
    let (chunks, _) = tag.as_chunks();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(chunks) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

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

    fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The secret in the callback URL of a provider that does not sign.
///
/// sunoapi.org and api.box document no signature. Give them a callback URL that ends in
/// `?token=SECRET`; the layer compares it in constant time and never logs it. It travels in URLs,
/// so access logs outside this layer may keep it: use one of its own, and change it when it leaked.
///
/// # Example
///
/// ```
/// use suno_callback::UrlSecret;
///
/// let secret = UrlSecret::new("f3b1c1a0d2e94c5b8a7f")?;
/// assert_eq!(format!("{secret:?}"), "UrlSecret");
/// assert!(UrlSecret::new("short").is_err());
/// # Ok::<(), suno_callback::WeakSecret>(())
/// ```
#[derive(Clone)]
pub struct UrlSecret(Cow<'static, str>);

impl UrlSecret {
    /// The shortest secret, in bytes.
    pub const MIN_LEN: usize = 16;

    /// Takes a secret of at least 16 characters out of `A-Z a-z 0-9 - . _ ~`, which need no
    /// encoding in a URL.
    ///
    /// # Errors
    ///
    /// [`WeakSecret`] for anything else.
    pub fn new(secret: impl Into<Cow<'static, str>>) -> Result<Self, WeakSecret> {
        let secret = secret.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if secret.len() < Self::MIN_LEN || !secret.bytes().all(plain) {
            return Err(WeakSecret);
        }
        Ok(Self(secret))
    }

    /// Whether `query` has exactly one `token`, and that it is this secret.
    pub(crate) fn is_in(&self, query: &str) -> bool {
        let mut tokens = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("token="));
        match (tokens.next(), tokens.next()) {
            (Some(token), None) => token.as_bytes().ct_eq(self.0.as_bytes()).into(),
            _ => false,
        }
    }
}

impl fmt::Debug for UrlSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlSecret")
    }
}

/// What was offered as a [`UrlSecret`] is too short or has characters that a URL would encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakSecret;

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL secret has at least 16 characters out of A-Z a-z 0-9 - . _ ~")
    }
}

impl std::error::Error for WeakSecret {}

#[cfg(test)]
mod tests {
    use hmac::digest::{block_api::EagerHash, zeroize::ZeroizeOnDrop};
    use sha2::Sha256;

    /// An HMAC state is made of hash states, and whoever reads those can sign.
    #[test]
    fn the_states_of_a_key_are_wiped_when_they_are_dropped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<<Sha256 as EagerHash>::Core>();
    }
}
