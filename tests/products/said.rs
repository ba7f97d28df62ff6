//! What an event says, without its type.

use suno_callback::{
    InvalidEvent, TaskId,
    product::{
        AnyProduct, CallbackKind, CoverImage, Event, Job, Lyrics, Midi, Music, Product, Stage,
        Stems, Video, Voice, Wav,
    },
};

/// The names of all products but voices, and of one voice.
pub const PRODUCTS: [&str; 10] = [
    "music",
    "lyrics",
    "wav",
    "stems",
    "midi",
    "video",
    "cover-image",
    "job",
    "any",
    "voice",
];

#[derive(Debug)]
pub struct Said {
    pub task_id: String,
    pub stage: String,
    pub name: String,
    pub variant: String,
    pub result: Option<String>,
    pub results: Vec<String>,
    pub foreign: Option<&'static str>,
    pub confirms: bool,
    pub is_final: bool,
    pub debug: String,
}

/// A body of `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a callback says to a product.
pub fn callback(product: &str, body: impl AsRef<[u8]>) -> Result<Said, InvalidEvent> {
    read(product, None, body.as_ref())
}

/// What a record says to a product, of a task that it need not name.
pub fn record(product: &str, task: &str, body: impl AsRef<[u8]>) -> Result<Said, InvalidEvent> {
    read(product, Some(task), body.as_ref())
}

fn read(product: &str, task: Option<&str>, body: &[u8]) -> Result<Said, InvalidEvent> {
    match product {
        "music" => said(Music, task, body),
        "lyrics" => said(Lyrics, task, body),
        "wav" => said(Wav, task, body),
        "stems" => said(Stems, task, body),
        "midi" => said(Midi, task, body),
        "video" => said(Video, task, body),
        "cover-image" => said(CoverImage, task, body),
        "job" => said(Job, task, body),
        "any" => said(AnyProduct, task, body),
        "voice" => said(Voice::from(CallbackKind::Generate), task, body),
        other => panic!("no product {other}"),
    }
}

fn said<P: Product>(product: P, task: Option<&str>, body: &[u8]) -> Result<Said, InvalidEvent> {
    let event = match task {
        None => product.parse(body)?,
        Some(task) => product.parse_record(&TaskId::new(task).expect("a task id"), body)?,
    };
    Ok(Said {
        task_id: event.task_id().to_string(),
        stage: stage(event.stage()),
        name: event.name().to_owned(),
        variant: event.variant().to_owned(),
        result: event.result().map(str::to_owned),
        results: event.results(),
        foreign: event.foreign(),
        confirms: product.confirms(&event),
        is_final: event.is_final(),
        debug: format!("{event:?}"),
    })
}

fn stage(stage: Stage) -> String {
    match stage {
        Stage::Progress { name, step } => format!("{name} {step}"),
        Stage::Inconsistent { why } => why.to_owned(),
        other => other.as_str().to_owned(),
    }
}
