//! Requests that cost next to nothing to make again.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub const KEY: &str = "test-webhook-hmac-key";

/// How many requests a batch has.
pub const BATCH: usize = 16_384;

#[derive(Clone)]
pub struct Template {
    pub method: Method,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

const TIMESTAMP: HeaderName = HeaderName::from_static("x-webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");

impl Template {
    pub fn request<B>(&self, body: impl FnOnce(Bytes) -> B) -> Request<B> {
        let mut request = Request::new(body(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from_static("/voice");
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        request
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// A body that nobody signed, as anybody can send it: what the head alone can tell is right.
    pub fn unsigned(body: impl Into<Bytes>) -> Self {
        let wrong = HeaderValue::from_static("xG6/yOyrMyJtUdc1yjmHpKLHSHF3MpzOPa6uxSj3qb4=");
        Self {
            method: Method::POST,
            headers: vec![(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )],
            body: body.into(),
        }
        .with(TIMESTAMP, now().into())
        .with(SIGNATURE, wrong)
    }
}

pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now.as_secs()).unwrap_or_default()
}

/// Genuine callbacks of different tasks.
pub fn genuine(count: usize) -> Vec<Template> {
    let seconds = now();
    (0..count).map(|number| one(number, seconds)).collect()
}

fn one(number: usize, seconds: u64) -> Template {
    let task_id = format!("{number:032x}");
    let signature = STANDARD.encode(signed(&format!("{task_id}.{seconds}")));
    let body = format!(
        r#"{{"code":200,"msg":"success","data":{{"taskId":"{task_id}","voiceId":"voice_{number:08x}","status":"success","errorCode":null,"errorMessage":""}}}}"#
    );
    Template::unsigned(body)
        .with(TIMESTAMP, seconds.into())
        .with(SIGNATURE, value(signature))
}

fn signed(message: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("a header")
}

/// The same with one thing wrong, named after what is.
pub fn spoiled(count: usize, spoil: impl Fn(Template) -> Template) -> Vec<Template> {
    genuine(count).into_iter().map(spoil).collect()
}

pub fn of_get(it: Template) -> Template {
    Template {
        method: Method::GET,
        ..it
    }
}

pub fn stale(it: Template) -> Template {
    it.with(TIMESTAMP, (now() - 1000).into())
}

pub fn malformed_signature(it: Template) -> Template {
    it.with(SIGNATURE, HeaderValue::from_static("sha256=abcdef"))
}

pub fn wrong_signature(it: Template) -> Template {
    Template::unsigned(it.body)
}

pub fn too_large(it: Template) -> Template {
    let body = Bytes::from_static(&[b' '; 17 * 1024]);
    Template { body, ..it }
}

pub fn not_json(it: Template) -> Template {
    let body = Bytes::from_static(b"garbage");
    Template { body, ..it }
}

/// With the three headers of <https://www.standardwebhooks.com>, which sign the body.
pub fn standard(count: usize) -> Vec<Template> {
    let seconds = now();
    let sign = |(number, it): (usize, Template)| {
        let id = format!("msg_{number}");
        let body = str::from_utf8(&it.body).expect("a text");
        let signature = STANDARD.encode(signed(&format!("{id}.{seconds}.{body}")));
        it.with(HeaderName::from_static("webhook-id"), value(id))
            .with(HeaderName::from_static("webhook-timestamp"), seconds.into())
            .with(
                HeaderName::from_static("webhook-signature"),
                value(format!("v1,{signature}")),
            )
    };
    genuine(count).into_iter().enumerate().map(sign).collect()
}

/// With a session of its own and a key, as no provider sends them.
pub fn in_sessions(count: usize) -> Vec<Template> {
    let place = |(number, it): (usize, Template)| {
        let session = URL_SAFE_NO_PAD.encode((number as u128).to_le_bytes());
        it.with(header::COOKIE, value(format!("session={session}")))
            .with(
                HeaderName::from_static("idempotency-key"),
                value(format!("task-{number}")),
            )
    };
    genuine(count).into_iter().enumerate().map(place).collect()
}
