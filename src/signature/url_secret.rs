use std::{borrow::Cow, fmt};

use subtle::ConstantTimeEq;

use crate::util::debug_is_the_text;

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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WeakSecret;

impl fmt::Display for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a URL secret has at least 16 characters out of A-Z a-z 0-9 - . _ ~")
    }
}

debug_is_the_text!(WeakSecret);

impl std::error::Error for WeakSecret {}
