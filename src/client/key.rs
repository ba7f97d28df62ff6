use std::fmt;

use http::HeaderValue;

use crate::util::debug_is_the_text;

/// The key of an account at the provider's API.
///
/// It is shown nowhere: `Debug` prints the type's name alone, and the header that carries it is
/// marked as sensitive.
///
/// # Example
///
/// ```
/// use suno_callback::client::ApiKey;
///
/// let key = ApiKey::new("the-key-of-the-API-page")?;
/// assert_eq!(format!("{key:?}"), "ApiKey");
/// assert!(ApiKey::new(" \n").is_err());
/// # Ok::<(), suno_callback::client::InvalidApiKey>(())
/// ```
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// Takes a key, without the blanks and line breaks around it, as files and shells add them.
    ///
    /// # Errors
    ///
    /// [`InvalidApiKey`] when nothing is left, or what is left cannot be in a header.
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidApiKey> {
        let key = key.as_ref().trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidApiKey);
        }
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| InvalidApiKey)?;
        bearer.set_sensitive(true);
        Ok(Self(bearer))
    }

    /// The value of `Authorization`.
    pub(super) fn bearer(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

/// What was offered as an [`ApiKey`] is empty or has characters that no key has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InvalidApiKey;

impl fmt::Display for InvalidApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an API key has at least one character, and only visible ASCII ones")
    }
}

debug_is_the_text!(InvalidApiKey);

impl std::error::Error for InvalidApiKey {}
