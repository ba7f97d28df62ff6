//! An app on axum: who sings what, kept in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post, put},
};
use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, VoiceEvent, VoiceOutcome};
use tokio::net::TcpListener;

#[derive(Clone, Default)]
struct App {
    voices: Arc<Mutex<HashMap<String, String>>>,
}

impl App {
    fn save(&self, task: &str, voice: &str) {
        self.voices
            .lock()
            .unwrap()
            .insert(task.into(), voice.into());
    }
}

async fn save(State(app): State<App>, Path(task): Path<String>, voice: String) -> StatusCode {
    app.save(&task, &voice);
    StatusCode::CREATED
}

async fn voice(State(app): State<App>, Path(task): Path<String>) -> Result<String, StatusCode> {
    let voices = app.voices.lock().unwrap();
    voices.get(&task).cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn on_voice(State(app): State<App>, event: VoiceEvent) {
    if let VoiceOutcome::Ready(voice) = event.outcome() {
        app.save(event.task_id().as_str(), voice.as_str());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layer = SunoCallbackLayer::new(SigningKey::from_env()?, MemoryStore::default());
    let app = Router::new()
        .route("/health", get("ok"))
        .route("/voices/{task}", put(save).get(voice))
        .route("/callbacks/suno/voice", post(on_voice).layer(layer))
        .with_state(App::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
