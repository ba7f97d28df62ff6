//! A receiver as one would deploy it.
//!
//! ```sh
//! SUNO_WEBHOOK_HMAC_KEY=... cargo run -p receiver -- --product voice --product music
//! ```
//!
//! Prints one JSON line on stdout for every event that is handed to its handler, and its log on
//! stderr (`RUST_LOG` filters it), where it also says once each `listening on http://...` for every
//! product, `draining` and `drained: N aborted, M unsettled`. SIGTERM drains: new callbacks get 503, what
//! runs finishes. SIGINT, or a second SIGTERM, ends it at once. `GET /healthz` says that it lives,
//! `GET /readyz` whether its store works, and `GET /metrics` what it has counted. It exits with 2
//! when it cannot start.

mod account;
mod counts;
mod error;
mod forward;
mod handler;
mod options;
mod probes;
mod routes;
mod server;
mod signals;
mod store;

use std::{io::Write, process::ExitCode, time::Duration};

use axum::Router;
use suno_callback::{Drain, Drained};
use tokio::{net::TcpListener, time::timeout};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use self::{
    account::Account, counts::Counts, error::BoxError, options::Options, probes::Probes,
    signals::Signals,
};

/// How long it may take until everything is ready to receive.
const STARTUP: Duration = Duration::from_secs(8);

/// What "at once" leaves to the store, for the claims of handlers that were aborted.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn start(options: &Options) -> Result<(Router, Drain), BoxError> {
    let counts = Counts::install()?;
    let account = Account::open(options).await?;
    let drain = account.drain();
    let mut app = Probes::new(account.store().clone(), drain.clone()).routes();
    app = app.merge(counts.routes());
    for route in &options.routes {
        app = app.merge(route.serve(&account));
    }
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
    for route in &options.routes {
        say(format_args!("listening on http://{addr}{}", route.path));
    }
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
