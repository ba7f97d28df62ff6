//! gRPC and the callback route on one port.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run -p example-tonic -- 127.0.0.1:8080
//! ```
//!
//! The gRPC side is the standard health service; it serves `voice` once a first event came.

use axum::{extract::State, routing::post};
use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn on_voice(State(health): State<HealthReporter>, event: VoiceEvent) {
    println!("{} is {}", event.task_id(), event.status());
    health
        .set_service_status("voice", ServingStatus::Serving)
        .await;
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let key = SigningKey::from_env()?;
    let layer = SunoCallbackLayer::new(key, MemoryStore::default());
    let (health, health_service) = tonic_health::server::health_reporter();
    let callbacks = axum::Router::new()
        .route("/callbacks/suno/voice", post(on_voice).layer(layer))
        .with_state(health);
    let app = Routes::new(health_service)
        .into_axum_router()
        .merge(callbacks);
    let addr = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?; // HTTP/1.1 and HTTP/2 without TLS
    Ok(())
}
