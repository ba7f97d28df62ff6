//! A receiver as one would deploy it.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example receiver -- --listen 127.0.0.1:8080
//! ```
//!
//! Prints one JSON line on stdout for every event that is handed to its handler, and its log on
//! stderr (`RUST_LOG` filters it). SIGTERM drains: new callbacks get 503, what runs finishes.

mod handler;
mod options;
mod store;

use std::process::ExitCode;

use axum::{Router, extract::State, http::StatusCode, routing::post};
use suno_callback::{
    AnyStore, Delivery, Drain, SunoCallbackLayer, SunoCallbackService, VoiceEvent,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower::Layer;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt,
};

use self::{handler::Handler, options::Options};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Receiver = SunoCallbackService<Router, AnyStore>;

async fn on_voice(
    State(handler): State<Handler>,
    event: VoiceEvent,
    delivery: Delivery,
) -> Result<(), StatusCode> {
    handler.handle(&event, &delivery).await
}

async fn layer(options: &Options) -> Result<SunoCallbackLayer<AnyStore>, BoxError> {
    let (current, previous) = options::keys()?;
    let store = store::open(&options.store).await?;
    let mut layer = SunoCallbackLayer::new(current, store)
        .kind(options.kind)
        .namespace(&options.namespace)
        .times(options.times.clone())?;
    if let Some(previous) = previous {
        layer = layer.also_accept(previous);
    }
    Ok(layer)
}

/// The layer over its handler, and with `--confirm` the provider's API beside it: asked before an
/// outcome is handed over, and asked on about what it could not answer in time.
async fn receiver(options: &Options) -> Result<(Receiver, Drain), BoxError> {
    let layer = layer(options).await?;
    let drain = layer.drain();
    let handler: Router = Router::new()
        .fallback(post(on_voice))
        .with_state(Handler::new(options).await?);
    let Some(base_url) = &options.confirm else {
        return Ok((layer.layer(handler), drain));
    };
    Ok((confirming(layer, handler, base_url)?, drain))
}

#[cfg(feature = "client")]
fn confirming(
    layer: SunoCallbackLayer<AnyStore>,
    handler: Router,
    base_url: &str,
) -> Result<Receiver, BoxError> {
    use suno_callback::{VoiceClient, client::ApiKey};
    let key = std::env::var("SUNO_API_KEY").map_err(|_| "SUNO_API_KEY is not set")?;
    let client = VoiceClient::https(ApiKey::new(key)?)?.base_url(base_url)?;
    Ok(layer.confirm(client).layer(handler))
}

#[cfg(not(feature = "client"))]
fn confirming(_: SunoCallbackLayer<AnyStore>, _: Router, _: &str) -> Result<Receiver, BoxError> {
    Err("--confirm needs the feature client".into())
}

async fn terminated() -> Result<(), BoxError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Serves until a signal; then `close` in the shutdown signal, `finish` behind the server.
async fn serve(options: &Options, receiver: Receiver, drain: Drain) -> Result<(), BoxError> {
    let app: Router = Router::new().route_service(&options.path, receiver);
    let listener = TcpListener::bind(options.listen).await?;
    eprintln!(
        "listening on http://{}{}",
        listener.local_addr()?,
        options.path
    );
    let closing = drain.clone();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = terminated().await;
            closing.close();
        })
        .await?;
    let drained = drain.finish(options.drain).await;
    eprintln!(
        "drained: {} aborted, {} unsettled",
        drained.aborted, drained.unsettled
    );
    Ok(())
}

/// The log, on stderr: what `RUST_LOG` asks for, such as `warn,receiver=debug`, or else `info`.
fn log() {
    let asked = std::env::var("RUST_LOG").ok();
    let asked = asked.and_then(|asked| asked.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

#[tokio::main]
async fn main() -> ExitCode {
    log();
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    let (receiver, drain) = match receiver(&options).await {
        Ok(receiver) => receiver,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match serve(&options, receiver, drain).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
