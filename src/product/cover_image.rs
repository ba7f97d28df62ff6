//! Cover images of a track.

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, RECORD, Word, Words, field, found, job_urls, names},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/suno/cover/generate`.
///
/// Documented: success, failure, and the record
/// (<https://docs.kie.ai/suno-api/cover-suno-callbacks>,
/// <https://docs.kie.ai/suno-api/get-cover-suno-details>), whose page has two lists of states: 0 to 3,
/// of which 2 is still generating here and failed elsewhere, and words. Both are read. There is one
/// event a task, and no word in it: the code and the links decide. Nobody has published a recorded
/// delivery. A body is at most 16 KiB, of which a real one needs a few hundred bytes.
///
/// # Example
///
/// ```
/// use suno_callback::product::{CoverImage, CoverImageOutcome, Product};
///
/// let event = CoverImage.parse(
///     r#"{"code":200,"data":{"taskId":"t","images":["https://files.example/1.png"]}}"#,
/// )?;
/// assert!(matches!(event.outcome(), CoverImageOutcome::Ready(images) if images.len() == 1));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CoverImage;

/// One event in the life of cover images.
pub type CoverImageEvent = TaskEvent<CoverImage>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has the link of at least one image, in
/// the provider's order. Hostile until confirmed: fetch them with care.
pub type CoverImageOutcome<'a> = TaskOutcome<'a, Vec<String>>;

const FLAGS: Words = &[
    ("0", Word::Progress("pending", 0)),
    ("1", Word::Success),
    ("2", Word::Progress("generating", 0)),
    ("3", Word::Failure),
];

impl TaskEvent<CoverImage> {
    /// What the event means.
    pub fn outcome(&self) -> CoverImageOutcome<'_> {
        self.outcome_of(|| Some(self.images()))
    }

    /// The links to the images, whatever the stage: for acting on them, match on
    /// [`outcome`](Self::outcome).
    pub fn images(&self) -> Vec<String> {
        self.reading().content(images)
    }
}

impl Product for CoverImage {
    type Event = CoverImageEvent;

    fn name(&self) -> &'static str {
        "cover-image"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "images") => Key::raw(field::RESULT),
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
    ) -> CoverImageEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/suno/cover/record-info")
    }
}

impl Dialect for CoverImage {
    const FLAGS: &'static [Words] = &[FLAGS, RECORD];

    fn found(content: Content<'_>) -> Found {
        found(&images(content))
    }

    fn results(content: Content<'_>) -> Vec<String> {
        images(content)
    }
}

fn images(content: Content<'_>) -> Vec<String> {
    match content {
        Content::Callback(list) => names(Some(list)),
        Content::Record(response) => {
            let [list] = response.pick(&[&["images"]]);
            names(list)
        }
        Content::Job(result) => job_urls(result),
        Content::Body(_) => Vec::new(),
    }
}
