//! A receiver as one would deploy it.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example receiver -- --listen 127.0.0.1:8080
//! ```
//!
//! Prints one JSON line on stdout for every event that is handed to its handler, and its log on
//! stderr (`RUST_LOG` filters it). SIGTERM drains: new callbacks get 503, what runs finishes.

use std::{io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use serde_json::json;
use suno_callback::{
    AnyStore, CallbackKind, Delivery, Drain, MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
usage: receiver [options]
  --listen ADDR             default 127.0.0.1:8080; port 0 takes a free one
  --path PATH               default /callbacks/suno/voice
  --kind generate|validate  which callback the path receives; default generate
  --store memory            where to remember what was handled; default memory
  --namespace NAME          separates handlers that share a store
  --handler-delay DURATION  let the handler take this long, such as 500ms or 20s
  --fail-first N            let the handler fail the first N tries of every event
  --drain DURATION          how long SIGTERM waits for handlers; default 20s
environment:
  SUNO_WEBHOOK_HMAC_KEY           the key of the provider's settings page
  SUNO_WEBHOOK_HMAC_KEY_PREVIOUS  the key before it, while rotating
";

struct Options {
    listen: SocketAddr,
    path: String,
    kind: CallbackKind,
    store: String,
    namespace: String,
    drain: Duration,
    handler: Handler,
}

/// How slow and how unlucky the handler is.
#[derive(Clone, Copy)]
struct Handler {
    delay: Duration,
    fail_first: u32,
}

impl Options {
    fn parse() -> Result<Self, BoxError> {
        use lexopt::prelude::{Long, ValueExt};
        let mut options = Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            path: "/callbacks/suno/voice".into(),
            kind: CallbackKind::Generate,
            store: "memory".into(),
            namespace: String::new(),
            drain: Duration::from_secs(20),
            handler: Handler {
                delay: Duration::ZERO,
                fail_first: 0,
            },
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("listen") => options.listen = arguments.value()?.parse()?,
                Long("path") => options.path = arguments.value()?.string()?,
                Long("kind") => options.kind = kind(&arguments.value()?.string()?)?,
                Long("store") => options.store = arguments.value()?.string()?,
                Long("namespace") => options.namespace = arguments.value()?.string()?,
                Long("handler-delay") => {
                    options.handler.delay = duration(&arguments.value()?.string()?)?;
                }
                Long("fail-first") => options.handler.fail_first = arguments.value()?.parse()?,
                Long("drain") => options.drain = duration(&arguments.value()?.string()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

fn kind(word: &str) -> Result<CallbackKind, BoxError> {
    match word {
        "generate" => Ok(CallbackKind::Generate),
        "validate" => Ok(CallbackKind::Validate),
        other => Err(format!("{other:?} is neither generate nor validate").into()),
    }
}

fn duration(text: &str) -> Result<Duration, BoxError> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let split = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = split.ok_or_else(|| format!("{text:?} needs a unit: ms, s or m"))?;
    Ok(Duration::try_from_secs_f64(
        number.parse::<f64>()? * factor,
    )?)
}

/// The keys of the environment, the current one first.
fn keys() -> Result<(SigningKey, Option<SigningKey>), BoxError> {
    let current = std::env::var("SUNO_WEBHOOK_HMAC_KEY").unwrap_or_default();
    let current = SigningKey::trimmed(current).map_err(
        |_| "SUNO_WEBHOOK_HMAC_KEY is not set: take the key of the provider's settings page",
    )?;
    let previous = std::env::var("SUNO_WEBHOOK_HMAC_KEY_PREVIOUS").unwrap_or_default();
    let previous = SigningKey::trimmed(previous).ok();
    Ok((
        current.labelled("current"),
        previous.map(|key| key.labelled("previous")),
    ))
}

async fn open_store(url: &str) -> Result<AnyStore, BoxError> {
    match url {
        "memory" => Ok(AnyStore::new(MemoryStore::default())),
        other => Err(format!("{other:?} is no store of this build").into()),
    }
}

async fn layer(options: &Options) -> Result<SunoCallbackLayer<AnyStore>, BoxError> {
    let (current, previous) = keys()?;
    let store = open_store(&options.store).await?;
    let mut layer = SunoCallbackLayer::new(current, store)
        .kind(options.kind)
        .namespace(options.namespace.as_str());
    if let Some(previous) = previous {
        layer = layer.also_accept(previous);
    }
    Ok(layer)
}

async fn on_voice(
    State(handler): State<Handler>,
    event: VoiceEvent,
    delivery: Delivery,
) -> Result<(), StatusCode> {
    let line = json!({
        "taskId": event.task_id().as_str(),
        "status": event.status().as_str(),
        "outcome": event.outcome().as_str(),
        "voiceId": event.voice_id().map(|id| id.as_str()),
        "validateInfo": event.validate_info(),
        "attempt": delivery.attempt(),
        "trust": delivery.trust().as_str(),
        "via": delivery.via().as_str(),
    });
    writeln!(std::io::stdout(), "{line}").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    if !handler.delay.is_zero() {
        tokio::time::sleep(handler.delay).await;
    }
    match delivery.attempt() <= handler.fail_first {
        true => Err(StatusCode::INTERNAL_SERVER_ERROR),
        false => Ok(()),
    }
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
async fn serve(options: &Options, app: Router, drain: Drain) -> Result<(), BoxError> {
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

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprint!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let layer = match layer(&options).await {
        Ok(layer) => layer,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let drain = layer.drain();
    let app = Router::new()
        .route(&options.path, post(on_voice).layer(layer))
        .with_state(options.handler);
    match serve(&options, app, drain).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
