//! Without a framework: hyper and a plain tower service.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example hyper -- 127.0.0.1:8080
//! ```

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The inner service gets the exact bytes, and the event in the extensions.
async fn on_voice(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let status = match request.extensions().get::<VoiceEvent>() {
        Some(event) => {
            if let VoiceOutcome::Ready(voice) = event.outcome() {
                println!("{} has the voice {voice}", event.task_id());
            }
            StatusCode::OK
        }
        None => StatusCode::INTERNAL_SERVER_ERROR, // the layer is missing
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let key = SigningKey::trimmed(std::env::var("SUNO_WEBHOOK_HMAC_KEY")?)?;
    let layer = SunoCallbackLayer::new(key, MemoryStore::default());
    let service = layer.layer(service_fn(on_voice));
    let addr = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
