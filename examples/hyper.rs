//! Without a framework: hyper and a plain tower service.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example hyper -- 127.0.0.1:8080
//! ```

use std::{convert::Infallible, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use suno_callback::{Drain, MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};
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
    let key = SigningKey::from_env()?;
    let layer = SunoCallbackLayer::new(key, MemoryStore::default());
    let (drain, service) = (layer.drain(), layer.layer(service_fn(on_voice)));
    let addr = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let mut sigterm = signal(SignalKind::terminate())?; // from here on it does not kill
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let (http, connections) = (http(), GracefulShutdown::new());
    let server = async {
        let mut closed = pin!(drain.closed());
        loop {
            let stream = tokio::select! {
                stream = accept(&listener) => stream,
                () = &mut closed => break,
            };
            let service = TowerToHyperService::new(service.clone());
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connections.watch(connection.into_owned()));
        }
        drop(listener);
        connections.shutdown().await;
        Ok::<_, BoxError>(())
    };
    let drained = drain.serve(server, sigterm.recv(), Drain::BOUND).await?;
    println!("{drained:?}");
    Ok(())
}

/// HTTP/1.1 and HTTP/2. Without a timer a peer may take for ever to send a head.
fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    let timer = TokioTimer::new();
    http.http1()
        .timer(timer.clone())
        .header_read_timeout(Duration::from_secs(75)); // proxies keep an idle connection for 60
    http.http2()
        .timer(timer)
        .keep_alive_interval(Duration::from_secs(30));
    http
}

/// Goes on where there are no descriptors left: that passes.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
