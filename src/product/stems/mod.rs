//! Stems: a track taken apart into voice and instruments.

mod stem;

pub use self::stem::{Stem, StemKind, StemOrigin};

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, Json, field, found},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/vocal-removal/generate`, of both its types.
///
/// Documented: success and failure of both providers, and the record
/// (<https://docs.kie.ai/suno-api/separate-vocals-callbacks>,
/// <https://docs.sunoapi.org/suno-api/separate-vocals-from-music-callbacks>,
/// <https://docs.kie.ai/suno-api/get-vocal-separation-details>). There is one event a task, and no
/// word in it: the code and the links decide. They stand in `vocal_separation_info` or in
/// `vocal_removal_info`. Handled in public code; nobody has published a recorded delivery.
///
/// A body is at most 64 KiB: some callbacks name each of up to 14 files twice, and a link that was
/// signed with a session has more than a kilobyte.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Product, StemKind, Stems, StemsOutcome};
///
/// let event = Stems.parse(
///     r#"{"code":200,"data":{"task_id":"t","vocal_removal_info":{
///         "origin_url":"","vocal_url":"https://files.example/v.mp3"}}}"#,
/// )?;
/// let StemsOutcome::Ready(stems) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(stems[0].kind(), StemKind::Vocal);
/// assert_eq!(stems[0].url(), "https://files.example/v.mp3");
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stems;

/// One event in the life of stems.
pub type StemsEvent = TaskEvent<Stems>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has at least one stem. Which kinds there
/// are depends on what was asked for; a kind that was not found is missing.
pub type StemsOutcome<'a> = TaskOutcome<'a, Vec<Stem>>;

impl TaskEvent<Stems> {
    /// What the event means.
    pub fn outcome(&self) -> StemsOutcome<'_> {
        self.outcome_of(|| Some(self.stems()))
    }

    /// The stems that were found, whatever the stage: for acting on them, match on
    /// [`outcome`](Self::outcome).
    pub fn stems(&self) -> Vec<Stem> {
        self.reading().content(stems)
    }

    /// The same files with their ids: in records, and in some callbacks.
    pub fn origins(&self) -> Vec<StemOrigin> {
        self.reading().content(|content| {
            let [list] = info(content).pick(&[&["originData", "origin_data"]]);
            let mut origins = Vec::new();
            if let Some(list) = list {
                list.each(|entry| origins.extend(StemOrigin::of(entry)));
            }
            origins
        })
    }
}

impl Product for Stems {
    type Event = StemsEvent;

    fn name(&self) -> &'static str {
        "stems"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "vocal_separation_info") => Key::raw(field::RESULT),
            (Level::Data, "vocal_removal_info") => Key::raw(field::RESULT).respelled(),
            (Level::Data, "successFlag") => Key::field(field::FLAG),
            _ => field::shared(level, key),
        }
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> StemsEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        64 * 1024
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/vocal-removal/record-info")
    }
}

impl Dialect for Stems {
    /// Two successes must agree on which stem is which file.
    fn found(content: Content<'_>) -> Found {
        let stems = stems(content).into_iter();
        let named = stems.map(|stem| format!("{} {}", stem.kind().as_str(), stem.url()));
        found(&named.collect::<Vec<_>>())
    }

    fn results(content: Content<'_>) -> Vec<String> {
        links(info(content))
    }
}

/// The links of the object that has them.
pub(super) fn links(info: Json<'_>) -> Vec<String> {
    Stem::all(info)
        .into_iter()
        .map(|stem| stem.url().to_owned())
        .collect()
}

fn stems(content: Content<'_>) -> Vec<Stem> {
    Stem::all(info(content))
}

/// The object with the links.
fn info(content: Content<'_>) -> Json<'_> {
    match content {
        Content::Callback(info) | Content::Record(info) | Content::Body(info) => info,
        Content::Job(result) => {
            let [inner] = result.pick(&[&["resultObject", "data"]]);
            inner.unwrap_or(result)
        }
    }
}
