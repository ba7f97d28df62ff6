//! A product of one's own: images, whose callbacks bring `data.{taskId, resultUrls}` and no status,
//! so that the code and the links are the two witnesses of an end.
//! Run it: `cargo run --features testkit --example own_product`.

use std::{fmt, sync::Arc};

use axum::{Extension, Router, body::Body, routing::post};
use suno_callback::product::{Event, Key, Level, Product, Scanned, Source, Stage};
use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, SystemClock, TaskId, testkit};
use tower::{BoxError, ServiceExt};

#[derive(Clone)]
pub struct Images;

/// Its task, its JSON, how far the task is, and the links, one a line.
#[derive(Clone)]
pub struct ImagesEvent(TaskId, Arc<str>, Stage, Arc<str>);

#[rustfmt::skip] // one look, one line
impl Product for Images {
    type Event = ImagesEvent;
    fn name(&self) -> &'static str { "images" }
    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Top, "code") => Key::field(0),
            (Level::Data, "resultUrls") => Key::raw(1), // an array, as it was written
            _ => Key::IGNORED,
        }
    }
    fn read(&self, id: TaskId, _: Source, found: &Scanned<'_>, body: &str) -> ImagesEvent {
        let links = found.get(1).as_raw().and_then(|it| serde_json::from_str::<Vec<String>>(it).ok());
        let links = links.unwrap_or_default().join("\n");
        let stage = match (found.get(0).as_whole(), links.is_empty()) {
            _ if found.is_ambiguous() => Stage::Inconsistent { why: "repeated_key" },
            (Some(200), false) => Stage::Success,
            (Some(200) | None, _) => Stage::Unknown, // whatever it is, the handler may ask
            (Some(_), true) => Stage::Failure,
            (Some(_), false) => Stage::Inconsistent { why: "code_denies" },
        };
        ImagesEvent(id, body.into(), stage, links.into())
    }
}

#[rustfmt::skip]
impl Event for ImagesEvent {
    type Product = Images;
    fn product(&self) -> Images { Images }
    fn task_id(&self) -> &TaskId { &self.0 }
    fn body(&self) -> &str { &self.1 }
    fn stage(&self) -> Stage { self.2 }
    fn name(&self) -> &str { "" } // the provider has no word for it
    fn result(&self) -> Option<&str> { (self.2 == Stage::Success).then_some(&*self.3) }
    fn results(&self) -> Vec<String> { self.result().unwrap_or("").lines().map(Into::into).collect() }
}

/// Whoever reads the log gets no links.
impl fmt::Debug for ImagesEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.2, self.0)
    }
}

async fn on_images(Extension(event): Extension<ImagesEvent>) {
    println!("handed over: {event:?}");
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let key = SigningKey::new("the key of the settings page")?;
    let layer = SunoCallbackLayer::new(key.clone(), MemoryStore::default()).receives(Images);
    let app: Router = Router::new().route("/", post(on_images).layer(layer));
    let body = r#"{"code":200,"data":{"taskId":"t-1","resultUrls":["https://files.example/1"]}}"#;
    for _ in 0..2 {
        let callback = testkit::Callback::new("t-1", body).signed(&key, &SystemClock);
        let answer = app.clone().oneshot(callback.map(Body::new)).await?;
        println!("answered: {}", answer.status());
    }
    Ok(())
}
