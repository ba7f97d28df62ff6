//! Causes that the head shows.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use suno_callback::{Rejection, SIGNATURE_HEADER, TIMESTAMP_HEADER};

use crate::{cause::Cause, layer::Case, options::Options, signed, spelling::bytes_of};

pub fn method(case: &Case) -> Cause {
    let mut request = case.request.clone();
    request.method = Method::POST;
    let why = "the provider POSTs: this is a browser, a probe, or a redirect that made a GET of it";
    Cause::new(why, Some(case.with(request)))
}

pub fn content_type(case: &Case) -> Cause {
    let value = case.request.value(&CONTENT_TYPE);
    let why = match value.to_ascii_lowercase() {
        it if it.contains(',') || case.request.values(&CONTENT_TYPE).len() > 1 => {
            "more than one type: a gateway has added its own"
        }
        it if it.contains("form") => {
            "a form: another sender, or a proxy that makes forms of bodies; \
             `curl -d` says so unless told -H 'content-type: application/json'"
        }
        _ => "the provider says application/json: another sender, or a proxy that changed it",
    };
    let request = case.request.clone().without(&CONTENT_TYPE);
    Cause::new(why, Some(case.with(request)))
}

pub fn encoding(case: &Case) -> Cause {
    let why = "the provider sends bodies as they are: a proxy compresses requests; let it not";
    let is_plain = case.request.body.trim_ascii_start().starts_with(b"{");
    let request = case.request.clone().without(&CONTENT_ENCODING);
    Cause::new(why, is_plain.then(|| case.with(request)))
}

/// One of the two headers that is not there, or there twice.
pub fn headers(rejection: Rejection, case: &Case, options: &Options) -> Cause {
    let both = [TIMESTAMP_HEADER, SIGNATURE_HEADER];
    if rejection == Rejection::HeaderMissing {
        let missing: Vec<_> = both
            .iter()
            .filter(|name| !case.request.headers.contains_key(*name))
            .map(|name| name.as_str())
            .collect();
        return Cause::last(match missing.len() {
            1 => format!("{} is missing: a proxy drops it", missing.join("")),
            _ => {
                "both are missing: enable the webhook key in the account's settings, or look for a \
                  proxy that drops headers"
                    .to_owned()
            }
        });
    }
    let repeated = both.iter().find(|name| case.request.values(name).len() > 1);
    let Some(name) = repeated else {
        return Cause::last("a header is there twice");
    };
    let why = format!("{name} is there more than once: a gateway adds one of its own");
    let alone = |value: &String| {
        let request = case.request.clone().with(name, value);
        request.map(|it| case.with(it))
    };
    let mut cases: Vec<_> = case.request.values(name).iter().filter_map(alone).collect();
    // The genuine one, if it can be told.
    let genuine = cases.iter().position(|it| signed::is_genuine(it, options));
    let mended = (!cases.is_empty()).then(|| cases.swap_remove(genuine.unwrap_or(0)));
    Cause::new(why, mended)
}

pub fn timestamp(case: &Case) -> Cause {
    let value = case.request.value(&TIMESTAMP_HEADER);
    let other = case.request.value(&SIGNATURE_HEADER);
    if bytes_of(&value).is_some() && is_number(&other) {
        let request = case.request.clone().with(&TIMESTAMP_HEADER, &other);
        let request = request.and_then(|it| it.with(&SIGNATURE_HEADER, &value));
        let why = "the two headers are exchanged: this one has the signature";
        return Cause::new(why, request.map(|it| case.with(it)));
    }
    let (why, seconds) = time_of(&value);
    let request = seconds.and_then(|it| case.request.clone().with(&TIMESTAMP_HEADER, &it));
    let why = format!("{why}; the provider sends Unix seconds, and the layer takes nothing else");
    Cause::new(why, request.map(|it| case.with(it)))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is wrong with a time, and the seconds that it means.
fn time_of(value: &str) -> (&'static str, Option<String>) {
    let bare = value.trim_matches(['"', '\'']);
    let whole = bare.split('.').next().unwrap_or_default();
    let first = value.split(',').next().unwrap_or_default().trim();
    let cut = |digits: usize| value.get(..value.len() - digits).map(str::to_owned);
    let number = |text: &str| Some(text.to_owned()).filter(|it| is_number(it) && it.len() <= 12);
    match value.len() {
        13 if is_number(value) => ("13 digits are milliseconds", cut(3)),
        16 if is_number(value) => ("16 digits are microseconds", cut(6)),
        19 if is_number(value) => ("19 digits are nanoseconds", cut(9)),
        _ if is_number(value) => (
            "a number, but not as it is written: zeros before it, or too many digits",
            number(value.trim_start_matches('0')),
        ),
        _ if value.contains(',') => ("two values in one: a gateway joined them", number(first)),
        _ if bare.len() < value.len() => ("it stands in quotes", number(bare)),
        _ if is_number(whole) => ("a fraction of a second", number(whole)),
        _ if value.contains(['T', ':']) => ("a date", None),
        _ => ("no number", None),
    }
}

pub fn signature(case: &Case) -> Cause {
    let value = case.request.value(&SIGNATURE_HEADER);
    let Some((why, tag)) = bytes_of(&value) else {
        return Cause::last(match value.len() {
            28 | 40 => "as long as SHA-1; the provider signs with HMAC-SHA256",
            88 | 128 => "as long as SHA-512; the provider signs with HMAC-SHA256",
            _ if value.contains(',') => "two values in one: a gateway joined them",
            _ => "not 32 bytes in base64, nor in anything else that is usual: cut off or masked?",
        });
    };
    let why = format!("{why}; the header is the base64 of the 32 bytes, with its padding");
    let request = case
        .request
        .clone()
        .with(&SIGNATURE_HEADER, &STANDARD.encode(tag));
    Cause::new(why, request.map(|it| case.with(it)))
}

pub fn freshness(rejection: Rejection, case: &Case, is_now: bool) -> Cause {
    let signed_at = case
        .request
        .value(&TIMESTAMP_HEADER)
        .parse()
        .unwrap_or(case.at);
    let apart = case.at.abs_diff(signed_at);
    // Clocks that differ by a zone differ by half hours.
    let from_zone = (apart + 150) % 1800;
    let why = match rejection {
        Rejection::Stale { .. } if is_now => {
            "judged as if it came now: say with --at when it came, as the receiver's log has it"
        }
        _ if apart > 1800 && from_zone < 300 && apart < 54_000 => {
            "whole hours apart: a clock or a sender that takes local time for UTC"
        }
        Rejection::Stale { .. } => {
            "a try that was not stamped anew, a captured request, or a clock that is wrong"
        }
        _ => "the receiver's clock is behind, or the sender's ahead",
    };
    let mended = Case {
        at: signed_at,
        ..case.clone()
    };
    Cause::new(why, Some(mended))
}
