use std::fmt;

use http::Uri;

/// `https://api.kie.ai`: the default. Source: <https://docs.kie.ai/suno-api/suno-voice-record-info>.
pub const KIE_AI: &str = "https://api.kie.ai";

/// `https://api.sunoapi.org`. Source:
/// <https://docs.sunoapi.org/suno-api/suno-voice-record-info.md>.
pub const SUNOAPI_ORG: &str = "https://api.sunoapi.org";

/// `base` without the slash at its end, where it is a URL that paths can be put behind.
pub(super) fn checked(base: &str) -> Result<&str, InvalidBaseUrl> {
    let uri: Uri = base.parse().map_err(|_| InvalidBaseUrl)?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_user = uri.authority().is_none_or(|it| it.as_str().contains('@'));
    match is_http && !has_user && uri.query().is_none() {
        true => Ok(base.trim_end_matches('/')),
        false => Err(InvalidBaseUrl),
    }
}

/// What was offered as a base URL is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBaseUrl;

impl fmt::Display for InvalidBaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base URL starts with http:// or https:// and has no query and no user")
    }
}

impl std::error::Error for InvalidBaseUrl {}
