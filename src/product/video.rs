//! Music videos, MP4, made of a track.

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, field, found, only_link},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/mp4/generate`.
///
/// Documented: success and failure of both providers, and the record
/// (<https://docs.kie.ai/suno-api/create-music-video-callbacks>,
/// <https://docs.sunoapi.org/suno-api/create-music-video-callbacks>,
/// <https://docs.kie.ai/suno-api/get-music-video-details>). There is one event a task, and no word in
/// it: the code and the link decide. One page says that the code 0 means success while all others
/// say 200, so a link beside the code 0 is [`Inconsistent`](TaskOutcome::Inconsistent), which a layer
/// with `confirm` asks about. Nobody has published a recorded delivery. A body is at most 16 KiB, of
/// which a real one needs a few hundred bytes.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Product, Video, VideoOutcome};
///
/// let event = Video.parse(r#"{"code":500,"msg":"busy","data":{"task_id":"t","video_url":null}}"#)?;
/// let VideoOutcome::Failed(failure) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(failure.code(), Some(500));
/// assert_eq!(failure.message(), Some("busy"));
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Video;

/// One event in the life of a music video.
pub type VideoEvent = TaskEvent<Video>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has the link to the video. Hostile until
/// confirmed: fetch it with care.
pub type VideoOutcome<'a> = TaskOutcome<'a, String>;

impl TaskEvent<Video> {
    /// What the event means.
    pub fn outcome(&self) -> VideoOutcome<'_> {
        self.outcome_of(|| self.video_url())
    }

    /// The link to the video, whatever the stage: for acting on it, match on
    /// [`outcome`](Self::outcome).
    pub fn video_url(&self) -> Option<String> {
        self.reading().content(video_url)
    }
}

impl Product for Video {
    type Event = VideoEvent;

    fn name(&self) -> &'static str {
        "video"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "video_url") => Key::raw(field::RESULT),
            (Level::Data, "videoUrl") => Key::raw(field::RESULT).respelled(),
            (Level::Data, "video_id") => Key::field(field::EXTRA),
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
    ) -> VideoEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/mp4/record-info")
    }
}

impl Dialect for Video {
    fn found(content: Content<'_>) -> Found {
        found(video_url(content).as_slice())
    }

    fn results(content: Content<'_>) -> Vec<String> {
        video_url(content).into_iter().collect()
    }

    /// Runway's callback has a `video_url` too, beside a `video_id`.
    fn foreign(scanned: &Scanned<'_>) -> Option<&'static str> {
        scanned.has(field::EXTRA).then_some("any")
    }
}

fn video_url(content: Content<'_>) -> Option<String> {
    only_link(content, &["videoUrl", "video_url"])
}
