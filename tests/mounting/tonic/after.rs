//! A gRPC server on tonic.

use axum::{Router, routing::post};
use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::ServingStatus;

async fn on_voice(event: VoiceEvent) {
    println!("{}: {:?}", event.task_id(), event.outcome());
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let status = ServingStatus::Serving;
    reporter.set_service_status("singers", status).await;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let layer = SunoCallbackLayer::new(SigningKey::from_env()?, MemoryStore::default());
    let callbacks = Router::new().route("/callbacks/suno/voice", post(on_voice).layer(layer));
    Server::builder()
        .accept_http1(true)
        .add_routes(callbacks.into())
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}
