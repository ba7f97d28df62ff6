//! The handlers that one writes by hand: verified, deduplicated, and no more. No lease, no expiry,
//! no waiting twins, no detaching, and a handler that fails has lost its event.

use std::{hint::black_box, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use dashmap::DashMap;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use crate::template::{KEY, now};

/// What was seen.
#[derive(Clone, Default)]
pub struct Seen(Arc<DashMap<String, String>>);

impl Seen {
    /// Hands an event over that was not seen yet.
    pub fn hand_over(&self, task_id: String, voice_id: String, status: &str) {
        if self.0.insert(task_id, voice_id).is_none() {
            black_box(status);
        }
    }
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Envelope {
    code: i64,
    msg: String,
    pub data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct Data {
    pub task_id: String,
    pub voice_id: Option<String>,
    pub status: String,
    error_code: Option<i64>,
    error_message: Option<String>,
}

impl Envelope {
    pub fn hand_over(self, seen: &Seen) {
        let voice_id = self.data.voice_id.unwrap_or_default();
        seen.hand_over(self.data.task_id, voice_id, &self.data.status);
    }
}

pub fn typed() -> Router {
    Router::new()
        .route("/voice", post(on_typed))
        .with_state(Seen::default())
}

async fn on_typed(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some((timestamp, signature)) = fresh(&headers) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    if !is_signed(&envelope.data.task_id, timestamp, signature) {
        return StatusCode::UNAUTHORIZED;
    }
    envelope.hand_over(&seen);
    StatusCode::OK
}

/// With `serde_json::Value`, as most public code has it.
pub fn untyped() -> Router {
    Router::new()
        .route("/voice", post(on_untyped))
        .with_state(Seen::default())
}

async fn on_untyped(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some((timestamp, signature)) = fresh(&headers) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(envelope) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let data = &envelope["data"];
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    if !is_signed(text("taskId"), timestamp, signature) {
        return StatusCode::UNAUTHORIZED;
    }
    let (task_id, voice_id) = (text("taskId"), text("voiceId"));
    seen.hand_over(task_id.to_owned(), voice_id.to_owned(), text("status"));
    StatusCode::OK
}

/// The two headers, where the time is good.
fn fresh(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = |name: &str| headers.get(name).map(HeaderValue::to_str)?.ok();
    let timestamp = text("x-webhook-timestamp")?;
    let then: u64 = timestamp.parse().ok()?;
    let is_fresh = now().abs_diff(then) <= 300;
    Some((timestamp, text("x-webhook-signature")?)).filter(|_| is_fresh)
}

fn is_signed(task_id: &str, timestamp: &str, signature: &str) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("any length");
    mac.update(format!("{task_id}.{timestamp}").as_bytes());
    let signature = STANDARD.decode(signature).unwrap_or_default();
    mac.verify_slice(&signature).is_ok()
}
