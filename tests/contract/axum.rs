//! The layer in an axum router, and its extractors.

use axum::{Router, routing::post};
use harness::{Callback, key};
use http::StatusCode;
use http_body_util::BodyExt;
use suno_callback::{
    Delivery, MemoryStore, SunoCallbackLayer, VoiceEvent, VoiceOutcome,
    product::{Lyrics, MusicEvent},
};
use tower::ServiceExt;

async fn on_voice(event: VoiceEvent, delivery: Delivery) -> Result<String, StatusCode> {
    match event.outcome() {
        VoiceOutcome::Ready(voice) => Ok(format!("{voice} at try {}", delivery.attempt())),
        _ => Err(StatusCode::BAD_GATEWAY),
    }
}

#[tokio::test]
async fn a_handler_extracts_the_event_and_its_delivery() {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let app: Router = Router::new().route("/voice", post(on_voice).layer(layer));
    let request = Callback::success("t", "voice_1").request_to("/voice");
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "voice_1 at try 1");
}

#[tokio::test]
async fn a_handler_s_error_is_its_answer() {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default());
    let app: Router = Router::new().route("/voice", post(on_voice).layer(layer));
    let request = Callback::failure("t").request_to("/voice");
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

async fn on_music(_: MusicEvent) {}

#[tokio::test]
async fn without_the_layer_or_behind_another_product_s_the_extractor_says_what_to_mount() {
    let layer = || SunoCallbackLayer::new(key(), MemoryStore::default());
    for route in [
        post(on_voice),
        post(on_voice).layer(layer().receives(Lyrics)),
        post(on_music).layer(layer().receives(Lyrics)),
        post(on_music).layer(layer()),
    ] {
        let app: Router = Router::new().route("/", route);
        let request = Callback::success("t", "voice_1").request();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("SunoCallbackLayer"), "{text}");
    }
}
