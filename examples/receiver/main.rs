//! A receiver as one would deploy it.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run --example receiver -- --listen 127.0.0.1:8080
//! ```
//!
//! Prints one JSON line on stdout for every event that is handed to its handler, and its log on
//! stderr (`RUST_LOG` filters it), where it also says once each `listening on http://...`,
//! `draining` and `drained: N aborted, M unsettled`. SIGTERM drains: new callbacks get 503, what
//! runs finishes. SIGINT, or a second SIGTERM, ends it at once. `GET /healthz` says that it lives,
//! `GET /readyz` whether its store works. It exits with 2 when it cannot start.

mod error;
mod handler;
mod options;
mod probes;
mod server;
mod signals;
mod store;

use std::{io::Write, process::ExitCode, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use suno_callback::{
    AnyStore, Delivery, Drain, Drained, SunoCallbackLayer, SunoCallbackService, VoiceEvent,
};
use tokio::{net::TcpListener, time::timeout};
use tower::Layer;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt,
};

use self::{error::BoxError, handler::Handler, options::Options, probes::Probes, signals::Signals};

/// How long it may take until everything is ready to receive.
const STARTUP: Duration = Duration::from_secs(8);

/// What "at once" leaves to the store, for the claims of handlers that were aborted.
const AT_ONCE: Duration = Duration::from_secs(1);

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
async fn receiver(options: &Options) -> Result<(Receiver, AnyStore, Drain), BoxError> {
    let layer = layer(options).await?;
    let (store, drain) = (layer.store().clone(), layer.drain());
    let handler: Router = Router::new()
        .fallback(post(on_voice))
        .with_state(Handler::new(options).await?);
    let Some(base_url) = &options.confirm else {
        return Ok((layer.layer(handler), store, drain));
    };
    Ok((confirming(layer, handler, base_url)?, store, drain))
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

async fn start(options: &Options) -> Result<(Router, Drain), BoxError> {
    let (receiver, store, drain) = receiver(options).await?;
    let app = Probes::new(store, drain.clone())
        .routes()
        .route_service(&options.path, receiver);
    Ok((app, drain))
}

/// Serves until SIGTERM. What runs then has [`Options::drain`] in all, and less when somebody is in
/// a hurry.
async fn serve(options: &Options, app: Router, drain: Drain) -> Result<(), BoxError> {
    let Signals { stop, hurry } = signals::listen()?;
    let listener = TcpListener::bind(options.listen).await;
    let listener =
        listener.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let addr = listener.local_addr()?;
    say(format_args!("listening on http://{addr}{}", options.path));
    let stop = async {
        let _ = stop.await;
        drain.close(); // what is said is done
        say(format_args!("draining"));
    };
    let server = server::serve(listener, app, drain.clone());
    let drained = tokio::select! {
        biased; // "draining" is said before all else
        drained = drain.serve(server, stop, options.drain) => drained?,
        _ = hurry => drain.abort(AT_ONCE).await,
    };
    let Drained {
        aborted, unsettled, ..
    } = drained;
    say(format_args!(
        "drained: {aborted} aborted, {unsettled} unsettled"
    ));
    Ok(())
}

/// Without the panic of `eprintln` where nobody reads any more.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

async fn run() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            say(format_args!("{error}\n{}", options::USAGE));
            return ExitCode::from(2);
        }
    };
    let started = timeout(STARTUP, start(&options)).await;
    let started =
        started.unwrap_or_else(|_| Err(format!("it was not ready within {STARTUP:?}").into()));
    let (app, drain) = match started {
        Ok(started) => started,
        Err(error) => {
            say(format_args!("{error}"));
            return ExitCode::from(2);
        }
    };
    match serve(&options, app, drain).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
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

fn main() -> ExitCode {
    log();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // Dropped, it would wait for whatever blocks a thread, for as long as that likes.
    runtime.shutdown_background();
    code
}
