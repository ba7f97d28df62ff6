use std::fmt;

use http::Uri;

use crate::util::debug_is_the_text;

/// `https://api.kie.ai`: the default. Source: <https://docs.kie.ai/suno-api/suno-voice-record-info>.
pub const KIE_AI: &str = "https://api.kie.ai";

/// `https://api.sunoapi.org`. Source:
/// <https://docs.sunoapi.org/suno-api/suno-voice-record-info.md>.
pub const SUNOAPI_ORG: &str = "https://api.sunoapi.org";

/// `base` without the slash at its end, where it is a URL that paths can be put behind.
pub(super) fn checked(base: &str) -> Result<&str, InvalidBaseUrl> {
    // `Uri` drops a fragment silently, and with it all that comes behind.
    if base.contains('#') {
        return Err(InvalidBaseUrl(
            "a base URL has no fragment: leave out # and the rest",
        ));
    }
    let Ok(uri) = base.parse::<Uri>() else {
        return Err(InvalidBaseUrl(
            "this is no URL; a base URL looks like https://api.kie.ai",
        ));
    };
    match rules(&uri).into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(InvalidBaseUrl(rule)),
        None => Ok(base.trim_end_matches('/')),
    }
}

fn rules(uri: &Uri) -> [(bool, &'static str); 6] {
    let authority = uri.authority().map(|it| it.as_str()).unwrap_or_default();
    let has_port = authority
        .rsplit(']')
        .next()
        .is_some_and(|it| it.contains(':'));
    let mut parts = uri.path().trim_end_matches('/').split('/').skip(1);
    [
        (
            matches!(uri.scheme_str(), Some("http" | "https")),
            "a base URL starts with http:// or https://",
        ),
        (
            !authority.contains('@'),
            "a base URL has no user; the key goes into ApiKey",
        ),
        (
            uri.host().is_some_and(|host| !host.is_empty()) && has_port == uri.port_u16().is_some(),
            "a base URL names a host, and a port of at most 65535 if any",
        ),
        (
            uri.query().is_none(),
            "a base URL has no query: leave out ? and the rest",
        ),
        (
            !uri.path().contains("/api/v1"),
            "a base URL ends before /api/v1: the client adds /api/v1/voice and what follows",
        ),
        (
            parts.all(|part| !matches!(part, "" | "." | "..")),
            "a base URL has no empty, . or .. part in its path",
        ),
    ]
}

/// What was offered as a base URL is none, and what to change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InvalidBaseUrl(&'static str);

impl fmt::Display for InvalidBaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

debug_is_the_text!(InvalidBaseUrl);

impl std::error::Error for InvalidBaseUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_that_would_ask_elsewhere_is_refused_with_the_fix() {
        for (bad, fix) in [
            ("", "looks like"),
            ("https:// x", "looks like"),
            ("https://api.kie.ai ", "looks like"),
            ("api.kie.ai", "http://"),
            ("/x", "http://"),
            ("ftp://x", "http://"),
            ("https://x#y", "fragment"),
            ("https://x/#/api", "fragment"),
            ("https://x/?y", "query"),
            ("https://x?", "query"),
            ("https://u:p@x", "ApiKey"),
            ("https://x:99999", "port"),
            ("https://x:", "port"),
            ("https://api.kie.ai/api/v1", "ends before"),
            ("https://api.kie.ai/api/v1/voice/record-info", "ends before"),
            ("https://x/../y", ".. part"),
            ("https://x/./y", ".. part"),
            ("https://x//y", "empty"),
        ] {
            let refused = checked(bad).map_err(|error| error.to_string());
            assert!(
                refused.as_ref().is_err_and(|it| it.contains(fix)),
                "{bad}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_base_url_may_have_a_port_and_a_path() {
        for (good, kept) in [
            (KIE_AI, KIE_AI),
            (SUNOAPI_ORG, SUNOAPI_ORG),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1"),
            ("http://[::1]", "http://[::1]"),
            ("http://[::1]:65535", "http://[::1]:65535"),
            ("https://p/x/y//", "https://p/x/y"),
        ] {
            assert_eq!(checked(good), Ok(kept));
        }
    }
}
