//! Published crates doing the nearest thing that they can on the same body. None claims, waits,
//! expires or detaches; what each lacks beyond that is said beside it.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use axum_idempotent::{IdempotentLayer, IdempotentOptions};
use bytes::Bytes;
use ruts::{CookieOptions, SessionLayer, store::moka::MokaStore};
use serde::Deserialize;
use standardwebhooks::Webhook;
use tower_cookies::CookieManagerLayer;
use webhook_verify::{CustomScheme, Encoding, HashAlg, Provider, Secret, VerifyOptions, verify};

use crate::{
    by_hand::{Envelope, Seen},
    template::{BATCH, KEY},
};

/// `webhook-verify` verifies this very scheme: signature and age. The signed text is ours to make,
/// so the body is read once for its id and once more typed. Deduplication is by hand.
pub fn webhook_verify() -> Router {
    Router::new()
        .route("/voice", post(on_verified))
        .with_state((Seen::default(), Secret::new(KEY)))
}

const SCHEME: Provider = Provider::Custom(CustomScheme {
    hash: HashAlg::Sha256,
    signature_header: "x-webhook-signature",
    timestamp_header: Some("x-webhook-timestamp"),
    encoding: Encoding::Base64,
    prefix: None,
    signed_string,
});

#[derive(Deserialize)]
struct Signed<'a> {
    #[serde(borrow)]
    data: SignedData<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedData<'a> {
    task_id: &'a str,
}

fn signed_string(headers: &dyn webhook_verify::HeaderMap, body: &[u8]) -> Vec<u8> {
    let signed = serde_json::from_slice::<Signed>(body);
    let task_id = signed.map_or("", |signed| signed.data.task_id);
    let timestamp = headers.get("x-webhook-timestamp").unwrap_or_default();
    format!("{task_id}.{timestamp}").into_bytes()
}

async fn on_verified(
    State((seen, secret)): State<(Seen, Secret)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if verify(SCHEME, &headers, &body, &secret, VerifyOptions::default()).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    hand_over(&seen, &body)
}

/// `standardwebhooks` verifies another scheme, in which the body is signed, so it hashes four blocks
/// more; a signature of this provider it cannot verify. Deduplication is by hand.
pub fn standardwebhooks() -> Router {
    let webhook = Webhook::from_bytes(KEY.into()).expect("a key");
    Router::new()
        .route("/voice", post(on_standard))
        .with_state((Seen::default(), Arc::new(webhook)))
}

async fn on_standard(
    State((seen, webhook)): State<(Seen, Arc<Webhook>)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    hand_over(&seen, &body)
}

fn hand_over(seen: &Seen, body: &[u8]) -> StatusCode {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        return StatusCode::BAD_REQUEST;
    };
    envelope.hand_over(seen);
    StatusCode::OK
}

/// `axum-idempotent` repeats the first answer: nothing is verified and nothing is read. Whom it
/// knows it tells by a session cookie, which providers do not send, so each request is given one; two
/// that come at once both reach the handler. By a header, or by a hash of the request.
pub fn axum_idempotent(by_header: bool) -> Router {
    let options = IdempotentOptions::default();
    let options = match by_header {
        true => options.use_idempotency_key_header(None, true),
        false => options,
    };
    let store = MokaStore::builder().max_capacity(4 * BATCH as u64).build();
    let cookies = CookieOptions::build().name("session");
    Router::new()
        .route("/voice", post(async || {}))
        .layer(IdempotentLayer::<MokaStore>::new(options))
        .layer(SessionLayer::new(Arc::new(store)).with_cookie_options(cookies))
        .layer(CookieManagerLayer::new())
}
