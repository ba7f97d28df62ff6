//! What is probably the matter with a request that was refused: for the log, never for the sender.
//!
//! Looked at after the refusal, and only where the line is logged. Constant words: nothing secret
//! and nothing of the request gets into them.

use http::{HeaderMap, HeaderName, HeaderValue, Request, header::CONTENT_TYPE};
use serde_json::Value;

use crate::{
    event::InvalidEvent,
    reply::Rejection,
    request::gate::{Credentials, SignedHead},
    signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
};

const JOINED: &str = "two values that a gateway joined?";
const QUOTED: &str = "quotes around it?";

/// Of a request that the gate refused.
pub(crate) fn of_head<B>(rejection: Rejection, request: &Request<B>) -> Option<&'static str> {
    let headers = request.headers();
    match rejection {
        Rejection::HeaderMissing => Some(missing(headers)),
        Rejection::HeaderRepeated => Some("a gateway that adds headers of its own?"),
        Rejection::TimestampMalformed => timestamp(value(headers, &TIMESTAMP_HEADER)),
        Rejection::SignatureMalformed => signature(value(headers, &SIGNATURE_HEADER)),
        Rejection::FromTheFuture { .. } => Some(future(value(headers, &TIMESTAMP_HEADER))),
        Rejection::Stale { .. } => {
            Some("a try that is not stamped anew, a captured request, or this machine's clock?")
        }
        Rejection::ContentType if value(headers, &CONTENT_TYPE).contains(&b',') => Some(JOINED),
        Rejection::ContentType => Some("another sender?"),
        Rejection::ContentEncoding => Some("a proxy that compresses requests?"),
        Rejection::UrlSecretWrong => Some(url_secret(request)),
        _ => None,
    }
}

fn value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h [u8] {
    headers.get(name).map_or(b"", HeaderValue::as_bytes)
}

fn missing(headers: &HeaderMap) -> &'static str {
    let one = headers.contains_key(TIMESTAMP_HEADER) || headers.contains_key(SIGNATURE_HEADER);
    match one {
        true => "a proxy that drops one of the two headers?",
        false => "is the webhook key enabled in the account's settings? Does a proxy drop headers?",
    }
}

fn timestamp(value: &[u8]) -> Option<&'static str> {
    let has = |bytes: &[u8]| value.iter().any(|byte| bytes.contains(byte));
    if value.iter().all(u8::is_ascii_digit) {
        return match value.len() {
            13 => Some("milliseconds?"),
            16 => Some("microseconds?"),
            19 => Some("nanoseconds?"),
            _ => None,
        };
    }
    let whole = value.split(|byte| *byte == b'.').next()?;
    match whole.iter().all(u8::is_ascii_digit) {
        true => Some("a fraction of a second?"),
        false if has(b",") => Some(JOINED),
        false if has(b"\"'") => Some(QUOTED),
        false if has(b":TZ") => Some("a date instead of Unix seconds?"),
        false => None,
    }
}

/// Of a timestamp that is well formed.
fn future(value: &[u8]) -> &'static str {
    // Twelve digits of milliseconds were the year 2001.
    match value.len() {
        11.. => "milliseconds?",
        _ => "this machine's clock, or the sender's?",
    }
}

fn signature(value: &[u8]) -> Option<&'static str> {
    let has = |bytes: &[u8]| value.iter().any(|byte| bytes.contains(byte));
    let prefixed = [&b"sha256="[..], b"v1=", b"hmac-sha256="];
    Some(match value.len() {
        _ if has(b",") => JOINED,
        _ if has(b"\"'") => QUOTED,
        _ if prefixed.iter().any(|it| has_prefix(value, it)) => "a prefix before the base64?",
        _ if has(b"%") => "percent-encoded?",
        _ if has(b" ") => "plus signs that somebody decoded to blanks?",
        64 if value.iter().all(u8::is_ascii_hexdigit) => "hexadecimal instead of base64?",
        43 | 44 if has(b"-_") => "base64url instead of base64?",
        43 => "its padding was cut off?",
        28 => "SHA-1 instead of SHA-256?",
        88 => "SHA-512 instead of SHA-256?",
        _ => return None,
    })
}

fn has_prefix(value: &[u8], prefix: &[u8]) -> bool {
    let start = value.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn url_secret<B>(request: &Request<B>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let tokens = query.split('&').filter(|pair| pair.starts_with("token="));
    match tokens.count() {
        _ if request.headers().contains_key(SIGNATURE_HEADER) => {
            "it is signed: is it for a layer that is `new` instead of `unsigned`?"
        }
        0 => "a callback URL without the token?",
        1 => "another secret?",
        _ => "two tokens in the callback URL?",
    }
}

/// Of a genuine event that was postponed: what to look at.
#[cfg(feature = "tracing")]
pub(crate) fn of_postponed(rejection: Rejection) -> Option<&'static str> {
    match rejection {
        Rejection::StoreUnavailable => Some(
            "`the store failed` says why; so does its `check`, which a readiness probe can ask",
        ),
        Rejection::StillRunning => Some("put work that takes so long behind a queue"),
        Rejection::Unconfirmed => {
            Some("is the API key right, and can the provider's API be reached from here?")
        }
        _ => None,
    }
}

/// Of a request whose body was not read.
pub(crate) fn of_reading(rejection: Rejection) -> Option<&'static str> {
    let large = rejection == Rejection::BodyTooLarge;
    large.then_some("another product's route? Callbacks of some are larger")
}

/// Of a request whose body was refused.
pub(crate) fn of_body(
    rejection: Rejection,
    body: &[u8],
    credentials: &Credentials,
    head: &SignedHead,
) -> Option<&'static str> {
    let changed = || is_signed_for_another(body, credentials, head);
    match rejection {
        Rejection::InvalidEvent(InvalidEvent::NotJson) => not_json(body),
        Rejection::InvalidEvent(InvalidEvent::NoTaskId) => Some("another sender?"),
        Rejection::InvalidEvent(InvalidEvent::TaskIdsDiffer) if changed() => {
            Some("signed for one of the ids: did a proxy change the body?")
        }
        Rejection::SignatureWrong if changed() => {
            Some("signed for another text of the body: did a proxy change the id?")
        }
        Rejection::SignatureWrong => Some(
            "another key, or another account's callback? Take the whole key of the settings page of \
             the account that submits the tasks",
        ),
        _ => None,
    }
}

fn not_json(body: &[u8]) -> Option<&'static str> {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(body);
    match body.trim_ascii() {
        [] => Some("empty: a proxy that drops bodies?"),
        [0x1F, 0x8B, ..] => Some("compressed, and no header says so?"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, ..] | [_, 0, ..] => Some("UTF-16?"),
        [b'<', ..] => Some("HTML or XML: another sender?"),
        [b'{', ..] if read.is_err_and(|error| error.is_eof()) => {
            Some("cut off: a proxy that limits bodies?")
        }
        [b'{', ..] => None,
        text if text.contains(&b'=') => Some("a form: another sender?"),
        _ => None,
    }
}

/// Whether a key made the signature for a text of the body that is not its id.
fn is_signed_for_another(body: &[u8], credentials: &Credentials, head: &SignedHead) -> bool {
    // A genuine body has some hundred bytes and a dozen texts; a hostile one gets no more than that.
    const MAX_LEN: usize = 4096;
    const MAX_TEXTS: usize = 32;
    let (
        Credentials::Signed(keys),
        SignedHead::Signed {
            timestamp,
            signature,
        },
    ) = (credentials, head)
    else {
        return false;
    };
    let body = Some(body).filter(|body| body.len() <= MAX_LEN);
    let Some(body) = body.and_then(|body| serde_json::from_slice(body).ok()) else {
        return false;
    };
    let mut texts = Vec::new();
    collect(&body, &mut texts);
    let signed = |text: &str| keys.verify(text, timestamp, signature).is_some();
    let candidates = texts.into_iter().take(MAX_TEXTS);
    let mut variants = candidates.flat_map(|text| [text, text.trim()]);
    variants.any(signed)
}

fn collect<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
