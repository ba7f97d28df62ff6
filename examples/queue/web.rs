//! The process that the provider calls. Everything slow is somebody else's.

use axum::{Router, extract::State, http::StatusCode, routing::post};
use suno_callback::{
    Delivery, Drain, SigningKey, SunoCallbackLayer,
    product::{Music, MusicEvent},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{BoxError, Database, chain, job::Download};

async fn on_music(
    State(database): State<Database>,
    event: MusicEvent,
    delivery: Delivery,
) -> Result<(), StatusCode> {
    let Some(job) = Download::of(&event) else {
        return Ok(());
    };
    database.push(&job, &delivery).await.map_err(|error| {
        eprintln!("{}: {}", job.task, chain(&*error));
        StatusCode::INTERNAL_SERVER_ERROR // it comes again
    })
}

pub async fn serve(database: &str, address: &str) -> Result<(), BoxError> {
    let database = Database::open(database).await?;
    let key = SigningKey::from_env()?;
    let layer = SunoCallbackLayer::new(key, database.store().await?).receives(Music);
    let drain = layer.drain();
    let app = Router::new()
        .route("/callbacks/suno/music", post(on_music).layer(layer))
        .with_state(database);
    let mut stop = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}/callbacks/suno/music");
    let server = axum::serve(listener, app).with_graceful_shutdown(drain.closed());
    drain.serve(server, stop.recv(), Drain::BOUND).await?;
    std::process::exit(0)
}
