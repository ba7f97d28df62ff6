use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::util::{debug_is_the_text, log};

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
    /// Where [`from_env`](Self::from_env) looks: `SUNO_WEBHOOK_HMAC_KEY`.
    pub const ENV: &str = "SUNO_WEBHOOK_HMAC_KEY";

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
            log::short_key();
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

    /// Reads the key from the environment variable [`ENV`](Self::ENV), without what
    /// [`trimmed`](Self::trimmed) takes away.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::NotSet`] where there is no such variable, and [`InvalidKey`] for what is no key.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use suno_callback::SigningKey;
    ///
    /// let key = SigningKey::from_env()?;
    /// # Ok::<(), suno_callback::InvalidKey>(())
    /// ```
    pub fn from_env() -> Result<Self, InvalidKey> {
        let key = std::env::var_os(Self::ENV).ok_or(InvalidKey::NotSet)?;
        Self::trimmed(key.as_encoded_bytes())
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

    pub(super) fn shared_label(&self) -> &Arc<str> {
        &self.label
    }

    /// Signs as the provider does: the value of `X-Webhook-Signature`. For tests and tools.
    pub fn sign(&self, task_id: &str, timestamp: u64) -> String {
        STANDARD.encode(self.tag(task_id, timestamp.to_string().as_bytes()))
    }

    pub(super) fn tag(&self, task_id: &str, timestamp: &[u8]) -> [u8; 32] {
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

/// Why something cannot be a [`SigningKey`]. The text says what to do, and so does `Debug`, which is
/// what `main` and `unwrap` print.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidKey {
    /// There is no environment variable [`SigningKey::ENV`].
    NotSet,
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
        match self {
            Self::NotSet => write!(
                f,
                "{} is not set; export it with the `webhookHmacKey` of the account's settings page",
                SigningKey::ENV
            ),
            Self::Empty => {
                f.write_str("the signing key is empty; is its environment variable set?")
            }
            Self::Blank => f.write_str(
                "the signing key has a blank, a line break or a byte order mark at one end; \
                 read it with `SigningKey::trimmed`, or save it without, as UTF-8",
            ),
            Self::Quoted => f.write_str(
                "the signing key stands in quotes, which env files keep; write it without them",
            ),
            Self::TooShort => f.write_str(
                "the signing key is shorter than 8 bytes and can be guessed; take the whole \
                 `webhookHmacKey` of the account's settings page",
            ),
        }
    }
}

debug_is_the_text!(InvalidKey);

impl std::error::Error for InvalidKey {}

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
