//! Voices in a table of the application, written with the record of their event: exactly once,
//! whatever dies.
//!
//! ```sh
//! export SUNO_WEBHOOK_HMAC_KEY=...
//! cargo run -p example-axum-postgres -- postgres://localhost/app 127.0.0.1:8081
//! ```
//!
//! As many of it as you like behind one address: `haproxy.cfg` beside this file has three.

use std::{env, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use suno_callback::{
    DedupStore, Delivery, Drain, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome,
    store::PostgresStore,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a probe waits for the database.
const PROBE: Duration = Duration::from_secs(1);

/// No unique key is needed for what is written once.
const VOICES: &str = "CREATE TABLE IF NOT EXISTS voices \
    (task_id text NOT NULL, voice_id text NOT NULL, attempt integer NOT NULL)";

async fn on_voice(
    State(db): State<PgPool>,
    event: VoiceEvent,
    delivery: Delivery,
) -> Result<(), StatusCode> {
    let VoiceOutcome::Ready(voice) = event.outcome() else {
        return Ok(()); // an application tells its user of failures here
    };
    let saved = save(&db, event.task_id().as_str(), voice.as_str(), &delivery).await;
    saved.map_err(|error| {
        eprintln!("{}: {error}", event.task_id());
        StatusCode::INTERNAL_SERVER_ERROR // the provider sends it again
    })
}

/// The voice and the record that its event is handled: both or neither.
async fn save(db: &PgPool, task: &str, voice: &str, delivery: &Delivery) -> Result<(), BoxError> {
    let mut tx = db.begin().await?;
    sqlx::query("INSERT INTO voices VALUES ($1, $2, $3)")
        .bind(task)
        .bind(voice)
        .bind(i32::try_from(delivery.attempt())?)
        .execute(&mut *tx)
        .await?;
    delivery.commit_in(&mut tx).await?;
    Ok(tx.commit().await?)
}

/// Whether events could be handled here; the proxy asks.
async fn ready(State((store, drain)): State<(PostgresStore, Drain)>) -> StatusCode {
    let checked = timeout(PROBE, store.check()).await;
    match checked.is_ok_and(|checked| checked.is_ok()) && !drain.is_closed() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Replicas that start together make the table one after the other.
async fn create_table(db: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('voices'))")
        .execute(&mut *tx)
        .await?;
    sqlx::query(VOICES).execute(&mut *tx).await?;
    tx.commit().await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let usage = "usage: axum_postgres DATABASE ADDRESS";
    let [database, address] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| usage)?;
    let key = SigningKey::from_env()?;
    // sqlx would wait 30 s for a connection; the provider waits 15 for all.
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let db = pool.connect(&database).await?;
    create_table(&db).await?;
    let store = PostgresStore::new(db.clone());
    store.migrate().await?;
    let layer = SunoCallbackLayer::new(key, store.clone());
    let drain = layer.drain();
    let app = Router::new()
        .route("/callbacks/suno/voice", post(on_voice).layer(layer))
        .with_state(db)
        .route("/readyz", get(ready).with_state((store, drain.clone())));
    let mut stop = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown(drain.closed());
    drain.serve(server, stop.recv(), Drain::BOUND).await?;
    std::process::exit(0)
}
